//! What a server session does with each kind of message.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_tl::{Author, Encode, MsgId, SessionId, types};

use super::checks::{Received, Refusal};
use super::inbound::Inbound;
use super::rpc::is_acknowledged_by_reply;
use super::{Control, KeyDestroyed, ServerOutput, ServerSession, Ticket};
use crate::notices::Manner;
use crate::{BadMsg, LinkId, MsgState};

/// The longest delay that a `ping_delay_disconnect` can ask for.
pub const DISCONNECT_DELAY_MAX: Duration = Duration::from_secs(3600);

/// Bytes of `new_session_created`, which waits for its acknowledgement in no more than that.
const NEW_SESSION_LEN: usize = 4 + 3 * 8;

impl ServerSession {
    /// Tells the client what became of the session that it wanted destroyed.
    // req: S31
    pub fn session_destroyed(
        &mut self,
        ticket: Ticket,
        session_id: SessionId,
        existed: bool,
        now: Instant,
    ) {
        self.now = now;
        let link = self.reply_link(ticket);
        if existed {
            self.reply(link, &types::DestroySessionOk { session_id });
        } else {
            self.reply(link, &types::DestroySessionNone { session_id });
        }
    }

    /// Tells the client what became of the auth key that it wanted destroyed.
    // req: S66
    pub fn auth_key_destroyed(&mut self, ticket: Ticket, outcome: KeyDestroyed, now: Instant) {
        self.now = now;
        let link = self.reply_link(ticket);
        // The links may close once this is said.
        self.turns.release();
        match outcome {
            KeyDestroyed::Fail => self.reply(link, &types::DestroyAuthKeyFail),
            KeyDestroyed::None => self.reply(link, &types::DestroyAuthKeyNone),
            KeyDestroyed::Ok => self.reply(link, &types::DestroyAuthKeyOk),
        }
    }

    /// Carries out a message that has not been received before.
    pub(super) fn act(&mut self, link: LinkId, message: Received) {
        let Received { id, seqno, inbound, .. } = message;
        if !is_acknowledged_by_reply(&inbound) && seqno.is_content_related() {
            // req: S13, S95
            self.acks.owe(id, self.now);
        }
        match inbound {
            Inbound::Acks(ids) => ids.into_iter().for_each(|id| self.acknowledged(id)),
            Inbound::DestroyAuthKey => {
                let control = Control::DestroyAuthKey(Ticket { request: id, link });
                self.want(ServerOutput::Control(control));
            }
            Inbound::DestroySession(session_id) => self.destroy_session(id, link, session_id),
            Inbound::DropAnswer(request) => self.drop_answer(link, id, request),
            Inbound::FutureSalts { count } => self.reply_future_salts(link, id, count),
            // req: S56
            Inbound::HttpWait(_) | Inbound::Ignored => (),
            Inbound::Ping { ping_id, disconnect_delay } => {
                // req: L33, S26, S27, S28
                self.reply(link, &types::Pong { msg_id: id, ping_id });
                // A link that takes turns is the client's own to keep.
                // req: S29
                if let Some(seconds) = disconnect_delay
                    && !self.turns.is_open(link)
                {
                    let delay = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                    let delay = delay.min(DISCONNECT_DELAY_MAX);
                    self.want(ServerOutput::CloseAfter { link, delay });
                }
            }
            Inbound::Query(body) => self.start(link, id, body),
            Inbound::Resend(ids) => self.resend(link, id, &ids),
            Inbound::ResendAnswers(requests) => self.resend_answers(link, &requests),
            Inbound::StateInfo(answer) => self.learn_answer(link, answer.req_msg_id, &answer.info),
            Inbound::States(states) => self.learn_states(&states.msg_ids, &states.info),
            Inbound::StateRequest(ids) => self.reply_states(link, id, &ids),
        }
    }

