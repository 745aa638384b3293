//! A client session takes a packet: is it ours, is it new, what time does it tell.

use std::time::Duration;

use mtproto_pack::{Found, Limits, Message, MessageView, RPC_RESULT_ID, RpcResultView, Unpacked};
use mtproto_tl::{MsgId, SessionId};
use smallvec::SmallVec;

use super::inbound::Inbound;
use super::{ClientEvent, ClientSession};
use crate::{Arrival, Fault, LinkId, MsgState};

/// How far a server's ids may lie behind its clock, as far as that is known.
pub const SERVER_ID_PAST_MAX: Duration = Duration::from_secs(300);

/// A correction of the clock by less than this is not told.
const CORRECTION_TOLD_MIN: Duration = Duration::from_secs(1);

impl ClientSession {
    /// Takes a decrypted packet that came over `link`; `session_id` is the one in its header. A
    /// packet of a session that this one has replaced is ignored.
    ///
    /// # Errors
    /// When the packet cannot be the work of a server that keeps the rules: the link must close.
    /// Nothing of such a packet is applied.
    // req: S40, S49
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
        if !id.is_from_server() {
            return Err(Fault::NotFromServer { id });
        }
        let limits = Limits { inflated_max: self.config.inflated_max };
        let unpacked = Unpacked::read(MessageView::of(&message), limits)
            .map_err(|error| Fault::Packet { id, error })?;
        let mut others = read_others(&unpacked)?.into_iter();
        self.pings.heard(link, now);
        let is_old = self.is_too_old(id);
        if !is_old {
            self.learn_time(id);
        }
        if unpacked.is_container() && self.inbox.arrival(id) != Arrival::New {
            return Ok(());
        }
        for found in unpacked.iter() {
            let message = found.message;
            if let Ok(answer) = RpcResultView::read(message.body) {
                if !is_old && self.accept(link, &found, true) {
                    self.handle_answer(link, message.id, answer);
                }
            } else if let Some(inbound) = others.next()
                // An old packet may be somebody's recording; what puts a wrong clock right is
                // believed by its content.
                && (!is_old || inbound.is_refusal())
                && self.accept(link, &found, false)
            {
                self.act(link, message.id, inbound);
            }
        }
        // After what is in it, whose ids are lower. Another session may have begun by that.
        if unpacked.is_container() && session_id == self.session_id {
            self.inbox.receive(id, seqno, MsgState::NO_ACK);
        }
        Ok(())
    }

    /// Notes that a message has come; whether it is new, and so to be acted upon.
    // req: S97
    #[inline]
    fn accept(&mut self, link: LinkId, found: &Found<'_>, is_answer: bool) -> bool {
        let MessageView { id, seqno, .. } = found.message;
        let is_content_related = seqno.is_content_related();
        let ack = if is_content_related { MsgState(0) } else { MsgState::NO_ACK };
        let arrival = self.inbox.receive(id, seqno, ack);
        // What is too old to tell may be taken again if it is an answer: those have one outcome
        // anyway.
        let is_taken = match arrival {
            Arrival::New => true,
            Arrival::Duplicate(_) => false,
            Arrival::TooOld => is_answer,
        };
        // req: S3, S13, S37, S95, S96
        if is_content_related && (is_taken || arrival != Arrival::TooOld) {
            self.acks.owe(id, self.now);
        }
        // req: S50
        if let Some((copy, _)) = found.copied_by
            && !is_taken
        {
            self.acks.owe(copy, self.now);
        }
        if is_taken && is_content_related {
            self.turns.was_fruitful(link);
        }
        is_taken
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

/// Reads everything but the answers, which are many and are read where they lie when it is their
/// turn: here they are only seen to be whole.
fn read_others<'a>(unpacked: &'a Unpacked<'_>) -> Result<SmallVec<[Inbound<'a>; 4]>, Fault> {
    let mut others = SmallVec::new();
    for Found { message, .. } in unpacked.iter() {
        let id = message.id;
        if !id.is_from_server() {
            return Err(Fault::NotFromServer { id });
        }
        let malformed = |error| Fault::Malformed { id, error };
        if message.object_id() == RPC_RESULT_ID {
            RpcResultView::read(message.body).map_err(malformed)?;
        } else {
            others.push(Inbound::read(&message).map_err(malformed)?);
        }
    }
    Ok(others)
}
