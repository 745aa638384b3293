//! Requests from the moment the caller makes them until their one outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_pack::Message;
use mtproto_tl::{MsgId, Seqno, SessionId};

use super::output::{RequestId, RequestOptions};
use crate::LinkId;

/// The most requests without an outcome.
pub const REQUESTS_MAX: usize = 8192;

/// The most bytes of requests without an outcome.
pub const REQUEST_BYTES_MAX: usize = 64 << 20;

/// The most bytes of one request.
pub const REQUEST_LEN_MAX: usize = 1 << 20;

/// The most requests that the server has not answered yet; further ones wait for their turn.
pub const IN_FLIGHT_MAX: usize = 1024;

/// How often a request is refused and sent again before its link is given up, so that a server
/// which refuses everything is asked at the pace of redialing.
pub const REFUSALS_MAX: u8 = 8;

/// The longest request, in bytes, that is repeated after a link was lost without asking first
/// whether the server has it.
pub const REPEAT_LEN_MAX: usize = 8 << 10;

/// How many of the ids that a request was sent under are remembered.
pub const REQUEST_MSG_IDS_MAX: usize = 16;

/// How long a request is unanswered before the server is asked for its state, and how long until it
/// is asked again.
pub const STATE_ASK_DELAY: Duration = Duration::from_secs(10);
/// See [`STATE_ASK_DELAY`].
pub const STATE_ASK_INTERVAL: Duration = Duration::from_secs(60);

/// Makes the body of a request that depends on its own message id, as key binding does. It is
/// called again whenever the request gets another id.
pub type MakeBody = Box<dyn FnMut(MsgId, SessionId) -> Bytes + Send>;

/// What a request consists of.
pub(super) enum Body {
    Object(Bytes),
    /// The maker, and what it made last.
    Made(MakeBody, Bytes),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.current().len())
    }
}

impl Body {
    fn current(&self) -> &Bytes {
        match self {
            Self::Object(object) | Self::Made(_, object) => object,
        }
    }

    fn make(&mut self, id: MsgId, session_id: SessionId) -> Bytes {
        if let Self::Made(maker, made) = self {
            *made = maker(id, session_id);
        }
        self.current().clone()
    }
}

/// All requests without an outcome.
///
/// An id is kept as long as it can be: a server that has the message drops what comes again under
/// it, whatever overtook what on the way. Another id is for a server that will never take the
/// message, or cannot tell any more whether it has it.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u64,
    entries: BTreeMap<RequestId, Entry>,
    bytes: usize,
    /// To be sent under a new id, in the order in which they were made.
    waiting: BTreeSet<RequestId>,
    /// To be sent again under the same id, inside a container.
    repeats: BTreeSet<RequestId>,
    /// Every id that a request was sent under: the answer may be to any of them.
    by_msg: BTreeMap<MsgId, RequestId>,
    /// When to ask for the state of what is unanswered.
    checks: BTreeSet<(Instant, RequestId)>,
}

#[derive(Debug)]
struct Entry {
    body: Body,
    options: RequestOptions,
    len: usize,
    msg_ids: Vec<MsgId>,
    sent: Option<Sent>,
    refusals: u8,
    alone: bool,
}

/// How a request was sent last.
#[derive(Debug)]
struct Sent {
    id: MsgId,
    seqno: Seqno,
    /// The packet it stood in.
    packet: MsgId,
    link: LinkId,
    /// The server may have it from an earlier packet, or may yet take that packet: only under the
    /// same id is it the same message.
    keeps_id: bool,
    acked: bool,
    check_at: Instant,
}

