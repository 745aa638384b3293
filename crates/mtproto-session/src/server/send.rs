//! From what a server session has to say to the packets that say it.

use std::time::Instant;

use mtproto_pack::{Message, PacketSlice, RPC_ERROR_ID, RpcResultView, object_id};
use mtproto_tl::{Author, types};

use super::outbox::Entry;
use super::turns::{Way, Ways};
use super::{Desks, OUTBOX_MESSAGES_MAX, ServerSession};
use crate::packet::{Packet, STALE_AFTER};
use crate::{LinkId, MsgState, Outgoing};

impl ServerSession {
    /// Everything that is ready for one link, as far as it fits into one packet.
    pub(super) fn next_packet(&mut self, desks: &mut Desks) -> Option<Outgoing> {
        let Some(link) = self.next_stream() else { return self.answer_due_turn() };
        let mut packet = Packet::within(desks.packet());
        if !self.add_alone(&mut packet, Way::Stream(link)) {
            self.add(&mut packet, link, Way::Stream(link));
            self.add_acks(link, &mut packet, false);
        }
        self.finish(link, packet)
    }

    /// When there is something to do without any input.
    pub(super) fn deadline(&self) -> Option<Instant> {
        // Without a link there is nowhere to send an acknowledgement.
        let acks = self.ack_link().and(self.acks.deadline());
        let others = [self.outbox.expiry(), self.order.deadline()];
        others.into_iter().chain([acks, self.turn_deadline()]).flatten().min()
    }

    /// Adds what must not share its packet, if there is any.
    pub(super) fn add_alone(&mut self, packet: &mut Packet, way: Way) -> bool {
        let ways = Ways { links: &self.links, turns: &self.turns };
        let Some(desk) = &mut self.desk else { return false };
        desk.notices.take_alone(
            |link| ways.of_link(link) == way,
            |author, body| {
                let time = self.clock.now(self.now);
                packet.push_notice(body, author, &mut self.ids, self.seqnos, time);
            },
        )
    }

    /// Adds all that leaves one way and may share a packet, as far as there is room.
    pub(super) fn add(&mut self, packet: &mut Packet, link: LinkId, way: Way) {
        let time = self.clock.now(self.now);
        let ways = Ways { links: &self.links, turns: &self.turns };
        let is_meant = |entry: &Entry| ways.of_message(entry) == way;
        while let Some((message, sent_before)) =
            self.outbox.send_next(link, is_meant, |next| packet.has_room(next.body.len()))
        {
            // What was sent before, or waited for a link, never goes alone.
            let is_stale = message.id.time() < time.before(STALE_AFTER);
            if sent_before || is_stale {
                packet.wrap();
            }
            let is_error = is_error(message);
            packet.push(message.id, message.seqno, &message.body);
            // req: L24
            if is_error {
                packet.close();
            }
        }
        if let Some(desk) = &mut self.desk {
            let (ids, seqnos) = (&mut self.ids, self.seqnos);
            desk.notices.take_shared(
                |link| ways.of_link(link) == way,
                |author, body| {
                    let has_room = packet.has_room(body.len());
                    if has_room {
                        packet.push_notice(body, author, ids, seqnos, time);
                    }
                    has_room
                },
            );
        }
        self.add_question(packet, way);
    }

    /// The packet as it leaves over `link`.
    // req: L26
    pub(super) fn finish(&mut self, link: LinkId, packet: Packet) -> Option<Outgoing> {
        let (time, seqno) = (self.clock.now(self.now), self.seqnos.service());
        let message = packet.finish(Author::ServerNotice, &mut self.ids, seqno, time)?;
        let salt = self.salts.current(time);
        Some(Outgoing { link, salt, session_id: self.session_id, message, quick_ack: false })
    }

    /// A link that something can leave by at once.
    fn next_stream(&self) -> Option<LinkId> {
        let ways = Ways { links: &self.links, turns: &self.turns };
        let stream = |way| match way {
            Way::Stream(link) => Some(link),
            Way::AnyTurn | Way::Nowhere | Way::Turn(_) => None,
        };
        let by_link = |link| stream(ways.of_link(link));
        let acks_due = self.acks.deadline().is_some_and(|due| due <= self.now);
        let notices = self.desk.iter().flat_map(|desk| desk.notices.iter());
        notices
            .map(|notice| notice.link)
            .find_map(by_link)
            .or_else(|| self.outbox.ready().find_map(|entry| stream(ways.of_message(entry))))
            .or_else(|| self.questions.next_link().and_then(by_link))
            .or_else(|| self.ack_link().filter(|_| acks_due))
    }

    /// The link that an acknowledgement may leave by alone.
    fn ack_link(&self) -> Option<LinkId> {
        self.links.newest().filter(|_| !self.links.take_turns())
    }

    /// Asks whether the client has what was sent to it again and again.
    // req: S16
    fn add_question(&mut self, packet: &mut Packet, way: Way) {
        // There are far fewer of them than would make a packet too long.
        let room = 12 + 8 * OUTBOX_MESSAGES_MAX;
        if !packet.has_room(room) {
            return;
        }
        let ways = Ways { links: &self.links, turns: &self.turns };
        let Some(msg_ids) = self.questions.take(|link| ways.of_link(link) == way) else { return };
        let question = types::MsgsStateReq { msg_ids: msg_ids.clone() };
        let time = self.clock.now(self.now);
        let author = Author::ServerNotice;
        let id = packet.push_service(&question, author, &mut self.ids, self.seqnos, time);
        self.questions.asked(id, msg_ids);
    }

    /// What is owed rides along: it leaves with whatever packet leaves, and that may be one that
    /// leaves `anyway`.
    // req: S3, S13, S65, S72
    pub(super) fn add_acks(&mut self, link: LinkId, packet: &mut Packet, anyway: bool) {
        let due = anyway || self.acks.deadline().is_some_and(|due| due <= self.now);
        let rides = !packet.is_empty() && packet.has_room(self.acks.next_len());
        // A link that has only shown a duplicate may be anybody's.
        if self.acks.is_empty()
            || !self.links.contains(link)
            || !(rides || packet.is_empty() && due)
        {
            return;
        }
        let msg_ids = self.acks.take();
        for id in &msg_ids {
            self.inbox.mark(*id, MsgState::ACKED);
        }
        let (acks, time) = (types::MsgsAck { msg_ids }, self.clock.now(self.now));
        packet.push_service(&acks, Author::ServerNotice, &mut self.ids, self.seqnos, time);
    }
}

/// Whether it is an `rpc_error`: some clients stop reading a container there.
fn is_error(message: &Message) -> bool {
    let answer = RpcResultView::read(PacketSlice::whole(&message.body));
    answer.is_ok_and(|answer| object_id(answer.result.bytes()) == RPC_ERROR_ID)
}
