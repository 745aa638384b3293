//! What sessions a server has, for whoever looks after it.

use std::fmt;

pub use mtproto_endpoint::server::SESSIONS_PAGE_MAX;
use mtproto_endpoint::server::SessionRef;
use mtproto_tl::{AuthKeyId, ServerTime};
use mtproto_transport::Peer;

use crate::SessionHandle;
use crate::shard::Shards;

/// A session that a client has begun, as it was when its page was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its name, and the way to push to it.
    pub session: SessionHandle,
    /// The permanent key on whose behalf it speaks: its own, or the one its temporary key is bound
    /// to. `None` while a temporary key is not bound.
    pub identity: Option<AuthKeyId>,
    /// Who is at the other end of each connection that carries it, and by which transport; oldest
    /// first. Answers go to the last. None: the client is away, and may come back.
    pub peers: Vec<Peer>,
    /// Queries that are being carried out.
    pub running_requests: usize,
    /// Messages that wait to be acknowledged.
    pub queued_messages: usize,
    /// Bytes of these.
    pub queued_bytes: usize,
    /// When its first packet came.
    pub created: ServerTime,
    /// When its last packet came.
    pub last_active: ServerTime,
}

impl SessionInfo {
    pub(crate) fn new(
        session: SessionHandle,
        peers: Vec<Peer>,
        info: &mtproto_endpoint::server::SessionInfo,
    ) -> Self {
        Self {
            session,
            identity: info.identity,
            peers,
            running_requests: info.running_requests,
            queued_messages: info.queued_messages,
            queued_bytes: info.queued_bytes,
            created: info.created,
            last_active: info.last_active,
        }
    }
}

/// Lists sessions, shard by shard and page by page, so that no shard is held up by it. Between two
/// pages sessions may come and go; one that stays is told of once.
///
/// ```no_run
/// # async fn run(server: mtproto_server::Server) {
/// let mut sessions = server.sessions();
/// while let Some(page) = sessions.next_page().await {
///     for info in page {
///         println!("{:?} queued={} {:?}", info.session, info.queued_messages, info.peers);
///     }
/// }
/// # }
/// ```
pub struct Sessions {
    shards: Shards,
    /// The shard that the next page is of.
    shard: usize,
    /// The last session of it that was told of.
    last: Option<SessionRef>,
}

impl Sessions {
    pub(crate) fn new(shards: Shards) -> Self {
        Self { shards, shard: 0, last: None }
    }

    /// The next sessions, [`SESSIONS_PAGE_MAX`] at most and one at least; `None` when all are told
    /// of, or the server has stopped.
    ///
    /// Cancel-safe: a page that was not given is given by the next call.
    pub async fn next_page(&mut self) -> Option<Vec<SessionInfo>> {
        while self.shard < self.shards.len() {
            let page = self.shards.list(self.shard, self.last).await;
            if let Some(last) = page.last() {
                self.last = Some(last.session.name());
                return Some(page);
            }
            (self.shard, self.last) = (self.shard + 1, None);
        }
        None
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("shard", &self.shard).finish_non_exhaustive()
    }
}
