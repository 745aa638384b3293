//! What a client session does with each kind of message.

use std::time::Duration;

use mtproto_pack::{MessageView, PacketSlice, RpcAnswer, RpcResultView};
use mtproto_tl::{Author, MsgId, Seqno, types};

use super::inbound::Inbound;
use super::sent::Errand;
use super::{ClientEvent, ClientSession, Gap, PingId, RequestError, RequestId};
use crate::notices::Manner;
use crate::{LinkId, MsgState};

/// An answer older than its query by more than this shows that our clock is ahead.
const ANSWER_BEFORE_QUERY_MAX: Duration = Duration::from_secs(15);

impl ClientSession {
    /// Carries out what a new message says.
    pub(super) fn act(&mut self, link: LinkId, id: MsgId, inbound: Inbound<'_>) {
        match inbound {
            Inbound::Acks(ids) => ids.into_iter().for_each(|id| self.requests.acknowledged(id)),
            Inbound::BadMsg { id: bad_id, code } => self.handle_bad_msg(link, id, bad_id, code),
            Inbound::BadSalt { id: bad_id, salt } => self.handle_bad_salt(link, id, bad_id, salt),
            Inbound::Detailed { request, message } => self.handle_detailed(request, message),
            Inbound::KeyDestroyed(outcome) => self.tell(ClientEvent::AuthKeyDestroyed(outcome)),
            Inbound::NewSession(created) => self.handle_new_session(&created),
            Inbound::Ping(ping_id) => {
                // req: S26, S28
                let pong = types::Pong { msg_id: id, ping_id };
                self.notices.add(link, Author::Client, &pong, Manner::Shared, self.now);
            }
            Inbound::Pong(pong) => self.handle_pong(id, &pong),
            Inbound::Push(object) => self.tell(ClientEvent::Push(object.to_bytes())),
            Inbound::Resend(ids) => self.handle_resend(link, id, &ids),
            Inbound::Salts(salts) => self.handle_salts(salts),
            Inbound::SessionDestroyed { session_id, existed } => {
                self.tell(ClientEvent::SessionDestroyed { session_id, existed });
            }
            Inbound::StateInfo(states) => self.handle_state_info(&states),
            Inbound::StateRequest(ids) => self.reply_states(link, id, &ids),
            // req: S18
            Inbound::States(states) => {
                for (id, state) in states.msg_ids.iter().zip(&states.info) {
                    if MsgState(*state).is_received() {
                        self.learn_received(*id, MsgState(*state));
                    }
                }
            }
        }
    }

    /// An answer to a request, the first to any of the messages that carried it.
    // req: S1, S2, S4, S6, S53
    pub(super) fn handle_answer(&mut self, link: LinkId, id: MsgId, answer: RpcResultView<'_>) {
        let Some(request) = self.requests.answered(answer.req_msg_id) else {
            return self.handle_unrequested(link, id, answer);
        };
        self.compare_times(answer.req_msg_id, id);
        if answer.is_plain() {
            // Nearly every answer, and many: it goes straight to where it is told from.
            self.tell(ClientEvent::Answer { request, outcome: Ok(answer.result.to_bytes()) });
        } else {
            self.tell_other(request, answer.result);
        }
    }

    /// Tells a result that is packed, or has a meaning to the protocol itself.
    #[cold]
    fn tell_other(&mut self, request: RequestId, result: PacketSlice<'_>) {
        let outcome = match RpcAnswer::read_from(result, self.config.inflated_max) {
            Ok(RpcAnswer::Ok(object)) => Ok(object),
            Ok(RpcAnswer::Error(error)) => Err(RequestError::Rpc(error)),
            Ok(RpcAnswer::Drop(_)) => Err(RequestError::Dropped),
            Err(error) => Err(RequestError::Unreadable(error)),
        };
        self.tell(ClientEvent::Answer { request, outcome });
    }

    /// A late answer is thrown away. Some servers wrap the answers to service queries, which is
    /// looked through.
    fn handle_unrequested(&mut self, link: LinkId, id: MsgId, answer: RpcResultView<'_>) {
        let message = MessageView { id, seqno: Seqno::default(), body: answer.result };
        if let Ok(
            inner @ (Inbound::KeyDestroyed(_)
            | Inbound::Pong(_)
            | Inbound::Salts(_)
            | Inbound::SessionDestroyed { .. }
            | Inbound::StateInfo(_)),
        ) = Inbound::read(&message)
        {
            self.act(link, id, inner);
        }
    }

