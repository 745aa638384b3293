//! A stream of which something was read already.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that gives some bytes again before it goes on: what one protocol has read and another
/// is to have.
#[derive(Debug)]
pub struct Rewound<S> {
    prefix: Bytes,
    stream: S,
}

impl<S> Rewound<S> {
    /// Reads `prefix`, then what `stream` brings.
    #[must_use]
    pub fn new(prefix: Bytes, stream: S) -> Self {
        Self { prefix, stream }
    }

    /// What is still to be read before the stream.
    pub fn prefix(&self) -> &Bytes {
        &self.prefix
    }

    /// Gives `prefix` before all that is still to be read.
    pub fn rewind(&mut self, prefix: Bytes) {
        self.prefix = match self.prefix.is_empty() {
            true => prefix,
            false => [prefix, std::mem::take(&mut self.prefix)].concat().into(),
        };
    }

    /// What is left of the prefix, and the stream.
    #[must_use]
    pub fn into_parts(self) -> (Bytes, S) {
        (self.prefix, self.stream)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let count = self.prefix.len().min(into.remaining());
        into.put_slice(&self.prefix.split_to(count));
        if !self.prefix.has_remaining() {
            // An empty slice would keep the whole buffer alive.
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn the_prefix_comes_first_however_little_is_read_at_once() {
        for step in 1..12 {
            let (mut near, far) = duplex(64);
            near.write_all(b" and the rest").await.unwrap();
            near.shutdown().await.unwrap();
            let mut rewound = Rewound::new(Bytes::from_static(b"the prefix"), far);
            let mut read = Vec::new();
            let mut buffer = vec![0; step];
            loop {
                match rewound.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => read.extend_from_slice(&buffer[..count]),
                }
            }
            assert_eq!(read, b"the prefix and the rest");
        }
    }

    #[tokio::test]
    async fn what_is_left_of_the_prefix_can_be_taken_back() {
        let (mut near, far) = duplex(64);
        let mut rewound = Rewound::new(Bytes::from_static(b"prefix"), far);
        let mut buffer = [0; 3];
        rewound.read_exact(&mut buffer).await.unwrap();
        rewound.write_all(b"answer").await.unwrap();
        assert_eq!(rewound.prefix(), &b"fix"[..]);
        rewound.rewind(Bytes::from_static(b"af"));
        let (left, stream) = rewound.into_parts();
        assert_eq!(left, b"affix"[..]);
        drop(stream);
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
    }
}
