//! What has been received: duplicates, the low-water id, and what the state bytes say.

use std::collections::VecDeque;
use std::fmt;
use std::ops::BitOr;

use mtproto_tl::{MsgId, Seqno};

use crate::BadMsg;

/// One byte of `msgs_state_info`.
// req: S17
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct MsgState(pub u8);

impl MsgState {
    /// Nothing is known: the id is so low that it may have been forgotten.
    pub const UNKNOWN: Self = Self(1);
    /// Not received, though ids below and above it were.
    pub const NOT_RECEIVED: Self = Self(2);
    /// Not received; the id is above all that were.
    pub const TOO_HIGH: Self = Self(3);
    /// Received. Saying so acknowledges it.
    pub const RECEIVED: Self = Self(4);
    /// Already acknowledged.
    pub const ACKED: Self = Self(8);
    /// Needs no acknowledgement.
    pub const NO_ACK: Self = Self(16);
    /// The query in it is being carried out, or is done.
    pub const QUERY: Self = Self(32);
    /// The content-related answer has been generated.
    pub const ANSWERED: Self = Self(64);
    /// The other side is known to know that it was received.
    pub const KNOWN: Self = Self(128);

    /// Whether all the bits of `flag`, one of those from `ACKED` on, are set.
    #[must_use]
    pub fn has(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }

    /// Whether the message was received.
    #[must_use]
    pub fn is_received(self) -> bool {
        self.0 & 7 == Self::RECEIVED.0
    }
}

impl BitOr for MsgState {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for MsgState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MsgState({:#04x})", self.0)
    }
}

/// How an id relates to those received before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// Not received before.
    New,
    /// Received before.
    Duplicate(MsgState),
    /// So low that it may have been received and forgotten.
    TooOld,
}

/// The ids received last, with what became of each.
// req: S97, S98
#[derive(Debug)]
pub struct Inbox {
    /// Ascending.
    seen: VecDeque<Seen>,
    /// Nothing is known of ids up to here.
    floor: MsgId,
    ids_max: usize,
}

#[derive(Debug)]
struct Seen {
    id: MsgId,
    seqno: Seqno,
    state: MsgState,
}

impl Inbox {
    /// An empty window over the last `ids_max` ids.
    #[must_use]
    pub fn new(ids_max: usize) -> Self {
        Self { seen: VecDeque::new(), floor: MsgId::default(), ids_max }
    }

    /// Whether `id` was received before, as far as that is known.
    #[must_use]
    pub fn arrival(&self, id: MsgId) -> Arrival {
        match self.find(id) {
            Ok(seen) => Arrival::Duplicate(seen.state),
            Err(_) if id <= self.floor => Arrival::TooOld,
            Err(_) => Arrival::New,
        }
    }

    /// Remembers a message that was accepted. The lowest id makes room when the window is full.
    pub fn insert(&mut self, id: MsgId, seqno: Seqno, state: MsgState) {
        let arrival = self.receive(id, seqno, state);
        debug_assert_eq!(arrival, Arrival::New);
    }

    /// How `id` relates to those received before; a new one is remembered as by
    /// [`insert`](Self::insert).
    pub fn receive(&mut self, id: MsgId, seqno: Seqno, state: MsgState) -> Arrival {
        let index = match self.find(id) {
            Ok(seen) => return Arrival::Duplicate(seen.state),
            Err(_) if id <= self.floor => return Arrival::TooOld,
            Err(index) => index,
        };
        let seen = Seen { id, seqno, state: state | MsgState::RECEIVED };
        if index == self.seen.len() {
            self.seen.push_back(seen);
        } else {
            self.seen.insert(index, seen);
        }
        if self.seen.len() > self.ids_max
            && let Some(lowest) = self.seen.pop_front()
        {
            self.floor = lowest.id;
        }
        Arrival::New
    }

    /// Before the window needs more memory: forgets what is below `id`, is no query and needs no
    /// acknowledgement. A session that only listens leaves such ids behind with every long poll;
    /// the caller refuses them, so low, for their time.
    pub fn tidy(&mut self, id: MsgId) {
        if self.seen.len() == self.seen.capacity() {
            let is_query = |seen: &Seen| seen.state.has(MsgState::QUERY);
            let matters = |seen: &Seen| is_query(seen) || !seen.state.has(MsgState::NO_ACK);
            self.seen.retain(|seen| seen.id >= id || matters(seen));
        }
    }

