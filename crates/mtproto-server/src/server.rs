//! A running server, and a session of it.

use std::fmt;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use mtproto_endpoint::server::SessionRef;
use mtproto_session::Misuse;
use mtproto_tl::{AuthKeyId, Encode, SessionId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::clock::now;
use crate::shard::{Shards, ToShard};
use crate::{ServerBuilder, Sessions};

/// A running server. Dropping it stops it at once; [`Server::shutdown`] lets it finish.
pub struct Server {
    addresses: Vec<SocketAddr>,
    shards: Shards,
    threads: Vec<thread::JoinHandle<()>>,
    accepting: Vec<JoinHandle<()>>,
}

impl Server {
    /// Sets up a server.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    pub(crate) fn new(
        addresses: Vec<SocketAddr>,
        shards: Shards,
        threads: Vec<thread::JoinHandle<()>>,
        accepting: Vec<JoinHandle<()>>,
    ) -> Self {
        Self { addresses, shards, threads, accepting }
    }

    /// Where it listens, in the order of the calls of `listen`.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A session by name, to push to. The name is not checked before the first push.
    #[must_use]
    pub fn session(&self, key: AuthKeyId, session: SessionId) -> SessionHandle {
        SessionHandle::new(SessionRef { key, session }, self.shards.clone())
    }

    /// Lists the sessions that clients have begun, page by page.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        Sessions::new(self.shards.clone())
    }

    /// Drains and stops: takes no new connections, reads nothing more, answers what is being worked
    /// on, writes what is queued and closes. It takes `grace` at most.
    ///
    /// Cancel-safe: dropped half-way, the server still stops within `grace`.
    pub async fn shutdown(mut self, grace: Duration) {
        info!(?grace, "draining");
        self.stop(grace).await;
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(|| {
            threads.into_iter().filter_map(|thread| thread.join().err()).count()
        });
        match joined.await {
            Ok(0) => info!("stopped"),
            panicked => warn!(?panicked, "a shard did not stop cleanly"),
        }
    }

    async fn stop(&self, grace: Duration) {
        self.accepting.iter().for_each(JoinHandle::abort);
        let until = now() + grace;
        let (busy, mut all_idle) = mpsc::channel(1);
        self.shards.broadcast(|| ToShard::Drain(until, busy.clone())).await;
        drop(busy);
        // A shard may have a connection whose answer another one is working on, so none closes
        // before all are idle.
        let _ = tokio::time::timeout_at(until.into(), all_idle.recv()).await;
        self.shards.broadcast(|| ToShard::Close).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.iter().for_each(JoinHandle::abort);
        self.shards.stop_now();
    }
}

/// Why an object was not pushed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The session is not known here: its client has not sent anything yet, or it was forgotten.
    #[error("the session is not known")]
    NoSession,
    /// The session does not take the object; for one, its queue may be full.
    #[error("{0}")]
    Refused(Misuse),
    /// The server has stopped.
    #[error("the server has stopped")]
    Stopped,
}

impl From<mtproto_endpoint::server::PushError> for PushError {
    fn from(error: mtproto_endpoint::server::PushError) -> Self {
        match error {
            mtproto_endpoint::server::PushError::NoSession => Self::NoSession,
            mtproto_endpoint::server::PushError::Refused(misuse) => Self::Refused(misuse),
        }
    }
}

/// A session of a client, which may or may not be connected at the moment.
#[derive(Clone)]
pub struct SessionHandle {
    name: SessionRef,
    shards: Shards,
}

impl SessionHandle {
    pub(crate) fn new(name: SessionRef, shards: Shards) -> Self {
        Self { name, shards }
    }

    pub(crate) fn name(&self) -> SessionRef {
        self.name
    }

    /// The auth key that its messages are encrypted with.
    #[must_use]
    pub fn key(&self) -> AuthKeyId {
        self.name.key
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.name.session
    }

    /// Sends `object` to the client. It waits in the session's queue until the client has
    /// acknowledged it, through reconnects too, for 10 minutes at most.
    ///
    /// Cancel-safe: dropped before it is done, the object may or may not be sent.
    ///
    /// # Errors
    /// When the session is gone or its queue is full, or the server has stopped.
    pub async fn push(&self, object: &impl Encode) -> Result<(), PushError> {
        self.push_bytes(object.to_bytes()).await
    }

    /// As [`SessionHandle::push`], for one boxed object that is serialized already.
    ///
    /// # Errors
    /// The same.
    pub async fn push_bytes(&self, object: Bytes) -> Result<(), PushError> {
        self.shards.push(self.name, object).await
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionHandle({}/{})", self.name.key, self.name.session)
    }
}
