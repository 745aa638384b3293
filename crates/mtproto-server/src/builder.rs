//! How a server is set up and started.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use mtproto_crypto::OsRandom;
use mtproto_crypto::rsa::RsaPrivateKey;
use mtproto_endpoint::server::{QUEUED_BYTES_MAX, ServerConfig, ServerEndpoint};
use mtproto_frame::fake_tls::Gate;
use mtproto_frame::{Secret, ServerWireConfig};
#[cfg(feature = "web")]
use mtproto_http::{HttpConfig, Pages};
use mtproto_pack::RpcError;
use mtproto_session::{SALT_PERIOD, SaltSecret, ServerSessionConfig, Strictness};
use mtproto_store::{KeyStore, MemoryKeyStore, StoreError};
use mtproto_tcp::{BindError, TcpListen};
#[cfg(feature = "tls")]
use mtproto_tls::TlsServer;
#[cfg(feature = "web")]
use mtproto_ws::WsServerConfig;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tower_service::Service;
use tracing::info;

use crate::accept::Acceptor;
use crate::clock::{now, server_clock};
use crate::connection::{House, Patience};
use crate::door::Door;
#[cfg(feature = "web")]
use crate::door::websockets::WebSockets;
use crate::pool::HandshakePool;
use crate::quota::{Forbidden, Quota};
use crate::shard::{MAILBOX_MAX, Shard, Shards};
use crate::{Request, Server};

/// What a server puts up with. Every bound has a default that suits a public port.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one IP address.
    pub connections_per_ip_max: usize,
    /// Key exchanges that one IP address may begin in a second, and at once.
    pub exchanges_per_ip_per_second: NonZeroU32,
    /// From a connection's start to its first whole packet.
    pub first_packet_max: Duration,
    /// From there to the first encrypted packet.
    pub handshake_max: Duration,
    /// Without a packet, on a connection whose peer has a key.
    pub idle_max: Duration,
    /// Without taking a byte of what waits for it.
    pub stalled_max: Duration,
    /// Of HTTP: from the first byte of a request to the end of its head; then it is answered 408.
    pub request_head_max: Duration,
    /// Of HTTP: from there to the end of its body; then it is answered 408.
    pub request_body_max: Duration,
    /// Of HTTP: without a request, once there was one.
    pub keep_alive_max: Duration,
    /// Bytes that wait to be acknowledged, of all sessions together; each shard has its share.
    /// Beyond it the oldest messages are forgotten.
    pub queued_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 100_000,
            connections_per_ip_max: 20_000,
            exchanges_per_ip_per_second: EXCHANGES_PER_IP_PER_SECOND,
            first_packet_max: Duration::from_secs(10),
            handshake_max: Duration::from_secs(30),
            idle_max: Duration::from_secs(600),
            stalled_max: Duration::from_secs(60),
            request_head_max: Duration::from_secs(30),
            request_body_max: Duration::from_secs(60),
            keep_alive_max: Duration::from_secs(75),
            queued_bytes_max: QUEUED_BYTES_MAX,
        }
    }
}

