//! Every request that has no outcome yet. A request outlives links, sessions and keys: whichever
//! session is current is given what the last one left unanswered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use mtproto_session::client::{REQUEST_BYTES_MAX, REQUEST_LEN_MAX, REQUESTS_MAX};
use mtproto_session::{RequestId as SessionRequestId, RequestOptions as SessionRequestOptions};

use super::service;
use super::{Misuse, RequestId, RequestOptions};

/// Requests without an outcome.
#[derive(Debug, Default)]
pub(super) struct Calls {
    last: u64,
    entries: BTreeMap<RequestId, Call>,
    bytes: usize,
    /// Those that no session has, oldest first.
    waiting: VecDeque<RequestId>,
    /// Those that the current session has, by the name it gave them.
    handed: BTreeMap<SessionRequestId, RequestId>,
    deadlines: BTreeSet<(Instant, RequestId)>,
}

#[derive(Debug)]
struct Call {
    object: Bytes,
    options: RequestOptions,
    handed_as: Option<SessionRequestId>,
}

impl Calls {
    /// Accepts a request.
    pub(super) fn add(
        &mut self,
        object: Bytes,
        options: RequestOptions,
    ) -> Result<RequestId, Misuse> {
        check_object(&object)?;
        if !self.has_room(object.len()) {
            return Err(Misuse::TooManyRequests);
        }
        self.last += 1;
        let id = RequestId(self.last);
        self.bytes += object.len();
        self.deadlines.extend(options.deadline.map(|deadline| (deadline, id)));
        self.entries.insert(id, Call { object, options, handed_as: None });
        self.waiting.push_back(id);
        Ok(id)
    }

    /// Whether a request of `len` bytes would be accepted.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.entries.len() < REQUESTS_MAX && self.bytes + len <= REQUEST_BYTES_MAX
    }

    /// The oldest request that no session has.
    pub(super) fn first_waiting(&self) -> Option<(RequestId, Bytes, SessionRequestOptions)> {
        let id = *self.waiting.front()?;
        let call = self.entries.get(&id)?;
        let options = SessionRequestOptions { quick_ack: call.options.quick_ack };
        Some((id, call.object.clone(), options))
    }

    /// Records that the current session took that request under its own name.
    pub(super) fn hand_over(&mut self, id: RequestId, handed_as: SessionRequestId) {
        if let Some(call) = self.entries.get_mut(&id) {
            call.handed_as = Some(handed_as);
            self.handed.insert(handed_as, id);
        }
        if self.waiting.front() == Some(&id) {
            self.waiting.pop_front();
        }
    }

    /// Whether a session has a request that it has not answered.
    pub(super) fn any_handed_over(&self) -> bool {
        !self.handed.is_empty()
    }

    /// Records that there is no session any more: what it left unanswered waits for the next one,
    /// in the order in which it was asked for.
    pub(super) fn take_back(&mut self) {
        self.handed.clear();
        for call in self.entries.values_mut() {
            call.handed_as = None;
        }
        self.waiting = self.entries.keys().copied().collect();
    }

    /// The request that the session calls `handed_as`.
    pub(super) fn find(&self, handed_as: SessionRequestId) -> Option<RequestId> {
        self.handed.get(&handed_as).copied()
    }

    /// Ends the request that the session calls `handed_as`; `None` if it has had its outcome.
    pub(super) fn finish(&mut self, handed_as: SessionRequestId) -> Option<RequestId> {
        let id = *self.handed.get(&handed_as)?;
        self.remove(id)?;
        Some(id)
    }

    /// Ends the request without an outcome. The inner option is the session's name for it.
    pub(super) fn remove(&mut self, id: RequestId) -> Option<Option<SessionRequestId>> {
        let call = self.entries.remove(&id)?;
        self.bytes -= call.object.len();
        if let Some(deadline) = call.options.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        match call.handed_as {
            Some(handed_as) => {
                self.handed.remove(&handed_as);
            }
            None => self.waiting.retain(|waiting| *waiting != id),
        }
        Some(call.handed_as)
    }

    /// A request whose deadline has passed.
    pub(super) fn overdue(&self, now: Instant) -> Option<RequestId> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, id)| *id)
    }

    /// Any request at all, oldest first.
    pub(super) fn first(&self) -> Option<RequestId> {
        self.entries.keys().next().copied()
    }

    /// The earliest deadline of a request.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// How many requests have no outcome.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// A TL object is whole words, at least its constructor number.
fn check_object(object: &Bytes) -> Result<(), Misuse> {
    let len = object.len();
    if len > REQUEST_LEN_MAX {
        return Err(Misuse::TooLarge { len });
    }
    if len < 4 || !len.is_multiple_of(4) {
        return Err(Misuse::NotAnObject { len });
    }
    match service::name(mtproto_pack::object_id(object)) {
        Some(name) => Err(Misuse::NotAQuery { name }),
        None => Ok(()),
    }
}
