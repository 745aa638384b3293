//! Requests from the moment the caller makes them until their one outcome.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_pack::MESSAGE_HEADER_LEN;
use mtproto_tl::{MsgId, Seqno, SessionId};

use super::line::Line;
use super::output::{RequestId, RequestOptions};
use crate::LinkId;
use crate::ascending::{Ascending, Serial};
use crate::packet::Packet;

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
    Made(Box<Made>),
    Object(Bytes),
}

/// The maker of a body, and what it made last.
pub(super) struct Made {
    make: MakeBody,
    object: Bytes,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.current().len())
    }
}

impl Body {
    pub(super) fn made_by(make: MakeBody) -> Self {
        Self::Made(Box::new(Made { make, object: Bytes::new() }))
    }

    fn current(&self) -> &Bytes {
        match self {
            Self::Object(object) => object,
            Self::Made(made) => &made.object,
        }
    }

    fn make(&mut self, id: MsgId, session_id: SessionId) -> &Bytes {
        match self {
            Self::Object(object) => object,
            Self::Made(made) => {
                made.object = (made.make)(id, session_id);
                &made.object
            }
        }
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
    entries: Ascending<RequestId, Entry>,
    bytes: usize,
    /// To be sent under a new id.
    waiting: Line,
    /// How many bytes are waiting.
    waiting_bytes: usize,
    /// To be sent again under the same id, inside a container.
    repeats: Line,
    /// Every id that a request was sent under: the answer may be to any of them.
    by_msg: Ascending<MsgId, RequestId>,
    /// The ids that a request was sent under before its last, oldest first. Few have any.
    former: BTreeMap<RequestId, Vec<MsgId>>,
    /// Before this nothing has been unanswered for long. To know it better is not worth a list:
    /// the requests that there are then are looked through, and tell the next such moment.
    next_check: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    body: Body,
    options: RequestOptions,
    alone: bool,
    refusals: u8,
    sent: Option<Sent>,
}

/// How a request was sent last.
#[derive(Debug)]
struct Sent {
    id: MsgId,
    seqno: Seqno,
    /// The packet that it stood in last, if it was repeated; the first is where its id leads.
    packet: MsgId,
    link: LinkId,
    check_at: Instant,
    /// The server may have it from an earlier packet, or may yet take that packet: only under the
    /// same id is it the same message.
    keeps_id: bool,
    acked: bool,
    /// The server has refused nothing with it in the packet that its id leads to.
    is_unrefused: bool,
}

/// How a request leaves.
pub(super) struct Departure {
    pub(super) link: LinkId,
    pub(super) session_id: SessionId,
    pub(super) now: Instant,
}

/// A request that has joined a packet.
pub(super) struct Joined {
    pub(super) request: RequestId,
    pub(super) wants_quick_ack: bool,
    /// Nothing else may join.
    pub(super) is_alone: bool,
}

impl Serial for RequestId {
    fn number(self) -> u64 {
        self.0
    }
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
        self.waiting_bytes += len;
        let entry = Entry { body, options, alone: false, refusals: 0, sent: None };
        self.entries.push(id, entry);
        self.waiting.insert(id);
        id
    }

    /// Takes the request out that was sent under `id`, now or before.
    pub(super) fn answered(&mut self, id: MsgId) -> Option<RequestId> {
        let request = self.by_msg.remove(id)?;
        let last = self.take_entry(request)?;
        if let Some(last) = last.filter(|last| *last != id) {
            self.by_msg.remove(last);
        }
        Some(request)
    }

    /// Takes a request out; the id it has on the server, if it was sent.
    pub(super) fn remove(&mut self, request: RequestId) -> Option<Option<MsgId>> {
        let last = self.take_entry(request)?;
        if let Some(last) = last {
            self.by_msg.remove(last);
        }
        Some(last)
    }

    /// Takes a request out of everything but the last id that it was sent under, which is returned.
    fn take_entry(&mut self, request: RequestId) -> Option<Option<MsgId>> {
        let (len, last) = self.entries.remove_with(request, |Entry { body, sent, .. }| {
            (body.current().len(), sent.as_ref().map(|sent| sent.id))
        })?;
        self.bytes -= len;
        if !self.former.is_empty() {
            for id in self.former.remove(&request).into_iter().flatten() {
                self.by_msg.remove(id);
            }
        }
        if self.entries.is_empty() {
            self.next_check = None;
        }
        if last.is_some() {
            self.repeats.remove(request);
        } else {
            self.waiting.remove(request);
            self.waiting_bytes -= len;
        }
        Some(last)
    }

    /// The request that was sent under `id`, now or before.
    pub(super) fn find(&self, id: MsgId) -> Option<RequestId> {
        self.by_msg.get(id).copied()
    }

