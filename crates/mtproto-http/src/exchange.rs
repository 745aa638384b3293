//! One packet of a client and its answer.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mtproto_frame::{FRAME_LEN_MAX_CLIENT, Inbound, PeerFault, TransportError, WireFault};
use mtproto_transport::{LinkError, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tracing::debug;

use crate::dial::Target;
use crate::fault::io_error;

/// How long an answer may take, unless set otherwise: a long poll of 25 s, and what a bad network
/// adds to it.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(40);

/// What comes of an exchange: the answer, and the connection if it can be used again.
pub(crate) type Outcome = Result<(Inbound, Option<Line>), LinkError>;

/// Sends `payload` over `idle`, or else over a new connection. `sent` is set once it is written.
pub(crate) async fn exchange(
    target: Arc<Target>,
    idle: Option<Line>,
    payload: Bytes,
    sent: Arc<AtomicBool>,
) -> Outcome {
    let limit = target.answer_limit;
    let answered = timeout(limit, async {
        if let Some(line) = idle {
            match line.post(target.request(&payload), &sent).await {
                Err(Failure::Unheard(error)) => debug!(%error, "the server has closed meanwhile"),
                Err(Failure::Final(error)) => return Err(error),
                Ok(answered) => return Ok(answered),
            }
            sent.store(false, Ordering::Relaxed);
        }
        let (line, _) = target.connect().await.map_err(io::Error::other)?;
        line.post(target.request(&payload), &sent).await.map_err(Failure::into_error)
    });
    answered.await.unwrap_or_else(|_| {
        let reason = format!("no answer within {limit:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, reason).into())
    })
}

/// Why there is no answer.
enum Failure {
    /// The connection ended before anything came of it.
    Unheard(LinkError),
    /// Anything else.
    Final(LinkError),
}

impl Failure {
    fn into_error(self) -> LinkError {
        match self {
            Self::Unheard(error) | Self::Final(error) => error,
        }
    }
}

/// A connection to the server on which nothing is under way.
pub(crate) struct Line {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<Tracked>, Full<Bytes>>,
    track: Arc<Track>,
}

impl Line {
    pub(crate) async fn new(stream: Box<dyn Stream>) -> hyper::Result<Self> {
        let track = Arc::new(Track::default());
        let tracked = Tracked { stream, track: Arc::clone(&track) };
        let (sender, connection) = handshake(TokioIo::new(tracked)).await?;
        Ok(Self { sender, connection, track })
    }

    /// Ready when the server has ended the connection.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.connection).poll(cx).map(drop)
    }

    async fn post(
        mut self,
        request: Request<Full<Bytes>>,
        sent: &AtomicBool,
    ) -> Result<(Inbound, Option<Self>), Failure> {
        self.track.reset();
        let Self { sender, connection, track } = &mut self;
        let mut is_over = false;
        let answered = {
            let mut answer = pin!(async {
                sender.ready().await.map_err(io_error)?;
                read(sender.send_request(request).await.map_err(io_error)?).await
            });
            poll_fn(|cx| {
                // It tells the answer how it ended.
                is_over = is_over || Pin::new(&mut *connection).poll(cx).is_ready();
                sent.store(track.flushed.load(Ordering::Relaxed), Ordering::Relaxed);
                answer.as_mut().poll(cx)
            })
            .await
        };
        match answered {
            Ok(answer) => Ok((answer, (!is_over).then_some(self))),
            Err(error) if self.track.heard.load(Ordering::Relaxed) => Err(Failure::Final(error)),
            Err(error) => Err(Failure::Unheard(error)),
        }
    }
}

/// Takes an answer in all the ways that servers write one.
// req: S82, S83, S114
async fn read(response: Response<Incoming>) -> Result<Inbound, LinkError> {
    let status = response.status().as_u16();
    let payload = read_body(response.into_body()).await?;
    let error = match status {
        300.. => TransportError::from_code(-i32::from(status)),
        _ => TransportError::from_payload(&payload),
    };
    Ok(error.map_or(Inbound::Packet { payload, quick_ack: false }, Inbound::Error))
}

async fn read_body(mut body: Incoming) -> Result<BytesMut, LinkError> {
    let max = FRAME_LEN_MAX_CLIENT;
    let declared = body.size_hint().lower();
    let mut payload = BytesMut::new();
    loop {
        let len = usize::try_from(declared).unwrap_or(usize::MAX).max(payload.len());
        if len > max {
            return Err(WireFault::from(PeerFault::FrameTooLong { len, max }).into());
        }
        match body.frame().await {
            None => return Ok(payload),
            Some(frame) => {
                let frame = frame.map_err(io_error)?;
                payload.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            }
        }
    }
}

/// What has happened on a connection since the last request began.
#[derive(Default)]
struct Track {
    /// Something was written.
    written: AtomicBool,
    /// And all of it has left.
    flushed: AtomicBool,
    /// Something was read.
    heard: AtomicBool,
}

impl Track {
    fn reset(&self) {
        for flag in [&self.written, &self.flushed, &self.heard] {
            flag.store(false, Ordering::Relaxed);
        }
    }
}

/// A stream that keeps track. hyper flushes it when it has no more to write.
struct Tracked {
    stream: Box<dyn Stream>,
    track: Arc<Track>,
}

impl AsyncRead for Tracked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        if into.filled().len() > before {
            self.track.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tracked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.track.written.store(true, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if self.track.written.load(Ordering::Relaxed) {
            self.track.flushed.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
