//! One request, read by hyper.

use std::convert::Infallible;
use std::future::{Pending, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::{Builder, Connection};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mtproto_transport::{READ_LEN_MAX, Stream};

use crate::channel::Channel;

/// The longest head of a request, in bytes. Longer ones are answered 431.
pub const HEAD_LEN_MAX: usize = 16 << 10;

/// hyper, reading one request. It is there while the request arrives and never learns the answer,
/// so that a turn that is held does without its buffers. What hyper itself refuses it answers.
pub(crate) struct Intake<S: Stream> {
    connection: Connection<TokioIo<Channel<S>>, Letterbox>,
    letterbox: Letterbox,
    end: Option<End>,
}

/// The end of a connection within a request.
pub(crate) struct End {
    /// What hyper says is wrong, if anything.
    pub(crate) fault: Option<hyper::Error>,
}

impl<S: Stream> Intake<S> {
    pub(crate) fn new(channel: Channel<S>) -> Self {
        let letterbox = Letterbox::default();
        let connection = Builder::new()
            // Ours are deadlines of the whole, so that none depends on where hyper waits.
            .header_read_timeout(None)
            .max_header_size(HEAD_LEN_MAX)
            .max_buf_size(READ_LEN_MAX)
            .serve_connection(TokioIo::new(channel), letterbox.clone());
        Self { connection, letterbox, end: None }
    }

    /// Waits for the head of the request. What follows it comes out of its body while
    /// [`poll_body`](Self::poll_body) is polled.
    ///
    /// # Errors
    /// The connection ended before.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Request<Incoming>, End>> {
        self.poll_connection(cx);
        match self.letterbox.take() {
            Some(request) => Poll::Ready(Ok(request)),
            None => self.end.take().map_or(Poll::Pending, |end| Poll::Ready(Err(end))),
        }
    }

    /// Moves what arrives of `body` to `packet`; ready when it is whole, at `len` bytes.
    ///
    /// # Errors
    /// The connection ended before.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Incoming,
        packet: &mut BytesMut,
        len: usize,
    ) -> Poll<Result<(), End>> {
        while packet.len() < len {
            self.poll_connection(cx);
            match (Pin::new(&mut *body).poll_frame(cx), self.end.take()) {
                (Poll::Ready(Some(Ok(frame))), end) => {
                    packet.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                    self.end = end;
                }
                // hyper tells the connection better than the body what is wrong.
                (_, Some(end)) => return Poll::Ready(Err(end)),
                (Poll::Ready(Some(Err(error))), None) => {
                    return Poll::Ready(Err(End { fault: Some(error) }));
                }
                (Poll::Ready(None), None) => return Poll::Ready(Err(End { fault: None })),
                (Poll::Pending, None) => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The stream again, with what hyper read beyond the request.
    pub(crate) fn into_channel(self) -> Channel<S> {
        let parts = self.connection.into_parts();
        let mut channel = parts.io.into_inner();
        if !parts.read_buf.is_empty() {
            channel.put_back(&parts.read_buf);
        }
        channel
    }

    fn poll_connection(&mut self, cx: &mut Context<'_>) {
        if self.end.is_none()
            && let Poll::Ready(end) = self.connection.poll_without_shutdown(cx)
        {
            self.end = Some(End { fault: end.err() });
        }
    }
}

/// Where hyper leaves the request.
#[derive(Clone, Default)]
struct Letterbox(Arc<Mutex<Option<Request<Incoming>>>>);

impl Letterbox {
    fn take(&self) -> Option<Request<Incoming>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Service<Request<Incoming>> for Letterbox {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Pending<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
        pending()
    }
}
