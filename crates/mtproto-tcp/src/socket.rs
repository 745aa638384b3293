//! What every TCP connection of ours is set to.

use std::io;
use std::time::Duration;

use mtproto_transport::StreamLink;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tracing::debug;

use crate::TcpLink;

/// How long a connection is silent before the system asks whether the peer is there.
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// How long the system waits for each answer to that.
pub const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// How many answers may be missing.
pub const KEEPALIVE_PROBES: u32 = 4;

/// Sends packets at once, and notices a peer that is gone without a word. A system that refuses
/// either still has a connection that works, and one that is gone already shows when it is used.
pub(crate) fn set_up(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(KEEPALIVE_PROBES);
    let socket = SockRef::from(stream);
    if let Err(error) = stream.set_nodelay(true).and(socket.set_tcp_keepalive(&keepalive)) {
        debug!(%error, "a connection keeps the settings of the system");
    }
}

/// Takes a link's connection out of the runtime it was made in; whatever arrived or is unsent stays
/// with it.
///
/// # Errors
/// The system refuses; the connection is lost.
pub fn detach(link: TcpLink) -> io::Result<StreamLink<std::net::TcpStream>> {
    let (stream, state) = link.into_parts();
    Ok(StreamLink::from_parts(stream.into_std()?, state))
}

/// Puts a connection into the runtime this is called in.
///
/// # Errors
/// The system refuses; the connection is lost.
///
/// # Panics
/// If no runtime with IO runs here.
pub fn attach(link: StreamLink<std::net::TcpStream>) -> io::Result<TcpLink> {
    let (stream, state) = link.into_parts();
    Ok(StreamLink::from_parts(TcpStream::from_std(stream)?, state))
}
