//! The auth keys that this shard has seen in use, their sessions, and what time does to both.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::{Duration, Instant};

use mtproto_crypto::AuthKey;
use mtproto_session::{LinkId, SaltSchedule, ServerSession};
use mtproto_store::{KeyKind, KeyRecord};
use mtproto_tl::{AuthKeyId, ServerTime, SessionId};
use smallvec::SmallVec;

use super::timers::Timers;
use super::{IdMap, RequestRef, SessionRef, Usage};

/// Sessions of one shard, and with them keys: one that has no session is not kept. A further one
/// takes the place of the one that was without a link for longest; while all have links it gets
/// -429.
pub const SESSIONS_MAX: usize = 1 << 20;

/// Sessions of one key. A further one takes the place of the one that was without a link for
/// longest; while all have links it gets -429.
pub const SESSIONS_PER_KEY_MAX: usize = 64;

/// How long a session without a link is remembered.
pub const SESSION_IDLE: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Keys {
    /// Boxed: the map has much room.
    known: IdMap<AuthKeyId, Box<Key>>,
    /// All sessions, in the order in which they are listed.
    names: BTreeSet<SessionRef>,
    /// When temporary keys end.
    expiries: Timers<AuthKeyId>,
    /// When sessions want to be asked again.
    timers: Timers<SessionRef>,
    /// When sessions without a link are forgotten, the one that has none for longest first.
    idle: Timers<SessionRef>,
    /// Since when sessions have something queued.
    queues: Timers<SessionRef>,
    /// What all sessions have queued, in bytes.
    queued_bytes: usize,
    sessions_max: usize,
}

/// A key in use.
pub(super) struct Key {
    pub(super) record: KeyRecord,
    pub(super) salts: SaltSchedule,
    /// The query that the store binds this key for. None if another was bound in its place
    /// meanwhile.
    pub(super) binding: Option<RequestRef>,
    /// The store destroys it, or the key it is bound to.
    pub(super) is_being_destroyed: bool,
    expires: Option<Instant>,
    /// Ascending. Most keys have one.
    sessions: SmallVec<[(SessionId, Box<Session>); 1]>,
}

/// A session, and what the endpoint notes beside it.
pub(super) struct Session {
    pub(super) machine: ServerSession,
    /// Every link that showed it, ascending. The machine itself attaches only those that showed
    /// something new. Most sessions have one.
    pub(super) links: SmallVec<[LinkId; 1]>,
    /// It stands in the queue of those that may have something to say.
    pub(super) is_ready: bool,
    /// When it was made.
    pub(super) created: ServerTime,
    /// When a packet of it came last.
    pub(super) last_packet: ServerTime,
    timer: Option<Instant>,
    idle_until: Option<Instant>,
    queued_since: Option<Instant>,
    queued_bytes: usize,
}

impl Key {
    /// The permanent key that it speaks for; none if it is temporary and not bound.
    // req: S113
    pub(super) fn identity(&self) -> Option<AuthKeyId> {
        match self.record.kind {
            KeyKind::Permanent => Some(self.record.id()),
            KeyKind::Temporary { bound_to, .. } => bound_to,
        }
    }

    fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(self.find(id).ok()?).map(|(_, session)| &**session)
    }

    fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        let index = self.find(id).ok()?;
        self.sessions.get_mut(index).map(|(_, session)| &mut **session)
    }

    /// Where the session stands, or would.
    fn find(&self, id: SessionId) -> Result<usize, usize> {
        self.sessions.binary_search_by_key(&id, |(id, _)| *id)
    }
}

impl Session {
    /// `link` has shown it; returns whether it had not before.
    pub(super) fn join(&mut self, link: LinkId) -> bool {
        let place = self.links.binary_search(&link);
        place.map_err(|place| self.links.insert(place, link)).is_err()
    }

    /// Whether `link` has shown it.
    pub(super) fn carries(&self, link: LinkId) -> bool {
        self.links.binary_search(&link).is_ok()
    }

    /// `link` does not carry it any more.
    pub(super) fn leave(&mut self, link: LinkId) {
        if let Ok(place) = self.links.binary_search(&link) {
            self.links.remove(place);
        }
    }

    /// Nothing was accepted and nobody is there: what showed it was refused, perhaps recorded and
    /// sent again by somebody else.
    pub(super) fn is_unused(&self) -> bool {
        !self.machine.is_established() && !self.machine.has_link()
    }
}

impl Keys {
    /// Remembers at most `sessions_max` sessions.
    pub(super) fn new(sessions_max: usize) -> Self {
        Self {
            known: IdMap::default(),
            names: BTreeSet::new(),
            expiries: Timers::default(),
            timers: Timers::default(),
            idle: Timers::default(),
            queues: Timers::default(),
            queued_bytes: 0,
            sessions_max,
        }
    }

