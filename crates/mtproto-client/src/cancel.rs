//! How a dropped future tells the actor that nobody waits any more.
//!
//! `Drop` can neither wait nor fail, so a cancellation takes no place in a bounded channel: the ids
//! stand in a list, which holds at most one for every call under way.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Names a call of one client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct CallId(pub(crate) u64);

/// The calls whose futures were dropped and which the actor has not looked at yet.
#[derive(Debug, Default)]
pub(crate) struct Cancellations {
    ids: Mutex<Vec<CallId>>,
    added: Notify,
}

impl Cancellations {
    /// Waits for some and takes them.
    ///
    /// Cancel-safe: what is not returned stays for the next call.
    pub(crate) async fn take(&self) -> Vec<CallId> {
        loop {
            let added = self.added.notified();
            let ids = std::mem::take(&mut *self.ids.lock().unwrap_or_else(PoisonError::into_inner));
            if !ids.is_empty() {
                return ids;
            }
            added.await;
        }
    }

    fn add(&self, id: CallId) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        self.added.notify_one();
    }
}

/// Cancels a call when it is dropped, unless the call has ended.
#[derive(Debug)]
pub(crate) struct CancelOnDrop {
    id: CallId,
    list: Option<Arc<Cancellations>>,
}

impl CancelOnDrop {
    /// Watches over the call.
    pub(crate) fn new(id: CallId, list: Arc<Cancellations>) -> Self {
        Self { id, list: Some(list) }
    }

    /// The call has ended.
    pub(crate) fn disarm(mut self) {
        self.list = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(list) = self.list.take() {
            list.add(self.id);
        }
    }
}
