//! A connection that carries packets.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::{fmt, io};

use mtproto_frame::{Inbound, Misuse, Outbound, Recognised, Spare, WireFault};

/// One connection, either side of it.
///
/// Both directions go through one `&mut`: whoever owns the link polls
/// [`poll_recv`](Self::poll_recv) and [`poll_flush`](Self::poll_flush) in the same wake-up. Nothing
/// is kept in futures, so any of them may be dropped at any point.
pub trait Link: Send + Unpin {
    /// Takes `item` to be sent. It leaves with the next [`poll_flush`](Self::poll_flush), together
    /// with everything else that was taken till then.
    ///
    /// # Errors
    /// `Full` and `Misuse` change nothing and may be followed by other calls.
    fn start_send(&mut self, item: Outbound) -> Result<(), LinkError>;

    /// Hands what was taken to the transport below, in as few writes as it lets.
    ///
    /// # Errors
    /// The connection is broken.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>>;

    /// Waits for the next item.
    ///
    /// # Errors
    /// `Closed` when the peer has ended the connection in good order; everything else is a fault.
    /// The receiving half is over after either.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LinkError>>;

    /// As [`poll_flush`](Self::poll_flush); a link that can do so leaves the memory of what has
    /// been sent to `spare`.
    ///
    /// # Errors
    /// The same.
    fn poll_flush_with(
        &mut self,
        cx: &mut Context<'_>,
        spare: &mut Spare,
    ) -> Poll<Result<(), LinkError>> {
        let _ = spare;
        self.poll_flush(cx)
    }

    /// As [`poll_recv`](Self::poll_recv); a link that can do so receives into memory of `spare`.
    ///
    /// # Errors
    /// The same.
    fn poll_recv_with(
        &mut self,
        cx: &mut Context<'_>,
        spare: &mut Spare,
    ) -> Poll<Result<Inbound, LinkError>> {
        let _ = spare;
        self.poll_recv(cx)
    }

    /// Flushes and then ends our direction of the connection.
    ///
    /// # Errors
    /// The connection is broken.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>>;

    /// How many bytes were taken to be sent and are not yet handed on.
    fn unsent(&self) -> usize;

    /// Who is at the other end, and by which layers.
    fn peer(&self) -> Peer;

    /// Whether this is one half of a conversation in turns, as over HTTP. Each packet that a server
    /// then receives waits for exactly one item, and nothing else can be sent; a client gets as
    /// many items as it has sent packets.
    fn takes_turns(&self) -> bool {
        false
    }
}

impl<L: Link + ?Sized> Link for Box<L> {
    fn start_send(&mut self, item: Outbound) -> Result<(), LinkError> {
        (**self).start_send(item)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        (**self).poll_flush(cx)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LinkError>> {
        (**self).poll_recv(cx)
    }

    fn poll_flush_with(
        &mut self,
        cx: &mut Context<'_>,
        spare: &mut Spare,
    ) -> Poll<Result<(), LinkError>> {
        (**self).poll_flush_with(cx, spare)
    }

    fn poll_recv_with(
        &mut self,
        cx: &mut Context<'_>,
        spare: &mut Spare,
    ) -> Poll<Result<Inbound, LinkError>> {
        (**self).poll_recv_with(cx, spare)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        (**self).poll_close(cx)
    }

    fn unsent(&self) -> usize {
        (**self).unsent()
    }

    fn peer(&self) -> Peer {
        (**self).peer()
    }

    fn takes_turns(&self) -> bool {
        (**self).takes_turns()
    }
}

/// The `async` forms of [`Link`].
pub trait LinkExt: Link {
    /// Receives the next item. Cancel-safe.
    ///
    /// # Errors
    /// As [`Link::poll_recv`].
    fn recv(&mut self) -> impl Future<Output = Result<Inbound, LinkError>> + Send {
        poll_fn(|cx| self.poll_recv(cx))
    }

    /// Sends `item` and all that was taken before it. Cancel-safe: the item is taken by the call
    /// itself, and one whose future was dropped leaves with the next flush.
    ///
    /// # Errors
    /// As [`Link::start_send`] and [`Link::poll_flush`].
    fn send(&mut self, item: Outbound) -> impl Future<Output = Result<(), LinkError>> + Send {
        let mut taken = self.start_send(item);
        poll_fn(move |cx| match std::mem::replace(&mut taken, Ok(())) {
            Ok(()) => self.poll_flush(cx),
            Err(error) => Poll::Ready(Err(error)),
        })
    }

    /// Waits until everything taken is handed on. Cancel-safe.
    ///
    /// # Errors
    /// As [`Link::poll_flush`].
    fn flush(&mut self) -> impl Future<Output = Result<(), LinkError>> + Send {
        poll_fn(|cx| self.poll_flush(cx))
    }

    /// Flushes and closes. Cancel-safe.
    ///
    /// # Errors
    /// As [`Link::poll_close`].
    fn close(&mut self) -> impl Future<Output = Result<(), LinkError>> + Send {
        poll_fn(|cx| self.poll_close(cx))
    }
}

impl<L: Link + ?Sized> LinkExt for L {}

/// Why a link gives nothing more, or did not take something.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The peer ended the connection between two frames, or the link is already over.
    #[error("connection closed")]
    Closed,
    /// What the peer sent. Of a stream that a server could not recognise this comes when the peer
    /// closes: till then its bytes are dropped and nothing is answered.
    #[error("bad stream: {0}")]
    Fault(#[from] WireFault),
    /// Too much waits to be sent already. Nothing was taken; flush first.
    #[error("{unsent} bytes wait to be sent, {max} are the limit")]
    Full {
        /// How many bytes wait.
        unsent: usize,
        /// From how many on no more is taken.
        max: usize,
    },
    /// The transport below.
    #[error("connection broken: {0}")]
    Io(#[from] io::Error),
    /// The caller's mistake. Nothing was taken.
    #[error("misuse: {0}")]
    Misuse(#[from] Misuse),
    /// The peer ended the connection within a frame.
    #[error("connection closed within a frame, after {received} bytes of it")]
    Truncated {
        /// How much of the frame had come, in bytes.
        received: usize,
    },
}

/// The other end of a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Below the framing.
    pub origin: Origin,
    /// The layers of the stream; `None` as long as a server cannot tell.
    pub recognised: Option<Recognised>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)?;
        match self.recognised {
            None => Ok(()),
            Some(Recognised::Foreign(protocol)) => write!(f, " {protocol}"),
            Some(Recognised::Stream(kind)) => write!(f, " {kind}"),
        }
    }
}

/// Where a byte stream comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Origin {
    /// What carries it.
    pub carrier: Carrier,
    /// The peer's address, where it has one.
    pub address: Option<SocketAddr>,
}

impl Origin {
    /// Another part of this process.
    pub const MEMORY: Self = Self { carrier: Carrier::Memory, address: None };

    /// The TCP peer at `address`.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self { carrier: Carrier::Tcp, address: Some(address) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.carrier.fmt(f)?;
        self.address.map_or(Ok(()), |address| write!(f, "://{address}"))
    }
}

/// What carries packets or a byte stream.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Carrier {
    /// What looks like TLS and is none: a proxy's disguise.
    FakeTls,
    /// HTTP over TCP.
    Http,
    /// HTTP over TLS.
    Https,
    /// A buffer of this process.
    Memory,
    /// TCP.
    Tcp,
    /// WebSocket over TCP.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FakeTls => "fake-tls",
            Self::Http => "http",
            Self::Https => "https",
            Self::Memory => "memory",
            Self::Tcp => "tcp",
            Self::Ws => "ws",
            Self::Wss => "wss",
        })
    }
}
