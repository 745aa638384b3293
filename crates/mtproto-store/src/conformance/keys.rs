//! The promises of a [`KeyStore`].

use std::sync::Arc;

use mtproto_crypto::AuthKey;
use mtproto_tl::{AuthKeyId, Salt, ServerTime};
use tokio::task::JoinSet;

use super::{seconds, start};
use crate::{
    Bound, HANDSHAKE_STATE_LEN_MAX, Inserted, KeyKind, KeyRecord, KeyStore, ServerNonce, StoreError,
};

/// A permanent key that differs from that of any other `n`.
#[must_use]
pub fn permanent(n: u64) -> KeyRecord {
    record(n, KeyKind::Permanent)
}

/// A temporary key, unbound, that expires `life` seconds after the start of the test.
#[must_use]
pub fn temporary(n: u64, life: u32) -> KeyRecord {
    let expires_at = start().unix_seconds() + life;
    record(n, KeyKind::Temporary { expires_at, bound_to: None })
}

fn record(n: u64, kind: KeyKind) -> KeyRecord {
    let mut key = [0x5a; 256];
    key[..8].copy_from_slice(&n.to_le_bytes());
    KeyRecord {
        key: AuthKey::new(key),
        created: start().unix_seconds(),
        first_salt: Salt(n ^ 0xa5a5),
        kind,
    }
}

async fn insert(store: &impl KeyStore, records: &[&KeyRecord]) {
    for record in records {
        assert_eq!(store.insert_new(record, start()).await, Ok(Inserted::Created));
    }
}

async fn bound_to(store: &impl KeyStore, id: AuthKeyId) -> Option<AuthKeyId> {
    store.get(id, start()).await.unwrap().expect("the key is stored").kind.bound_to()
}

/// What is read is what was written, for both kinds of key.
pub async fn a_new_key_is_found_as_it_was_stored(store: Arc<impl KeyStore>) {
    let (permanent, temporary) = (permanent(1), temporary(2, 10));
    assert_eq!(store.get(permanent.id(), start()).await, Ok(None));
    insert(&*store, &[&permanent, &temporary]).await;
    assert_eq!(store.get(permanent.id(), start()).await, Ok(Some(permanent)));
    assert_eq!(store.get(temporary.id(), start()).await, Ok(Some(temporary)));
}

/// A second key of one id is a collision.
pub async fn a_key_is_never_overwritten(store: Arc<impl KeyStore>) {
    let first = permanent(1);
    insert(&*store, &[&first]).await;
    let second = KeyRecord { first_salt: Salt(9), ..temporary_of(&first) };
    assert_eq!(store.insert_new(&second, start()).await, Ok(Inserted::Collision));
    assert_eq!(store.get(first.id(), start()).await, Ok(Some(first)));
}

fn temporary_of(record: &KeyRecord) -> KeyRecord {
    KeyRecord { key: record.key.clone(), ..temporary(0, 10) }
}

/// A temporary key is good before its second and not from it on.
pub async fn a_temporary_key_expires(store: Arc<impl KeyStore>) {
    let record = temporary(1, 10);
    insert(&*store, &[&record]).await;
    let last_moment = start().after(seconds(9));
    assert_eq!(store.get(record.id(), last_moment).await, Ok(Some(record.clone())));
    assert_eq!(store.get(record.id(), start().after(seconds(10))).await, Ok(None));
}

/// What has expired is not a collision.
pub async fn an_expired_key_makes_room_for_its_id(store: Arc<impl KeyStore>) {
    insert(&*store, &[&temporary(1, 10)]).await;
    let later = start().after(seconds(10));
    assert_eq!(store.insert_new(&permanent(1), later).await, Ok(Inserted::Created));
    assert_eq!(store.get(permanent(1).id(), later).await, Ok(Some(permanent(1))));
}

/// Only `bind` binds.
pub async fn a_new_temporary_key_is_unbound(store: Arc<impl KeyStore>) {
    let (permanent, temporary) = (permanent(1), temporary(2, 10));
    let kind = temporary.kind.with_bound_to(Some(permanent.id()));
    insert(&*store, &[&permanent, &KeyRecord { kind, ..temporary.clone() }]).await;
    assert_eq!(bound_to(&*store, temporary.id()).await, None);
}