    /// A key that the store has; `expires` if it is temporary.
    pub(super) fn insert(
        &mut self,
        record: KeyRecord,
        salts: SaltSchedule,
        expires: Option<Instant>,
    ) {
        let id = record.id();
        debug_assert!(!self.known.contains_key(&id), "only unknown keys are looked for");
        let (binding, is_being_destroyed, sessions) = (None, false, SmallVec::new());
        let mut key = Key { record, salts, binding, is_being_destroyed, expires: None, sessions };
        self.expiries.set(id, &mut key.expires, expires);
        self.known.insert(id, Box::new(key));
    }

    pub(super) fn get(&self, id: AuthKeyId) -> Option<&Key> {
        self.known.get(&id).map(AsRef::as_ref)
    }

    pub(super) fn get_mut(&mut self, id: AuthKeyId) -> Option<&mut Key> {
        self.known.get_mut(&id).map(AsMut::as_mut)
    }

    /// Forgets a key that has no session. The store still has it.
    pub(super) fn remove_unused(&mut self, id: AuthKeyId) {
        if self.get(id).is_some_and(|key| key.sessions.is_empty())
            && let Some(mut key) = self.known.remove(&id)
        {
            self.expiries.set(id, &mut key.expires, None);
        }
    }

    pub(super) fn sessions_of(&self, id: AuthKeyId) -> Vec<SessionRef> {
        let sessions = self.get(id).into_iter().flat_map(|key| &key.sessions);
        sessions.map(|(session, _)| SessionRef { key: id, session: *session }).collect()
    }

    pub(super) fn session_mut(&mut self, name: SessionRef) -> Option<&mut Session> {
        self.get_mut(name.key)?.session_mut(name.session)
    }

    /// A session, and the key that its messages are sealed with.
    pub(super) fn key_and_session(&mut self, name: SessionRef) -> Option<(&AuthKey, &mut Session)> {
        let key = self.known.get_mut(&name.key)?.as_mut();
        let index = key.find(name.session).ok()?;
        let (_, session) = key.sessions.get_mut(index)?;
        Some((&key.record.key, session))
    }

    /// The session that must go before the key can have another; none while there is room.
    pub(super) fn must_leave(&self, id: AuthKeyId) -> Result<Option<SessionRef>, NoRoom> {
        let key = self.get(id).ok_or(NoRoom)?;
        if key.sessions.len() >= SESSIONS_PER_KEY_MAX {
            let sessions = key.sessions.iter();
            let idle = sessions.filter_map(|(id, session)| Some((session.idle_until?, *id)));
            let (_, session) = idle.min().ok_or(NoRoom)?;
            return Ok(Some(SessionRef { key: id, session }));
        }
        if self.session_count() >= self.sessions_max {
            return self.idle.first().ok_or(NoRoom).map(Some);
        }
        Ok(None)
    }

    /// Adds a session that is not known, of a key that is.
    pub(super) fn add_session(
        &mut self,
        name: SessionRef,
        machine: ServerSession,
        time: ServerTime,
    ) {
        let Some(key) = self.known.get_mut(&name.key) else { return };
        let Err(place) = key.find(name.session) else { return };
        let (links, is_ready) = (SmallVec::new(), false);
        let session = Session {
            machine,
            links,
            is_ready,
            created: time,
            last_packet: time,
            timer: None,
            idle_until: None,
            queued_since: None,
            queued_bytes: 0,
        };
        key.sessions.insert(place, (name.session, Box::new(session)));
        self.names.insert(name);
    }

    /// Forgets a session.
    pub(super) fn remove_session(&mut self, name: SessionRef) -> Option<Session> {
        let key = self.get_mut(name.key)?;
        let place = key.find(name.session).ok()?;
        let (_, mut session) = key.sessions.remove(place);
        self.timers.set(name, &mut session.timer, None);
        self.idle.set(name, &mut session.idle_until, None);
        self.queues.set(name, &mut session.queued_since, None);
        self.queued_bytes -= session.queued_bytes;
        self.names.remove(&name);
        Some(*session)
    }

    /// The session has nothing to say before `timer`. While it has no link, it is not kept for
    /// ever. Returns whether it is unused.
    pub(super) fn rest(&mut self, name: SessionRef, timer: Option<Instant>, now: Instant) -> bool {
        let key = self.known.get_mut(&name.key);
        let Some(session) = key.and_then(|key| key.session_mut(name.session)) else { return false };
        session.is_ready = false;
        self.timers.set(name, &mut session.timer, timer);
        let idle_until = match session.machine.has_link() {
            true => None,
            false => Some(session.idle_until.unwrap_or(now + SESSION_IDLE)),
        };
        self.idle.set(name, &mut session.idle_until, idle_until);
        note_queue(name, session, &mut self.queues, &mut self.queued_bytes);
        session.is_unused()
    }

