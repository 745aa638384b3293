//! From what a client session has to say to the packets that say it.

use std::time::Instant;

use mtproto_tl::{Author, Encode, MsgId, Seqno, ServerTime, functions, types};

use super::errands::SALTS_AHEAD_MIN;
use super::requests::Departure;
use super::sent::Errand;
use super::turns::AT_ONCE;
use super::{ClientSession, QUICK_ACKS_MAX, QuickAck, RequestId};
use crate::acks::AckIds;
use crate::packet::Packet;
use crate::{FUTURE_SALTS_MAX, LinkId, MsgState, Outgoing};

/// A packet in the making.
struct Draft {
    packet: Packet,
    link: LinkId,
    time: ServerTime,
    /// The server has something to say to a message in it.
    asks: bool,
    /// Requests that stood in another packet before.
    repeated: Vec<RequestId>,
    quick_ack: bool,
    /// Requests whose quick acknowledgement is wanted.
    quick: Vec<RequestId>,
}

impl ClientSession {
    /// Everything that is ready, as far as it fits into one packet.
    pub(super) fn next_packet(&mut self) -> Option<Outgoing> {
        if self.pings.keep_alive(&self.links, self.now) {
            self.rest();
        }
        let can_send = |link: &LinkId| self.turns.has_room(*link);
        let replied = self.notices.iter().map(|notice| notice.link).find(can_send);
        let newest = self.links.last().copied().filter(can_send);
        let link = replied.or(newest);
        link.and_then(|link| self.next_packet_over(link)).or_else(|| self.next_probe())
    }

    fn next_packet_over(&mut self, link: LinkId) -> Option<Outgoing> {
        let mut draft = self.draft(link);
        let is_alone = self.links.contains(&link) && self.add_requests(&mut draft);
        // What is answered at once must not end the turn that the answer to a request waits for.
        let waits = self.turns.takes(link) && !draft.packet.is_empty();
        if self.links.contains(&link) && !is_alone && !waits {
            self.add_errands(&mut draft);
            self.add_upkeep(&mut draft);
        }
        let (packet, ids, seqnos, time) =
            (&mut draft.packet, &mut self.ids, self.seqnos, draft.time);
        self.notices.take_shared(
            |to| to == link,
            |author, body| {
                let has_room = packet.has_room(body.len());
                if has_room {
                    packet.push_notice(body, author, ids, seqnos, time);
                }
                has_room
            },
        );
        if !is_alone {
            self.add_http_wait(&mut draft);
        }
        self.add_acks(&mut draft);
        self.finish(draft)
    }

    /// A ping over a link that nothing else leaves by.
    fn next_probe(&mut self) -> Option<Outgoing> {
        let mut draft = self.draft(self.pings.next_probe(|link| self.turns.has_room(link))?);
        self.add_upkeep(&mut draft);
        self.add_http_wait(&mut draft);
        self.finish(draft)
    }

    /// The last packets before the links close, or before another session goes on over them: what
    /// is owed is acknowledged. For links that `stay`, the end that keepalives of this session have
    /// asked for is put off, so that it does not come upon the other: there are servers that note
    /// it by session, and not by link.
    // req: S29, S95
    pub fn last_words(&mut self, stay: bool, now: Instant) -> Vec<Outgoing> {
        self.now = now;
        let newest = self.links.last().copied();
        let links = self.links.clone().into_iter();
        let packets = links.filter_map(|link| {
            let takes_turns = self.turns.takes(link);
            if !self.turns.has_room(link) {
                return None;
            }
            let mut draft = self.draft(link);
            if stay && !takes_turns {
                let ping_id = i64::from_le_bytes(self.pings.next().0.to_le_bytes());
                let query =
                    functions::PingDelayDisconnect { ping_id, disconnect_delay: LAST_DELAY };
                self.add_service(&mut draft, &query, Errand::Reply);
            }
            if Some(link) == newest && !self.acks.is_empty() {
                self.acks.hurry(now);
                if takes_turns {
                    self.add_service(&mut draft, &AT_ONCE, Errand::HttpWait);
                }
                self.add_acks(&mut draft);
            }
            self.finish(draft)
        });
        packets.collect()
    }

