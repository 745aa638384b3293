//! The way of a packet: up from the envelope to its session, and down again.

use std::iter::Take;
use std::vec::Drain;

use bytes::BytesMut;
use mtproto_crypto::envelope::{self, Filler, OpenError, OpenJob, Opened, Padding, SealJob};
use mtproto_crypto::{AuthKey, Direction};
use mtproto_frame::{Outbound, Payload, TransportError};
use mtproto_pack::MessageView;
use mtproto_session::{Fault, LinkId, Outgoing, Verdict};
use mtproto_tl::{AuthKeyId, MsgId, Salt, Seqno, ServerTime, SessionId};
use smallvec::SmallVec;

use super::{Event, Output, ServerEndpoint, SessionRef, StoreAction};

/// Packets opened or sealed in one batch: as many as are looked through for those of like length.
type Batch<T> = SmallVec<[T; BATCH_LEN]>;
const BATCH_LEN: usize = 64;

/// Packets that the list of those received has room for when it is empty.
const RECEIVED_KEPT_MAX: usize = 1024;

/// Messages that the list of those not yet sealed has room for when it is empty.
const UNSEALED_KEPT_MAX: usize = 256;

/// As it came from a link.
pub(super) struct Packet {
    pub(super) link: LinkId,
    pub(super) payload: BytesMut,
    pub(super) quick_ack: bool,
    /// It waits for exactly one answer.
    pub(super) is_turn: bool,
}

/// A message on its way out, and the key that it goes out under even if the key is forgotten first.
pub(super) struct Unsealed {
    key: AuthKey,
    outgoing: Outgoing,
}

impl Unsealed {
    pub(super) fn new(key: &AuthKey, outgoing: Outgoing) -> Self {
        Self { key: key.clone(), outgoing }
    }
}

