//! The key exchange of MTProto: how a client and a server that share nothing but the server's
//! public RSA key come to share an auth key. <https://core.telegram.org/mtproto/auth_key>
//!
//! Each role is a chain of states. A state is consumed by the next message and gives the next state
//! and the bytes to send, or a [`Fault`], after which nothing of the exchange is left. A state is
//! plain data, so a driver may compute the next one on any thread: every `handle` may take some
//! milliseconds of arithmetic.
//!
//! - [`client`] and [`server`]: the exchange; [`Query`] is how a server reads what it is asked.
//! - [`PlainMessage`]: the unencrypted message that carries it.
//! - [`binding`]: how a temporary key is tied to a permanent one.
//!
//! ```
//! # use std::sync::Arc;
//! # use mtproto_auth::{Fault, KeyKind, NewKey, Query, client, server};
//! # use mtproto_crypto::SecureRandom;
//! /// Both sides of an exchange, without the network between them.
//! fn exchange(
//!     mine: client::ClientConfig,
//!     theirs: &server::ServerConfig,
//!     server_time: u32,
//!     random: &mut dyn SecureRandom,
//! ) -> Result<NewKey, Fault> {
//!     let (client, query) = client::start(mine, random);
//!     let query = Query::decode(&query)?.expect("not an acknowledgement");
//!     let (server, answer) = server::start(&query, theirs, random)?;
//!
//!     let (client, query) = client.handle(&answer, random)?;
//!     let query = Query::decode(&query)?.expect("not an acknowledgement");
//!     let (server, answer) = server.handle(&query, theirs, server_time, random)?;
//!
//!     let (client, query) = client.handle(&answer, random)?;
//!     let query = Query::decode(&query)?.expect("not an acknowledgement");
//!     let candidate = server.handle(&query)?;
//!     // Here a server stores `candidate.key()`.
//!     let (_, answer) = candidate.ok();
//!
//!     match client.handle(&answer, random)? {
//!         client::Outcome::Done(key) => Ok(key),
//!         client::Outcome::Retry(..) => unreachable!("the server said ok"),
//!     }
//! }
//! # let pem = include_str!("tests/server_key.pem");
//! # let pair = mtproto_crypto::rsa::RsaPrivateKey::from_pem(pem).unwrap();
//! # let mine = client::ClientConfig {
//! #     keys: Arc::new([pair.public().clone()]), dc: 2, kind: KeyKind::Permanent,
//! # };
//! # let theirs = server::ServerConfig {
//! #     keys: Arc::new([pair]), dc: None, accept_old_rsa: true,
//! # };
//! # let mut random = mtproto_crypto::SeededRandom::new(1);
//! # let now = 1_700_000_000;
//! # assert_eq!(exchange(mine, &theirs, now, &mut random).unwrap().server_time, now);
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

use std::time::Duration;

use mtproto_crypto::AuthKey;
use mtproto_tl::Salt;

pub mod binding;
pub mod client;
mod fault;
mod inner_data;
mod nonces;
mod plain;
mod query;
pub mod server;

pub use fault::Fault;
pub use plain::{PLAIN_BODY_LEN_MAX, PLAIN_HEADER_LEN, PlainError, PlainMessage, is_plain};
pub use query::Query;

/// How often one exchange may be told `dh_gen_retry`.
pub const RETRIES_MAX: u32 = 5;

/// How long a server remembers an exchange, counted from its first query. Nothing here has a clock:
/// whoever holds the states keeps to it.
pub const EXCHANGE_LIFETIME: Duration = Duration::from_secs(600);

/// How long a key is meant to live.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// Until one side destroys it.
    Permanent,
    /// For forward secrecy: it works once it is bound to a permanent key.
    Temporary {
        /// Its life from now on, in seconds.
        expires_in: u32,
    },
}

/// What an exchange ends with, the same on both sides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewKey {
    /// The key.
    pub key: AuthKey,
    /// The salt it starts with.
    pub first_salt: Salt,
    /// The server's clock during the exchange: Unix time in seconds. A client sets its clock by it,
    /// and both count the life of a temporary key from it.
    pub server_time: u32,
    /// How long the key is meant to live.
    pub kind: KeyKind,
}

#[cfg(test)]
mod tests;