    fn draft(&self, link: LinkId) -> Draft {
        let packet = Packet::expecting(self.requests.ready_len() + self.acks.next_len());
        let (time, repeated, quick) = (self.clock.now(self.now), Vec::new(), Vec::new());
        Draft { packet, link, time, asks: false, repeated, quick_ack: false, quick }
    }

    /// When there is something to do without any input. Without a link there is nothing.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let newest = *self.links.last()?;
        // Without room for a packet, what is due waits until one of those that are open has ended.
        let can_send = self.turns.has_room(newest);
        let deadlines = [
            self.acks.deadline().filter(|_| can_send),
            self.pings.deadline(),
            self.requests.next_check(),
            can_send.then(|| self.salts_due(self.clock.now(self.now))),
            self.turns.deadline(newest),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Requests, those to be repeated first. Returns whether the packet is one request's own.
    fn add_requests(&mut self, draft: &mut Draft) -> bool {
        let departure = Departure { link: draft.link, session_id: self.session_id, now: self.now };
        while let Some(request) = self.requests.repeat_next(&mut draft.packet, &departure) {
            draft.asks = true;
            draft.repeated.push(request);
            if self.requests.wants_quick_ack(request) {
                draft.quick.push(request);
            }
        }
        let (ids, seqnos, time) = (&mut self.ids, &mut self.seqnos, draft.time);
        while let Some(joined) = self.requests.send_next(&mut draft.packet, &departure, || {
            (ids.issue(time, Author::Client), seqnos.content_related())
        }) {
            draft.asks = true;
            if joined.wants_quick_ack {
                draft.quick_ack = true;
                draft.quick.push(joined.request);
            }
            if joined.is_alone {
                return true;
            }
        }
        false
    }

    /// What has come up: cancelled requests, questions about messages, orders.
    // req: S6, S16, S20, S31, S47
    fn add_errands(&mut self, draft: &mut Draft) {
        if self.errands.is_empty() {
            return;
        }
        let msg_ids = self.errands.take_states();
        if !msg_ids.is_empty() {
            let errand = Errand::States(msg_ids.clone());
            self.add_service(draft, &types::MsgsStateReq { msg_ids }, errand);
        }
        let msg_ids = self.errands.take_resends();
        if !msg_ids.is_empty() {
            let errand = Errand::Resend(msg_ids.clone());
            self.add_service(draft, &types::MsgResendReq { msg_ids }, errand);
        }
        while draft.packet.has_room(ERRAND_LEN_MAX)
            && let Some(req_msg_id) = self.errands.drops.pop_front()
        {
            let query = functions::RpcDropAnswer { req_msg_id };
            self.add_service(draft, &query, Errand::DropAnswer(req_msg_id));
        }
        while draft.packet.has_room(ERRAND_LEN_MAX)
            && let Some(session_id) = self.errands.destroy_sessions.pop_front()
        {
            let query = functions::DestroySession { session_id };
            self.add_service(draft, &query, Errand::DestroySession(session_id));
        }
        if std::mem::take(&mut self.errands.destroy_auth_key) {
            self.add_service(draft, &functions::DestroyAuthKey, Errand::DestroyAuthKey);
        }
    }

    /// What is due: pings and salts.
    fn add_upkeep(&mut self, draft: &mut Draft) {
        while draft.packet.has_room(ERRAND_LEN_MAX)
            && let Some((ping, delay)) = self.pings.take_due(draft.link, self.now)
        {
            let ping_id = i64::from_le_bytes(ping.0.to_le_bytes());
            // A link that takes turns is ours to keep.
            match delay.filter(|_| !self.turns.takes(draft.link)) {
                Some(disconnect_delay) => {
                    let query = functions::PingDelayDisconnect { ping_id, disconnect_delay };
                    self.add_service(draft, &query, Errand::Ping(ping))
                }
                None => self.add_service(draft, &functions::Ping { ping_id }, Errand::Ping(ping)),
            };
        }
        // req: S21, S22
        if self.salts_due(draft.time) <= self.now && draft.packet.has_room(ERRAND_LEN_MAX) {
            let num = i32::try_from(FUTURE_SALTS_MAX).unwrap_or(i32::MAX);
            let query = functions::GetFutureSalts { num };
            let id = self.add_service(draft, &query, Errand::FutureSalts);
            self.errands.salts_asked = Some((id, self.now));
        }
    }

    /// What is owed rides along, or leaves alone when it is due.
    // req: S3, S13, S47, S72, S95
    fn add_acks(&mut self, draft: &mut Draft) {
        let due = self.acks.deadline().is_some_and(|due| due <= self.now);
        let rides = !draft.packet.is_empty() && draft.packet.has_room(self.acks.next_len());
        let leaves = rides || draft.packet.is_empty() && due;
        if self.acks.is_empty() || !leaves || !self.links.contains(&draft.link) {
            return;
        }
        let numbers = self.sent.take_acks(&mut self.acks);
        self.inbox.mark_all(self.sent.acked(&numbers), MsgState::ACKED);
        let id = draft.packet.push_service(
            &AckIds(self.sent.acked(&numbers)),
            Author::Client,
            &mut self.ids,
            self.seqnos,
            draft.time,
        );
        self.sent.note(id, Errand::Acks(numbers));
    }

    /// Over a link that takes turns: a packet that asks nothing is a long poll if no other packet
    /// is open, else it is answered at once. So is the last that may be open: while many queries
    /// take long, there is always room for another. Its answer comes with another packet.
    // req: S56, S64
    fn add_http_wait(&mut self, draft: &mut Draft) {
        let link = draft.link;
        if !self.turns.takes(link) || !draft.packet.has_room(ERRAND_LEN_MAX) {
            return;
        }
        let asks = draft.asks;
        let is_newest = self.links.last() == Some(&link);
        let acks_due = self.acks.deadline().is_some_and(|due| due <= self.now);
        if !asks && is_newest && self.turns.wants_poll(link, self.now) {
            self.turns.polled(link, self.now);
            self.add_service(draft, &self.turns.poll(), Errand::HttpWait);
        } else if asks && self.turns.is_last(link)
            || !asks && (!draft.packet.is_empty() || is_newest && acks_due)
        {
            self.add_service(draft, &AT_ONCE, Errand::HttpWait);
        }
    }

    fn add_service(&mut self, draft: &mut Draft, object: &impl Encode, errand: Errand) -> MsgId {
        let (ids, seqnos, time) = (&mut self.ids, self.seqnos, draft.time);
        let id = draft.packet.push_service(object, Author::Client, ids, seqnos, time);
        draft.asks |= errand.is_answered();
        self.sent.note(id, errand);
        id
    }

    fn finish(&mut self, draft: Draft) -> Option<Outgoing> {
        let Draft { packet, link, time, repeated, quick, .. } = draft;
        let seqno: Seqno = self.seqnos.service();
        let message = packet.finish(Author::Client, &mut self.ids, seqno, time)?;
        for request in repeated {
            self.requests.left_in(request, message.id);
        }
        self.sent.add(message.id, link, self.now);
        self.turns.sent(link);
        let quick_ack = draft.quick_ack && !self.turns.takes(link);
        if quick_ack {
            if self.quick_acks.len() >= QUICK_ACKS_MAX {
                self.quick_acks.pop_front();
            }
            let awaited = QuickAck { packet: message.id, token: None, requests: quick };
            self.quick_acks.push_back(awaited);
        }
        let salt = self.salts.current(time);
        Some(Outgoing { link, salt, session_id: self.session_id, message, quick_ack })
    }

    /// When salts are to be asked for.
    fn salts_due(&self, time: ServerTime) -> Instant {
        let known_for = self.salts.known_for(time);
        let needed = self.now + known_for.saturating_sub(SALTS_AHEAD_MIN);
        needed.max(self.errands.salts_due(self.now))
    }
}

/// The `disconnect_delay` of a session that leaves its links to another, in seconds: as good as
/// never, and within what any server takes for a delay.
const LAST_DELAY: i32 = 7 * 24 * 60 * 60;

/// No single question or order is longer, lists of ids aside.
const ERRAND_LEN_MAX: usize = 32;
