//! The server's side.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mtproto_crypto::{OsRandom, SecureRandom};
use mtproto_frame::ServerWireConfig;
use mtproto_transport::{Link, Listen, Origin, StreamLink};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::TcpLink;
use crate::socket::set_up;

/// How many connections the system holds before they are accepted, unless it sets itself a lower
/// limit (on Linux `net.core.somaxconn`, 4096). Who finds no room tries again after a second.
pub const BACKLOG: u32 = 65_535;

/// How long nothing is accepted after the system ran out of what a connection needs.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections on one port.
pub struct TcpListen {
    listener: TcpListener,
    config: Arc<ServerWireConfig>,
    random: Box<dyn SecureRandom>,
}

impl TcpListen {
    /// Opens the port at `address` (0 asks the system for a free one) and answers there to what
    /// `config` says.
    ///
    /// # Errors
    /// Why the port cannot be opened, and what to do.
    ///
    /// # Panics
    /// If no runtime with IO runs here.
    pub fn bind(address: SocketAddr, config: Arc<ServerWireConfig>) -> Result<Self, BindError> {
        let listener = open(address).map_err(|source| BindError { address, source })?;
        Ok(Self { listener, config, random: Box::new(OsRandom::new()) })
    }

    /// Sets where the seeds of paddings come from; the system's generator otherwise.
    #[must_use]
    pub fn random(mut self, random: impl SecureRandom + 'static) -> Self {
        self.random = Box::new(random);
        self
    }

    /// The address as opened.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// As [`Listen::accept`], with the stream still known. Cancel-safe.
    ///
    /// # Errors
    /// No connection will come any more.
    pub async fn accept_link(&mut self) -> io::Result<TcpLink> {
        let (stream, peer) = self.accept_stream().await?;
        let config = Arc::clone(&self.config);
        Ok(StreamLink::server(stream, Origin::tcp(peer), config, &mut *self.random))
    }

    /// The next connection, with nothing read of it. Cancel-safe.
    ///
    /// # Errors
    /// No connection will come any more.
    pub async fn accept_stream(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let error = match self.listener.accept().await {
                Ok((stream, peer)) => {
                    set_up(&stream);
                    return Ok((stream, peer));
                }
                Err(error) => error,
            };
            match Setback::of(&error) {
                Setback::Exhausted => {
                    warn!(%error, pause = ?ACCEPT_PAUSE, "accepting pauses");
                    sleep(ACCEPT_PAUSE).await;
                }
                Setback::Fatal => return Err(error),
                Setback::Peer => debug!(%error, "a connection was gone before it was accepted"),
            }
        }
    }
}

#[async_trait]
impl Listen for TcpListen {
    async fn accept(&mut self) -> io::Result<Box<dyn Link>> {
        Ok(Box::new(self.accept_link().await?))
    }
}

impl fmt::Debug for TcpListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListen").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Why a port cannot be opened: one line with the address, the reason and a way out.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", explain(.source, .address))]
pub struct BindError {
    /// The address as given.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

fn explain(error: &io::Error, address: &SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use: stop the program that has it, or choose another port (0 takes a \
             free one)"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no address {}: choose 0.0.0.0 or [::]", address.ip())
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied: choose a port above 1023, or grant the right to bind low ports"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server gets its port back while old connections linger. On Windows the option
    // means something else.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What a failed accept means for the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Setback {
    /// The system is out of descriptors or memory, which passes.
    Exhausted,
    /// The listener is broken.
    Fatal,
    /// Only the connection is lost that was about to be accepted.
    Peer,
}

impl Setback {
    /// Linux reports errors of the new connection's network here; accept(2) says to go on.
    fn of(error: &io::Error) -> Self {
        use io::ErrorKind::{
            ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
            InvalidInput, NetworkDown, NetworkUnreachable, PermissionDenied, TimedOut, Unsupported,
        };
        match error.kind() {
            ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable
            | Interrupted | NetworkDown | NetworkUnreachable | PermissionDenied | TimedOut => {
                Self::Peer
            }
            InvalidInput | Unsupported => Self::Fatal,
            // EMFILE, ENFILE and ENOBUFS have no kind of their own.
            _ => Self::Exhausted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broken_listener_ends_accepting() {
        let check = |kind: io::ErrorKind, setback| {
            assert_eq!(Setback::of(&kind.into()), setback, "{kind}");
        };
        check(io::ErrorKind::ConnectionAborted, Setback::Peer);
        check(io::ErrorKind::PermissionDenied, Setback::Peer);
        check(io::ErrorKind::OutOfMemory, Setback::Exhausted);
        check(io::ErrorKind::InvalidInput, Setback::Fatal);
    }

    #[cfg(unix)]
    #[test]
    fn running_out_of_descriptors_passes() {
        for (name, code) in [("EMFILE", 24), ("ENFILE", 23)] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(Setback::of(&error), Setback::Exhausted, "{name}");
        }
    }
}