/// The same binding twice is no error.
pub async fn a_binding_stands_and_may_be_repeated(store: Arc<impl KeyStore>) {
    let (permanent, other, temporary) = (permanent(1), permanent(2), temporary(3, 10));
    insert(&*store, &[&permanent, &other, &temporary]).await;
    for _ in 0..2 {
        let bound = store.bind(temporary.id(), permanent.id(), start()).await;
        assert_eq!(bound, Ok(Bound::Done { replaced: None }));
    }
    assert_eq!(store.bind(temporary.id(), other.id(), start()).await, Ok(Bound::AlreadyBound));
    assert_eq!(bound_to(&*store, temporary.id()).await, Some(permanent.id()));
}

/// A permanent key has one temporary key at most.
pub async fn a_new_binding_replaces_the_old_one(store: Arc<impl KeyStore>) {
    let (permanent, old, new) = (permanent(1), temporary(2, 10), temporary(3, 20));
    insert(&*store, &[&permanent, &old, &new]).await;
    let bound = store.bind(old.id(), permanent.id(), start()).await;
    assert_eq!(bound, Ok(Bound::Done { replaced: None }));
    let bound = store.bind(new.id(), permanent.id(), start()).await;
    assert_eq!(bound, Ok(Bound::Done { replaced: Some(old.id()) }));
    assert_eq!(bound_to(&*store, old.id()).await, None);
    assert_eq!(bound_to(&*store, new.id()).await, Some(permanent.id()));
}

/// Neither an unknown key, nor one of the wrong kind, nor an expired one is bound.
pub async fn a_binding_needs_both_keys(store: Arc<impl KeyStore>) {
    let (permanent, temporary) = (permanent(1), temporary(2, 10));
    let bind = |temporary, permanent, now| {
        let store = Arc::clone(&store);
        async move { store.bind(temporary, permanent, now).await }
    };
    insert(&*store, &[&permanent]).await;
    let [permanent, temporary_id] = [permanent.id(), temporary.id()];
    assert_eq!(bind(temporary_id, permanent, start()).await, Ok(Bound::NoTemporary));
    assert_eq!(bind(permanent, permanent, start()).await, Ok(Bound::NoTemporary));
    insert(&*store, &[&temporary]).await;
    assert_eq!(bind(temporary_id, AuthKeyId(1), start()).await, Ok(Bound::NoPermanent));
    assert_eq!(bind(temporary_id, temporary_id, start()).await, Ok(Bound::NoPermanent));
    let late = start().after(seconds(10));
    assert_eq!(bind(temporary_id, permanent, late).await, Ok(Bound::NoTemporary));
}

/// A destroyed key takes its temporary key along, but not one that was replaced before.
pub async fn removing_a_permanent_key_removes_the_bound_one(store: Arc<impl KeyStore>) {
    let (permanent, old, new) = (permanent(1), temporary(2, 10), temporary(3, 20));
    insert(&*store, &[&permanent, &old, &new]).await;
    for temporary in [&old, &new] {
        let bound = store.bind(temporary.id(), permanent.id(), start()).await;
        assert!(matches!(bound, Ok(Bound::Done { .. })));
    }
    assert_eq!(store.remove(permanent.id()).await, Ok(vec![permanent.id(), new.id()]));
    assert_eq!(store.get(permanent.id(), start()).await, Ok(None));
    assert_eq!(store.get(new.id(), start()).await, Ok(None));
    assert_eq!(store.get(old.id(), start()).await, Ok(Some(old)));
    assert_eq!(store.remove(permanent.id()).await, Ok(vec![]));
}