    /// Forgets the oldest message of all queues while they have more than `bytes_max` together;
    /// returns how many bytes that freed.
    // req: S100
    pub(super) fn shed(&mut self, bytes_max: usize, now: Instant) -> usize {
        let before = self.queued_bytes;
        while self.queued_bytes > bytes_max
            && let Some(name) = self.queues.first()
            && let Some(key) = self.known.get_mut(&name.key)
            && let Some(session) = key.session_mut(name.session)
        {
            // The least that can be shed is a message.
            session.machine.shed(1, now);
            note_queue(name, session, &mut self.queues, &mut self.queued_bytes);
        }
        before - self.queued_bytes
    }

    /// Takes a session whose timer has gone off.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<SessionRef> {
        let name = self.timers.due(now)?;
        let session = self.known.get_mut(&name.key)?.session_mut(name.session)?;
        self.timers.set(name, &mut session.timer, None);
        Some(name)
    }

    /// A session that was without a link for too long.
    pub(super) fn overdue_session(&self, now: Instant) -> Option<SessionRef> {
        self.idle.due(now)
    }

    /// A temporary key whose time is over.
    pub(super) fn expired(&self, now: Instant) -> Option<AuthKeyId> {
        self.expiries.due(now)
    }

    /// When time does something next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let moments = [self.timers.next(), self.idle.next(), self.expiries.next()];
        moments.into_iter().flatten().min()
    }

    pub(super) fn session_count(&self) -> usize {
        self.names.len()
    }

    /// Sessions that come after `after` by name, with their keys, in that order.
    pub(super) fn sessions_after(
        &self,
        after: Option<SessionRef>,
    ) -> impl Iterator<Item = (SessionRef, &Key, &Session)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.names.range((from, Bound::Unbounded)).filter_map(|name| {
            let key = self.get(name.key)?;
            Some((*name, key, key.session(name.session)?))
        })
    }

    /// Adds what is held here.
    pub(super) fn usage(&self, mut usage: Usage) -> Usage {
        usage.keys += self.known.len();
        usage.sessions += self.session_count();
        for (_, session) in self.known.values().flat_map(|key| &key.sessions) {
            usage.running_requests += session.machine.running_requests();
            usage.queued_messages += session.machine.queued_messages();
            usage.queued_bytes += session.machine.queued_bytes();
        }
        usage
    }
}

/// Counts what a session has queued now.
fn note_queue(
    name: SessionRef,
    session: &mut Session,
    queues: &mut Timers<SessionRef>,
    queued_bytes: &mut usize,
) {
    let bytes = session.machine.queued_bytes();
    *queued_bytes = *queued_bytes + bytes - session.queued_bytes;
    session.queued_bytes = bytes;
    queues.set(name, &mut session.queued_since, session.machine.oldest_queued());
}

#[cfg(test)]
impl Keys {
    /// Checks at rest that what is noted twice is noted alike, and that nothing stays for nothing.
    pub(super) fn assert_sound(&self) {
        let sessions = || self.known.values().flat_map(|key| &key.sessions).map(|(_, it)| &**it);
        let count_of = |noted: fn(&Session) -> bool| sessions().filter(|it| noted(it)).count();
        assert_eq!(self.session_count(), sessions().count(), "sessions");
        assert_eq!(self.timers.len(), count_of(|it| it.timer.is_some()), "timers");
        assert_eq!(self.idle.len(), count_of(|it| it.idle_until.is_some()), "idle sessions");
        assert_eq!(self.queues.len(), count_of(|it| it.queued_bytes > 0), "queues");
        let queued: usize = sessions().map(|session| session.machine.queued_bytes()).sum();
        assert_eq!(self.queued_bytes, queued, "queued bytes");
        let temporary = self.known.values().filter(|key| key.expires.is_some()).count();
        assert_eq!(self.expiries.len(), temporary, "temporary keys");
        assert_eq!(count_of(|it| it.is_ready || it.is_unused()), 0, "sessions at rest");
        assert!(self.known.values().all(|key| !key.sessions.is_empty()), "unused keys");
    }

    /// The links that each session notes.
    pub(super) fn carried(&self) -> BTreeSet<(LinkId, SessionRef)> {
        let mut carried = BTreeSet::new();
        for (id, key) in &self.known {
            for (session, state) in &key.sessions {
                let name = SessionRef { key: *id, session: *session };
                carried.extend(state.links.iter().map(|link| (*link, name)));
            }
        }
        carried
    }
}

/// Every session that could make room has a link, or the key is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NoRoom;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a session takes that is idle, in bytes, beside its entry in the tables.
    const SESSION_LEN_MAX: usize = 520;

    #[test]
    fn an_idle_session_is_small() {
        assert!(size_of::<Session>() <= SESSION_LEN_MAX, "{} bytes", size_of::<Session>());
    }
}