    /// The server's time is at most that of its answer to a query of ours.
    #[inline]
    pub(super) fn compare_times(&mut self, query: MsgId, answer: MsgId) {
        let is_before = answer < query;
        if is_before && query.time().saturating_since(answer.time()) > ANSWER_BEFORE_QUERY_MAX {
            self.correct_clock(answer);
        }
    }

    // req: S19
    fn handle_detailed(&mut self, request: Option<MsgId>, message: MsgId) {
        if let Some(request) = request {
            self.requests.acknowledged(request);
        }
        if self.inbox.state(message).is_received() {
            self.acks.owe(message, self.now);
        } else if request.is_none_or(|request| self.requests.find(request).is_some()) {
            self.errands.ask_resend(message);
        }
    }

    /// The server did not know the session: what it has not received in it is lost.
    // req: S38, S39
    fn handle_new_session(&mut self, created: &types::NewSessionCreated) {
        let types::NewSessionCreated { first_msg_id, unique_id, server_salt } = *created;
        if self.salts.adopt(server_salt, self.clock.now(self.now)) {
            self.tell(ClientEvent::SaltsChanged);
        }
        // The id may be that of a message in a container, or of the container.
        let packet = self.requests.taken_in(first_msg_id).unwrap_or(first_msg_id);
        // Over another link it may still arrive, so it must be the same message.
        for id in self.requests.sent_until(self.sent.packet_before(packet)) {
            self.requests.repeat(id);
        }
        self.tell(ClientEvent::Gap(Gap::SessionCreated { first_msg_id, unique_id }));
    }

    fn handle_pong(&mut self, id: MsgId, pong: &types::Pong) {
        let ping = PingId(u64::from_le_bytes(pong.ping_id.to_le_bytes()));
        if let Some((link, round_trip)) = self.pings.pong(ping, self.now) {
            self.compare_times(pong.msg_id, id);
            self.turns.measured(link, round_trip);
            self.tell(ClientEvent::Pong { ping, link, round_trip });
        }
    }

    /// The server wants messages again.
    // req: S20
    fn handle_resend(&mut self, link: LinkId, id: MsgId, ids: &[MsgId]) {
        if ids.iter().all(|id| self.requests.is_current(*id)) {
            ids.iter().for_each(|id| self.requests.repeat(*id));
        } else {
            self.reply_states(link, id, ids);
        }
    }

    // req: S22, S23, S25
    fn handle_salts(&mut self, salts: types::FutureSalts) {
        let asked = self.errands.salts_asked.map(|(id, _)| id);
        if asked == Some(salts.req_msg_id) {
            self.salts.install(salts.salts);
            self.tell(ClientEvent::SaltsChanged);
        }
    }

    /// The server says what it has of the messages that we asked about.
    // req: S16, S17
    fn handle_state_info(&mut self, states: &types::MsgsStateInfo) {
        let Some(Errand::States(ids)) = self.sent.get(states.req_msg_id) else { return };
        if ids.len() != states.info.len() {
            return;
        }
        for (id, state) in ids.clone().into_iter().zip(&states.info) {
            let state = MsgState(*state);
            if state.is_received() {
                self.learn_received(id, state);
            } else if state != MsgState::UNKNOWN {
                // It may still arrive over another link, so it must be the same message.
                self.requests.repeat(id);
            } else if self.requests.is_current(id)
                && let Some(request) = self.requests.find(id)
            {
                self.requests.send_anew(request);
            }
        }
    }

    /// The server has a message of ours. If it has the answer and we do not, repeating the query
    /// makes it send the answer again.
    fn learn_received(&mut self, id: MsgId, state: MsgState) {
        self.requests.acknowledged(id);
        if state.has(MsgState::ANSWERED) {
            self.requests.repeat(id);
        }
    }

    // req: S16, S17
    fn reply_states(&mut self, link: LinkId, req_msg_id: MsgId, ids: &[MsgId]) {
        let states = ids.iter().map(|id| match id.is_from_server() {
            true => self.inbox.state(*id),
            // Our own, which has had its answer, or nobody's.
            false => MsgState::UNKNOWN,
        });
        let info = states.map(|state| state.0).collect();
        let states = types::MsgsStateInfo { req_msg_id, info };
        self.notices.add(link, Author::Client, &states, Manner::Shared, self.now);
    }
}
