//! From what a server session has to say to the packets that say it.

use std::time::Instant;

use mtproto_pack::{Message, RPC_ERROR_ID, RpcResult, object_id};
use mtproto_tl::{Author, Encode, types};

use super::{OUTBOX_MESSAGES_MAX, ServerSession};
use crate::notices::Notice;
use crate::packet::{Packet, STALE_AFTER};
use crate::{LinkId, MsgState, Outgoing};

impl ServerSession {
    /// Everything that is ready for one link, as far as it fits into one packet.
    pub(super) fn next_packet(&mut self) -> Option<Outgoing> {
        let link = self.next_link()?;
        let time = self.clock.now(self.now);
        let mut packet = Packet::default();
        match self.notices.take_alone(link) {
            Some(Notice { body, author, .. }) => {
                packet.push_service(body, author, &mut self.ids, self.seqnos, time);
            }
            None => self.fill(link, &mut packet),
        }
        // req: L26
        let seqno = self.seqnos.service();
        let message = packet.finish(Author::ServerNotice, &mut self.ids, seqno, time)?;
        let salt = self.salts.current(time);
        Some(Outgoing { link, salt, session_id: self.session_id, message, quick_ack: false })
    }

    /// Adds what may share a packet.
    fn fill(&mut self, link: LinkId, packet: &mut Packet) {
        let time = self.clock.now(self.now);
        while let Some((message, sent_before)) =
            self.outbox.send_next(link, |next| packet.has_room(next.body.len()))
        {
            // What was sent before, or waited for a link, never goes alone.
            let is_stale = message.id.time() < time.before(STALE_AFTER);
            if sent_before || is_stale {
                packet.wrap();
            }
            let is_error = is_error(&message);
            packet.push(message);
            // req: L24
            if is_error {
                packet.close();
            }
        }
        while let Some(notice) = self.notices.take_next(link, |len| packet.has_room(len)) {
            packet.push_service(notice.body, notice.author, &mut self.ids, self.seqnos, time);
        }
        self.add_question(link, packet);
        self.add_acks(link, packet);
    }

    /// When there is something to do without any input.
    pub(super) fn deadline(&self) -> Option<Instant> {
        // Without a link there is nowhere to send an acknowledgement.
        let acks = self.links.newest().and(self.acks.deadline());
        let others = [self.outbox.expiry(), self.order.deadline()];
        others.into_iter().chain([acks]).flatten().min()
    }

    fn next_link(&self) -> Option<LinkId> {
        let newest = self.links.newest();
        let acks_due = self.acks.deadline().is_some_and(|due| due <= self.now);
        self.notices
            .next_link()
            .or_else(|| self.outbox.next_link(newest))
            .or_else(|| self.questions.next_link())
            .or_else(|| newest.filter(|_| acks_due))
    }

    /// Asks whether the client has what was sent to it again and again.
    // req: S16
    fn add_question(&mut self, link: LinkId, packet: &mut Packet) {
        // There are far fewer of them than would make a packet too long.
        let room = 12 + 8 * OUTBOX_MESSAGES_MAX;
        if !packet.has_room(room) {
            return;
        }
        let Some(msg_ids) = self.questions.take(link) else { return };
        let body = types::MsgsStateReq { msg_ids: msg_ids.clone() }.to_bytes();
        let time = self.clock.now(self.now);
        let author = Author::ServerNotice;
        let message = packet.push_service(body, author, &mut self.ids, self.seqnos, time);
        self.questions.asked(message.id, msg_ids);
    }

    /// What is owed rides along: it leaves with whatever packet leaves.
    // req: S3, S13, S72
    fn add_acks(&mut self, link: LinkId, packet: &mut Packet) {
        let due = self.acks.deadline().is_some_and(|due| due <= self.now);
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
        let body = types::MsgsAck { msg_ids }.to_bytes();
        let time = self.clock.now(self.now);
        packet.push_service(body, Author::ServerNotice, &mut self.ids, self.seqnos, time);
    }
}

/// Whether it is an `rpc_error`: some clients stop reading a container there.
fn is_error(message: &Message) -> bool {
    let answer = RpcResult::read(&message.body);
    answer.is_ok_and(|answer| object_id(&answer.result) == RPC_ERROR_ID)
}
