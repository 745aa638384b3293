//! What a packet must pass before anything of it is applied, in the order in which it is asked.

use std::time::Duration;

use mtproto_pack::{Flat, Item, Limits, Message, flatten};
use mtproto_tl::types::HttpWait;
use mtproto_tl::{MsgId, Salt, Seqno};
use smallvec::SmallVec;

use super::inbound::Inbound;
use super::{ServerSession, Strictness};
use crate::{Arrival, BadMsg, MsgState};

/// How far a client's ids may lie behind our clock.
pub const MSG_ID_PAST_MAX: Duration = Duration::from_secs(300);

/// How far a client's ids may lie before our clock.
pub const MSG_ID_FUTURE_MAX: Duration = Duration::from_secs(30);

/// A message that is refused, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) id: MsgId,
    pub(super) seqno: Seqno,
    pub(super) reason: BadMsg,
}

/// A packet that passed.
#[derive(Debug)]
pub(super) struct Accepted {
    /// Id and seqno of the container, if it was one.
    pub(super) container: Option<(MsgId, Seqno)>,
    /// Its messages, in order.
    pub(super) messages: SmallVec<[Received; 1]>,
}

impl Accepted {
    /// How long the client lets the answer wait: the last of several `http_wait` governs. Without
    /// one, a packet that asks nothing waits for nothing: clients send others right behind it.
    // req: L30, S62, S63
    pub(super) fn http_wait(&self) -> Option<HttpWait> {
        let governs = |message: &Received| match &message.inbound {
            Inbound::HttpWait(wait) => Some(wait.clone()),
            _ => None,
        };
        let asks = self.messages.iter().any(|message| message.inbound.is_question());
        let at_once = HttpWait { max_delay: 0, wait_after: 0, max_wait: 0 };
        self.messages.iter().rev().find_map(governs).or((!asks).then_some(at_once))
    }
}

/// A message of an accepted packet. Whether it is a duplicate is not decided yet.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) id: MsgId,
    pub(super) seqno: Seqno,
    pub(super) copied_by: Option<(MsgId, Seqno)>,
    pub(super) inbound: Inbound,
}

impl ServerSession {
    /// Looks at all of a packet; a fault in any part of it refuses the whole. Nothing changes.
    // req: S14, S40
    pub(super) fn check(
        &mut self,
        salt: Salt,
        outer: Message,
        is_turn: bool,
    ) -> Result<Accepted, Refusal> {
        let (id, seqno) = (outer.id, outer.seqno);
        let refuse = |reason| Refusal { id, seqno, reason };
        let time = self.clock.now(self.now);
        if !id.is_from_client() {
            return Err(refuse(BadMsg::IdBits));
        }
        // Before the clock: a client without a clock learns both from one answer.
        if !self.salts.accepts(salt, time) {
            return Err(refuse(BadMsg::Salt));
        }
        if id.time() < time.before(MSG_ID_PAST_MAX) {
            return Err(refuse(BadMsg::IdTooLow));
        }
        if id.time() > time.after(MSG_ID_FUTURE_MAX) {
            return Err(refuse(BadMsg::IdTooHigh));
        }
        let limits = Limits { inflated_max: self.config.inflated_max };
        let flat = flatten(outer, limits).map_err(|_| refuse(BadMsg::Container))?;
        let copies = flat.items.iter().filter_map(|item| item.copied_by.map(|(id, _)| id));
        let mut ids = flat.items.iter().map(|item| item.message.id).chain(copies);
        if !ids.all(MsgId::is_from_client) {
            return Err(refuse(BadMsg::IdBits));
        }
        match self.arrival(id) {
            Arrival::Duplicate(_) if flat.is_container => {
                return Err(refuse(BadMsg::ContainerIdUsed));
            }
            Arrival::TooOld => return Err(refuse(BadMsg::TooOld)),
            Arrival::Duplicate(_) | Arrival::New => (),
        }
        let accepted = understand(flat, id, seqno).ok_or(refuse(BadMsg::Container))?;
        match self.config.strictness {
            // req: L1
            Strictness::Lenient => Ok(accepted),
            Strictness::Strict => match self.strict_fault(&accepted, is_turn) {
                Some(reason) => Err(refuse(reason)),
                None => Ok(accepted),
            },
        }
    }

    /// What only a strict server minds.
    // req: S14, S56
    fn strict_fault(&self, packet: &Accepted, is_turn: bool) -> Option<BadMsg> {
        if packet.container.is_some_and(|(_, seqno)| seqno.is_content_related()) {
            return Some(BadMsg::SeqnoOdd);
        }
        for message in &packet.messages {
            let copy_is_odd =
                message.copied_by.is_some_and(|(_, seqno)| seqno.is_content_related());
            match (message.inbound.wants_content_related(), message.seqno.is_content_related()) {
                (Some(true), false) => return Some(BadMsg::SeqnoEven),
                (Some(false), true) => return Some(BadMsg::SeqnoOdd),
                _ if copy_is_odd => return Some(BadMsg::SeqnoOdd),
                // Only HTTP has something to wait for.
                _ if matches!(message.inbound, Inbound::HttpWait(_)) && !is_turn => {
                    return Some(BadMsg::Container);
                }
                (Some(_) | None, _) => (),
            }
        }
        self.order_fault(packet)
    }

    /// Seqnos must grow with the ids, within the packet and against what came before.
    fn order_fault(&self, packet: &Accepted) -> Option<BadMsg> {
        let messages = packet.messages.iter().map(|message| (message.id, message.seqno));
        let mut placed: Vec<_> = messages.chain(packet.container).collect();
        placed.retain(|(id, _)| self.inbox.arrival(*id) == Arrival::New);
        placed.sort_unstable();
        let mut below: Option<Seqno> = None;
        for (id, seqno) in placed {
            let contradicts =
                |low: Seqno| low > seqno || low == seqno && seqno.is_content_related();
            if below.is_some_and(contradicts) {
                return Some(BadMsg::SeqnoTooLow);
            }
            below = Some(seqno);
            if let Some(fault) = self.inbox.seqno_fault(id, seqno) {
                return Some(fault);
            }
        }
        None
    }
}

impl Received {
    /// What is known of the message from the moment it is received.
    pub(super) fn state(&self) -> MsgState {
        let query =
            if let Inbound::Query(_) = self.inbound { MsgState::QUERY } else { MsgState(0) };
        let ack = if self.seqno.is_content_related() { MsgState(0) } else { MsgState::NO_ACK };
        query | ack
    }
}

/// Reads every message; `None` if one of them is not what its number promises.
fn understand(flat: Flat, id: MsgId, seqno: Seqno) -> Option<Accepted> {
    let mut messages = SmallVec::with_capacity(flat.items.len());
    for Item { message, copied_by } in flat.items {
        let inbound = Inbound::read(&message).ok()?;
        messages.push(Received { id: message.id, seqno: message.seqno, copied_by, inbound });
    }
    Some(Accepted { container: flat.is_container.then_some((id, seqno)), messages })
}
