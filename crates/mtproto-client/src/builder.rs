//! How a client is described and started.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mtproto_crypto::OsRandom;
use mtproto_crypto::rsa::RsaPublicKey;
use mtproto_endpoint::client::{
    ClientConfig, ClientEndpoint, LinkEnd, Pfs, ReconnectPolicy, ServerClock, State,
};
use mtproto_frame::{Framing, Secret};
use mtproto_session::PingConfig;
use mtproto_store::{ClientRecord, ClientStore, MemoryClientStore};
use mtproto_tcp::Proxy;
#[cfg(feature = "tls")]
use mtproto_tls::TlsClient;
use mtproto_transport::{Dial, DialError};
use tokio::sync::{mpsc, watch};

use crate::actor::{Actor, COMMANDS_MAX, Ending, Notices, Requests, Shelf};
use crate::cancel::Cancellations;
use crate::client::Shared;
use crate::clock::{WallClock, now, wall_time};
use crate::events::EventSink;
use crate::route::Route;
use crate::{Client, ConnectError, ConnectInfo};

/// How long [`ClientBuilder::connect`] tries, unless it is told otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// What a client is to be like.
#[must_use]
#[derive(Default)]
pub struct ClientBuilder {
    address: Option<String>,
    route: Route,
    dc: Option<i32>,
    keys: Vec<RsaPublicKey>,
    bad_key: Option<String>,
    pfs: Option<Pfs>,
    replaces_lost_key: bool,
    store: Option<Arc<dyn ClientStore>>,
    dial: Option<Arc<dyn Dial>>,
    connect_timeout: Option<Duration>,
    reconnect: ReconnectPolicy,
    keepalive: PingConfig,
    wall_clock: Option<WallClock>,
}

impl ClientBuilder {
    /// Where the server is: an [`Address`](mtproto_frame::Address), or a text such as
    /// `tcp://host:port` or `wss://host/apiws`, or a link to a proxy, which has the secret in it.
    pub fn address(mut self, address: impl ToString) -> Self {
        self.address = Some(address.to_string());
        self
    }

    /// How packets are told apart in the stream; intermediate unless said otherwise, or padded with
    /// a secret that is for that. HTTP has no such thing.
    pub fn framing(mut self, framing: Framing) -> Self {
        self.route.framing = Some(framing);
        self
    }

    /// Whether the stream is obfuscated. Every framing but the full one can be, and over WebSocket
    /// is in any case.
    pub fn obfuscated(mut self, obfuscated: bool) -> Self {
        self.route.obfuscated = obfuscated;
        self
    }

    /// The secret of a proxy or server that wants one; it implies obfuscation.
    pub fn secret(mut self, secret: Secret) -> Self {
        self.route.secret = Some(secret);
        self
    }

    /// Goes through this proxy of SOCKS5 or HTTP.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.route.proxy = Some(proxy);
        self
    }

    /// Whether IPv6 addresses of the server come before IPv4 ones whatever the system prefers.
    // req: S70
    pub fn ipv6_first(mut self, ipv6_first: bool) -> Self {
        self.route.ipv6_first = ipv6_first;
        self
    }

    /// Whether [other ports](mtproto_tcp::PORTS) are tried when that of the address does not
    /// answer, as those of a data centre may be without `this_port_only`.
    // req: S69
    pub fn any_port(mut self, any_port: bool) -> Self {
        self.route.any_port = any_port;
        self
    }

    /// Whom to believe over TLS; those whom the operating system believes unless said otherwise.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.route.tls = Some(tls);
        self
    }

    /// The data centre, 1 unless said otherwise: plus 10000 for a test one, negative for a media
    /// one.
    pub fn dc(mut self, dc: i32) -> Self {
        self.dc = Some(dc);
        self
    }

    /// Trusts a server that has this RSA key.
    pub fn server_key(mut self, key: RsaPublicKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Trusts a server that has one of the RSA keys of this PEM text.
    pub fn server_keys(mut self, pem: &str) -> Self {
        for block in pem_blocks(pem) {
            match RsaPublicKey::from_pem(block) {
                Ok(key) => self.keys.push(key),
                Err(error) => self.bad_key = Some(error.to_string()),
            }
        }
        self
    }

    /// Whether messages are encrypted with temporary keys, made anew each day, so that whoever
    /// learns a key later cannot read what was said before.
    pub fn pfs(mut self, pfs: bool) -> Self {
        self.pfs = pfs.then(Pfs::default);
        self
    }

    /// Lets the client make another key when the server has lost its key. Without it such a client
    /// closes with [`Closed::KeyLost`](crate::Closed::KeyLost), because to the server it would be a
    /// stranger with the new one.
    pub fn replace_lost_key(mut self, replace: bool) -> Self {
        self.replaces_lost_key = replace;
        self
    }

    /// Keeps the keys there. Without a store each run makes a key of its own.
    pub fn store(mut self, store: impl ClientStore + 'static) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Opens links in this way; all else about the way to the server is its own affair.
    pub fn dial(mut self, dial: impl Dial + 'static) -> Self {
        self.dial = Some(Arc::new(dial));
        self
    }

    /// How to come back when the connection breaks.
    // req: S118
    pub fn reconnect(mut self, policy: ReconnectPolicy) -> Self {
        self.reconnect = policy;
        self
    }

    /// How often to ping, and when to take a silent connection for dead.
    // req: S30
    pub fn keepalive(mut self, pings: PingConfig) -> Self {
        self.keepalive = pings;
        self
    }

    /// Takes the local time from there.
    #[cfg(test)]
    pub(crate) fn wall_clock(mut self, clock: WallClock) -> Self {
        self.wall_clock = Some(clock);
        self
    }

    /// How long [`ClientBuilder::connect`] tries: [`CONNECT_TIMEOUT`] unless said otherwise.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = Some(limit);
        self
    }

    /// Starts the client and waits until it is ready.
    ///
    /// Dropping the future stops the client.
    ///
    /// # Errors
    /// See [`ConnectError`]; the client has stopped then.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let limit = self.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
        let (client, mut dial_error) = self.start().await?;
        let mut state = client.state();
        let settled = |state: &State| matches!(state, State::Ready | State::Closed(_));
        let outcome = match tokio::time::timeout(limit, state.wait_for(settled)).await {
            Ok(Ok(state)) => match *state {
                State::Closed(reason) => Err(ConnectError::Closed(reason)),
                _ => Ok(()),
            },
            Ok(Err(_)) => Err(ConnectError::Stopped),
            Err(_) => Err(ConnectError::TimedOut {
                after: limit,
                last: last_end(&client.state().borrow()),
                dial: dial_error.borrow_and_update().clone(),
            }),
        };
        match outcome {
            Ok(()) => Ok(client),
            Err(error) => {
                client.shutdown().await;
                Err(error)
            }
        }
    }
}

