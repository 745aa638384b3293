//! The byte stream of a connection, between requests and below hyper.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use mtproto_transport::{Rewound, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read at once where hyper does not read, in bytes: most requests, whole.
const READ_LEN: usize = 2 << 10;

/// A stream with what was read too early and what is not written yet. It takes whatever is written,
/// so that nothing is lost when hyper is taken off it.
pub(crate) struct Channel<S> {
    stream: Rewound<S>,
    /// To be written; the first `sent` bytes are with the stream already.
    output: Vec<u8>,
    sent: usize,
    is_shut: bool,
    /// How much was read and dropped, in bytes.
    drained: usize,
}

impl<S> Channel<S> {
    pub(crate) fn new(stream: S) -> Self {
        let stream = Rewound::new(Bytes::new(), stream);
        Self { stream, output: Vec::new(), sent: 0, is_shut: false, drained: 0 }
    }

    /// Gives `input` again to the next who reads.
    pub(crate) fn put_back(&mut self, input: &[u8]) {
        // The buffer that it was read into may be much larger.
        self.stream.rewind(Bytes::copy_from_slice(input));
    }

    /// How much was read that nobody has looked at, in bytes.
    pub(crate) fn input_len(&self) -> usize {
        self.stream.prefix().len()
    }

    /// What is to be written, for answers.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    pub(crate) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// What goes on in another protocol, after all was written.
    pub(crate) fn into_stream(self) -> Rewound<S> {
        debug_assert_eq!(self.unsent(), 0, "what was to be written is lost");
        self.stream
    }
}

impl<S: Stream> Channel<S> {
    /// Waits for something to read, which it leaves to be read; gives the number of bytes, 0 at the
    /// end. No buffer is held meanwhile.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input_len() == 0 {
            let mut room = [const { MaybeUninit::uninit() }; READ_LEN];
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            self.put_back(read.filled());
        }
        Poll::Ready(Ok(self.input_len()))
    }

    /// Reads and drops till the end, or till that were more than `max` bytes.
    pub(crate) fn poll_drain(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.drained <= max {
            let mut room = [const { MaybeUninit::uninit() }; READ_LEN];
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            match read.filled().len() {
                0 => break,
                count => self.drained += count,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes all there is.
    pub(crate) fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.output.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        if self.sent > 0 {
            self.output = Vec::new();
            self.sent = 0;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Writes all there is and ends our direction.
    pub(crate) fn poll_shut(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        if !self.is_shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.is_shut = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncRead for Channel<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: Stream> AsyncWrite for Channel<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_out(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_shut(cx)
    }
}
