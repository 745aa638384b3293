//! The way of a packet: up from a link to the session, and what the session makes of it; and down.

use bytes::{Bytes, BytesMut};
use mtproto_auth::{PlainMessage, is_plain};
use mtproto_crypto::Direction;
use mtproto_crypto::envelope::{self, Filler, OpenError, OpenJob, Opened};
use mtproto_pack::RpcError;
use mtproto_session::{
    ClientCloseReason, ClientEvent, ClientOutput, Gap as SessionGap, LinkId,
    RequestError as SessionRequestError, RequestId as SessionRequestId,
};
use mtproto_tl::AuthKeyId;

use super::keys::salt_periods;
use super::{ClientEndpoint, Event, Gap, KeyLoss, LinkEnd, Output, Phase, RequestError};

/// Packets that wait to be looked at. At this many they are looked at without being polled for.
pub const PACKETS_MAX: usize = 256;

/// As it came from a link.
pub(super) struct Packet {
    pub(super) link: LinkId,
    pub(super) payload: BytesMut,
}

impl ClientEndpoint {
    /// Opens everything received since the last time in one batch.
    pub(super) fn open_received(&mut self) {
        if self.received.is_empty() {
            return;
        }
        let mut received = std::mem::take(&mut self.received);
        received.retain_mut(|packet| self.is_encrypted(packet));
        let Some(channel) = self.phase.channel() else { return };
        let key = channel.key().clone();
        let id = AuthKeyId(key.id());
        let mut jobs: Vec<_> = received
            .iter_mut()
            .map(|packet| {
                let direction = Direction::ServerToClient;
                OpenJob::new(&key, direction, Filler::Never, &mut packet.payload)
            })
            .collect();
        envelope::open(&mut jobs);
        let opened: Vec<_> = jobs.into_iter().map(|job| job.opened).collect();
        for (packet, opened) in received.into_iter().zip(opened) {
            // One of the packets before may have cost the link or the key.
            if self.links.is_open(packet.link) && self.key() == Some(id) {
                self.handle_opened(packet, opened);
            }
        }
    }

    /// Whether the packet is for the key in use. Any other is dealt with here.
    fn is_encrypted(&mut self, packet: &mut Packet) -> bool {
        if !self.links.is_open(packet.link) {
            return false;
        }
        if packet.payload.is_empty() && self.links.takes_turns(packet.link) {
            if let Some(channel) = self.phase.channel() {
                channel.session.turn_ended(packet.link, self.now);
            }
            return false;
        }
        if is_plain(&packet.payload) {
            self.handle_plain(packet.link, std::mem::take(&mut packet.payload));
            return false;
        }
        let id = envelope::key_id(&packet.payload).map(AuthKeyId);
        let current = id.is_some() && id == self.key();
        // What was sent under the key before may still be on its way.
        if !current && (id.is_none() || id != self.retired_key) {
            self.end_link(packet.link, LinkEnd::BadPacket);
        }
        current
    }

    /// An unencrypted message: it means something only while an exchange waits for an answer.
    fn handle_plain(&mut self, link: LinkId, payload: BytesMut) {
        let Ok(message) = PlainMessage::decode(&payload.freeze()) else {
            self.end_link(link, LinkEnd::BadPacket);
            return;
        };
        if let Some(exchange) = &mut self.exchange
            && let Some(job) = exchange.handle_answer(message.body)
        {
            self.outputs.push_back(Output::Compute(Box::new(job)));
        }
    }

    // req: S112
    fn handle_opened(&mut self, packet: Packet, opened: Result<Opened, OpenError>) {
        let link = packet.link;
        let Some(channel) = self.phase.channel() else { return };
        let Ok(opened) = opened else {
            self.end_link(link, LinkEnd::BadPacket);
            return;
        };
        self.suspected = None;
        self.links.prove(link);
        if channel.handle_opened(link, &packet.payload.freeze(), opened, self.now).is_err() {
            self.end_link(link, LinkEnd::BadPacket);
        }
        self.heard();
    }

