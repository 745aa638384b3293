//! The durable half: auth keys, the secret that salts are derived from, and exchanges under way.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use mtproto_crypto::AuthKey;
use mtproto_tl::{AuthKeyId, Salt, ServerTime};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::StoreError;

/// Where a server keeps auth keys. A key that was acknowledged must outlive a crash of the process:
/// a client whose key is gone is logged out.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Stores a new key, unless there is one of that id: a key is never overwritten.
    ///
    /// A temporary key arrives unbound; `bound_to` of the record is not looked at.
    ///
    /// # Errors
    /// If the store is full or does not answer. The key may be stored all the same in the second
    /// case.
    async fn insert_new(&self, record: &KeyRecord, now: ServerTime)
    -> Result<Inserted, StoreError>;

    /// The key of that id, unless it has expired.
    ///
    /// # Errors
    /// If the store does not answer or the record cannot be read.
    async fn get(&self, id: AuthKeyId, now: ServerTime) -> Result<Option<KeyRecord>, StoreError>;

    /// Binds a temporary key to a permanent one. The key bound to it before, if any, is unbound.
    ///
    /// Repeating a binding that stands is `Done`: a client that missed the answer asks again.
    ///
    /// # Errors
    /// If the store does not answer or a record cannot be read.
    async fn bind(
        &self,
        temporary: AuthKeyId,
        permanent: AuthKeyId,
        now: ServerTime,
    ) -> Result<Bound, StoreError>;

    /// Destroys a key, and with a permanent one the temporary key bound to it.
    ///
    /// Returns the ids that are gone, `id` first; none if there was no such key. A key that has
    /// expired, but was not cleared away yet, counts.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn remove(&self, id: AuthKeyId) -> Result<Vec<AuthKeyId>, StoreError>;

    /// The secret that server salts are derived from: made once, the same ever after and on every
    /// node.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn server_secret(&self) -> Result<ServerSecret, StoreError>;

    /// Keeps the state of a key exchange for `ttl`, unless there is one under that nonce.
    ///
    /// It need not outlive a restart: the client starts the exchange again.
    ///
    /// # Errors
    /// If `state` is longer than [`HANDSHAKE_STATE_LEN_MAX`], or the store is full or does not
    /// answer.
    async fn handshake_put(
        &self,
        nonce: ServerNonce,
        state: &[u8],
        ttl: Duration,
        now: ServerTime,
    ) -> Result<Inserted, StoreError>;

    /// Takes the state out: of all callers on all nodes, one gets it.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn handshake_take(
        &self,
        nonce: ServerNonce,
        now: ServerTime,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;
}

/// What a store keeps of an auth key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyRecord {
    /// The key itself.
    pub key: AuthKey,
    /// When it was made, in Unix seconds of server time.
    pub created: u32,
    /// The salt that the key exchange ended with; later ones are derived.
    pub first_salt: Salt,
    /// Whether the key lasts.
    pub kind: KeyKind,
}

impl KeyRecord {
    /// The id under which the record is stored.
    #[must_use]
    pub fn id(&self) -> AuthKeyId {
        AuthKeyId(self.key.id())
    }

    /// Whether the key is a temporary one whose time is over.
    #[must_use]
    pub fn is_expired(&self, now: ServerTime) -> bool {
        self.kind.expires_at().is_some_and(|expires_at| expires_at <= now.unix_seconds())
    }
}

/// Whether a key lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// Until it is destroyed.
    Permanent,
    /// For forward secrecy: until it expires.
    Temporary {
        /// The first moment at which it is no longer good, in Unix seconds of server time.
        expires_at: u32,
        /// The permanent key that it stands for.
        bound_to: Option<AuthKeyId>,
    },
}

impl KeyKind {
    /// When the key expires, in Unix seconds; `None` if it is permanent.
    #[must_use]
    pub fn expires_at(self) -> Option<u32> {
        match self {
            Self::Permanent => None,
            Self::Temporary { expires_at, .. } => Some(expires_at),
        }
    }

    /// The permanent key that a temporary one is bound to.
    #[must_use]
    pub fn bound_to(self) -> Option<AuthKeyId> {
        match self {
            Self::Permanent => None,
            Self::Temporary { bound_to, .. } => bound_to,
        }
    }

    /// The same kind, bound to `permanent` or to none. A permanent key stays as it is.
    #[must_use]
    pub fn with_bound_to(self, permanent: Option<AuthKeyId>) -> Self {
        match self {
            Self::Permanent => Self::Permanent,
            Self::Temporary { expires_at, .. } => {
                Self::Temporary { expires_at, bound_to: permanent }
            }
        }
    }
}

/// What became of something new.
#[must_use]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Inserted {
    /// It is stored.
    Created,
    /// There is one of that id, which stays as it was.
    Collision,
}

/// What became of a binding.
#[must_use]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bound {
    /// It stands.
    Done {
        /// The temporary key that was bound to the same permanent key and no longer is. It may
        /// have expired.
        replaced: Option<AuthKeyId>,
    },
    /// The temporary key is bound to another permanent key; nothing changed.
    AlreadyBound,
    /// There is no such permanent key.
    NoPermanent,
    /// There is no such temporary key, or no longer.
    NoTemporary,
}

/// Names a key exchange: 16 random bytes that the server drew for it.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct ServerNonce(pub [u8; 16]);

impl fmt::Debug for ServerNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerNonce(..)")
    }
}

/// The secret that server salts are derived from.
#[derive(Clone, Eq, PartialEq, Zeroize, ZeroizeOnDrop)]
pub struct ServerSecret([u8; 32]);

impl ServerSecret {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to key an HMAC with.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerSecret(..)")
    }
}

/// The longest state of a key exchange, in bytes.
pub const HANDSHAKE_STATE_LEN_MAX: usize = 4096;
