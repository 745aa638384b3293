//! A server to talk to, and the time.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use mtproto_kit::crypto::rsa::{RsaPrivateKey, RsaPublicKey};
use mtproto_kit::server::{Request, RpcError, Server, ServerBuilder};
use mtproto_kit::session::ServerClock;
use mtproto_kit::tl::ServerTime;

/// The key pair of every server here. Making one takes a second.
const KEY_PEM: &str = include_str!("server_key.pem");

/// A server on a free port that has a key and otherwise every default.
#[must_use]
pub fn server() -> ServerBuilder {
    server_at(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// The same on a port of the test's choice.
#[must_use]
pub fn server_at(address: SocketAddr) -> ServerBuilder {
    Server::builder().listen(address.to_string()).key(private_key())
}

/// The public half of its key.
#[must_use]
pub fn public_key() -> RsaPublicKey {
    static KEY: LazyLock<RsaPublicKey> = LazyLock::new(|| private_key().public().clone());
    KEY.clone()
}

/// Where a server listens.
///
/// # Panics
/// If it listens nowhere.
#[must_use]
pub fn address(server: &Server) -> SocketAddr {
    *server.addresses().first().expect("a server that was started listens")
}

/// A handler that returns each query's own bytes.
///
/// # Errors
/// None.
pub async fn echo(request: Request) -> Result<Bytes, RpcError> {
    Ok(request.query)
}

/// A boxed object no schema knows: a constructor number and words behind it.
#[must_use]
pub fn object(id: u32, words: &[u32]) -> Bytes {
    [id].iter().chain(words).flat_map(|word| word.to_le_bytes()).collect()
}

/// This moment.
#[must_use]
pub fn now() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "a test is a driver")]
    Instant::now()
}

/// The time of day, for message ids.
#[derive(Clone, Copy, Debug)]
pub struct Clock(ServerClock);

impl Clock {
    /// The clock of this machine, which is the server's too.
    #[must_use]
    pub fn start() -> Self {
        #[allow(clippy::disallowed_methods, reason = "a test is a driver")]
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self(ServerClock::new(now(), ServerTime::from_unix(since_epoch)))
    }

    /// What it shows.
    #[must_use]
    pub fn time(&self) -> ServerTime {
        self.0.now(now())
    }
}

fn private_key() -> RsaPrivateKey {
    RsaPrivateKey::from_pem(KEY_PEM).expect("the key of the tests is one")
}