/// Puts all that `list` holds to `work`, a batch at a time; returns the list, empty and with room
/// for no more than `kept_max`.
fn in_batches<T>(
    mut list: Vec<T>,
    kept_max: usize,
    mut work: impl FnMut(Take<&mut Drain<'_, T>>),
) -> Vec<T> {
    let mut items = list.drain(..);
    while items.len() > 0 {
        work(items.by_ref().take(BATCH_LEN));
    }
    drop(items);
    list.shrink_to(kept_max);
    list
}

impl ServerEndpoint {
    /// Opens everything received since the last time in one batch, and hands it to the sessions.
    pub(super) fn open_received(&mut self) {
        let received = std::mem::take(&mut self.received);
        let received = in_batches(received, RECEIVED_KEPT_MAX, |packets| self.open_batch(packets));
        debug_assert!(self.received.is_empty(), "nothing is received meanwhile");
        self.received = received;
    }

    fn open_batch(&mut self, packets: impl Iterator<Item = Packet>) {
        let time = self.clock.now(self.now);
        let mut sealed = Batch::new();
        for packet in packets {
            if !self.links.contains_key(&packet.link) {
                continue;
            }
            match envelope::key_id(&packet.payload) {
                None => self.refuse(packet.link, TransportError::NotFound),
                Some(0) => self.handle_plain(packet),
                Some(id) => sealed.extend(self.find_key(AuthKeyId(id), time, packet)),
            }
        }
        let jobs = sealed.iter_mut().map(|(key, packet): &mut (AuthKey, Packet)| {
            // What a framing adds behind the last block, it cuts off itself.
            let filler = Filler::Never;
            OpenJob::new(key, Direction::ClientToServer, filler, &mut packet.payload)
        });
        let mut jobs: Batch<_> = jobs.collect();
        envelope::open(&mut jobs);
        let opened: Batch<_> = jobs.into_iter().map(|job| job.opened).collect();
        for ((key, packet), opened) in sealed.into_iter().zip(opened) {
            self.handle_opened(AuthKeyId(key.id()), packet, opened, time);
        }
    }

    /// Returns the packet when its key is at hand; otherwise it waits, or is refused.
    fn find_key(
        &mut self,
        id: AuthKeyId,
        time: ServerTime,
        packet: Packet,
    ) -> Option<(AuthKey, Packet)> {
        let link = packet.link;
        if let Some(key) = self.keys.get(id) {
            if !key.record.is_expired(time) {
                return Some((key.record.key.clone(), packet));
            }
            self.refuse(link, TransportError::NotFound);
            self.expire_key(id);
            return None;
        }
        match self.loads.wait(id, packet) {
            Ok(Some(load)) => self.ask_store(StoreAction::Load(load)),
            Ok(None) => {}
            Err(_) => self.refuse(link, TransportError::Flood),
        }
        None
    }

    // req: S112
    fn handle_opened(
        &mut self,
        key: AuthKeyId,
        packet: Packet,
        opened: Result<Opened, OpenError>,
        time: ServerTime,
    ) {
        let link = packet.link;
        if !self.links.contains_key(&link) {
            return;
        }
        let Ok(Opened { header, body, ack_token }) = opened else {
            return self.refuse(link, TransportError::NotFound);
        };
        if header.session_id == 0 {
            return self.refuse(link, TransportError::NotFound);
        }
        let name = SessionRef { key, session: SessionId(header.session_id) };
        if packet.is_turn {
            self.leave_others(link, name);
        }
        if self.attach(name, link, time).is_err() {
            // The key is good: -404 would make the client throw it away.
            return self.refuse(link, TransportError::Flood);
        }
        let payload = packet.payload.freeze();
        let (id, seqno) = (MsgId(header.msg_id), Seqno(header.seqno));
        let message = MessageView::within(&payload, id, seqno, body);
        let was_early = self.early.was_early(name, message.id, time);
        let salt = Salt(header.salt);
        let verdict = self.hand_over(name, link, packet.is_turn, was_early, salt, message);
        self.spare.keep_received(payload);
        match verdict {
            // req: S115
            Ok(Verdict::Accepted) if packet.quick_ack => {
                self.send(link, Outbound::QuickAck(ack_token));
            }
            Ok(Verdict::Accepted | Verdict::Refused) => {}
            Err(error) => self.refuse(link, error),
        }
    }

    /// Hands a message to its session. An error costs the link.
    fn hand_over(
        &mut self,
        name: SessionRef,
        link: LinkId,
        is_turn: bool,
        was_early: bool,
        salt: Salt,
        message: MessageView<'_>,
    ) -> Result<Verdict, TransportError> {
        let session = self.keys.session_mut(name).ok_or(TransportError::NotFound)?;
        let (machine, now) = (&mut session.machine, self.now);
        let is_old = machine.is_established();
        machine.lend(&mut self.desks);
        let taken = match is_turn {
            _ if was_early => {
                Ok(machine.refuse_early(link, message.id, message.seqno, is_turn, now))
            }
            true => machine.handle_turn(link, salt, message, now),
            false => machine.handle_message(link, salt, message, now),
        };
        let verdict = taken.map_err(|fault| match fault {
            Fault::TooManyTurns => TransportError::Flood,
            _ => TransportError::NotFound,
        })?;
        if !is_old && machine.is_established() {
            self.outputs.push_back(Output::Event(Event::SessionOpened(name)));
        }
        if !std::mem::replace(&mut session.is_ready, true) {
            self.ready.push_back(name);
        }
        if is_turn && self.releases_turns {
            self.release_turns_of(name);
        }
        Ok(verdict)
    }

    pub(super) fn compose(&mut self, key: AuthKeyId, outgoing: Outgoing) {
        if let Some(key) = self.keys.get(key) {
            self.unsealed.push(Unsealed::new(&key.record.key, outgoing));
        }
    }

    /// Seals everything composed since the last time in one batch.
    // req: S112
    pub(super) fn seal_composed(&mut self) {
        let unsealed = std::mem::take(&mut self.unsealed);
        let unsealed =
            in_batches(unsealed, UNSEALED_KEPT_MAX, |messages| self.seal_batch(messages));
        debug_assert!(self.unsealed.is_empty(), "nothing is composed meanwhile");
        self.unsealed = unsealed;
    }

    fn seal_batch(&mut self, messages: impl Iterator<Item = Unsealed>) {
        let packets = messages.map(|Unsealed { key, outgoing }| {
            let link = outgoing.link;
            (key, link, outgoing.lay_out(Padding::Random, &mut *self.random))
        });
        let mut packets: Batch<_> = packets.collect();
        let jobs = packets
            .iter_mut()
            .map(|(key, _, packet)| SealJob::new(key, Direction::ServerToClient, packet));
        envelope::seal(&mut jobs.collect::<Batch<_>>());
        for (_, link, packet) in packets {
            let payload = Payload::Own(packet);
            self.send(link, Outbound::Packet { payload, quick_ack: false });
        }
    }
}