impl Requests {
    /// Whether a request of `len` bytes may be added.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.entries.len() < REQUESTS_MAX && self.bytes + len <= REQUEST_BYTES_MAX
    }

    pub(super) fn add(&mut self, body: Body, options: RequestOptions) -> RequestId {
        self.last += 1;
        let id = RequestId(self.last);
        let len = body.current().len();
        self.bytes += len;
        let (msg_ids, sent) = (Vec::new(), None);
        let entry = Entry { body, options, len, msg_ids, sent, refusals: 0, alone: false };
        self.entries.insert(id, entry);
        self.waiting.insert(id);
        id
    }

    /// Takes a request out; the id it has on the server, if it was sent.
    pub(super) fn remove(&mut self, request: RequestId) -> Option<Option<MsgId>> {
        let entry = self.entries.remove(&request)?;
        self.bytes -= entry.len;
        self.waiting.remove(&request);
        self.repeats.remove(&request);
        for id in &entry.msg_ids {
            self.by_msg.remove(id);
        }
        if let Some(sent) = &entry.sent {
            self.checks.remove(&(sent.check_at, request));
        }
        Some(entry.sent.map(|sent| sent.id))
    }

    /// The request that was sent under `id`, now or before.
    pub(super) fn find(&self, id: MsgId) -> Option<RequestId> {
        self.by_msg.get(&id).copied()
    }

    /// The packet that the request stood in last; `None` if it has been sent under another id
    /// since.
    pub(super) fn packet_of(&self, id: MsgId) -> Option<MsgId> {
        self.sent_as(id).map(|sent| sent.packet)
    }

    pub(super) fn wants_quick_ack(&self, request: RequestId) -> bool {
        self.entries.get(&request).is_some_and(|entry| entry.options.quick_ack)
    }

    /// The server has the message `id`.
    pub(super) fn acknowledged(&mut self, id: MsgId) {
        if let Some(sent) = self.sent_as_mut(id) {
            sent.acked = true;
        }
    }

    /// The server has the request as it was sent last.
    pub(super) fn received(&mut self, request: RequestId) {
        if let Some(sent) = self.entries.get_mut(&request).and_then(|entry| entry.sent.as_mut()) {
            sent.acked = true;
        }
    }

    /// The server would not take the request for now, but would if the packet came again later.
    pub(super) fn keep_id(&mut self, request: RequestId) {
        if let Some(sent) = self.entries.get_mut(&request).and_then(|entry| entry.sent.as_mut()) {
            sent.keeps_id = true;
        }
    }

    /// Sends a request again under the same id: inside a container the server drops it if it has
    /// it, and repeats the answer if it has that.
    pub(super) fn repeat(&mut self, id: MsgId) {
        if self.sent_as(id).is_some()
            && let Some(request) = self.find(id)
        {
            self.repeats.insert(request);
        }
    }

    /// Sends a request again under another id: the server does not have it.
    pub(super) fn send_anew(&mut self, request: RequestId) {
        let Some(entry) = self.entries.get_mut(&request) else { return };
        if let Some(sent) = entry.sent.take() {
            self.checks.remove(&(sent.check_at, request));
        }
        self.repeats.remove(&request);
        self.waiting.insert(request);
    }

    /// Whether `id` is the last that its request was sent under.
    pub(super) fn is_current(&self, id: MsgId) -> bool {
        self.sent_as(id).is_some()
    }

    /// Sends a request again whose packet was refused: under another id, unless the server may have
    /// it already, from an earlier packet.
    pub(super) fn send_again(&mut self, request: RequestId) {
        let sent = self.entries.get(&request).and_then(|entry| entry.sent.as_ref());
        if sent.is_some_and(|sent| sent.keeps_id || sent.acked) {
            self.repeats.insert(request);
        } else {
            self.send_anew(request);
        }
    }

    /// Records that the server refused a request; whether that has happened too often in a row.
    pub(super) fn refused(&mut self, request: RequestId) -> bool {
        let Some(entry) = self.entries.get_mut(&request) else { return false };
        entry.refusals += 1;
        let too_often = entry.refusals >= REFUSALS_MAX;
        if too_often {
            entry.refusals = 0;
        }
        too_often
    }

    /// Lets a request have a packet of its own from now on; false if it had one already.
    pub(super) fn set_alone(&mut self, request: RequestId) -> bool {
        let entry = self.entries.get_mut(&request);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.alone, true))
    }

    /// Whether a request must not share its packet.
    pub(super) fn is_alone(&self, request: RequestId) -> bool {
        self.entries.get(&request).is_some_and(|entry| entry.alone)
    }

    /// Another session begins: the server knows none of these.
    pub(super) fn restart(&mut self) {
        for entry in self.entries.values_mut() {
            entry.sent = None;
            entry.msg_ids.clear();
        }
        self.by_msg.clear();
        self.checks.clear();
        self.repeats.clear();
        self.waiting = self.entries.keys().copied().collect();
    }

    /// Requests whose packet is older than `packet` and that the server cannot have, therefore.
    pub(super) fn sent_before(&self, packet: MsgId) -> Vec<MsgId> {
        let sent = self.entries.values().filter_map(|entry| entry.sent.as_ref());
        sent.filter(|sent| sent.packet < packet).map(|sent| sent.id).collect()
    }

    /// A link is lost: short requests that went over it are repeated. The rest is returned, to be
    /// asked about.
    pub(super) fn link_lost(&mut self, link: LinkId) -> Vec<MsgId> {
        let mut ask = Vec::new();
        for (request, entry) in &self.entries {
            let Some(sent) = entry.sent.as_ref().filter(|sent| sent.link == link) else { continue };
            if sent.acked || entry.body.current().len() > REPEAT_LEN_MAX {
                ask.push(sent.id);
            } else {
                self.repeats.insert(*request);
            }
        }
        ask
    }

    /// The length of the next request to be repeated.
    pub(super) fn next_repeat_len(&self) -> Option<usize> {
        let entry = self.entries.get(self.repeats.first()?)?;
        Some(entry.body.current().len())
    }

    /// Takes the next request to be repeated, with its message.
    pub(super) fn take_repeat(
        &mut self,
        link: LinkId,
        now: Instant,
    ) -> Option<(RequestId, Message)> {
        let request = self.repeats.pop_first()?;
        let entry = self.entries.get_mut(&request)?;
        let sent = entry.sent.as_mut()?;
        self.checks.remove(&(sent.check_at, request));
        sent.check_at = now + STATE_ASK_DELAY;
        self.checks.insert((sent.check_at, request));
        sent.link = link;
        sent.keeps_id = true;
        let body = entry.body.current().clone();
        Some((request, Message { id: sent.id, seqno: sent.seqno, body }))
    }

    /// The next request to be sent under a new id, with its length; `None` if too many are in
    /// flight.
    pub(super) fn next_waiting(&self) -> Option<(RequestId, usize)> {
        if self.entries.len() - self.waiting.len() >= IN_FLIGHT_MAX {
            return None;
        }
        let request = *self.waiting.first()?;
        self.entries.get(&request).map(|entry| (request, entry.body.current().len()))
    }

    /// Makes the message of a waiting request, which leaves over `link` now.
    pub(super) fn issue(
        &mut self,
        request: RequestId,
        (id, seqno): (MsgId, Seqno),
        session_id: SessionId,
        link: LinkId,
        now: Instant,
    ) -> Option<Message> {
        self.waiting.remove(&request);
        let entry = self.entries.get_mut(&request)?;
        let body = entry.body.make(id, session_id);
        self.bytes = self.bytes - entry.len + body.len();
        entry.len = body.len();
        if entry.msg_ids.len() >= REQUEST_MSG_IDS_MAX {
            self.by_msg.remove(&entry.msg_ids.remove(0));
        }
        entry.msg_ids.push(id);
        self.by_msg.insert(id, request);
        let check_at = now + STATE_ASK_DELAY;
        self.checks.insert((check_at, request));
        entry.sent =
            Some(Sent { id, seqno, packet: id, link, keeps_id: false, acked: false, check_at });
        Some(Message { id, seqno, body })
    }

    /// Records the packet that a request stood in.
    pub(super) fn left_in(&mut self, request: RequestId, packet: MsgId) {
        if let Some(sent) = self.entries.get_mut(&request).and_then(|entry| entry.sent.as_mut()) {
            sent.packet = packet;
        }
    }

    /// Takes the ids of requests that have been unanswered for long.
    pub(super) fn take_unanswered(&mut self, now: Instant) -> Vec<MsgId> {
        let mut ids = Vec::new();
        while let Some(&(due, request)) = self.checks.first()
            && due <= now
        {
            self.checks.pop_first();
            if let Some(sent) = self.entries.get_mut(&request).and_then(|entry| entry.sent.as_mut())
            {
                sent.check_at = now + STATE_ASK_INTERVAL;
                self.checks.insert((sent.check_at, request));
                ids.push(sent.id);
            }
        }
        ids
    }

    /// When the first of them has been unanswered for long.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.checks.first().map(|(due, _)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How the request was sent, if `id` is the last id that it was sent under.
    fn sent_as(&self, id: MsgId) -> Option<&Sent> {
        let sent = self.entries.get(&self.find(id)?)?.sent.as_ref()?;
        (sent.id == id).then_some(sent)
    }

    fn sent_as_mut(&mut self, id: MsgId) -> Option<&mut Sent> {
        let request = self.find(id)?;
        let sent = self.entries.get_mut(&request)?.sent.as_mut()?;
        (sent.id == id).then_some(sent)
    }
}
