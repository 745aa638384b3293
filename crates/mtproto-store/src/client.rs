//! What a client keeps between two runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use mtproto_crypto::AuthKey;
use mtproto_tl::{AuthKeyId, Salt};

use crate::StoreError;

/// Where a client keeps its keys.
///
/// The methods may wait for a disk: an asynchronous driver calls them where it may block.
pub trait ClientStore: Send + Sync {
    /// What was saved last; `None` if nothing was, or it was cleared.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn load(&self) -> Result<Option<ClientRecord>, StoreError>;

    /// Replaces what is stored. After a crash either the old record is there or the new one, whole.
    ///
    /// # Errors
    /// If the store cannot be written; the old record then stays.
    fn save(&self, record: &ClientRecord) -> Result<(), StoreError>;

    /// Removes what is stored, as logging out does.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn clear(&self) -> Result<(), StoreError>;
}

/// Everything that a client keeps: for each data centre its keys, and what goes with them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientRecord {
    /// By the number of the data centre; at most [`DCS_MAX`].
    pub dcs: BTreeMap<i32, DcRecord>,
}

/// What a client keeps of one data centre.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DcRecord {
    /// Where the keys were made, as a URI.
    pub address: String,
    /// Server time minus the local clock, in milliseconds.
    pub time_offset_ms: i64,
    /// The permanent key.
    pub permanent: ClientKey,
    /// The temporary key of a client that uses forward secrecy.
    pub temporary: Option<TemporaryKey>,
}

/// An auth key and the salts known for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientKey {
    /// The key itself.
    pub key: AuthKey,
    /// When it was made, in Unix seconds of server time.
    pub created: u32,
    /// Salts with their periods, in the order of time; at most [`SALTS_MAX`].
    pub salts: Vec<SaltPeriod>,
}

impl ClientKey {
    /// The id of the key.
    #[must_use]
    pub fn id(&self) -> AuthKeyId {
        AuthKeyId(self.key.id())
    }
}

/// A temporary key of a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TemporaryKey {
    /// The key and its salts.
    pub key: ClientKey,
    /// The first moment at which it is no longer good, in Unix seconds of server time.
    pub expires_at: u32,
    /// Whether the server has confirmed the binding to the permanent key.
    pub bound: bool,
}

/// A salt and when it is good, in Unix seconds of server time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SaltPeriod {
    /// The salt.
    pub salt: Salt,
    /// The first second.
    pub valid_since: u32,
    /// The first second after.
    pub valid_until: u32,
}

/// A client's record in memory: gone with the process.
#[derive(Debug, Default)]
pub struct MemoryClientStore {
    record: Mutex<Option<ClientRecord>>,
}

impl ClientStore for MemoryClientStore {
    fn load(&self) -> Result<Option<ClientRecord>, StoreError> {
        Ok(self.record.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn save(&self, record: &ClientRecord) -> Result<(), StoreError> {
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = Some(record.clone());
        Ok(())
    }

    fn clear(&self) -> Result<(), StoreError> {
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

/// How many data centres a record holds.
pub const DCS_MAX: usize = 32;

/// How many salts of one key a record holds: as many as one request may ask for.
pub const SALTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    crate::client_store_suite!(async || (std::sync::Arc::new(MemoryClientStore::default()), ()));
}
