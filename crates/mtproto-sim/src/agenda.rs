//! What will happen, and when.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

use bytes::Bytes;
use mtproto_endpoint::{client, server};
use mtproto_store::DcRecord;

use crate::faults::Fault;
use crate::net::{LinkNo, Way};

/// Something that will happen.
pub(crate) enum Event {
    /// A handler is done. `life` is the server's: a server that was restarted knows nothing of it.
    Answer { life: u32, request: server::RequestRef, answer: Bytes },
    /// Bytes of a link reach its other end.
    Arrive(LinkNo, Way),
    /// A job of a client is done.
    ClientComputed { client: usize, life: u32, done: Box<client::JobDone> },
    /// A dial of a client comes to its end.
    Dialed { client: usize, life: u32, link: client::LinkId, works: bool },
    /// Something goes wrong.
    Fault(Fault),
    /// The invariants are looked at.
    Inspect,
    /// Whoever replayed a recording over a link of his own leaves.
    Leave(LinkNo),
    /// A client's record is stored, or is not.
    Saved { client: usize, life: u32, record: Option<Box<DcRecord>>, stored: bool },
    /// A job of a shard is done.
    ServerComputed { life: u32, shard: usize, done: Box<server::Computed> },
    /// The server's store has answered.
    Stored { life: u32, shard: usize, outcome: Box<server::StoreOutcome> },
    /// The moment that a client waits for.
    WakeClient(usize),
    /// The moment that a shard waits for.
    WakeShard(usize),
    /// A client's application does something.
    Work(usize),
}

/// Events in the order in which they happen; what is to happen at the same moment, in the order in
/// which it was put there.
#[derive(Default)]
pub(crate) struct Agenda {
    entries: BinaryHeap<Entry>,
    added: u64,
}

impl Agenda {
    pub(crate) fn add(&mut self, at: Instant, event: Event) {
        self.added += 1;
        self.entries.push(Entry { at, number: self.added, event });
    }

    /// When the next event happens.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.entries.peek().map(|entry| entry.at)
    }

    /// Takes the next event if it happens by `now`.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Event> {
        let is_due = self.next().is_some_and(|at| at <= now);
        if is_due { self.entries.pop().map(|entry| entry.event) } else { None }
    }
}

struct Entry {
    at: Instant,
    number: u64,
    event: Event,
}

impl Ord for Entry {
    /// The heap gives its greatest first, so the earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