impl ClientBuilder {
    /// Starts the client without waiting for a connection.
    async fn start(
        mut self,
    ) -> Result<(Client, watch::Receiver<Option<Arc<DialError>>>), ConnectError> {
        if let Some(reason) = self.bad_key {
            return Err(ConnectError::ServerKey { reason });
        }
        let dc = self.dc.unwrap_or(1);
        let address = self.address.as_deref().map(|text| self.route.read(text)).transpose()?;
        let dial = match (self.dial, &address) {
            (Some(dial), _) => dial,
            (None, Some(address)) => self.route.dial(address, dc)?,
            (None, None) => return Err(ConnectError::AddressMissing),
        };
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryClientStore::default()));
        let record = load(&store).await?;
        let stored = record.dcs.get(&dc).cloned();
        let key_reused = stored.is_some();
        if self.keys.is_empty() && !key_reused {
            return Err(ConnectError::ServerKeyMissing);
        }

        let config = ClientConfig {
            address: address.map(|address| address.to_string()).unwrap_or_default(),
            dc,
            keys: self.keys.into(),
            pfs: self.pfs,
            replaces_lost_key: self.replaces_lost_key,
            reconnect: self.reconnect,
            pings: self.keepalive,
            ..ClientConfig::default()
        };
        let wall_clock = self.wall_clock.unwrap_or_else(|| Arc::new(wall_time));
        let clock = ServerClock::new(now(), wall_clock());
        let endpoint = ClientEndpoint::new(config, stored, clock, Box::new(OsRandom::new()), now());

        let shelf = Shelf { store, record, dc };
        let info = ConnectInfo { key_reused, ..ConnectInfo::default() };
        Ok(spawn(endpoint, dial, shelf, info, wall_clock))
    }
}

/// Lets the client run; it stops with its last handle.
fn spawn(
    endpoint: ClientEndpoint,
    dial: Arc<dyn Dial>,
    shelf: Shelf,
    info: ConnectInfo,
    wall_clock: WallClock,
) -> (Client, watch::Receiver<Option<Arc<DialError>>>) {
    let (commands, commands_in) = mpsc::channel(COMMANDS_MAX);
    let (events, unclaimed) = EventSink::new();
    let (state, state_out) = watch::channel(endpoint.state());
    let (info, info_out) = watch::channel(info);
    let (dial_error, dial_error_out) = watch::channel(None);
    let (save_error, save_error_out) = watch::channel(None);
    let cancellations = Arc::new(Cancellations::default());
    let ending = Arc::new(Ending::default());
    let notices = Notices { events, state, info, dial_error, save_error };
    let requests = Requests {
        commands: commands_in,
        cancellations: Arc::clone(&cancellations),
        ending: Arc::clone(&ending),
    };
    let actor = Actor::new(endpoint, dial, shelf, notices, requests, wall_clock);
    let client = Client::new(Shared {
        commands,
        cancellations,
        ending,
        state: state_out,
        info: info_out,
        save_error: save_error_out,
        events: Mutex::new(Some(unclaimed)),
        calls: AtomicU64::new(0),
        actor: Mutex::new(Some(tokio::spawn(actor.run()))),
    });
    (client, dial_error_out)
}

/// Reads the store where that may block.
async fn load(store: &Arc<dyn ClientStore>) -> Result<ClientRecord, ConnectError> {
    let store = Arc::clone(store);
    match tokio::task::spawn_blocking(move || store.load()).await {
        Ok(record) => Ok(record?.unwrap_or_default()),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ConnectError::Stopped),
        },
    }
}

/// Every block of a PEM text, whatever stands between them.
fn pem_blocks(text: &str) -> impl Iterator<Item = &str> {
    const BEGIN: &str = "-----BEGIN";
    let starts: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([text.len()]).collect();
    starts.into_iter().zip(ends).filter_map(|(start, end)| text.get(start..end))
}

fn last_end(state: &State) -> Option<LinkEnd> {
    match state {
        State::Dialing { last, .. } | State::Waiting { last, .. } => *last,
        _ => None,
    }
}