/// More than a whole office behind one address needs, and less than a core can compute.
const EXCHANGES_PER_IP_PER_SECOND: NonZeroU32 = NonZeroU32::new(100).expect("not zero");

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address is none, or has no host of that name.
    #[error("cannot listen on {address}: {reason}; give HOST:PORT, e.g. 127.0.0.1:0")]
    Address {
        /// The address as given.
        address: String,
        /// What is wrong with it.
        reason: std::io::Error,
    },
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There is no address to listen on.
    #[error("no address to listen on: call `listen`, e.g. with 127.0.0.1:0")]
    NoAddress,
    /// There is no RSA key for the key exchange.
    #[error("no RSA key: call `key` with a private key of 2048 bits")]
    NoKey,
    /// The key store failed.
    #[error("the key store failed: {0}")]
    Store(#[from] StoreError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Sets up a [`Server`].
pub struct ServerBuilder {
    addresses: Vec<String>,
    keys: Vec<RsaPrivateKey>,
    store: Arc<dyn KeyStore>,
    secrets: Vec<Secret>,
    strictness: Strictness,
    dc: Option<i32>,
    salt_period: Duration,
    shards: NonZeroUsize,
    limits: Limits,
    is_forbidden: Forbidden,
    site: Option<String>,
    #[cfg(feature = "web")]
    pages: Option<Arc<dyn Pages>>,
    #[cfg(feature = "tls")]
    tls: Option<TlsServer>,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            keys: Vec::new(),
            store: Arc::new(MemoryKeyStore::new(&mut OsRandom::new())),
            secrets: Vec::new(),
            strictness: Strictness::default(),
            dc: None,
            salt_period: Duration::from_secs(u64::from(SALT_PERIOD)),
            shards: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            limits: Limits::default(),
            is_forbidden: Box::new(|_| false),
            site: None,
            #[cfg(feature = "web")]
            pages: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl ServerBuilder {
    /// Listens on `address` too, `HOST:PORT`; port 0 takes a free one.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Offers `key` in the key exchange. The first one is offered first.
    #[must_use]
    pub fn key(mut self, key: RsaPrivateKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Keeps auth keys in `store`. The default forgets them with the process.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn KeyStore>) -> Self {
        self.store = store;
        self
    }

    /// Admits clients that obfuscate with this proxy secret, beside those without one.
    #[must_use]
    pub fn secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Shows `site`, `HOST:PORT`, to whoever comes as to a site over TLS and knows no fake TLS
    /// secret, so that the port looks like that site's. Without it such connections are closed.
    #[must_use]
    pub fn site(mut self, site: impl Into<String>) -> Self {
        self.site = Some(site.into());
        self
    }

    /// Serves HTTPS and secure WebSocket too, with this certificate.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: TlsServer) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Shows pages to browsers.
    #[cfg(feature = "web")]
    #[must_use]
    pub fn pages(mut self, pages: impl Pages + 'static) -> Self {
        self.pages = Some(Arc::new(pages));
        self
    }

    /// How exactly clients must keep the protocol's rules.
    #[must_use]
    pub fn strictness(mut self, strictness: Strictness) -> Self {
        self.strictness = strictness;
        self
    }

    /// Refuses exchanges meant for another data centre with -444. Without it any is taken.
    #[must_use]
    pub fn dc(mut self, dc: i32) -> Self {
        self.dc = Some(dc);
        self
    }

    /// Changes the salt this often, 30 minutes unless told otherwise, in whole seconds; the one
    /// before stays good for as long again. A short period shows whether clients keep up.
    #[must_use]
    pub fn salt_period(mut self, period: Duration) -> Self {
        self.salt_period = period;
        self
    }

    /// Runs this many shards; one per core unless told otherwise.
    #[must_use]
    pub fn shards(mut self, shards: NonZeroUsize) -> Self {
        self.shards = shards;
        self
    }

    /// Does not serve the addresses that this is true for: they are told -403.
    #[must_use]
    pub fn forbid(mut self, is_forbidden: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        self.is_forbidden = Box::new(is_forbidden);
        self
    }

    /// Replaces the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens the ports and starts to answer. `service` is cloned for every query, so what its
    /// clones share belongs behind an `Arc`.
    ///
    /// # Errors
    /// When an address is taken, the store fails, or there is no key.
    pub async fn serve<S>(mut self, service: S) -> Result<Server, ServeError>
    where
        S: Service<Request, Response = Bytes, Error = RpcError> + Clone + Send + 'static,
        S::Future: 'static,
    {
        if self.addresses.is_empty() {
            return Err(ServeError::NoAddress);
        }
        if self.keys.is_empty() {
            return Err(ServeError::NoKey);
        }
        let wire = Arc::new(ServerWireConfig {
            secrets: self.secrets.clone(),
            ..ServerWireConfig::open()
        });
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for address in &self.addresses {
            let refuse = |reason| ServeError::Address { address: address.clone(), reason };
            let resolved = resolve(address).await.map_err(refuse)?;
            let listen = TcpListen::bind(resolved, Arc::clone(&wire))?;
            addresses.push(listen.local_address().map_err(refuse)?);
            listeners.push(listen);
        }
        let (shards, threads) = self.start_shards(service).await?;
        let acceptor = Arc::new(self.acceptor(shards.clone(), wire));
        let accepting = listeners
            .into_iter()
            .map(|listen| tokio::spawn(Arc::clone(&acceptor).run(listen)))
            .collect();
        info!(?addresses, shards = shards.len(), "listening");
        Ok(Server::new(addresses, shards, threads, accepting))
    }

    async fn start_shards<S>(
        &mut self,
        service: S,
    ) -> Result<(Shards, Vec<thread::JoinHandle<()>>), ServeError>
    where
        S: Service<Request, Response = Bytes, Error = RpcError> + Clone + Send + 'static,
        S::Future: 'static,
    {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let pool = HandshakePool::start(cores / 2).map_err(ServeError::Thread)?;
        let secret = self.store.server_secret().await?;
        let salt_period = u32::try_from(self.salt_period.as_secs()).unwrap_or(u32::MAX);
        let config = ServerConfig {
            keys: std::mem::take(&mut self.keys).into(),
            dc: self.dc,
            session: ServerSessionConfig {
                strictness: self.strictness,
                ..ServerSessionConfig::default()
            },
            salts: Arc::new(SaltSecret::with_period(*secret.as_bytes(), salt_period)),
            queued_bytes_max: self.limits.queued_bytes_max / self.shards.get(),
        };
        let clock = server_clock();
        let (mailboxes, inboxes): (Vec<_>, Vec<_>) =
            (0..self.shards.get()).map(|_| mpsc::channel(MAILBOX_MAX)).unzip();
        let shards = Shards::new(mailboxes);
        let mut threads = Vec::new();
        for (index, mailbox) in inboxes.into_iter().enumerate() {
            let random = Box::new(OsRandom::new());
            let endpoint = ServerEndpoint::new(&config, clock, random, now());
            let service = service.clone();
            let (store, pool, shards) = (Arc::clone(&self.store), pool.clone(), shards.clone());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(ServeError::Thread)?;
            let thread = thread::Builder::new()
                .name(format!("mtproto-shard-{index}"))
                .spawn(move || {
                    let shard = Shard::run(endpoint, service, store, pool, shards, mailbox);
                    LocalSet::new().block_on(&runtime, shard);
                })
                .map_err(ServeError::Thread)?;
            threads.push(thread);
        }
        Ok((shards, threads))
    }

    fn acceptor(self, shards: Shards, wire: Arc<ServerWireConfig>) -> Acceptor {
        let limits = &self.limits;
        let patience = Patience {
            first_packet: limits.first_packet_max,
            handshake: limits.handshake_max,
            idle: limits.idle_max,
            stalled: limits.stalled_max,
        };
        let door = Door {
            gate: Gate::new(&self.secrets, OsRandom::new()),
            site: self.site,
            #[cfg(feature = "web")]
            http: Arc::new(http_config(&wire, limits, self.pages)),
            #[cfg(feature = "tls")]
            tls: self.tls,
            wire: Arc::clone(&wire),
        };
        Acceptor {
            house: Arc::new(House { shards, patience, door }),
            wire,
            quota: Arc::new(Quota::new(
                self.is_forbidden,
                limits.connections_max,
                limits.connections_per_ip_max,
                limits.exchanges_per_ip_per_second,
            )),
            next_link: AtomicU64::new(1),
        }
    }
}

/// HTTP, with WebSockets on its connections.
#[cfg(feature = "web")]
fn http_config(
    wire: &ServerWireConfig,
    limits: &Limits,
    pages: Option<Arc<dyn Pages>>,
) -> HttpConfig {
    HttpConfig {
        packet_len_max: wire.frame_len_max,
        head_limit: limits.request_head_max,
        body_limit: limits.request_body_max,
        idle_limit: limits.keep_alive_max,
        pages,
        upgrade: Some(Arc::new(WebSockets(WsServerConfig::new(wire)))),
    }
}

async fn resolve(address: &str) -> std::io::Result<SocketAddr> {
    let mut addresses = tokio::net::lookup_host(address).await?;
    addresses.next().ok_or_else(|| std::io::Error::other("no address of that name"))
}
