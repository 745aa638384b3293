//! How a request to the store is carried out. Not part of the machine: whoever drives it awaits
//! this.

use mtproto_session::Ticket;
use mtproto_store::{Bound, Inserted, KeyRecord, KeyStore, StoreError};
use mtproto_tl::functions::auth::BindTempAuthKey;
use mtproto_tl::{AuthKeyId, ServerTime};

use super::exchanges::ExchangeRef;
use super::loads::LoadRef;
use super::output::{RequestRef, SessionRef};

/// A request to the store, and what is needed to go on when its outcome is there.
#[derive(Clone, Debug)]
pub struct StoreRequest {
    /// What to do.
    pub action: StoreAction,
    /// The server time at which it was asked.
    pub now: ServerTime,
}

/// What a store is asked to do.
#[derive(Clone, Debug)]
pub enum StoreAction {
    /// Bind a temporary key to a permanent one.
    Bind {
        /// The temporary key.
        temporary: AuthKeyId,
        /// The permanent key.
        permanent: AuthKeyId,
        /// The query to answer.
        request: RequestRef,
    },
    /// Find the permanent key that a temporary one is to be bound to.
    Find(Box<BindingRequest>),
    /// Keep a new key.
    Insert {
        /// The exchange that made it.
        exchange: ExchangeRef,
        /// The key.
        record: Box<KeyRecord>,
    },
    /// Find a key.
    Load(LoadRef),
    /// Forget a key and every temporary key bound to it.
    Remove {
        /// The key.
        key: AuthKeyId,
        /// The session that asked for it.
        session: SessionRef,
        /// Its message.
        ticket: Ticket,
    },
}

/// A temporary key that wants to be bound.
#[derive(Clone, Debug)]
pub struct BindingRequest {
    /// The query to answer.
    pub request: RequestRef,
    /// What it says.
    pub query: BindTempAuthKey,
}

/// What became of a [`StoreRequest`].
#[derive(Clone, Debug)]
pub enum StoreOutcome {
    /// Of `Bind`.
    Bound {
        /// The temporary key.
        temporary: AuthKeyId,
        /// The permanent key.
        permanent: AuthKeyId,
        /// The query to answer.
        request: RequestRef,
        /// How it went.
        result: Result<Bound, StoreError>,
    },
    /// Of `Find`.
    Found {
        /// What it is for.
        binding: Box<BindingRequest>,
        /// How it went.
        result: Result<Option<Box<KeyRecord>>, StoreError>,
    },
    /// Of `Insert`.
    Inserted {
        /// The exchange that made the key.
        exchange: ExchangeRef,
        /// How it went.
        result: Result<Inserted, StoreError>,
    },
    /// Of `Load`.
    Loaded {
        /// What was asked.
        load: LoadRef,
        /// How it went.
        result: Result<Option<Box<KeyRecord>>, StoreError>,
    },
    /// Of `Remove`.
    Removed {
        /// The session that asked for it.
        session: SessionRef,
        /// Its message.
        ticket: Ticket,
        /// How it went: every key that is gone.
        result: Result<Vec<AuthKeyId>, StoreError>,
    },
}

impl StoreRequest {
    /// Asks `store`.
    ///
    /// Cancel-safe in that nothing of the machine changes before the outcome is given to it;
    /// whether the store has acted is then not known.
    pub async fn carry_out(self, store: &dyn KeyStore) -> StoreOutcome {
        let now = self.now;
        match self.action {
            StoreAction::Bind { temporary, permanent, request } => {
                let result = store.bind(temporary, permanent, now).await;
                StoreOutcome::Bound { temporary, permanent, request, result }
            }
            StoreAction::Find(binding) => {
                let found = store.get(binding.query.perm_auth_key_id, now).await;
                let result = found.map(|record| record.map(Box::new));
                StoreOutcome::Found { binding, result }
            }
            StoreAction::Insert { exchange, record } => {
                let result = store.insert_new(&record, now).await;
                StoreOutcome::Inserted { exchange, result }
            }
            StoreAction::Load(load) => {
                let result = store.get(load.key, now).await.map(|record| record.map(Box::new));
                StoreOutcome::Loaded { load, result }
            }
            StoreAction::Remove { key, session, ticket } => {
                let result = store.remove(key).await;
                StoreOutcome::Removed { session, ticket, result }
            }
        }
    }
}
