//! What stood in the packets sent last: a refusal names a packet or a message in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mtproto_tl::{MsgId, SessionId};

use super::output::{PingId, RequestId};
use crate::LinkId;

/// The most packets that are remembered.
pub const SENT_PACKETS_MAX: usize = 4096;

/// How long a packet is remembered.
pub const SENT_AGE_MAX: Duration = Duration::from_secs(600);

/// How far back what went over a lost link may not have arrived: longer than a dead link goes
/// unnoticed.
pub const LOST_AGE_MAX: Duration = Duration::from_secs(90);

/// What one message was about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Errand {
    /// `msgs_ack`.
    Acks(Vec<MsgId>),
    /// `destroy_auth_key`.
    DestroyAuthKey,
    /// `destroy_session`.
    DestroySession(SessionId),
    /// `rpc_drop_answer`.
    DropAnswer(MsgId),
    /// `get_future_salts`.
    FutureSalts,
    /// `http_wait`.
    HttpWait,
    /// `ping` and `ping_delay_disconnect`.
    Ping(PingId),
    /// A request.
    Request(RequestId),
    /// `msg_resend_req`.
    Resend(Vec<MsgId>),
    /// An answer of ours to the server, which will ask again.
    Reply,
    /// `msgs_state_req`.
    States(Vec<MsgId>),
}

impl Errand {
    /// Whether the server has something to say to it.
    pub(super) fn is_answered(&self) -> bool {
        !matches!(self, Self::Acks(_) | Self::HttpWait | Self::Reply)
    }
}

/// The packets sent last, by the id of the outermost message.
#[derive(Debug, Default)]
pub(super) struct SentLog {
    packets: BTreeMap<MsgId, Packet>,
}

#[derive(Debug)]
struct Packet {
    link: LinkId,
    sent: Instant,
    messages: Vec<(MsgId, Errand)>,
}

impl SentLog {
    /// Remembers a packet; the oldest is forgotten when there are too many.
    pub(super) fn add(
        &mut self,
        packet: MsgId,
        link: LinkId,
        messages: Vec<(MsgId, Errand)>,
        now: Instant,
    ) {
        self.packets.insert(packet, Packet { link, sent: now, messages });
        let is_old = |packet: &Packet| now.saturating_duration_since(packet.sent) > SENT_AGE_MAX;
        while let Some((_, oldest)) = self.packets.first_key_value()
            && (self.packets.len() > SENT_PACKETS_MAX || is_old(oldest))
        {
            self.packets.pop_first();
        }
    }

    /// Takes what the message `id` was about, with the packet that it stood in; everything in it if
    /// it was a packet of several. `None` if no such message was sent recently.
    pub(super) fn take(&mut self, id: MsgId) -> Option<(MsgId, Vec<(MsgId, Errand)>)> {
        if let Some(packet) = self.packets.remove(&id) {
            return Some((id, packet.messages));
        }
        // Messages get their ids one after the other and their container the next: it is the first
        // packet that is not below. Only a repeated request stands elsewhere.
        let (outer, packet) = self.packets.range_mut(id..).next()?;
        let index = packet.messages.iter().position(|(inner, _)| *inner == id)?;
        Some((*outer, vec![packet.messages.swap_remove(index)]))
    }

    /// What went over a lost link lately, requests aside: acknowledgements, and errands that have
    /// no other way of being noticed as lost.
    pub(super) fn lost_with(&self, link: LinkId, now: Instant) -> Vec<Errand> {
        let is_lost = |packet: &&Packet| {
            packet.link == link && now.saturating_duration_since(packet.sent) <= LOST_AGE_MAX
        };
        let messages = self.packets.values().filter(is_lost).flat_map(|packet| &packet.messages);
        let errands = messages.filter_map(|(_, errand)| match errand {
            Errand::Acks(_)
            | Errand::DestroyAuthKey
            | Errand::DestroySession(_)
            | Errand::DropAnswer(_)
            | Errand::FutureSalts
            | Errand::Resend(_) => Some(errand.clone()),
            Errand::HttpWait
            | Errand::Ping(_)
            | Errand::Reply
            | Errand::Request(_)
            | Errand::States(_) => None,
        });
        errands.collect()
    }

    /// What the message `id` was about, if it was a single one.
    pub(super) fn get(&self, id: MsgId) -> Option<&Errand> {
        let (_, packet) = self.packets.range(id..).next()?;
        packet.messages.iter().find(|(inner, _)| *inner == id).map(|(_, errand)| errand)
    }

    /// The packet that the message `id` stood in, which is itself if it stood in none.
    pub(super) fn packet_of(&self, id: MsgId) -> Option<MsgId> {
        let (outer, packet) = self.packets.range(id..).next()?;
        (*outer == id || packet.messages.iter().any(|(inner, _)| *inner == id)).then_some(*outer)
    }

    /// The requests in a packet.
    pub(super) fn requests_in(&self, packet: MsgId) -> Vec<RequestId> {
        let messages = self.packets.get(&packet).map(|packet| packet.messages.as_slice());
        let requests = messages.unwrap_or_default().iter().filter_map(|(_, errand)| match errand {
            Errand::Request(request) => Some(*request),
            _ => None,
        });
        requests.collect()
    }

    pub(super) fn clear(&mut self) {
        self.packets.clear();
    }
}
