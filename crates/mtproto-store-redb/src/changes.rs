//! Group commit: everything that waits becomes one transaction, then all are answered.

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

/// Makes all changes of a batch in one transaction and answers them when it is on the disk.
pub(crate) fn commit(database: &Database, batch: &mut Vec<Box<dyn Change>>) {
    let committed = try_commit(database, batch);
    for change in batch.drain(..) {
        change.answer(&committed);
    }
}

fn try_commit(database: &Database, batch: &mut [Box<dyn Change>]) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(unavailable)?;
    let mut keys = Keys::open(&transaction).map_err(unavailable)?;
    for change in batch {
        change.apply(&mut keys)?;
    }
    drop(keys);
    // Durable before it returns, which is redb's default and what this store is for.
    transaction.commit().map_err(unavailable)
}

/// How many changes one commit takes.
pub const CHANGES_PER_COMMIT_MAX: usize = 256;