    /// Gives the session what waits for it: the oldest request, or a ping.
    pub(super) fn hand_over(&mut self) -> bool {
        let Phase::Ready(channel) = &mut self.phase else { return false };
        let session = &mut channel.session;
        if let Some(ping) = self.pings.first_waiting() {
            self.pings.hand_over(ping, session.ping(self.now));
            return true;
        }
        let Some((id, object, options)) = self.calls.first_waiting() else { return false };
        let Ok(handed_as) = session.request(object, options, self.now) else { return false };
        self.calls.hand_over(id, handed_as);
        true
    }

    /// Carries out one thing that the session wants; false if it wants nothing.
    pub(super) fn poll_session(&mut self) -> bool {
        let Some(channel) = self.phase.channel() else { return false };
        match channel.session.poll_output() {
            ClientOutput::Close { link, reason: ClientCloseReason::PongTimeout } => {
                self.end_link(link, LinkEnd::Unresponsive);
            }
            ClientOutput::Close { link, reason: _ } => {
                self.end_link(link, LinkEnd::Session);
            }
            ClientOutput::Event(event) => self.handle_event(event),
            ClientOutput::Send(outgoing) => {
                let (link, quick_ack) = (outgoing.link, outgoing.quick_ack);
                let payload = channel.seal(outgoing, &mut *self.random);
                self.outputs.push_back(Output::Send { link, payload, quick_ack });
            }
            ClientOutput::Wait(deadline) => {
                self.session_idle_until = deadline;
                return false;
            }
        }
        true
    }

    fn handle_event(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Answer { request, outcome } => self.handle_answer(request, outcome),
            ClientEvent::Gap(gap) => self.tell(Event::Gap(match gap {
                SessionGap::SessionCreated { .. } => Gap::SessionCreated,
                _ => Gap::SessionReplaced,
            })),
            ClientEvent::Pong { ping, round_trip, .. } => {
                if let Some(ping) = self.pings.finish(ping) {
                    self.tell(Event::Pong { ping, round_trip });
                }
            }
            ClientEvent::Push(object) => self.tell(Event::Push(object)),
            ClientEvent::QuickAck { request } => {
                if let Some(request) = self.calls.find(request) {
                    self.tell(Event::QuickAck { request });
                }
            }
            ClientEvent::SaltsChanged => self.keep_salts(),
            ClientEvent::TimeCorrected => {
                if let Some(channel) = self.phase.channel() {
                    self.clock = *channel.session.clock();
                    self.saving.changed();
                }
            }
            ClientEvent::AuthKeyDestroyed(outcome) => self.key_destroyed(outcome),
            // A session that replaced itself tidies up.
            ClientEvent::SessionDestroyed { .. } | _ => {}
        }
    }

    fn handle_answer(
        &mut self,
        answered: SessionRequestId,
        outcome: Result<Bytes, SessionRequestError>,
    ) {
        if let Phase::Binding(channel) = &self.phase
            && channel.binding == Some(answered)
        {
            return self.binding_answered(&outcome);
        }
        // req: S113
        if self.config.pfs.is_some() && is_unbound(&outcome) {
            // The request goes out again under the next key.
            return self.lose_temporary(KeyLoss::Unbound);
        }
        if let Some(request) = self.calls.finish(answered) {
            self.answer(request, outcome.map_err(RequestError::from));
        }
    }

    // req: S22
    fn keep_salts(&mut self) {
        let Some(channel) = self.phase.channel() else { return };
        let periods = salt_periods(channel.session.salts(), self.clock.now(self.now));
        if let Some(key) = self.keys.get_mut(channel.key_id()) {
            key.salts = periods;
            self.saving.changed();
        }
    }
}

/// Whether the server says that the temporary key is not bound.
fn is_unbound(outcome: &Result<Bytes, SessionRequestError>) -> bool {
    matches!(outcome, Err(SessionRequestError::Rpc(RpcError { code: 401, message }))
        if message == "AUTH_KEY_PERM_EMPTY")
}
