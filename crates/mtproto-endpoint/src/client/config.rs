//! What a client endpoint is told at its beginning.

use std::sync::Arc;
use std::time::Duration;

use mtproto_crypto::rsa::RsaPublicKey;
use mtproto_session::PingConfig;

use super::ReconnectPolicy;

/// How long a temporary key lives, unless said otherwise.
pub const TEMPORARY_KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What a client is to be like.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where the server is, as text: it is kept with the keys and not looked at.
    pub address: String,
    /// The data centre meant: its number, plus 10000 for a test one, negative for a media one.
    pub dc: i32,
    /// The RSA keys of servers that are trusted to make an auth key with.
    pub keys: Arc<[RsaPublicKey]>,
    /// How many links to keep open, 1 to [`LINKS_MAX`](super::LINKS_MAX).
    pub links: usize,
    /// Whether messages are encrypted with temporary keys, and what those are like.
    pub pfs: Option<Pfs>,
    /// How to come back when links break.
    pub reconnect: ReconnectPolicy,
    /// The keepalive of each session.
    // req: S30
    pub pings: PingConfig,
    /// Whether another permanent key may be made when the server has lost the one there is. Without
    /// it the endpoint closes: to the server a client with another key is a stranger.
    pub replaces_lost_key: bool,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            address: String::new(),
            dc: 1,
            keys: Arc::new([]),
            links: 1,
            pfs: None,
            reconnect: ReconnectPolicy::default(),
            pings: PingConfig::default(),
            replaces_lost_key: false,
        }
    }
}

/// Forward secrecy: what temporary keys are like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pfs {
    /// How long one lives. The next one is made when an eighth of this is left.
    pub lifetime: Duration,
}

impl Default for Pfs {
    fn default() -> Self {
        Self { lifetime: TEMPORARY_KEY_LIFETIME }
    }
}
