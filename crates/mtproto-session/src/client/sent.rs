//! What the protocol's own messages in the packets sent last were about: a refusal names a packet
//! or a message in it, and what went over a lost link may be lost. Requests know that themselves.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use mtproto_tl::{MsgId, SessionId};

use super::output::{PingId, RequestId};
use crate::{AckQueue, IDS_MAX, LinkId};

/// The most packets that are remembered.
pub const SENT_PACKETS_MAX: usize = 4096;

/// The most acknowledged ids that are remembered. If an acknowledgement beyond it is lost, the
/// message comes again.
pub const SENT_ACKS_MAX: usize = 2 * IDS_MAX;

/// How long a packet is remembered.
pub const SENT_AGE_MAX: Duration = Duration::from_secs(600);

/// How far back what went over a lost link may not have arrived: longer than a dead link goes
/// unnoticed.
pub const LOST_AGE_MAX: Duration = Duration::from_secs(90);

/// What one message was about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Errand {
    /// `msgs_ack`, of the ids with these numbers in the log.
    Acks(Range<u64>),
    /// `destroy_auth_key`.
    DestroyAuthKey,
    /// `destroy_session`.
    DestroySession(SessionId),
    /// `rpc_drop_answer`.
    DropAnswer(MsgId),
    /// `get_future_salts`.
    FutureSalts,
    /// `http_wait`.
    HttpWait,
    /// `ping` and `ping_delay_disconnect`.
    Ping(PingId),
    /// A request.
    Request(RequestId),
    /// `msg_resend_req`.
    Resend(Vec<MsgId>),
    /// An answer of ours to the server, which will ask again.
    Reply,
    /// `msgs_state_req`.
    States(Vec<MsgId>),
}

impl Errand {
    /// Whether the server has something to say to it.
    pub(super) fn is_answered(&self) -> bool {
        !matches!(self, Self::Acks(_) | Self::HttpWait | Self::Reply)
    }
}

/// The packets sent last.
#[derive(Debug, Default)]
pub(super) struct SentLog {
    /// Ascending by id, which is that of the outermost message.
    packets: VecDeque<Packet>,
    /// The last packet before those.
    forgotten: MsgId,
    /// Ascending by id. A message gets its id after those before it and its packet the next: it
    /// stood in the first packet that is not below it.
    notes: VecDeque<Note>,
    /// The ids in the acknowledgements among the notes.
    acked: VecDeque<MsgId>,
    /// How many ids were acknowledged before those.
    acked_before: u64,
}

#[derive(Debug)]
struct Packet {
    id: MsgId,
    link: LinkId,
    sent: Instant,
    is_taken: bool,
}

#[derive(Debug)]
struct Note {
    id: MsgId,
    errand: Errand,
    is_taken: bool,
}

/// What the server refuses.
#[derive(Debug)]
pub(super) enum Refused {
    /// One of the protocol's own messages.
    Message(Errand),
    /// A packet, the next after the packet `before`, with these in it, and maybe requests.
    Packet { before: MsgId, errands: Vec<Errand> },
}

impl SentLog {
    /// Remembers what a message is about that is to leave with the next packet.
    pub(super) fn note(&mut self, id: MsgId, errand: Errand) {
        self.notes.push_back(Note { id, errand, is_taken: false });
    }

    /// Takes what is owed, for a message that is to leave with the next packet.
    pub(super) fn take_acks(&mut self, owed: &mut AckQueue) -> Range<u64> {
        let first = self.acked_before + self.acked.len() as u64;
        let count = owed.take_to(&mut self.acked);
        first..first + count as u64
    }

    /// Remembers a packet; the oldest are forgotten when there are too many.
    pub(super) fn add(&mut self, id: MsgId, link: LinkId, now: Instant) {
        self.packets.push_back(Packet { id, link, sent: now, is_taken: false });
        self.tidy(now);
    }

    /// Forgets what is too old or too much.
    pub(super) fn tidy(&mut self, now: Instant) {
        while let Some(oldest) = self.packets.front()
            && (self.packets.len() > SENT_PACKETS_MAX
                || self.acked.len() > SENT_ACKS_MAX
                || now.saturating_duration_since(oldest.sent) > SENT_AGE_MAX)
        {
            self.forgotten = oldest.id;
            self.packets.pop_front();
            while let Some(note) = self.notes.pop_front_if(|note| note.id <= self.forgotten) {
                if let Errand::Acks(ids) = note.errand {
                    self.acked.drain(..self.places(&ids).end);
                    self.acked_before = ids.end;
                }
            }
        }
    }

    /// The ids of an acknowledgement.
    pub(super) fn acked(&self, ids: &Range<u64>) -> impl ExactSizeIterator<Item = MsgId> + Clone {
        self.acked.range(self.places(ids)).copied()
    }

    /// Takes what the message `id` was about; everything in it if it was a packet. `None` if it was
    /// not sent recently, was taken before, or is a request in a container.
    pub(super) fn take(&mut self, id: MsgId) -> Option<Refused> {
        let index = self.packets.partition_point(|packet| packet.id < id);
        let packet = self.packets.get_mut(index)?;
        if packet.id != id || packet.is_taken {
            let note = self.notes.binary_search_by_key(&id, |note| note.id).ok()?;
            return self.notes.get_mut(note)?.take().map(Refused::Message);
        }
        packet.is_taken = true;
        let before = self.before(index);
        let first = self.notes.partition_point(|note| note.id <= before);
        let last = self.notes.partition_point(|note| note.id <= id);
        let errands = self.notes.range_mut(first..last).filter_map(Note::take).collect();
        Some(Refused::Packet { before, errands })
    }

