//! What a server session has to say and keeps until it is acknowledged.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mtproto_pack::Message;
use mtproto_tl::MsgId;

use super::rpc::DETAILED_LEN_MIN;
use crate::LinkId;

/// The most messages that wait for acknowledgement.
// req: S99
pub const OUTBOX_MESSAGES_MAX: usize = 1000;

/// The most bytes that wait for acknowledgement.
// req: S99
pub const OUTBOX_BYTES_MAX: usize = 4 << 20;

/// How long a message waits before it is forgotten.
// req: S99
pub const OUTBOX_AGE_MAX: Duration = Duration::from_secs(600);

/// How often a message is sent unasked, once for each link that comes or goes. From then on the
/// client is asked whether it has it: one that never acknowledges what came inside a container
/// costs no more, and one that says that it does not have it gets it still.
// req: L8
pub const SENDS_MAX: u8 = 30;

/// How often a long message is sent whole unasked. From then on it is only described, to be asked
/// for.
// req: S19
pub const WHOLE_SENDS_MAX: u8 = 3;

/// Content-related messages, oldest first, from the moment they exist until they are acknowledged.
// req: S94
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Ascending by id, and so by age.
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Those that wait to be written to a link.
    ready: VecDeque<MsgId>,
}

/// A message in the queue.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) message: Message,
    /// The query that it answers.
    pub(super) answers: Option<MsgId>,
    pub(super) queued: Instant,
    /// The link it goes or went to; `None` leaves that to the moment of sending.
    pub(super) link: Option<LinkId>,
    is_ready: bool,
    pub(super) sends: u8,
}

/// Messages that are not sent again unasked, though nobody has acknowledged them.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// To be described.
    pub(super) described: Vec<MsgId>,
    /// To be asked about.
    pub(super) doubtful: Vec<MsgId>,
}

impl Outbox {
    /// Queues a message with the highest id so far.
    pub(super) fn push(&mut self, message: Message, answers: Option<MsgId>, now: Instant) {
        debug_assert!(self.entries.back().is_none_or(|last| last.message.id < message.id));
        self.bytes += message.body.len();
        self.ready.push_back(message.id);
        let entry = Entry { message, answers, queued: now, link: None, is_ready: true, sends: 0 };
        if self.entries.capacity() == 0 {
            // Many sessions have one message that waits for a while, and no more.
            self.entries.reserve_exact(1);
        }
        self.entries.push_back(entry);
    }

    /// Whether a message of `len` bytes fits.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.entries.len() < OUTBOX_MESSAGES_MAX && self.bytes + len <= OUTBOX_BYTES_MAX
    }

    /// Whether a message of `len` bytes can fit at all.
    pub(super) fn can_hold(len: usize) -> bool {
        len <= OUTBOX_BYTES_MAX
    }

    /// Forgets the oldest message that was sent and is only waiting to be acknowledged.
    pub(super) fn forget_sent(&mut self) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| !entry.is_ready)?;
        self.remove_at(index)
    }

    /// Forgets the oldest message.
    pub(super) fn forget_oldest(&mut self) -> Option<Entry> {
        self.remove_at(0)
    }

    /// Forgets the oldest message if it has waited too long.
    pub(super) fn forget_expired(&mut self, now: Instant) -> Option<Entry> {
        if self.expiry()? <= now { self.forget_oldest() } else { None }
    }

    /// When the oldest message will have waited too long.
    pub(super) fn expiry(&self) -> Option<Instant> {
        self.oldest().map(|queued| queued + OUTBOX_AGE_MAX)
    }

    /// When the oldest message was queued.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.entries.front().map(|oldest| oldest.queued)
    }

    /// Takes a message out: it was acknowledged, or its answer is not wanted.
    pub(super) fn remove(&mut self, id: MsgId) -> Option<Entry> {
        let index = self.find(id)?;
        self.remove_at(index)
    }

    pub(super) fn get(&self, id: MsgId) -> Option<&Entry> {
        self.entries.get(self.find(id)?)
    }

    /// Sends a message again, over `link`, because the client asked.
    pub(super) fn send_again(&mut self, id: MsgId, link: LinkId) {
        if let Some(entry) = self.find(id).and_then(|index| self.entries.get_mut(index)) {
            entry.link = Some(link);
            if !entry.is_ready {
                entry.is_ready = true;
                self.ready.push_front(id);
            }
        }
    }

    /// Sends everything again that no link is known to have delivered: a new link is there. Returns
    /// what is not sent.
    // req: S5
    pub(super) fn link_attached(&mut self) -> Unsent {
        self.make_ready(|_| true)
    }

    /// Sends again what went to `link`, which is lost. Returns what is not sent.
    pub(super) fn link_detached(&mut self, link: LinkId) -> Unsent {
        let unsent = self.make_ready(|entry| entry.link == Some(link));
        for entry in &mut self.entries {
            entry.link = entry.link.filter(|used| *used != link);
        }
        unsent
    }

    /// Lets the newest message, which is ready, go to `link` while that takes it.
    pub(super) fn claim_newest(&mut self, link: LinkId) {
        if let Some(entry) = self.entries.back_mut() {
            entry.link = Some(link);
        }
    }

    /// The messages that wait to be written to a link, in their order.
    pub(super) fn ready(&self) -> impl Iterator<Item = &Entry> {
        self.ready.iter().filter_map(|id| self.get(*id))
    }

    /// Takes the first message that is ready and `chosen`, if it satisfies `fits`, as sent over
    /// `link`. The flag tells whether it was sent before.
    pub(super) fn send_next(
        &mut self,
        link: LinkId,
        chosen: impl Fn(&Entry) -> bool,
        fits: impl FnOnce(&Message) -> bool,
    ) -> Option<(&Message, bool)> {
        let next = self.ready().position(chosen)?;
        let index = self.find(*self.ready.get(next)?)?;
        let entry = self.entries.get_mut(index)?;
        if !fits(&entry.message) {
            return None;
        }
        self.ready.remove(next);
        if self.ready.is_empty() {
            // With its memory, too.
            self.ready = VecDeque::new();
        }
        let sent_before = entry.sends > 0;
        entry.is_ready = false;
        entry.link = Some(link);
        entry.sends = entry.sends.saturating_add(1);
        Some((&entry.message, sent_before))
    }

    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn make_ready(&mut self, chosen: impl Fn(&Entry) -> bool) -> Unsent {
        let mut unsent = Unsent::default();
        let waiting = self.entries.iter_mut().filter(|entry| !entry.is_ready);
        for entry in waiting.filter(|entry| chosen(entry)) {
            let is_long = entry.message.body.len() >= DETAILED_LEN_MIN;
            if entry.sends >= SENDS_MAX {
                unsent.doubtful.push(entry.message.id);
            } else if entry.sends >= WHOLE_SENDS_MAX && is_long {
                entry.sends += 1;
                unsent.described.push(entry.message.id);
            } else {
                entry.is_ready = true;
                entry.link = None;
            }
        }
        let ready = self.entries.iter().filter(|entry| entry.is_ready);
        self.ready = ready.map(|entry| entry.message.id).collect();
        unsent
    }

    fn find(&self, id: MsgId) -> Option<usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.message.id).ok()
    }

    fn remove_at(&mut self, index: usize) -> Option<Entry> {
        let entry = self.entries.remove(index)?;
        self.bytes -= entry.message.body.len();
        if entry.is_ready {
            self.ready.retain(|id| *id != entry.message.id);
        }
        if self.entries.is_empty() {
            // With its memory: a session has nothing in it for most of its life.
            *self = Self::default();
        }
        Some(entry)
    }
}
