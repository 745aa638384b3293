//! The server's store: slow at times, failing at times, and after a crash without its last writes.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mtproto_crypto::AuthKey;
use mtproto_endpoint::server::{StoreOutcome, StoreRequest};
use mtproto_store::{
    Bound, Inserted, KeyRecord, KeyStore, MemoryKeyStore, ServerNonce, ServerSecret, StoreError,
};
use mtproto_tl::{AuthKeyId, ServerTime};
use zeroize::Zeroizing;

use crate::dice::Dice;

/// How long a write may be lost in a crash after it was acknowledged.
const WRITES_AT_RISK: Duration = Duration::from_secs(2);

/// A key store with troubles.
pub(crate) struct Store {
    keys: MemoryKeyStore,
    /// Until when it is in trouble.
    troubled_until: Option<Instant>,
    /// What was written lately: a crash may take it back.
    recent: VecDeque<(Instant, AuthKeyId, Undo)>,
    /// Every key there ever was, so that what is sent can be read.
    known: BTreeMap<AuthKeyId, AuthKey>,
}

/// How a write is taken back.
enum Undo {
    Remove,
    Restore(Box<KeyRecord>),
}

impl Store {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        Self {
            keys: MemoryKeyStore::new(&mut dice.split()),
            troubled_until: None,
            recent: VecDeque::new(),
            known: BTreeMap::new(),
        }
    }

    /// A key that is there from the beginning.
    pub(crate) fn add(&mut self, record: &KeyRecord, now: ServerTime) {
        self.known.insert(record.id(), record.key.clone());
        let inserted = at_once(self.keys.insert_new(record, now));
        debug_assert_eq!(inserted, Ok(Inserted::Created));
    }

    pub(crate) fn key(&self, id: AuthKeyId) -> Option<&AuthKey> {
        self.known.get(&id)
    }

    /// From now on it is slow and fails.
    pub(crate) fn trouble(&mut self, until: Instant) {
        self.troubled_until = Some(until);
    }

    /// Does as it is asked, or not; says how long that takes.
    pub(crate) fn carry_out(
        &mut self,
        request: StoreRequest,
        now: Instant,
        dice: &mut Dice,
    ) -> (Duration, StoreOutcome) {
        let is_troubled = self.troubled_until.is_some_and(|until| now < until);
        let (takes, failure) = match (is_troubled, dice.below(10)) {
            (false, _) => (dice.ms(0..=3), None),
            (true, 0..=2) => (dice.ms(1..=2_000), Some(Failure::Refused)),
            (true, 3..=4) => (dice.ms(1..=2_000), Some(Failure::AnswerLost)),
            (true, _) => (dice.ms(100..=20_000), None),
        };
        let attempt = Attempt { store: std::sync::Mutex::new(self), failure, now };
        (takes, at_once(request.carry_out(&attempt)))
    }

    /// The process is gone, and perhaps what it wrote last.
    pub(crate) fn crash(&mut self, loses_writes: bool, now: Instant) {
        self.troubled_until = None;
        let recent = std::mem::take(&mut self.recent);
        if !loses_writes {
            return;
        }
        for (_, id, undo) in recent.into_iter().rev().filter(|(at, ..)| *at + WRITES_AT_RISK > now)
        {
            let removed = at_once(self.keys.remove(id));
            debug_assert!(removed.is_ok());
            if let Undo::Restore(record) = undo {
                let restored = at_once(self.keys.insert_new(&record, ServerTime::default()));
                debug_assert_eq!(restored, Ok(Inserted::Created));
            }
        }
    }

    fn note(&mut self, id: AuthKeyId, undo: Undo, now: Instant) {
        while self.recent.front().is_some_and(|(at, ..)| *at + WRITES_AT_RISK <= now) {
            self.recent.pop_front();
        }
        self.recent.push_back((now, id, undo));
    }
}

/// How a request to the store fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Failure {
    /// It is done, and nobody is told.
    AnswerLost,
    /// It is not done.
    Refused,
}

/// One request to the store.
struct Attempt<'a> {
    store: std::sync::Mutex<&'a mut Store>,
    failure: Option<Failure>,
    now: Instant,
}

impl Attempt<'_> {
    fn carry_out<T>(
        &self,
        action: impl FnOnce(&mut Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let unavailable = || StoreError::Unavailable { reason: "it is simulated".to_owned() };
        if self.failure == Some(Failure::Refused) {
            return Err(unavailable());
        }
        let mut store = self.store.lock().map_err(|_| unavailable())?;
        let done = action(&mut store);
        if self.failure == Some(Failure::AnswerLost) { Err(unavailable()) } else { done }
    }
}

#[async_trait]
impl KeyStore for Attempt<'_> {
    async fn insert_new(
        &self,
        record: &KeyRecord,
        now: ServerTime,
    ) -> Result<Inserted, StoreError> {
        self.carry_out(|store| {
            store.known.insert(record.id(), record.key.clone());
            store.note(record.id(), Undo::Remove, self.now);
            at_once(store.keys.insert_new(record, now))
        })
    }

    async fn get(&self, id: AuthKeyId, now: ServerTime) -> Result<Option<KeyRecord>, StoreError> {
        self.carry_out(|store| at_once(store.keys.get(id, now)))
    }

    async fn bind(
        &self,
        temporary: AuthKeyId,
        permanent: AuthKeyId,
        now: ServerTime,
    ) -> Result<Bound, StoreError> {
        self.carry_out(|store| {
            let before = at_once(store.keys.get(temporary, now))?;
            let bound = at_once(store.keys.bind(temporary, permanent, now));
            if let (Some(before), Ok(Bound::Done { .. })) = (before, &bound) {
                store.note(temporary, Undo::Restore(Box::new(before)), self.now);
            }
            bound
        })
    }

    async fn remove(&self, id: AuthKeyId) -> Result<Vec<AuthKeyId>, StoreError> {
        self.carry_out(|store| at_once(store.keys.remove(id)))
    }

    async fn server_secret(&self) -> Result<ServerSecret, StoreError> {
        self.carry_out(|store| at_once(store.keys.server_secret()))
    }

    async fn handshake_put(
        &self,
        nonce: ServerNonce,
        state: &[u8],
        ttl: Duration,
        now: ServerTime,
    ) -> Result<Inserted, StoreError> {
        self.carry_out(|store| at_once(store.keys.handshake_put(nonce, state, ttl, now)))
    }

    async fn handshake_take(
        &self,
        nonce: ServerNonce,
        now: ServerTime,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.carry_out(|store| at_once(store.keys.handshake_take(nonce, now)))
    }
}

/// What is in memory has nothing to wait for.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store in memory does not wait"),
    }
}