    /// What went over a lost link lately, requests aside: acknowledgements, and errands that have
    /// no other way of being noticed as lost.
    pub(super) fn lost_with(&self, link: LinkId, now: Instant) -> Vec<Errand> {
        let is_lost = |note: &&Note| {
            let packet = self.packets.partition_point(|packet| packet.id < note.id);
            !note.is_taken
                && self.packets.get(packet).is_some_and(|packet| {
                    packet.link == link
                        && now.saturating_duration_since(packet.sent) <= LOST_AGE_MAX
                })
        };
        let errands = self.notes.iter().filter(is_lost).filter_map(|note| match note.errand {
            Errand::Acks(_)
            | Errand::DestroyAuthKey
            | Errand::DestroySession(_)
            | Errand::DropAnswer(_)
            | Errand::FutureSalts
            | Errand::Resend(_) => Some(note.errand.clone()),
            Errand::HttpWait
            | Errand::Ping(_)
            | Errand::Reply
            | Errand::Request(_)
            | Errand::States(_) => None,
        });
        errands.collect()
    }

    /// What the message `id` was about, if it was one of the protocol's own.
    pub(super) fn get(&self, id: MsgId) -> Option<&Errand> {
        let index = self.notes.binary_search_by_key(&id, |note| note.id).ok()?;
        self.notes.get(index).filter(|note| !note.is_taken).map(|note| &note.errand)
    }

    /// The last packet before the one that the message `id` stood in, or is.
    pub(super) fn packet_before(&self, id: MsgId) -> MsgId {
        self.before(self.packets.partition_point(|packet| packet.id < id))
    }

    /// Another session begins.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives memory back that is for more than is remembered.
    pub(super) fn rest(&mut self, now: Instant) {
        self.tidy(now);
        self.packets.shrink_to_fit();
        self.notes.shrink_to_fit();
        self.acked.shrink_to_fit();
    }

    /// The packet before the one at `index`.
    fn before(&self, index: usize) -> MsgId {
        let before = index.checked_sub(1).and_then(|index| self.packets.get(index));
        before.map_or(self.forgotten, |packet| packet.id)
    }

    /// Where the ids of an acknowledgement are.
    fn places(&self, ids: &Range<u64>) -> Range<usize> {
        let place = |number: u64| {
            let place = usize::try_from(number.saturating_sub(self.acked_before));
            place.unwrap_or(usize::MAX).min(self.acked.len())
        };
        place(ids.start)..place(ids.end)
    }
}

impl Note {
    fn take(&mut self) -> Option<Errand> {
        let is_new = !std::mem::replace(&mut self.is_taken, true);
        is_new.then(|| self.errand.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::start;

    const LINK: LinkId = LinkId(1);

    fn acknowledge(log: &mut SentLog, number: u64, ids: Range<u64>) {
        let mut owed = AckQueue::new(Duration::ZERO, 1);
        ids.for_each(|id| owed.owe(MsgId(id), start()));
        let acks = log.take_acks(&mut owed);
        log.note(MsgId(number), Errand::Acks(acks));
        log.add(MsgId(number), LINK, start());
    }

    fn acked(log: &SentLog, refused: Option<Refused>) -> Vec<u64> {
        let Some(Refused::Packet { errands, .. }) = refused else { panic!("{refused:?}") };
        let [Errand::Acks(ids)] = &errands[..] else { panic!("{errands:?}") };
        log.acked(ids).map(|id| id.0).collect()
    }

    #[test]
    fn the_last_packets_are_remembered_with_their_acknowledgements() {
        let mut log = SentLog::default();
        let count = SENT_PACKETS_MAX as u64 + 2;
        (0..count).for_each(|number| acknowledge(&mut log, 4 * number, number..number + 2));
        assert_eq!((log.packets.len(), log.notes.len()), (SENT_PACKETS_MAX, SENT_PACKETS_MAX));
        assert_eq!(log.acked.len(), 2 * SENT_PACKETS_MAX);
        assert!(log.take(MsgId(4)).is_none());
        let refused = log.take(MsgId(8));
        assert_eq!(acked(&log, refused), [2, 3]);
        assert!(log.take(MsgId(8)).is_none());
        let refused = log.take(MsgId(4 * (count - 1)));
        assert_eq!(acked(&log, refused), [count - 1, count]);
        log.rest(start() + 2 * SENT_AGE_MAX);
        assert_eq!((log.packets.capacity(), log.notes.capacity(), log.acked.capacity()), (0, 0, 0));
    }

    #[test]
    fn so_many_acknowledgements_are_remembered() {
        let mut log = SentLog::default();
        let each = IDS_MAX as u64;
        for number in 0..3 {
            acknowledge(&mut log, number, 0..each);
        }
        assert_eq!(log.acked.len(), SENT_ACKS_MAX);
        assert_eq!(log.lost_with(LINK, start()).len(), 2);
        assert_eq!(log.packet_before(MsgId(1)), MsgId(0));
    }
}
