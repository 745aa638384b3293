//! What a packet must pass before anything of it is applied, in the order in which it is asked.

use std::time::Duration;

use mtproto_pack::{Found, Limits, MessageView, Unpacked};
use mtproto_tl::types::HttpWait;
use mtproto_tl::{MsgId, Salt, Seqno, ServerTime};

use super::inbound::Inbound;
use super::rpc::is_acknowledged_by_reply;
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
    pub(super) messages: Vec<Received>,
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
    /// Id and seqno of the `msg_copy` around it. Boxed: they are rare.
    pub(super) copied_by: Option<Box<(MsgId, Seqno)>>,
    pub(super) inbound: Inbound,
}

impl ServerSession {
    /// Looks at all of a packet that came at `time`; a fault in any part of it refuses the whole.
    /// Nothing changes.
    // req: S14, S40
    pub(super) fn check(
        &mut self,
        salt: Salt,
        outer: MessageView<'_>,
        time: ServerTime,
        is_turn: bool,
    ) -> Result<Accepted, Refusal> {
        let (id, seqno) = (outer.id, outer.seqno);
        let refuse = |reason| Refusal { id, seqno, reason };
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
        let list = self.desk.as_mut().map(|desk| std::mem::take(&mut desk.received));
        let contents = Contents::read(outer, limits, list.unwrap_or_default());
        let contents = contents.ok_or(refuse(BadMsg::Container))?;
        if !contents.is_from_client {
            return Err(refuse(BadMsg::IdBits));
        }
        match self.arrival(id) {
            Arrival::Duplicate(_) if contents.is_container => {
                return Err(refuse(BadMsg::ContainerIdUsed));
            }
            Arrival::TooOld => return Err(refuse(BadMsg::TooOld)),
            Arrival::Duplicate(_) | Arrival::New => (),
        }
        if !contents.is_understood {
            return Err(refuse(BadMsg::Container));
        }
        let container = contents.is_container.then_some((id, seqno));
        let accepted = Accepted { container, messages: contents.messages };
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
                message.copied_by.as_ref().is_some_and(|copy| copy.1.is_content_related());
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
    /// What is known of the message from the moment it is received. What is answered at once is
    /// acknowledged by that.
    pub(super) fn state(&self) -> MsgState {
        let query =
            if let Inbound::Query(_) = self.inbound { MsgState::QUERY } else { MsgState(0) };
        let no_ack = if self.seqno.is_content_related() { MsgState(0) } else { MsgState::NO_ACK };
        let is_acked = is_acknowledged_by_reply(&self.inbound);
        let acked = if is_acked { MsgState::ACKED } else { MsgState(0) };
        query | no_ack | acked
    }
}

/// What a packet holds, each message looked at once.
struct Contents {
    is_container: bool,
    messages: Vec<Received>,
    /// Whether every id has the low bits of a client's.
    is_from_client: bool,
    /// Whether every message is what its number promises. Those that are not are left out.
    is_understood: bool,
}

impl Contents {
    /// Reads every message into `messages`, which is empty; `None` if the packet cannot be opened.
    fn read(outer: MessageView<'_>, limits: Limits, mut messages: Vec<Received>) -> Option<Self> {
        let unpacked = Unpacked::read(outer, limits).ok()?;
        let (mut is_from_client, mut is_understood) = (true, true);
        messages.reserve(unpacked.count());
        for Found { message, copied_by } in unpacked.iter() {
            let (id, seqno) = (message.id, message.seqno);
            let copy_is_from_client = copied_by.is_none_or(|(copy, _)| copy.is_from_client());
            is_from_client &= id.is_from_client() && copy_is_from_client;
            match Inbound::read(&message) {
                Ok(inbound) => messages.push(Received {
                    id,
                    seqno,
                    copied_by: copied_by.map(Box::new),
                    inbound,
                }),
                Err(_) => is_understood = false,
            }
        }
        let is_container = unpacked.is_container();
        Some(Self { is_container, messages, is_from_client, is_understood })
    }
}
