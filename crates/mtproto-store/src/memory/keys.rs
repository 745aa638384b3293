//! Auth keys in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mtproto_crypto::SecureRandom;
use mtproto_tl::{AuthKeyId, ServerTime};
use zeroize::Zeroizing;

use crate::{
    Bound, Handshakes, Inserted, KeyKind, KeyRecord, KeyStore, ServerNonce, ServerSecret,
    StoreError,
};

/// A [`KeyStore`] that is gone with the process.
#[derive(Debug)]
pub struct MemoryKeyStore {
    secret: ServerSecret,
    keys: Mutex<Keys>,
    handshakes: Mutex<Handshakes>,
}

impl MemoryKeyStore {
    /// An empty store. `random` makes its server secret.
    pub fn new(random: &mut dyn SecureRandom) -> Self {
        let mut secret = [0; 32];
        random.fill(&mut secret);
        Self {
            secret: ServerSecret::new(secret),
            keys: Mutex::default(),
            handshakes: Mutex::default(),
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handshakes(&self) -> MutexGuard<'_, Handshakes> {
        self.handshakes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyStore for MemoryKeyStore {
    async fn insert_new(
        &self,
        record: &KeyRecord,
        now: ServerTime,
    ) -> Result<Inserted, StoreError> {
        self.keys().insert_new(record, now)
    }

    async fn get(&self, id: AuthKeyId, now: ServerTime) -> Result<Option<KeyRecord>, StoreError> {
        Ok(self.keys().live(id, now).cloned())
    }

    async fn bind(
        &self,
        temporary: AuthKeyId,
        permanent: AuthKeyId,
        now: ServerTime,
    ) -> Result<Bound, StoreError> {
        Ok(self.keys().bind(temporary, permanent, now))
    }

    async fn remove(&self, id: AuthKeyId) -> Result<Vec<AuthKeyId>, StoreError> {
        Ok(self.keys().remove(id))
    }

    async fn server_secret(&self) -> Result<ServerSecret, StoreError> {
        Ok(self.secret.clone())
    }

    async fn handshake_put(
        &self,
        nonce: ServerNonce,
        state: &[u8],
        ttl: Duration,
        now: ServerTime,
    ) -> Result<Inserted, StoreError> {
        self.handshakes().put(nonce, state, ttl, now)
    }

    async fn handshake_take(
        &self,
        nonce: ServerNonce,
        now: ServerTime,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Ok(self.handshakes().take(nonce, now))
    }
}

/// Records, the temporary ones also by the second they expire in, and each binding by its permanent
/// key.
#[derive(Debug, Default)]
struct Keys {
    records: BTreeMap<AuthKeyId, KeyRecord>,
    by_expiry: BTreeSet<(u32, AuthKeyId)>,
    bound: BTreeMap<AuthKeyId, AuthKeyId>,
}

impl Keys {
    fn insert_new(&mut self, record: &KeyRecord, now: ServerTime) -> Result<Inserted, StoreError> {
        self.drop_expired(now);
        let id = record.id();
        if self.records.contains_key(&id) {
            return Ok(Inserted::Collision);
        }
        if self.records.len() >= KEYS_MAX {
            return Err(StoreError::Full { what: "auth keys", max: KEYS_MAX });
        }
        if let Some(expires_at) = record.kind.expires_at() {
            self.by_expiry.insert((expires_at, id));
        }
        let kind = record.kind.with_bound_to(None);
        self.records.insert(id, KeyRecord { kind, ..record.clone() });
        Ok(Inserted::Created)
    }

    fn live(&self, id: AuthKeyId, now: ServerTime) -> Option<&KeyRecord> {
        self.records.get(&id).filter(|record| !record.is_expired(now))
    }

    fn bind(&mut self, temporary: AuthKeyId, permanent: AuthKeyId, now: ServerTime) -> Bound {
        let kind_of = |id| self.live(id, now).map(|record| record.kind);
        let Some(KeyKind::Temporary { bound_to, .. }) = kind_of(temporary) else {
            return Bound::NoTemporary;
        };
        if kind_of(permanent) != Some(KeyKind::Permanent) {
            return Bound::NoPermanent;
        }
        match bound_to {
            Some(other) if other == permanent => Bound::Done { replaced: None },
            Some(_) => Bound::AlreadyBound,
            None => {
                let replaced = self.bound.insert(permanent, temporary);
                self.set_bound_to(temporary, Some(permanent));
                if let Some(replaced) = replaced {
                    self.set_bound_to(replaced, None);
                }
                Bound::Done { replaced }
            }
        }
    }

    fn set_bound_to(&mut self, temporary: AuthKeyId, permanent: Option<AuthKeyId>) {
        if let Some(record) = self.records.get_mut(&temporary) {
            record.kind = record.kind.with_bound_to(permanent);
        }
    }

    fn remove(&mut self, id: AuthKeyId) -> Vec<AuthKeyId> {
        let bound = self.bound.get(&id).copied();
        [Some(id), bound].into_iter().flatten().filter(|id| self.remove_one(*id)).collect()
    }

    fn remove_one(&mut self, id: AuthKeyId) -> bool {
        let Some(record) = self.records.remove(&id) else { return false };
        if let Some(expires_at) = record.kind.expires_at() {
            self.by_expiry.remove(&(expires_at, id));
        }
        if let Some(permanent) = record.kind.bound_to() {
            self.bound.remove(&permanent);
        }
        true
    }

    fn drop_expired(&mut self, now: ServerTime) {
        while let Some(&(expires_at, id)) = self.by_expiry.first() {
            if expires_at > now.unix_seconds() {
                break;
            }
            self.remove_one(id);
        }
    }
}

/// How many keys the memory holds.
pub const KEYS_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use mtproto_crypto::{AuthKey, SeededRandom};
    use mtproto_tl::Salt;

    use super::*;

    crate::key_store_suite!(async || {
        (std::sync::Arc::new(MemoryKeyStore::new(&mut SeededRandom::new(1))), ())
    });

    #[test]
    fn the_last_place_is_given_and_one_more_is_refused_until_a_key_expires() {
        let mut keys = Keys::default();
        let now = ServerTime::from_unix(Duration::from_secs(1_700_000_000));
        let record = |n: usize, kind| {
            let mut bytes = [7; 256];
            bytes[..8].copy_from_slice(&n.to_le_bytes());
            KeyRecord { key: AuthKey::new(bytes), created: 0, first_salt: Salt(1), kind }
        };
        let temporary = KeyKind::Temporary { expires_at: now.unix_seconds() + 10, bound_to: None };
        assert_eq!(keys.insert_new(&record(0, temporary), now), Ok(Inserted::Created));
        for n in 1..KEYS_MAX {
            let inserted = keys.insert_new(&record(n, KeyKind::Permanent), now);
            assert_eq!(inserted, Ok(Inserted::Created));
        }
        let one_more = record(KEYS_MAX, KeyKind::Permanent);
        let full = Err(StoreError::Full { what: "auth keys", max: KEYS_MAX });
        assert_eq!(keys.insert_new(&one_more, now), full);
        let later = now.after(Duration::from_secs(10));
        assert_eq!(keys.insert_new(&one_more, later), Ok(Inserted::Created));
    }
}