/// The permanent key stays and can be bound again.
pub async fn removing_a_temporary_key_leaves_the_permanent_one(store: Arc<impl KeyStore>) {
    let (permanent, old, new) = (permanent(1), temporary(2, 10), temporary(3, 20));
    insert(&*store, &[&permanent, &old, &new]).await;
    let unbound = Ok(Bound::Done { replaced: None });
    assert_eq!(store.bind(old.id(), permanent.id(), start()).await, unbound);
    assert_eq!(store.remove(old.id()).await, Ok(vec![old.id()]));
    assert_eq!(store.bind(new.id(), permanent.id(), start()).await, unbound);
}

/// One secret, and not an empty one.
pub async fn the_server_secret_is_random_and_stays(store: Arc<impl KeyStore>) {
    let secret = store.server_secret().await.unwrap();
    assert_ne!(secret.as_bytes(), &[0; 32]);
    assert_eq!(store.server_secret().await, Ok(secret));
}

const NONCE: ServerNonce = ServerNonce([7; 16]);

async fn put(store: &impl KeyStore, state: &[u8], now: ServerTime) -> Result<Inserted, StoreError> {
    store.handshake_put(NONCE, state, seconds(60), now).await
}

async fn take(store: &impl KeyStore, now: ServerTime) -> Option<Vec<u8>> {
    store.handshake_take(NONCE, now).await.unwrap().map(|state| state.to_vec())
}

/// Taking is removing; afterwards the nonce is free.
pub async fn a_handshake_is_taken_once(store: Arc<impl KeyStore>) {
    assert_eq!(take(&*store, start()).await, None);
    assert_eq!(put(&*store, b"one", start()).await, Ok(Inserted::Created));
    assert_eq!(take(&*store, start()).await.as_deref(), Some(&b"one"[..]));
    assert_eq!(take(&*store, start()).await, None);
    assert_eq!(put(&*store, b"two", start()).await, Ok(Inserted::Created));
    assert_eq!(take(&*store, start()).await.as_deref(), Some(&b"two"[..]));
}

/// A hundred at once, one gets it.
pub async fn a_handshake_is_taken_by_one_of_many(store: Arc<impl KeyStore + 'static>) {
    assert_eq!(put(&*store, b"state", start()).await, Ok(Inserted::Created));
    let mut takers = JoinSet::new();
    for _ in 0..100 {
        let store = Arc::clone(&store);
        takers.spawn(async move { take(&*store, start()).await.is_some() });
    }
    let winners = takers.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(winners, 1);
}

/// The first state of a nonce stays.
pub async fn a_handshake_is_not_overwritten(store: Arc<impl KeyStore>) {
    assert_eq!(put(&*store, b"one", start()).await, Ok(Inserted::Created));
    assert_eq!(put(&*store, b"two", start()).await, Ok(Inserted::Collision));
    assert_eq!(take(&*store, start()).await.as_deref(), Some(&b"one"[..]));
}

/// A state is not given out when its time is over, and its nonce is free then.
pub async fn a_handshake_expires(store: Arc<impl KeyStore>) {
    let late = start().after(seconds(60));
    assert_eq!(put(&*store, b"one", start()).await, Ok(Inserted::Created));
    assert_eq!(take(&*store, late).await, None);
    assert_eq!(put(&*store, b"two", start()).await, Ok(Inserted::Created));
    assert_eq!(put(&*store, b"three", late).await, Ok(Inserted::Created));
    assert_eq!(take(&*store, late).await.as_deref(), Some(&b"three"[..]));
}

/// The longest state is taken, one byte more is not.
pub async fn a_long_handshake_is_refused(store: Arc<impl KeyStore>) {
    let longest = [1; HANDSHAKE_STATE_LEN_MAX];
    let refused = StoreError::TooLarge {
        what: "handshake state",
        len: HANDSHAKE_STATE_LEN_MAX + 1,
        max: HANDSHAKE_STATE_LEN_MAX,
    };
    assert_eq!(put(&*store, &[1; HANDSHAKE_STATE_LEN_MAX + 1], start()).await, Err(refused));
    assert_eq!(put(&*store, &longest, start()).await, Ok(Inserted::Created));
    assert_eq!(take(&*store, start()).await.as_deref(), Some(&longest[..]));
}
