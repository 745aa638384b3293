//! A port that only WebSockets come to.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use mtproto_crypto::{OsRandom, SecureRandom};
use mtproto_frame::ServerWireConfig;
use mtproto_tls::TlsServer;
use mtproto_transport::{Carrier, Link, Listen, Origin, Rewound, Stream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::debug;

use crate::{AcceptError, WsLink, WsServerConfig, handshake};

/// How many handshakes may be under way before no more connections are accepted.
pub const HANDSHAKES_MAX: usize = 256;

/// How long nothing is accepted after the system could not.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes WebSockets on a port of their own. A server with one port for everything has no use for
/// it.
pub struct WsListen {
    listener: TcpListener,
    tls: Option<TlsServer>,
    config: WsServerConfig,
    handshakes: JoinSet<Result<Upgraded, AcceptError>>,
    random: Box<dyn SecureRandom>,
}

/// A client's stream after both handshakes.
struct Upgraded {
    stream: Rewound<Box<dyn Stream>>,
    origin: Origin,
}

impl WsListen {
    /// Takes the connections of `listener` and answers to what `config` says, less what is not
    /// obfuscated.
    #[must_use]
    pub fn new(listener: TcpListener, config: &ServerWireConfig) -> Self {
        Self {
            listener,
            tls: None,
            config: WsServerConfig::new(config),
            handshakes: JoinSet::new(),
            random: Box::new(OsRandom::new()),
        }
    }

    /// Wants TLS below.
    #[must_use]
    pub fn tls(mut self, tls: TlsServer) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets where the seeds of paddings come from; the system's generator otherwise.
    #[must_use]
    pub fn random(mut self, random: impl SecureRandom + 'static) -> Self {
        self.random = Box::new(random);
        self
    }

    /// As [`Listen::accept`], with the stream still known. Cancel-safe.
    ///
    /// # Errors
    /// No connection will come any more.
    pub async fn accept_link(&mut self) -> io::Result<WsLink<Rewound<Box<dyn Stream>>>> {
        loop {
            let has_room = self.handshakes.len() < HANDSHAKES_MAX;
            tokio::select! {
                accepted = self.listener.accept(), if has_room => {
                    match accepted {
                        Ok((stream, peer)) => {
                            self.handshakes.spawn(upgrade(stream, peer, self.tls.clone()));
                        }
                        Err(error) => {
                            debug!(%error, "accepting pauses");
                            sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
                Some(done) = self.handshakes.join_next() => match done {
                    Ok(Ok(Upgraded { stream, origin })) => {
                        let random = &mut *self.random;
                        return Ok(WsLink::server(stream, origin, &self.config, random));
                    }
                    Ok(Err(error)) => debug!(%error, "a connection became no WebSocket"),
                    Err(error) => debug!(%error, "a handshake was broken off"),
                },
            }
        }
    }
}

#[cfg(test)]
impl WsListen {
    /// How many handshakes are under way.
    pub(crate) fn handshakes(&self) -> usize {
        self.handshakes.len()
    }
}

#[async_trait]
impl Listen for WsListen {
    async fn accept(&mut self) -> io::Result<Box<dyn Link>> {
        Ok(Box::new(self.accept_link().await?))
    }
}

impl fmt::Debug for WsListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsListen")
            .field("listener", &self.listener)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

async fn upgrade(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsServer>,
) -> Result<Upgraded, AcceptError> {
    stream.set_nodelay(true)?;
    let carrier = if tls.is_some() { Carrier::Wss } else { Carrier::Ws };
    let stream: Box<dyn Stream> = match tls {
        Some(tls) => Box::new(tls.accept(stream).await?),
        None => Box::new(stream),
    };
    let origin = Origin { carrier, address: Some(peer) };
    Ok(Upgraded { stream: handshake::accept(stream).await?, origin })
}
