//! The client's side.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mtproto_crypto::{OsRandom, SecureRandom};
use mtproto_frame::fake_tls::{ClientHandshake, HelloShape};
use mtproto_frame::{Address, Secret, SecretKey, WireConfig};
use mtproto_transport::{Carrier, Dial, DialError, FakeTlsStream, Link, Origin, StreamLink};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::connect::origin;
use crate::{TcpConnect, TcpLink};

/// How long a proxy may take to answer the hello of fake TLS.
pub const FAKE_TLS_LIMIT: Duration = Duration::from_secs(10);

/// Makes links to one address; in records of fake TLS if the secret is for that.
pub struct TcpDial {
    address: Address,
    config: WireConfig,
    connect: Arc<TcpConnect>,
    hello_shape: HelloShape,
    random: Mutex<Box<dyn SecureRandom>>,
}

impl TcpDial {
    /// Connects to `address` and speaks what `config` says there.
    #[must_use]
    pub fn new(address: Address, config: WireConfig) -> Self {
        let random = Mutex::new(Box::new(OsRandom::new()) as Box<dyn SecureRandom>);
        let (connect, hello_shape) = (Arc::default(), HelloShape::default());
        Self { address, config, connect, hello_shape, random }
    }

    /// Sets how connections are opened: directly, unless set otherwise.
    #[must_use]
    pub fn connect(mut self, connect: Arc<TcpConnect>) -> Self {
        self.connect = connect;
        self
    }

    /// Sets which browser fake TLS looks like: the latest, unless set otherwise. The proxies of
    /// 2019 take the classic hello only.
    #[must_use]
    pub fn hello_shape(mut self, shape: HelloShape) -> Self {
        self.hello_shape = shape;
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

    /// As [`Dial::dial`] without fake TLS, with the stream still known. Cancel-safe.
    ///
    /// # Errors
    /// Why there is no connection, naming the address.
    pub async fn dial_link(&self) -> Result<TcpLink, DialError> {
        let stream = self.connect.open(&self.address).await?;
        let origin = origin(&stream, &self.address)?;
        StreamLink::client(stream, origin, &self.config, &mut **self.lock_random())
            .map_err(|misuse| DialError::Config { target: self.address.to_string(), misuse })
    }
}

#[async_trait]
impl Dial for TcpDial {
    async fn dial(&self) -> Result<Box<dyn Link>, DialError> {
        let secret = self.config.obfuscation.as_ref().and_then(|it| it.secret.as_ref());
        match secret {
            Some(Secret::FakeTls { key, domain }) => {
                Ok(Box::new(self.dial_fake_tls(key, domain).await?))
            }
            _ => Ok(Box::new(self.dial_link().await?)),
        }
    }
}

impl TcpDial {
    /// A link in records of fake TLS.
    // req: S116
    async fn dial_fake_tls(
        &self,
        key: &SecretKey,
        domain: &str,
    ) -> Result<StreamLink<FakeTlsStream<TcpStream>>, DialError> {
        let target = || self.address.to_string();
        let stream = self.connect.open(&self.address).await?;
        let origin = Origin { carrier: Carrier::FakeTls, ..origin(&stream, &self.address)? };
        let (handshake, hello) = {
            let random = &mut **self.lock_random();
            ClientHandshake::start(key, domain, self.hello_shape, unix_time(), random)
        };
        let limit = FAKE_TLS_LIMIT;
        let stream = timeout(limit, FakeTlsStream::connect(stream, handshake, &hello))
            .await
            .map_err(|_| DialError::Timeout { target: target(), limit })?
            .map_err(|source| DialError::Connect { target: target(), source })?;
        StreamLink::client(stream, origin, &self.config, &mut **self.lock_random())
            .map_err(|misuse| DialError::Config { target: target(), misuse })
    }

    fn lock_random(&self) -> MutexGuard<'_, Box<dyn SecureRandom>> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In seconds since 1970.
pub(crate) fn unix_time() -> u32 {
    #[allow(clippy::disallowed_methods, reason = "a driver is where the time comes from")]
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u32::try_from(since_epoch.as_secs()).unwrap_or(u32::MAX)
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
