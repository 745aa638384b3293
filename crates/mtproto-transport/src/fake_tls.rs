//! Fake TLS around a byte stream, for both roles.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use mtproto_frame::fake_tls::{
    Accepted, Answer, ClientHandshake, Gate, RECORD_SENT_LEN_MAX, RecordReader, RecordWriter,
    Refusal, Verdict,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// How much is put into records at once, in bytes. They are held till the stream below takes them.
pub const FAKE_TLS_WRITE_LEN_MAX: usize = 16 * RECORD_SENT_LEN_MAX;

/// A stream inside the records of a fake TLS stream, either side of it.
///
/// What is read is taken out of its records in the buffer of the reader. What is written is copied
/// once, and held only while the stream below takes no more.
pub struct FakeTlsStream<S> {
    stream: S,
    reader: RecordReader,
    writer: RecordWriter,
    /// In records; the first `sent` bytes are with the stream below already.
    output: Vec<u8>,
    sent: usize,
}

/// What a stream that begins like TLS turned out to be.
#[derive(Debug)]
pub enum Admission<S> {
    /// Not ours: it goes on as real TLS that begins with `input`.
    Foreign {
        /// The stream, to which nothing was written.
        stream: S,
        /// All that was read of it.
        input: BytesMut,
        /// Why; for logs only.
        refusal: Refusal,
    },
    /// Ours, and the hellos are over.
    Ours {
        /// What is in its records.
        stream: FakeTlsStream<S>,
        /// Which of the server's secrets the client knows.
        secret: usize,
    },
}

impl<S: AsyncRead + AsyncWrite + Unpin> FakeTlsStream<S> {
    /// Sends the `hello` of `handshake` and waits for the answer. Not cancel-safe: the stream is
    /// gone with the call.
    ///
    /// # Errors
    /// `InvalidData` around a [`Fault`](mtproto_frame::fake_tls::Fault) if the server does not know
    /// the secret, else what the stream says.
    pub async fn connect(
        mut stream: S,
        handshake: ClientHandshake,
        hello: &[u8],
    ) -> io::Result<Self> {
        stream.write_all(hello).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        while let Answer::NeedMore(missing) = handshake.check(&answer).map_err(invalid)? {
            let mut more = vec![0; missing];
            stream.read_exact(&mut more).await?;
            answer.append(&mut more);
        }
        Ok(Self::new(stream, RecordWriter::client()))
    }

    /// Reads the client's hello, whose first bytes may be in `input` already, and answers it if
    /// `gate` lets it in at `unix_time`, in seconds since 1970. How long that may take is for the
    /// caller to limit. Not cancel-safe: the stream is gone with the call.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn accept(
        mut stream: S,
        mut input: BytesMut,
        gate: &Gate,
        unix_time: u32,
    ) -> io::Result<Admission<S>> {
        let refusal = loop {
            match gate.check(&input, unix_time) {
                Verdict::Accept(Accepted { secret, answer }) => {
                    stream.write_all(&answer).await?;
                    stream.flush().await?;
                    let stream = Self::new(stream, RecordWriter::server());
                    return Ok(Admission::Ours { stream, secret });
                }
                Verdict::Foreign(refusal) => break refusal,
                Verdict::NeedMore => {}
            }
            if stream.read_buf(&mut input).await? == 0 {
                break Refusal::Truncated;
            }
        };
        Ok(Admission::Foreign { stream, input, refusal })
    }

    fn new(stream: S, writer: RecordWriter) -> Self {
        Self { stream, reader: RecordReader::new(), writer, output: Vec::new(), sent: 0 }
    }
}

impl<S> FakeTlsStream<S> {
    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FakeTlsStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        while buffer.remaining() > 0 {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
            let arrived = buffer.filled_mut().get_mut(before..).unwrap_or_default();
            if arrived.is_empty() {
                return Poll::Ready(this.ended());
            }
            let read = this.reader.unwrap(arrived);
            let len = *read.as_ref().unwrap_or(&0);
            buffer.set_filled(before + len);
            if read.map_err(invalid)? > 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> FakeTlsStream<S> {
    /// What the end of the stream below means.
    fn ended(&self) -> io::Result<()> {
        if self.reader.is_between_records() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

impl<S: AsyncWrite + Unpin> FakeTlsStream<S> {
    /// Hands the records on.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.output.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        self.output = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FakeTlsStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let taken = bytes.get(..FAKE_TLS_WRITE_LEN_MAX).unwrap_or(bytes);
        this.writer.wrap(taken, &mut this.output);
        // What does not go at once goes with the next call.
        match this.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for FakeTlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeTlsStream")
            .field("unsent", &(self.output.len() - self.sent))
            .finish_non_exhaustive()
    }
}

/// A fault of the peer, as streams say it.
fn invalid(fault: mtproto_frame::fake_tls::Fault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

#[cfg(test)]
mod tests;
