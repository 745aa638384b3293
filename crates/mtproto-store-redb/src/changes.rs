//! Group commit: everything that waits becomes one transaction, then all are answered.

use std::sync::Arc;

use mtproto_store::StoreError;
use redb::Database;
use tokio::sync::oneshot;

use crate::error::unavailable;
use crate::keys::Keys;

/// One caller's change, of whatever result.
pub(crate) trait Change: Send {
    /// Makes the change and remembers its result.
    ///
    /// # Errors
    /// If the transaction cannot go on; an error that concerns this change alone is its result.
    fn apply(&mut self, keys: &mut Keys<'_>) -> Result<(), StoreError>;

    /// Tells the caller, once it is known whether the transaction is on the disk.
    fn answer(self: Box<Self>, committed: &Result<(), StoreError>);
}

/// Packs a change up with the place where its caller waits.
pub(crate) fn change<T, F>(
    change: F,
    reply: oneshot::Sender<Result<T, StoreError>>,
) -> Box<dyn Change>
where
    T: Send + 'static,
    F: FnOnce(&mut Keys<'_>) -> Result<T, StoreError> + Send + 'static,
{
    Box::new(Waiting { change: Some(change), result: None, reply })
}

struct Waiting<T, F> {
    change: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Change for Waiting<T, F>
where
    T: Send,
    F: FnOnce(&mut Keys<'_>) -> Result<T, StoreError> + Send,
{
    fn apply(&mut self, keys: &mut Keys<'_>) -> Result<(), StoreError> {
        let Some(change) = self.change.take() else { return Ok(()) };
        match change(keys) {
            Err(error @ StoreError::Unavailable { .. }) => Err(error),
            result => {
                self.result = Some(result);
                Ok(())
            }
        }
    }

    fn answer(self: Box<Self>, committed: &Result<(), StoreError>) {
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(crate::worker::ended()),
            (Err(error), _) => Err(error.clone()),
        };
        // A caller that is gone needs no answer.
        let _ = self.reply.send(result);
    }
}

/// What the writer's thread does.
pub(crate) struct Writer {
    database: Arc<Database>,
    /// Whether each commit notes what redb would have to look for after a crash.
    quick_repair: bool,
}

impl Writer {
    /// A writer for a file that is `len` bytes long.
    pub(crate) fn new(database: Arc<Database>, len: u64) -> Self {
        Self { database, quick_repair: len >= QUICK_REPAIR_LEN_MIN }
    }

    /// Makes all changes of a batch in one transaction and answers them when it is on the disk.
    pub(crate) fn commit(&self, batch: &mut Vec<Box<dyn Change>>) {
        let committed = self.try_commit(batch);
        for change in batch.drain(..) {
            change.answer(&committed);
        }
    }

    fn try_commit(&self, batch: &mut [Box<dyn Change>]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_write().map_err(unavailable)?;
        transaction.set_quick_repair(self.quick_repair);
        let mut keys = Keys::open(&transaction).map_err(unavailable)?;
        for change in batch {
            change.apply(&mut keys)?;
        }
        drop(keys);
        // Durable before it returns, which is redb's default and what this store is for.
        transaction.commit().map_err(unavailable)
    }
}

/// How many changes one commit takes.
pub const CHANGES_PER_COMMIT_MAX: usize = 256;

/// From which length on, in bytes, commits are made slower for a quick start after a crash.
/// Without, redb reads the whole file then, a second or so for each gigabyte.
const QUICK_REPAIR_LEN_MIN: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use mtproto_store::Inserted;
    use mtproto_store::conformance::keys::permanent;
    use mtproto_store::conformance::start;
    use redb::{ReadableDatabase, ReadableTableMetadata};

    use super::*;
    use crate::keys::KEYS;

    #[test]
    fn a_batch_is_one_commit_whether_the_file_is_short_or_long() {
        for len in [0, QUICK_REPAIR_LEN_MIN] {
            let dir = tempfile::tempdir().unwrap();
            let database = Arc::new(Database::create(dir.path().join("server.redb")).unwrap());
            let (mut batch, answers): (Vec<_>, Vec<_>) = (0..3)
                .map(|n| {
                    let (reply, answer) = oneshot::channel();
                    let insert = move |keys: &mut Keys<'_>| keys.insert_new(&permanent(n), start());
                    (change(insert, reply), answer)
                })
                .unzip();
            Writer::new(Arc::clone(&database), len).commit(&mut batch);
            for answer in answers {
                assert_eq!(answer.blocking_recv(), Ok(Ok(Inserted::Created)));
            }
            let records = database.begin_read().unwrap().open_table(KEYS).unwrap();
            assert_eq!(records.len().unwrap(), 3);
        }
    }

    #[test]
    fn a_transaction_that_fails_fails_for_all_of_its_changes() {
        let dir = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::create(dir.path().join("server.redb")).unwrap());
        let broken = StoreError::Unavailable { reason: "the disk is full".to_owned() };
        let (reply, inserted) = oneshot::channel();
        let (other_reply, failed) = oneshot::channel::<Result<(), StoreError>>();
        let error = broken.clone();
        let mut batch = vec![
            change(|keys: &mut Keys<'_>| keys.insert_new(&permanent(1), start()), reply),
            change(|_: &mut Keys<'_>| Err(error), other_reply),
        ];
        Writer::new(Arc::clone(&database), 0).commit(&mut batch);
        assert_eq!(inserted.blocking_recv(), Ok(Err(broken.clone())));
        assert_eq!(failed.blocking_recv(), Ok(Err(broken)));
        assert!(database.begin_read().unwrap().open_table(KEYS).is_err());
    }
}