    /// Adds a flag to what is known of `id`; nothing if it was never received, or forgotten.
    pub fn mark(&mut self, id: MsgId, flag: MsgState) {
        if let Some(seen) = self.find_mut(id)
            && seen.state.is_received()
        {
            seen.state = seen.state | flag;
        }
    }

    /// As [`Inbox::mark`] for each of `ids`, which follow each other about as they were received.
    pub(crate) fn mark_all(&mut self, ids: impl Iterator<Item = MsgId>, flag: MsgState) {
        let mut ids = ids.peekable();
        while let Some(first) = ids.peek() {
            let Ok(index) = self.seen.binary_search_by_key(first, |seen| seen.id) else {
                ids.next();
                continue;
            };
            for seen in self.seen.range_mut(index..) {
                if ids.next_if_eq(&seen.id).is_none() {
                    break;
                }
                if seen.state.is_received() {
                    seen.state = seen.state | flag;
                }
            }
        }
    }

    /// Says from now on that nothing is known of `id`: its answer is lost, so it is no use to know
    /// that it was received. It is still a duplicate when it comes again.
    pub fn forget(&mut self, id: MsgId) {
        if let Some(seen) = self.find_mut(id) {
            seen.state = MsgState::UNKNOWN;
        }
    }

    /// What `msgs_state_info` says of `id`.
    // req: S16, S17
    #[must_use]
    pub fn state(&self, id: MsgId) -> MsgState {
        match self.find(id) {
            Ok(seen) => seen.state,
            Err(_) if id <= self.floor => MsgState::UNKNOWN,
            Err(index) if index == self.seen.len() => MsgState::TOO_HIGH,
            Err(_) => MsgState::NOT_RECEIVED,
        }
    }

    /// Whether the seqno of a new message contradicts its neighbours: they must grow with the ids.
    #[must_use]
    pub fn seqno_fault(&self, id: MsgId, seqno: Seqno) -> Option<BadMsg> {
        let above = self.find(id).err()?;
        let equal_is_bad = seqno.is_content_related();
        let lower = above.checked_sub(1).and_then(|below| self.seen.get(below));
        if lower.is_some_and(|lower| lower.seqno > seqno || equal_is_bad && lower.seqno == seqno) {
            return Some(BadMsg::SeqnoTooLow);
        }
        let higher = self.seen.get(above);
        if higher.is_some_and(|high| high.seqno < seqno || equal_is_bad && high.seqno == seqno) {
            return Some(BadMsg::SeqnoTooHigh);
        }
        None
    }

    /// Forgets everything: another session begins.
    pub fn clear(&mut self) {
        *self = Self::new(self.ids_max);
    }

    /// The message, or where it would stand.
    fn find(&self, id: MsgId) -> Result<&Seen, usize> {
        // Nearly every id is the highest so far.
        match self.seen.back() {
            Some(last) if last.id < id => return Err(self.seen.len()),
            Some(_) => (),
            None => return Err(0),
        }
        let index = self.seen.binary_search_by_key(&id, |seen| seen.id)?;
        self.seen.get(index).ok_or(index)
    }

    fn find_mut(&mut self, id: MsgId) -> Option<&mut Seen> {
        let index = self.seen.binary_search_by_key(&id, |seen| seen.id).ok()?;
        self.seen.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A long poll and an acknowledgement every so often, for ever.
    #[test]
    fn what_only_listens_is_forgotten_and_queries_are_not() {
        let mut inbox = Inbox::new(2048);
        let query = MsgId(4);
        inbox.insert(query, Seqno(1), MsgState::QUERY);
        inbox.insert(MsgId(8), Seqno(3), MsgState(0));
        for id in (3..4000).map(|number| MsgId(4 * number)) {
            inbox.tidy(MsgId(id.0.saturating_sub(4 * 20)));
            inbox.insert(id, Seqno(2), MsgState::NO_ACK);
            let recent = MsgId(id.0.saturating_sub(4 * 10)).max(MsgId(12));
            assert!(matches!(inbox.arrival(recent), Arrival::Duplicate(_)), "{recent}");
        }
        assert!(inbox.seen.capacity() <= 64, "{}", inbox.seen.capacity());
        assert!(inbox.state(query).has(MsgState::QUERY));
        assert!(inbox.state(MsgId(8)).is_received());
        assert_eq!(inbox.arrival(MsgId(12)), Arrival::New);
    }
}