    /// The packet that the request was repeated in last, if the server has refused the packet that
    /// its id leads to and it has not been sent under another since.
    pub(super) fn taken_in(&self, id: MsgId) -> Option<MsgId> {
        let sent = self.sent_as(id).filter(|sent| !sent.is_unrefused && sent.is_repeated())?;
        Some(sent.packet)
    }

    pub(super) fn wants_quick_ack(&self, request: RequestId) -> bool {
        self.entries.get(request).is_some_and(|entry| entry.options.quick_ack)
    }

    /// The server has the message `id`.
    pub(super) fn acknowledged(&mut self, id: MsgId) {
        if let Some(sent) = self.sent_as_mut(id) {
            sent.acked = true;
        }
    }

    /// The server has the request as it was sent last.
    pub(super) fn received(&mut self, request: RequestId) {
        if let Some(sent) = self.sent_mut(request) {
            sent.acked = true;
        }
    }

    /// The server would not take the request for now, but would if the packet came again later.
    pub(super) fn keep_id(&mut self, request: RequestId) {
        if let Some(sent) = self.sent_mut(request) {
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
        let Some(entry) = self.entries.get_mut(request) else { return };
        if let Some(sent) = entry.sent.take() {
            self.former.entry(request).or_default().push(sent.id);
            self.waiting_bytes += entry.body.current().len();
            self.waiting.insert(request);
        }
        self.repeats.remove(request);
    }

    /// Whether `id` is the last that its request was sent under.
    pub(super) fn is_current(&self, id: MsgId) -> bool {
        self.sent_as(id).is_some()
    }

    /// Sends a request again whose packet was refused: under another id, unless the server may have
    /// it already, from an earlier packet.
    pub(super) fn send_again(&mut self, request: RequestId) {
        let sent = self.sent_mut(request);
        if sent.is_some_and(|sent| sent.keeps_id || sent.acked) {
            self.repeats.insert(request);
        } else {
            self.send_anew(request);
        }
    }

    /// Records that the server refused a request; whether that has happened too often in a row.
    pub(super) fn refused(&mut self, request: RequestId) -> bool {
        let Some(entry) = self.entries.get_mut(request) else { return false };
        entry.refusals += 1;
        let too_often = entry.refusals >= REFUSALS_MAX;
        if too_often {
            entry.refusals = 0;
        }
        too_often
    }

    /// The server refuses the message `id`. Returns the request in it, unless that has been
    /// repeated since: the refusal is then not about what is on its way now.
    pub(super) fn take_refused(&mut self, id: MsgId) -> Option<RequestId> {
        let request = self.find(id)?;
        let sent = self.sent_as_mut(id)?;
        let is_first = std::mem::take(&mut sent.is_unrefused);
        (!sent.is_repeated() || !is_first).then_some(request)
    }

    /// The server refuses `packet`, the next after the packet `before`. Returns the requests that
    /// stood in it, those left out that have been sent again since.
    pub(super) fn take_refused_in(&mut self, before: MsgId, packet: MsgId) -> Vec<RequestId> {
        let mut refused = Vec::new();
        for (request, entry) in self.entries.iter_mut() {
            let Some(sent) = &mut entry.sent else { continue };
            let led_there = before < sent.id && sent.id <= packet;
            sent.is_unrefused &= !led_there;
            if sent.packet == packet || led_there && !sent.is_repeated() {
                refused.push(request);
            }
        }
        refused
    }

    /// Lets a request have a packet of its own from now on; false if it had one already.
    pub(super) fn set_alone(&mut self, request: RequestId) -> bool {
        let entry = self.entries.get_mut(request);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.alone, true))
    }

    /// Another session begins: the server knows none of these.
    pub(super) fn restart(&mut self) {
        for (_, entry) in self.entries.iter_mut() {
            entry.sent = None;
        }
        self.by_msg = Ascending::default();
        self.former.clear();
        self.next_check = None;
        self.repeats = Line::default();
        self.waiting = self.entries.iter().map(|(request, _)| request).collect();
        self.waiting_bytes = self.bytes;
    }

    /// Requests that were sent last in `packet` or in one before it, by what they were sent as.
    pub(super) fn sent_until(&self, packet: MsgId) -> Vec<MsgId> {
        let sent = self.entries.iter().filter_map(|(_, entry)| entry.sent.as_ref());
        sent.filter(|sent| sent.packet <= packet).map(|sent| sent.id).collect()
    }

    /// A link is lost: short requests that went over it are repeated. The rest is returned, to be
    /// asked about.
    pub(super) fn link_lost(&mut self, link: LinkId) -> Vec<MsgId> {
        let mut ask = Vec::new();
        for (request, entry) in self.entries.iter() {
            let Some(sent) = entry.sent.as_ref().filter(|sent| sent.link == link) else { continue };
            if sent.acked || entry.body.current().len() > REPEAT_LEN_MAX {
                ask.push(sent.id);
            } else {
                self.repeats.insert(request);
            }
        }
        ask
    }

    /// Lets the next request that is to be repeated join the packet, if there is room.
    // req: S45, S94
    pub(super) fn repeat_next(
        &mut self,
        packet: &mut Packet,
        departure: &Departure,
    ) -> Option<RequestId> {
        let request = self.repeats.first()?;
        let entry = self.entries.get_mut(request)?;
        let (sent, body) = (entry.sent.as_mut()?, entry.body.current());
        if !packet.has_room(body.len()) {
            return None;
        }
        self.repeats.pop_first();
        sent.check_at = departure.now + STATE_ASK_DELAY;
        sent.link = departure.link;
        sent.keeps_id = true;
        packet.wrap();
        packet.push(sent.id, sent.seqno, body);
        self.next_check = earlier(self.next_check, sent.check_at);
        Some(request)
    }

    /// Lets the next request that is to be sent under a new id join the packet, if there is room
    /// and not too many are in flight.
    pub(super) fn send_next(
        &mut self,
        packet: &mut Packet,
        departure: &Departure,
        numbers: impl FnOnce() -> (MsgId, Seqno),
    ) -> Option<Joined> {
        if self.flights_left() == 0 {
            return None;
        }
        let request = self.waiting.first()?;
        let entry = self.entries.get_mut(request)?;
        let len = entry.body.current().len();
        if !packet.has_room(len) || entry.alone && !packet.is_empty() {
            return None;
        }
        self.waiting.pop_first();
        self.waiting_bytes -= len;
        let Departure { link, session_id, now } = *departure;
        let (id, seqno) = numbers();
        let body = entry.body.make(id, session_id);
        self.bytes = self.bytes - len + body.len();
        packet.push(id, seqno, body);
        if let Some(former) = self.former.get_mut(&request)
            && former.len() >= REQUEST_MSG_IDS_MAX
        {
            self.by_msg.remove(former.remove(0));
        }
        self.by_msg.push(id, request);
        let check_at = now + STATE_ASK_DELAY;
        self.next_check = earlier(self.next_check, check_at);
        entry.sent = Some(Sent {
            id,
            seqno,
            packet: id,
            link,
            check_at,
            keeps_id: false,
            acked: false,
            is_unrefused: true,
        });
        let wants_quick_ack = entry.options.quick_ack;
        Some(Joined { request, wants_quick_ack, is_alone: entry.alone })
    }

    /// About how many bytes [`Requests::send_next`] has for the next packet.
    pub(super) fn ready_len(&self) -> usize {
        match self.waiting.len() {
            0 => 0,
            count => {
                let each = MESSAGE_HEADER_LEN + self.waiting_bytes / count;
                count.min(self.flights_left()) * each
            }
        }
    }

    /// Records the packet that a repeated request stands in.
    pub(super) fn left_in(&mut self, request: RequestId, packet: MsgId) {
        if let Some(sent) = self.sent_mut(request) {
            sent.packet = packet;
        }
    }

    /// Takes the ids of requests that have been unanswered for long.
    pub(super) fn take_unanswered(&mut self, now: Instant) -> Vec<MsgId> {
        let mut ids = Vec::new();
        if self.next_check.is_none_or(|at| at > now) {
            return ids;
        }
        self.next_check = None;
        for (_, entry) in self.entries.iter_mut() {
            let Some(sent) = &mut entry.sent else { continue };
            if sent.check_at <= now {
                sent.check_at = now + STATE_ASK_INTERVAL;
                ids.push(sent.id);
            }
            self.next_check = earlier(self.next_check, sent.check_at);
        }
        ids
    }

    /// A moment that is no later than when the first of them has been unanswered for long.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.next_check
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Gives back the memory that is for more requests than there are.
    pub(super) fn rest(&mut self) {
        if self.entries.is_empty() {
            *self = Self { last: self.last, ..Self::default() };
        }
    }

    /// How many more requests may be in flight.
    fn flights_left(&self) -> usize {
        IN_FLIGHT_MAX.saturating_sub(self.entries.len() - self.waiting.len())
    }

    fn sent_mut(&mut self, request: RequestId) -> Option<&mut Sent> {
        self.entries.get_mut(request)?.sent.as_mut()
    }

    /// How the request was sent, if `id` is the last id that it was sent under.
    fn sent_as(&self, id: MsgId) -> Option<&Sent> {
        let sent = self.entries.get(self.find(id)?)?.sent.as_ref()?;
        (sent.id == id).then_some(sent)
    }

    fn sent_as_mut(&mut self, id: MsgId) -> Option<&mut Sent> {
        let sent = self.sent_mut(self.find(id)?)?;
        (sent.id == id).then_some(sent)
    }
}

impl Sent {
    fn is_repeated(&self) -> bool {
        self.packet != self.id
    }
}

fn earlier(known: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(known.map_or(other, |known| known.min(other)))
}
