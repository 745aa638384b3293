//! The forgetful half: who owns a session, where it stood, and what waits for its client.
//!
//! A session has one owner. Its token, random and compared for equality, is the fence: a write with
//! any other token changes nothing, however late it comes. A store may forget a session at any
//! time; its client is then told of a new one.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mtproto_tl::{AuthKeyId, MsgId, ServerTime, SessionId};

use crate::{NodeRef, StoreError};

/// Where a server keeps its sessions.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Makes `me` the owner if the session is new, free, mine, or owned under the token
    /// `steal_from`, whose node the caller has seen dead. Otherwise names the owner.
    ///
    /// # Errors
    /// If the store is full or does not answer.
    async fn attach(
        &self,
        session: SessionRef,
        me: NodeRef,
        steal_from: Option<Token>,
        now: ServerTime,
    ) -> Result<Attach, StoreError>;

    /// Stores where the session stands, and with [`Lease::Release`] gives it up.
    ///
    /// # Errors
    /// If `snapshot` is longer than [`SNAPSHOT_LEN_MAX`] or the store does not answer.
    async fn checkpoint(
        &self,
        session: SessionRef,
        token: Token,
        snapshot: Bytes,
        lease: Lease,
        now: ServerTime,
    ) -> Result<Fenced, StoreError>;

    /// Queues a message for the client. What no longer fits `limits` is forgotten, oldest first.
    ///
    /// # Errors
    /// If `body` alone is over `limits` or the store does not answer.
    async fn push(
        &self,
        session: SessionRef,
        by: Producer,
        body: Bytes,
        limits: QueueLimits,
        now: ServerTime,
    ) -> Result<Pushed, StoreError>;

    /// Up to `max` queued messages with ids above `after`, oldest first. They stay queued.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn drain(
        &self,
        session: SessionRef,
        after: MsgId,
        max: usize,
        now: ServerTime,
    ) -> Result<Vec<Queued>, StoreError>;

    /// Takes acknowledged messages out of the queue. Unknown ids are passed over.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn ack(
        &self,
        session: SessionRef,
        token: Token,
        ids: &[MsgId],
    ) -> Result<Fenced, StoreError>;

    /// Asks whether a request may be run, and notes that it runs (exactly-once mode only).
    ///
    /// # Errors
    /// If [`REQUESTS_MAX`] requests of the session are remembered or the store does not answer.
    async fn accept(
        &self,
        session: SessionRef,
        token: Token,
        request: MsgId,
        now: ServerTime,
    ) -> Result<Accept, StoreError>;

    /// Stores the result of an accepted request and queues it for the client, both or neither.
    ///
    /// # Errors
    /// If `result` alone is over `limits` or the store does not answer.
    async fn complete(
        &self,
        session: SessionRef,
        token: Token,
        request: MsgId,
        result: Bytes,
        limits: QueueLimits,
        now: ServerTime,
    ) -> Result<Pushed, StoreError>;

    /// Removes the session, its queue and its requests. Its owner finds itself fenced.
    ///
    /// # Errors
    /// If the store does not answer.
    async fn forget(&self, session: SessionRef) -> Result<(), StoreError>;
}

/// Names a session: the client's number, unique only together with the key.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionRef {
    /// The auth key that it belongs to.
    pub key: AuthKeyId,
    /// The number that the client drew.
    pub session: SessionId,
}

/// Shows that its holder owns a session. Random, not counted: an engine that falls back to an older
/// state can hand out a number twice, but not the same 64 random bits.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Token(pub u64);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What became of an attempt to own a session.
#[must_use]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attach {
    /// The caller owns it.
    Mine {
        /// To be shown with every write.
        token: Token,
        /// Where the session stood; `None` if it is new.
        snapshot: Option<Bytes>,
        /// How many messages wait for the client.
        queued: usize,
    },
    /// Another node owns it, and the caller forwards to it.
    Owner {
        /// Which node.
        node: NodeRef,
        /// Its token, to take the session over with once the node is seen dead.
        token: Token,
    },
}

/// What a checkpoint does to the ownership.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lease {
    /// The owner goes on.
    Keep,
    /// The session is free for any node.
    Release,
}

/// Whether a write passed the fence.
#[must_use]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fenced {
    /// The token was the owner's: it is done.
    Passed,
    /// It was not, or the session is gone: nothing changed, and the caller drops the session.
    Stale,
}

/// Who queues a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Producer {
    /// The owner, which gives its messages their ids. The same id again changes nothing.
    Owner {
        /// The owner's token.
        token: Token,
        /// The id of the message.
        msg_id: MsgId,
    },
    /// Any other node; the store makes the id.
    Other,
}

/// What became of a message to be queued.
#[must_use]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pushed {
    /// It waits in the queue.
    Stored {
        /// Its id.
        msg_id: MsgId,
        /// Whom to wake; `None` if nobody owns the session now.
        owner: Option<NodeRef>,
        /// How many older messages were forgotten to make room.
        forgotten: usize,
    },
    /// The token was stale: nothing changed.
    Fenced,
    /// There is no such session.
    NoSession,
}

/// A message that waits for the client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Queued {
    /// Its id.
    pub msg_id: MsgId,
    /// Its body, one boxed object.
    pub body: Bytes,
}

/// What is known of a request.
#[must_use]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Accept {
    /// Nothing: run it.
    New,
    /// It runs under this very token.
    InProgress,
    /// It was run, with this result.
    Done(Bytes),
    /// It was started by an owner that is gone, or its result is: it must not be run again.
    Unknown,
    /// The token was stale: nothing changed.
    Fenced,
}

/// How much a session's queue holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueLimits {
    /// How many messages.
    pub messages_max: usize,
    /// How many bytes of bodies together.
    pub bytes_max: usize,
    /// How long a message waits before it is forgotten.
    pub life_max: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            messages_max: QUEUE_MESSAGES_MAX,
            bytes_max: QUEUE_BYTES_MAX,
            life_max: QUEUE_LIFE_MAX,
        }
    }
}

/// How many messages a queue holds by default.
pub const QUEUE_MESSAGES_MAX: usize = 1000;

/// How many bytes a queue holds by default.
pub const QUEUE_BYTES_MAX: usize = 4 << 20;

/// How long a message waits by default.
pub const QUEUE_LIFE_MAX: Duration = Duration::from_secs(600);

/// How long a request and its result are remembered.
pub const REQUEST_LIFE_MAX: Duration = Duration::from_secs(600);

/// How many requests of one session are remembered.
pub const REQUESTS_MAX: usize = 1024;

/// How long a session without an attach or a checkpoint is remembered.
pub const SESSION_IDLE_MAX: Duration = Duration::from_secs(24 * 3600);

/// The longest snapshot, in bytes.
pub const SNAPSHOT_LEN_MAX: usize = 64 << 10;
