//! A client session takes a packet: is it ours, is it new, what time does it tell.

use std::time::Duration;

use mtproto_pack::{Found, Limits, Message, MessageView, walk};
use mtproto_tl::{MsgId, Seqno, SessionId};
use smallvec::SmallVec;

use super::inbound::Inbound;
use super::{ClientEvent, ClientSession};
use crate::{Arrival, Fault, LinkId, MsgState};

/// How far a server's ids may lie behind its clock, as far as that is known.
pub const SERVER_ID_PAST_MAX: Duration = Duration::from_secs(300);

/// A correction of the clock by less than this is not told.
const CORRECTION_TOLD_MIN: Duration = Duration::from_secs(1);

/// A message of a packet, read.
#[derive(Debug)]
struct Received {
    id: MsgId,
    seqno: Seqno,
    copied_by: Option<MsgId>,
    inbound: Inbound,
}

/// The messages of one packet. Few packets have more than take no memory apart.
type Messages = SmallVec<[Received; 32]>;

impl Received {
    fn read(found: &Found<'_>) -> Result<Self, Fault> {
        let Found { message, copied_by, .. } = found;
        let (id, seqno) = (message.id, message.seqno);
        if !id.is_from_server() {
            return Err(Fault::NotFromServer { id });
        }
        let inbound = Inbound::read(message).map_err(|error| Fault::Malformed { id, error })?;
        Ok(Self { id, seqno, copied_by: copied_by.map(|(copy, _)| copy), inbound })
    }
}

impl ClientSession {
    /// Takes a decrypted packet that came over `link`; `session_id` is the one in its header. A
    /// packet of a session that this one has replaced is ignored.
    ///
    /// # Errors
    /// When the packet cannot be the work of a server that keeps the rules: the link must close.
    /// Nothing of such a packet is applied.
    pub fn handle_message(
        &mut self,
        link: LinkId,
        session_id: SessionId,
        message: Message,
        now: std::time::Instant,
    ) -> Result<(), Fault> {
        self.now = now;
        self.turns.ended(link);
        if session_id != self.session_id {
            return Ok(());
        }
        let (id, seqno) = (message.id, message.seqno);
        let mut messages = SmallVec::new();
        let is_container = self.read(&message, &mut messages)?;
        self.pings.heard(link, now);
        if self.is_too_old(id) {
            // It may be somebody's recording; what puts a wrong clock right is believed by its
            // content.
            messages.retain(|message| message.inbound.is_refusal());
        } else {
            self.learn_time(id);
        }
        if is_container && self.inbox.arrival(id) != Arrival::New {
            return Ok(());
        }
        for message in messages.drain(..) {
            self.accept(link, message);
        }
        // After what is in it, whose ids are lower. Another session may have begun by that.
        if is_container && session_id == self.session_id {
            self.inbox.receive(id, seqno, MsgState::NO_ACK);
        }
        Ok(())
    }

    /// Reads all of a packet, or nothing. Tells whether it is a container.
    // req: S40, S49
    fn read(&self, outer: &Message, messages: &mut Messages) -> Result<bool, Fault> {
        let id = outer.id;
        if !id.is_from_server() {
            return Err(Fault::NotFromServer { id });
        }
        let limits = Limits { inflated_max: self.config.inflated_max };
        let mut fault = None;
        let is_container = walk(MessageView::of(outer), limits, |found| {
            if messages.is_empty() {
                messages.reserve(1 + found.followers);
            }
            if fault.is_none() {
                match Received::read(&found) {
                    Ok(message) => messages.push(message),
                    Err(first) => fault = Some(first),
                }
            }
        });
        let is_container = is_container.map_err(|error| Fault::Packet { id, error })?;
        fault.map_or(Ok(is_container), Err)
    }

    // req: S97
    fn accept(&mut self, link: LinkId, message: Received) {
        let Received { id, seqno, copied_by, inbound } = message;
        let ack = if seqno.is_content_related() { MsgState(0) } else { MsgState::NO_ACK };
        let arrival = self.inbox.receive(id, seqno, ack);
        // What is too old to tell may be taken again if it is an answer: those have one outcome
        // anyway.
        let is_taken = match arrival {
            Arrival::New => true,
            Arrival::Duplicate(_) => false,
            Arrival::TooOld => matches!(inbound, Inbound::Answer(_)),
        };
        // req: S3, S13, S37, S95, S96
        if seqno.is_content_related() && arrival != Arrival::TooOld || is_taken {
            self.owe(id, seqno);
        }
        // req: S50
        if let Some(copy) = copied_by
            && !is_taken
        {
            self.acks.owe(copy, self.now);
        }
        if is_taken {
            if seqno.is_content_related() {
                self.turns.was_fruitful(link);
            }
            self.act(link, id, inbound);
        }
    }

    fn owe(&mut self, id: MsgId, seqno: Seqno) {
        if seqno.is_content_related() {
            self.acks.owe(id, self.now);
        }
    }

    fn is_too_old(&self, id: MsgId) -> bool {
        self.time_known && id.time() < self.clock.now(self.now).before(SERVER_ID_PAST_MAX)
    }

    /// The server's own ids tell its time: never less than what the latest of them says.
    // req: S118
    fn learn_time(&mut self, id: MsgId) {
        let believed = self.clock.now(self.now);
        let is_far_off = !self.time_known && id.time() < believed.before(SERVER_ID_PAST_MAX);
        self.time_known = true;
        if id.time() > believed || is_far_off {
            self.correct_clock(id);
        }
    }

    /// Sets the clock to the time that `id`, a message of the server, was made.
    pub(super) fn correct_clock(&mut self, id: MsgId) {
        let (believed, told) = (self.clock.now(self.now), id.time());
        self.clock.correct(self.now, told);
        let difference = believed.saturating_since(told).max(told.saturating_since(believed));
        if difference >= CORRECTION_TOLD_MIN {
            self.tell(ClientEvent::TimeCorrected);
        }
    }
}
