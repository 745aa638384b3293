//! Links within a process: no sockets and no ports, but every layer from framing up.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use mtproto_crypto::SecureRandom;
use mtproto_frame::{Misuse, ServerWireConfig, WireConfig};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use crate::{Dial, DialError, Link, Listen, Origin, StreamLink};

/// How much may be on its way in one direction, in bytes.
pub const IN_FLIGHT_MAX: usize = 64 << 10;

/// How many links wait to be accepted before a dial has to.
pub const BACKLOG_MAX: usize = 16;

/// A link within the process.
pub type MemoryLink = StreamLink<DuplexStream>;

/// The client's and the server's end of one link.
///
/// # Errors
/// As [`Wire::client`](mtproto_frame::Wire::client).
pub fn pair(
    client: &WireConfig,
    server: Arc<ServerWireConfig>,
    random: &mut dyn SecureRandom,
) -> Result<(MemoryLink, MemoryLink), Misuse> {
    let (near, far) = duplex(IN_FLIGHT_MAX);
    Ok((
        StreamLink::client(near, Origin::MEMORY, client, random)?,
        StreamLink::server(far, Origin::MEMORY, server, random),
    ))
}

/// A dialler and the listener it reaches.
pub fn endpoints(
    client: WireConfig,
    server: Arc<ServerWireConfig>,
    random: impl SecureRandom + 'static,
) -> (MemoryDial, MemoryListen) {
    let (links, accepted) = mpsc::channel(BACKLOG_MAX);
    let dial = MemoryDial { client, server, random: Mutex::new(Box::new(random)), links };
    (dial, MemoryListen { accepted })
}

/// Makes links to a [`MemoryListen`].
pub struct MemoryDial {
    client: WireConfig,
    server: Arc<ServerWireConfig>,
    random: Mutex<Box<dyn SecureRandom>>,
    links: mpsc::Sender<MemoryLink>,
}

impl MemoryDial {
    fn pair(&self) -> Result<(MemoryLink, MemoryLink), DialError> {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        pair(&self.client, Arc::clone(&self.server), &mut **random)
            .map_err(|misuse| DialError::Config { target: TARGET.to_owned(), misuse })
    }
}

#[async_trait]
impl Dial for MemoryDial {
    async fn dial(&self) -> Result<Box<dyn Link>, DialError> {
        let (near, far) = self.pair()?;
        match self.links.send(far).await {
            Ok(()) => Ok(Box::new(near)),
            Err(_) => Err(DialError::Connect {
                target: TARGET.to_owned(),
                source: io::ErrorKind::ConnectionRefused.into(),
            }),
        }
    }
}

impl std::fmt::Debug for MemoryDial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryDial").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Takes the links of its [`MemoryDial`].
#[derive(Debug)]
pub struct MemoryListen {
    accepted: mpsc::Receiver<MemoryLink>,
}

#[async_trait]
impl Listen for MemoryListen {
    async fn accept(&mut self) -> io::Result<Box<dyn Link>> {
        match self.accepted.recv().await {
            Some(link) => Ok(Box::new(link)),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

const TARGET: &str = "memory";
