//! What we owe the peer acknowledgements for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mtproto_tl::{Constructor, Encode, MsgId, VECTOR_ID, types};

/// The most ids in one `msgs_ack`, and in the other lists of ids.
// req: S13, S47
pub const IDS_MAX: usize = 8192;

/// The most ids that wait to be acknowledged. Beyond it the oldest is forgotten: its message comes
/// again and is acknowledged then.
pub const ACK_QUEUE_MAX: usize = 2 * IDS_MAX;

/// Ids we owe the peer an acknowledgement for, oldest first.
#[derive(Debug)]
pub struct AckQueue {
    owed: VecDeque<MsgId>,
    due: Option<Instant>,
    /// There is a queue in each session of a server, so the two are no longer than they must be.
    delay_ms: u32,
    batch: u32,
}

impl AckQueue {
    /// A queue whose ids leave alone after `delay`, in whole milliseconds, or at once when there
    /// are `batch` of them.
    #[must_use]
    pub fn new(delay: Duration, batch: usize) -> Self {
        let delay_ms = u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        let batch = u32::try_from(batch).unwrap_or(u32::MAX);
        Self { owed: VecDeque::new(), due: None, delay_ms, batch }
    }

    /// Records that `id` must be acknowledged within the delay.
    pub fn owe(&mut self, id: MsgId, now: Instant) {
        self.push(id);
        let is_full = self.owed.len() >= self.batch as usize;
        // Time does not run back, so the first to be owed is the first to be due.
        self.due = match self.due {
            Some(due) if !is_full => Some(due),
            Some(due) => Some(due.min(now)),
            None if is_full => Some(now),
            None => Some(now + Duration::from_millis(self.delay_ms.into())),
        };
    }

    /// Records that `id` must be acknowledged with the next drain: the peer asks by repeating
    /// itself.
    pub fn owe_at_once(&mut self, id: MsgId, now: Instant) {
        if !self.owed.contains(&id) {
            self.push(id);
        }
        self.due = Some(now);
    }

    /// Lets what is owed leave with the next drain.
    pub fn hurry(&mut self, now: Instant) {
        if !self.owed.is_empty() {
            self.due = Some(now);
        }
    }

    /// Takes `id` off the list: something else has acknowledged it.
    pub fn settle(&mut self, id: MsgId) {
        // Answers come about in the order of their queries, so this looks at few.
        if let Some(index) = self.owed.iter().position(|owed| *owed == id) {
            self.owed.remove(index);
        }
        self.rest_if_empty();
    }

    /// Takes up to [`IDS_MAX`] ids for a packet about to leave.
    // req: S13, S47
    pub fn take(&mut self) -> Vec<MsgId> {
        let taken = self.owed.drain(..self.owed.len().min(IDS_MAX)).collect();
        self.rest_if_empty();
        taken
    }

    /// As [`AckQueue::take`], to the end of `taken`; the queue keeps its memory. Returns how many.
    // req: S13, S47
    pub(crate) fn take_to(&mut self, taken: &mut VecDeque<MsgId>) -> usize {
        if self.owed.len() > IDS_MAX {
            taken.extend(self.owed.drain(..IDS_MAX));
            return IDS_MAX;
        }
        let (count, (first, second)) = (self.owed.len(), self.owed.as_slices());
        taken.extend(first);
        taken.extend(second);
        self.owed.clear();
        self.due = None;
        count
    }

    /// Bytes that the body of the next `msgs_ack` takes.
    #[must_use]
    pub fn next_len(&self) -> usize {
        12 + 8 * self.owed.len().min(IDS_MAX)
    }

    /// When the most pressing id must be on the wire.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Whether nothing is owed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// Gives the memory back that is for more than is owed.
    pub(crate) fn rest(&mut self) {
        self.owed.shrink_to_fit();
    }

    /// Forgets everything: the session that it was about is no more.
    pub fn clear(&mut self) {
        self.owed = VecDeque::new();
        self.due = None;
    }

    /// A queue that owes nothing holds no memory: most sessions are idle.
    fn rest_if_empty(&mut self) {
        if self.owed.is_empty() {
            self.clear();
        }
    }

    fn push(&mut self, id: MsgId) {
        if self.owed.len() >= ACK_QUEUE_MAX {
            self.owed.pop_front();
        }
        self.owed.push_back(id);
    }
}

/// A `msgs_ack` of ids that stand elsewhere.
pub(crate) struct AckIds<I>(pub(crate) I);

impl<I: ExactSizeIterator<Item = MsgId> + Clone> Encode for AckIds<I> {
    fn encode(&self, out: &mut Vec<u8>) {
        let ids = self.0.clone();
        let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        for word in [types::MsgsAck::ID, VECTOR_ID, count] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        let first = out.len();
        out.resize(first + 8 * ids.len(), 0);
        let (places, _) = out.split_at_mut(first).1.as_chunks_mut();
        places.iter_mut().zip(ids).for_each(|(place, id)| *place = id.0.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::start;

    const DELAY: Duration = Duration::from_secs(10);

    fn queue() -> AckQueue {
        AckQueue::new(DELAY, 3)
    }

    #[test]
    fn an_id_leaves_after_the_delay_or_with_a_full_batch() {
        let (mut acks, now) = (queue(), start());
        acks.owe(MsgId(1), now);
        acks.owe(MsgId(5), now + DELAY / 2);
        assert_eq!(acks.deadline(), Some(now + DELAY));
        acks.owe(MsgId(9), now + DELAY / 2);
        assert_eq!(acks.deadline(), Some(now + DELAY / 2));
        assert_eq!(acks.take(), [MsgId(1), MsgId(5), MsgId(9)]);
        assert_eq!((acks.deadline(), acks.is_empty()), (None, true));
    }

    #[test]
    fn what_was_acknowledged_otherwise_is_not_owed() {
        let (mut acks, now) = (queue(), start());
        acks.owe(MsgId(4), now);
        acks.settle(MsgId(8));
        assert_eq!(acks.deadline(), Some(now + DELAY));
        acks.settle(MsgId(4));
        assert_eq!((acks.take(), acks.deadline()), (vec![], None));
    }

    // req: S13, S47
    #[test]
    fn a_list_ends_at_its_limit_and_the_queue_at_its_own() {
        let (mut acks, now) = (queue(), start());
        for id in 0..=ACK_QUEUE_MAX as u64 {
            acks.owe(MsgId(id), now);
        }
        assert_eq!(acks.take().first(), Some(&MsgId(1)));
        assert_eq!(acks.deadline(), Some(now));
        assert_eq!(acks.take().len(), IDS_MAX);
        assert!(acks.is_empty());
    }
}
