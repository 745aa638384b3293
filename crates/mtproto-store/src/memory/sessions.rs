//! Sessions in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use mtproto_crypto::SecureRandom;
use mtproto_tl::{Author, MsgId, ServerTime};

use super::queue::Queue;
use super::requests::Requests;
use crate::{
    Accept, Attach, Fenced, Lease, NodeRef, Producer, Pushed, QueueLimits, Queued,
    SESSION_IDLE_MAX, SNAPSHOT_LEN_MAX, SessionRef, SessionStore, StoreError, Token,
};

/// A [`SessionStore`] for one process, or for several nodes simulated in one.
pub struct MemorySessionStore {
    inner: Mutex<Inner>,
}

impl MemorySessionStore {
    /// An empty store. `random` makes its tokens.
    #[must_use]
    pub fn new(random: Box<dyn SecureRandom>) -> Self {
        Self { inner: Mutex::new(Inner { random, sessions: BTreeMap::new() }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemorySessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sessions = self.inner().sessions.len();
        f.debug_struct("MemorySessionStore").field("sessions", &sessions).finish()
    }
}

#[async_trait]
impl SessionStore for MemorySessionStore {
    async fn attach(
        &self,
        session: SessionRef,
        me: NodeRef,
        steal_from: Option<Token>,
        now: ServerTime,
    ) -> Result<Attach, StoreError> {
        self.inner().attach(session, me, steal_from, now)
    }

    async fn checkpoint(
        &self,
        session: SessionRef,
        token: Token,
        snapshot: Bytes,
        lease: Lease,
        now: ServerTime,
    ) -> Result<Fenced, StoreError> {
        StoreError::check_len("session snapshot", snapshot.len(), SNAPSHOT_LEN_MAX)?;
        Ok(match self.inner().owned(session, token) {
            None => Fenced::Stale,
            Some(session) => {
                session.checkpoint(snapshot, lease, now);
                Fenced::Passed
            }
        })
    }

    async fn push(
        &self,
        session: SessionRef,
        by: Producer,
        body: Bytes,
        limits: QueueLimits,
        now: ServerTime,
    ) -> Result<Pushed, StoreError> {
        let mut inner = self.inner();
        let Some(session) = inner.sessions.get_mut(&session) else { return Ok(Pushed::NoSession) };
        match by {
            Producer::Owner { token, .. } if !session.is_owned_under(token) => Ok(Pushed::Fenced),
            Producer::Owner { msg_id, .. } => session.push(msg_id, body, limits, now),
            Producer::Other => {
                let msg_id = session.free_id(Author::ServerNotice, now);
                session.push(msg_id, body, limits, now)
            }
        }
    }

    async fn drain(
        &self,
        session: SessionRef,
        after: MsgId,
        max: usize,
        now: ServerTime,
    ) -> Result<Vec<Queued>, StoreError> {
        let inner = self.inner();
        let session = inner.sessions.get(&session);
        Ok(session.map_or_else(Vec::new, |session| session.queue.above(after, max, now)))
    }

    async fn ack(
        &self,
        session: SessionRef,
        token: Token,
        ids: &[MsgId],
    ) -> Result<Fenced, StoreError> {
        Ok(match self.inner().owned(session, token) {
            None => Fenced::Stale,
            Some(session) => {
                session.queue.ack(ids);
                Fenced::Passed
            }
        })
    }

    async fn accept(
        &self,
        session: SessionRef,
        token: Token,
        request: MsgId,
        now: ServerTime,
    ) -> Result<Accept, StoreError> {
        match self.inner().owned(session, token) {
            None => Ok(Accept::Fenced),
            Some(session) => session.requests.accept(request, token, now),
        }
    }

    async fn complete(
        &self,
        session: SessionRef,
        token: Token,
        request: MsgId,
        result: Bytes,
        limits: QueueLimits,
        now: ServerTime,
    ) -> Result<Pushed, StoreError> {
        let mut inner = self.inner();
        let Some(session) = inner.sessions.get_mut(&session) else { return Ok(Pushed::NoSession) };
        if !session.is_owned_under(token) {
            return Ok(Pushed::Fenced);
        }
        let msg_id = session.free_id(Author::ServerReply, now);
        let pushed = session.push(msg_id, result.clone(), limits, now)?;
        session.requests.complete(request, result, now);
        Ok(pushed)
    }

    async fn forget(&self, session: SessionRef) -> Result<(), StoreError> {
        self.inner().sessions.remove(&session);
        Ok(())
    }
}

struct Inner {
    random: Box<dyn SecureRandom>,
    sessions: BTreeMap<SessionRef, Session>,
}

impl Inner {
    fn attach(
        &mut self,
        id: SessionRef,
        me: NodeRef,
        steal_from: Option<Token>,
        now: ServerTime,
    ) -> Result<Attach, StoreError> {
        if self.sessions.get(&id).is_some_and(|session| session.idle_until <= now) {
            self.sessions.remove(&id);
        }
        if !self.sessions.contains_key(&id) {
            self.make_room(now)?;
        }
        let token = Token(self.random.u64());
        let session = self.sessions.entry(id).or_insert_with(|| Session::new(now));
        Ok(match session.owner {
            Some(owner) if owner.node != me && Some(owner.token) != steal_from => {
                Attach::Owner { node: owner.node, token: owner.token }
            }
            Some(_) | None => {
                session.owner = Some(Owner { node: me, token });
                session.idle_until = now.after(SESSION_IDLE_MAX);
                let queued = session.queue.len(now);
                Attach::Mine { token, snapshot: session.snapshot.clone(), queued }
            }
        })
    }

    fn owned(&mut self, id: SessionRef, token: Token) -> Option<&mut Session> {
        self.sessions.get_mut(&id).filter(|session| session.is_owned_under(token))
    }

    /// Makes room for one more session: forgets idle ones, then the free one that is idle longest.
    fn make_room(&mut self, now: ServerTime) -> Result<(), StoreError> {
        if self.sessions.len() < SESSIONS_MAX {
            return Ok(());
        }
        self.sessions.retain(|_, session| session.idle_until > now);
        if self.sessions.len() < SESSIONS_MAX {
            return Ok(());
        }
        let free = self.sessions.iter().filter(|(_, session)| session.owner.is_none());
        let longest_idle = free.min_by_key(|(_, session)| session.idle_until).map(|(id, _)| *id);
        let id = longest_idle.ok_or(StoreError::Full { what: "sessions", max: SESSIONS_MAX })?;
        self.sessions.remove(&id);
        Ok(())
    }
}

struct Session {
    owner: Option<Owner>,
    snapshot: Option<Bytes>,
    idle_until: ServerTime,
    last_id: MsgId,
    queue: Queue,
    requests: Requests,
}

#[derive(Clone, Copy)]
struct Owner {
    node: NodeRef,
    token: Token,
}

impl Session {
    fn new(now: ServerTime) -> Self {
        Self {
            owner: None,
            snapshot: None,
            idle_until: now.after(SESSION_IDLE_MAX),
            last_id: MsgId::default(),
            queue: Queue::default(),
            requests: Requests::default(),
        }
    }

    fn is_owned_under(&self, token: Token) -> bool {
        self.owner.is_some_and(|owner| owner.token == token)
    }

    fn checkpoint(&mut self, snapshot: Bytes, lease: Lease, now: ServerTime) {
        self.snapshot = Some(snapshot);
        self.idle_until = now.after(SESSION_IDLE_MAX);
        match lease {
            Lease::Keep => {}
            Lease::Release => self.owner = None,
        }
    }

    /// The id for a message made now by anybody but the owner: above every id seen here.
    fn free_id(&self, author: Author, now: ServerTime) -> MsgId {
        MsgId::at(now, author).max(self.last_id.next(author))
    }

    fn push(
        &mut self,
        msg_id: MsgId,
        body: Bytes,
        limits: QueueLimits,
        now: ServerTime,
    ) -> Result<Pushed, StoreError> {
        let forgotten = self.queue.push(msg_id, body, limits, now)?;
        self.last_id = self.last_id.max(msg_id);
        Ok(Pushed::Stored { msg_id, owner: self.owner.map(|owner| owner.node), forgotten })
    }
}

/// How many sessions the memory holds.
pub const SESSIONS_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mtproto_crypto::SeededRandom;
    use mtproto_tl::{AuthKeyId, SessionId};

    use super::*;
    use crate::NodeId;

    crate::session_store_suite!(async || {
        let random = Box::new(SeededRandom::new(1));
        (std::sync::Arc::new(MemorySessionStore::new(random)), ())
    });

    #[test]
    fn when_full_the_free_session_idle_longest_is_forgotten() {
        let now = ServerTime::from_unix(Duration::from_secs(1_700_000_000));
        let me = NodeRef { id: NodeId(1), incarnation: 1 };
        let id = |n: usize| SessionRef { key: AuthKeyId(1), session: SessionId(n as u64) };
        let random = Box::new(SeededRandom::new(1));
        let mut inner = Inner { random, sessions: BTreeMap::new() };
        for n in 0..SESSIONS_MAX {
            assert!(matches!(inner.attach(id(n), me, None, now), Ok(Attach::Mine { .. })));
        }
        let full = Err(StoreError::Full { what: "sessions", max: SESSIONS_MAX });
        assert_eq!(inner.attach(id(SESSIONS_MAX), me, None, now), full);
        for n in [5, 6] {
            let later = now.after(Duration::from_secs(n as u64));
            let session = inner.sessions.get_mut(&id(n)).unwrap();
            session.checkpoint(Bytes::new(), Lease::Release, later);
        }
        assert!(matches!(inner.attach(id(SESSIONS_MAX), me, None, now), Ok(Attach::Mine { .. })));
        assert!(!inner.sessions.contains_key(&id(5)));
        assert!(inner.sessions.contains_key(&id(6)));
    }
}