    /// Tells the client that one message, or one packet, was refused. It goes alone: a client whose
    /// clock is wrong may take everything else for too old or too new, containers included.
    // req: S14, S15
    pub(super) fn refuse(&mut self, link: LinkId, refusal: Refusal) {
        let Refusal { id: bad_msg_id, seqno: bad_msg_seqno, reason } = refusal;
        let error_code = reason.code();
        if reason == BadMsg::Salt {
            let new_server_salt = self.salts.current(self.clock.now(self.now));
            let notice =
                types::BadServerSalt { bad_msg_id, bad_msg_seqno, error_code, new_server_salt };
            self.say(link, &notice, Manner::Alone);
        } else {
            let notice = types::BadMsgNotification { bad_msg_id, bad_msg_seqno, error_code };
            self.say(link, &notice, Manner::Alone);
        }
    }

    // req: S33, S36
    pub(super) fn queue_new_session(&mut self, first_msg_id: MsgId) {
        let server_salt = self.salts.current(self.clock.now(self.now));
        let unique_id = i64::from_le_bytes(self.unique_id.to_le_bytes());
        let mut body = Vec::with_capacity(NEW_SESSION_LEN);
        types::NewSessionCreated { first_msg_id, unique_id, server_salt }.encode(&mut body);
        self.make_room(body.len());
        self.queue(body.into(), Author::ServerNotice, None);
    }

    // req: S32
    fn destroy_session(&mut self, id: MsgId, link: LinkId, session_id: SessionId) {
        if session_id == self.session_id {
            self.reply(link, &types::DestroySessionNone { session_id });
        } else {
            let ticket = Ticket { request: id, link };
            let control = Control::DestroySession { ticket, session_id };
            self.want(ServerOutput::Control(control));
        }
    }

    // req: S21, S24, S25
    fn reply_future_salts(&mut self, link: LinkId, req_msg_id: MsgId, count: i32) {
        let time = self.clock.now(self.now);
        let salts = self.salts.future(time, u32::try_from(count).unwrap_or(0));
        let now = i32::from_le_bytes(time.unix_seconds().to_le_bytes());
        self.reply(link, &types::FutureSalts { req_msg_id, now, salts });
    }

    // req: L22, S16, S17
    fn reply_states(&mut self, link: LinkId, req_msg_id: MsgId, ids: &[MsgId]) {
        let states = ids.iter().map(|id| match id.is_from_client() {
            true => self.state(*id),
            // Our own, which is out of the queue, or nobody's.
            false => MsgState::UNKNOWN,
        });
        let info: Bytes = states.map(|state| state.0).collect();
        self.reply(link, &types::MsgsStateInfo { req_msg_id, info });
    }

    /// Sends messages again, or says what is known of them if any of them is not in the queue.
    // req: S20
    fn resend(&mut self, link: LinkId, req_msg_id: MsgId, ids: &[MsgId]) {
        if ids.iter().all(|id| self.outbox.get(*id).is_some()) {
            ids.iter().for_each(|id| self.outbox.send_again(*id, link));
        } else {
            self.reply_states(link, req_msg_id, ids);
        }
    }

    /// The client says what it knows of our messages. That it knows nothing means nothing.
    // req: L3, S17, S18
    fn learn_states(&mut self, ids: &[MsgId], states: &[u8]) {
        for (id, state) in ids.iter().zip(states) {
            if MsgState(*state).is_received() {
                self.acknowledged(*id);
            }
        }
    }

    /// The client says whether it has what we asked about.
    // req: L3, S16, S17
    fn learn_answer(&mut self, link: LinkId, question: MsgId, states: &[u8]) {
        let Some(ids) = self.questions.answered(question) else { return };
        if ids.len() != states.len() {
            return;
        }
        for (id, state) in ids.into_iter().zip(states) {
            let state = MsgState(*state);
            if state.is_received() {
                self.acknowledged(id);
            } else if state != MsgState::UNKNOWN {
                self.outbox.send_again(id, link);
            }
        }
    }

    /// Where a late reply goes: to the link that asked, if it is still there.
    fn reply_link(&self, ticket: Ticket) -> LinkId {
        match self.links.newest() {
            Some(newest) if !self.links.contains(ticket.link) => newest,
            Some(_) | None => ticket.link,
        }
    }
}
