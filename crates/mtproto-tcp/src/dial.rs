//! The client's side.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use mtproto_crypto::{OsRandom, SecureRandom};
use mtproto_frame::{Address, WireConfig};
use mtproto_transport::{Dial, DialError, Link, StreamLink};

use crate::connect::origin;
use crate::{TcpConnect, TcpLink};

/// Makes links to one address.
pub struct TcpDial {
    address: Address,
    config: WireConfig,
    connect: Arc<TcpConnect>,
    random: Mutex<Box<dyn SecureRandom>>,
}

impl TcpDial {
    /// Connects to `address` and speaks what `config` says there.
    #[must_use]
    pub fn new(address: Address, config: WireConfig) -> Self {
        let random = Mutex::new(Box::new(OsRandom::new()) as Box<dyn SecureRandom>);
        Self { address, config, connect: Arc::default(), random }
    }

    /// Sets how connections are opened: directly, unless set otherwise.
    #[must_use]
    pub fn connect(mut self, connect: Arc<TcpConnect>) -> Self {
        self.connect = connect;
        self
    }

    /// Sets where the keys of obfuscation come from; the system's generator otherwise.
    #[must_use]
    pub fn random(mut self, random: impl SecureRandom + 'static) -> Self {
        self.random = Mutex::new(Box::new(random));
        self
    }

    /// Where this connects to.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// As [`Dial::dial`], with the stream still known. Cancel-safe.
    ///
    /// # Errors
    /// Why there is no connection, naming the address.
    pub async fn dial_link(&self) -> Result<TcpLink, DialError> {
        let stream = self.connect.open(&self.address).await?;
        let origin = origin(&stream, &self.address)?;
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        StreamLink::client(stream, origin, &self.config, &mut **random)
            .map_err(|misuse| DialError::Config { target: self.address.to_string(), misuse })
    }
}

#[async_trait]
impl Dial for TcpDial {
    async fn dial(&self) -> Result<Box<dyn Link>, DialError> {
        Ok(Box::new(self.dial_link().await?))
    }
}

impl fmt::Debug for TcpDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpDial")
            .field("address", &self.address)
            .field("config", &self.config)
            .field("connect", &self.connect)
            .finish_non_exhaustive()
    }
}
