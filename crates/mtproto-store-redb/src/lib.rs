//! A server's auth keys in one [redb] file: no service to run, and a key that was
//! acknowledged is there after `kill -9`.
//!
//! Two threads do what waits for the disk, so no asynchronous task does. The writer takes every
//! change that waits, up to a bound, and makes one commit of them; only then are they acknowledged.
//! So a change alone is not delayed, and the busier the store, the more changes share an `fsync`.
//! Key exchanges under way stay in memory: a restart makes their clients begin again.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod changes;
mod database;
mod error;
mod keys;
mod record;
mod worker;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mtproto_store::files::Lock;
use mtproto_store::{
    Bound, Handshakes, Inserted, KeyRecord, KeyStore, ServerNonce, ServerSecret, StoreError,
};
use mtproto_tl::{AuthKeyId, ServerTime};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use changes::{Change, Writer};
use keys::{Keys, Read};
use worker::Worker;

pub use changes::CHANGES_PER_COMMIT_MAX;
pub use error::OpenError;
pub use worker::WAITING_MAX;

/// A [`KeyStore`] in one file, which no other process may open meanwhile.
///
/// Dropping it finishes the changes that wait and closes the file, which may take some
/// milliseconds.
pub struct RedbKeyStore {
    secret: ServerSecret,
    handshakes: Mutex<Handshakes>,
    // Dropped in this order: the lock goes when both threads have let go of the file.
    writer: Worker<Box<dyn Change>>,
    reader: Worker<Read>,
    _lock: Lock,
}

impl RedbKeyStore {
    /// Opens the file at `path`, or creates it with a server secret of its own; its directory must
    /// exist.
    ///
    /// Waits for the disk: an asynchronous caller does this before it serves anybody.
    ///
    /// # Errors
    /// If another process has it open, or it cannot be read or is not such a file. The message is
    /// one line with the path, the reason and what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let (database, lock) = database::open(path)?;
        let secret = database::server_secret(&database, path)?;
        let database = Arc::new(database);
        let io_error = |error| OpenError::Io { path: path.to_owned(), error };

        let len = std::fs::metadata(path).map_err(io_error)?.len();
        let changes = Writer::new(Arc::clone(&database), len);
        let writer = Worker::start("key-writer", CHANGES_PER_COMMIT_MAX, move |batch| {
            changes.commit(batch);
        })
        .map_err(io_error)?;
        let reader = Worker::start("key-reader", READS_PER_TURN_MAX, move |batch| {
            keys::read(&database, batch);
        })
        .map_err(io_error)?;
        Ok(Self { secret, handshakes: Mutex::default(), writer, reader, _lock: lock })
    }

    /// Lets the writer make a change and waits until it is on the disk.
    async fn change<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Keys<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.writer.submit(changes::change(change, reply)).await?;
        answer.await.map_err(|_| worker::ended())?
    }

    fn handshakes(&self) -> MutexGuard<'_, Handshakes> {
        self.handshakes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RedbKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbKeyStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyStore for RedbKeyStore {
    async fn insert_new(
        &self,
        record: &KeyRecord,
        now: ServerTime,
    ) -> Result<Inserted, StoreError> {
        let record = record.clone();
        self.change(move |keys| keys.insert_new(&record, now)).await
    }

    async fn get(&self, id: AuthKeyId, now: ServerTime) -> Result<Option<KeyRecord>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.reader.submit(Read { id, now, reply }).await?;
        answer.await.map_err(|_| worker::ended())?
    }

    async fn bind(
        &self,
        temporary: AuthKeyId,
        permanent: AuthKeyId,
        now: ServerTime,
    ) -> Result<Bound, StoreError> {
        self.change(move |keys| keys.bind(temporary, permanent, now)).await
    }

    async fn remove(&self, id: AuthKeyId) -> Result<Vec<AuthKeyId>, StoreError> {
        self.change(move |keys| keys.remove(id)).await
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

/// How many reads share one look at the file.
const READS_PER_TURN_MAX: usize = 256;
