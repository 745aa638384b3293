//! The client's side.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mtproto_crypto::{OsRandom, SecureRandom};
use mtproto_frame::{Address, Misuse, WireConfig};
use mtproto_transport::{
    Carrier, Connect, Connected, Dial, DialError, Link, Origin, Rewound, Stream,
};
use tokio::time::timeout;

use crate::WsLink;
use crate::handshake::{self, HANDSHAKE_LIMIT};

/// Opens WebSockets at one address.
pub struct WsDial {
    address: Address,
    config: WireConfig,
    connect: Arc<dyn Connect>,
    handshake_limit: Duration,
    random: Mutex<Box<dyn SecureRandom>>,
}

impl WsDial {
    /// Opens WebSockets at `address`, which is `ws` or `wss`, over streams of `connect`, and speaks
    /// what `config` says in them, which is obfuscated. For `wss` the streams have to come from a
    /// [`TlsConnect`](mtproto_tls::TlsConnect).
    #[must_use]
    pub fn new(address: Address, config: WireConfig, connect: Arc<dyn Connect>) -> Self {
        let random = Mutex::new(Box::new(OsRandom::new()) as Box<dyn SecureRandom>);
        Self { address, config, connect, handshake_limit: HANDSHAKE_LIMIT, random }
    }

    /// Sets how long the server may take to answer the upgrade.
    #[must_use]
    pub fn handshake_limit(mut self, limit: Duration) -> Self {
        self.handshake_limit = limit;
        self
    }

    /// Sets where the keys of obfuscation come from; the system's generator otherwise. Masks always
    /// come from that.
    #[must_use]
    pub fn random(mut self, random: impl SecureRandom + 'static) -> Self {
        self.random = Mutex::new(Box::new(random));
        self
    }

    /// As [`Dial::dial`], with the stream still known. Cancel-safe.
    ///
    /// # Errors
    /// Why there is no link, naming the address.
    // req: S73, S79
    pub async fn connect(&self) -> Result<WsLink<Rewound<Box<dyn Stream>>>, DialError> {
        let target = || self.address.to_string();
        let misused = |misuse| DialError::Config { target: target(), misuse };
        if self.config.obfuscation.is_none() {
            return Err(misused(Misuse::PlainWebSocket));
        }
        if !self.address.scheme.is_websocket() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "write ws:// or wss://");
            return Err(DialError::Connect { target: target(), source });
        }
        let Connected { stream, origin } = self.connect.connect(&self.address).await?;
        let upgrade = timeout(self.handshake_limit, handshake::request(stream, &self.address));
        let stream = match upgrade.await {
            Ok(upgraded) => {
                upgraded.map_err(|source| DialError::Connect { target: target(), source })?
            }
            Err(_) => {
                return Err(DialError::Timeout { target: target(), limit: self.handshake_limit });
            }
        };
        let carrier = if self.address.scheme.is_tls() { Carrier::Wss } else { Carrier::Ws };
        let origin = Origin { carrier, ..origin };
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        WsLink::client(stream, origin, &self.config, &mut **random).map_err(misused)
    }
}

#[async_trait]
impl Dial for WsDial {
    async fn dial(&self) -> Result<Box<dyn Link>, DialError> {
        Ok(Box::new(self.connect().await?))
    }
}

impl fmt::Debug for WsDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsDial")
            .field("address", &self.address)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
