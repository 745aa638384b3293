//! What a client session does when the server refuses a message.

use mtproto_crypto::hash::sha256;
use mtproto_tl::{MsgId, Salt, SessionId};

use super::sent::{Errand, Refused};
use super::{
    ClientCloseReason, ClientEvent, ClientOutput, ClientSession, Gap, RequestError, RequestId,
};
use crate::notices::Notices;
use crate::server::MSG_ID_FUTURE_MAX;
use crate::{BadMsg, LinkId, MsgIds, Seqnos};

impl ClientSession {
    /// `bad_server_salt`: takes the salt and sends again. `notice` is its own id, which tells the
    /// time.
    // req: S15, S118
    pub(super) fn handle_bad_salt(
        &mut self,
        link: LinkId,
        notice: MsgId,
        bad_id: MsgId,
        salt: Salt,
    ) {
        let mut errands = self.take_sent(bad_id);
        if errands.is_empty() {
            return;
        }
        self.compare_times(bad_id, notice);
        if self.salts.adopt(salt, self.clock.now(self.now)) {
            self.errands.salts_asked = None;
            self.tell(ClientEvent::SaltsChanged);
        }
        // A server looks at the salt first. By the time of its message it would refuse our ids
        // next.
        let latest = self.clock.now(self.now).after(MSG_ID_FUTURE_MAX);
        if self.ids.last().time() > latest {
            self.restart();
            errands = lasting(errands);
        }
        self.redo_salted(link, errands);
    }

    /// What had a wrong salt may have had one whose time is yet to come. Then whoever recorded the
    /// packet could have it taken later, so the requests in it stay the same messages.
    fn redo_salted(&mut self, link: LinkId, errands: Vec<Errand>) {
        requests(&errands).for_each(|request| self.requests.keep_id(request));
        self.redo(link, errands);
    }

    /// `bad_msg_notification`: puts right what was wrong. `notice` is its own id, which tells the
    /// time.
    // req: S14
    pub(super) fn handle_bad_msg(&mut self, link: LinkId, notice: MsgId, bad_id: MsgId, code: i32) {
        let errands = self.take_sent(bad_id);
        if errands.is_empty() {
            return;
        }
        match BadMsg::from_code(code) {
            Some(BadMsg::IdTooLow) => {
                self.correct_clock(notice);
                self.redo(link, errands);
            }
            Some(BadMsg::IdTooHigh) => {
                // Ids grow within a session, so with an earlier time another has to begin.
                self.correct_clock(notice);
                self.restart();
                self.redo(link, lasting(errands));
            }
            Some(BadMsg::SeqnoTooLow | BadMsg::SeqnoTooHigh) => {
                self.restart();
                self.redo(link, lasting(errands));
            }
            // We use no id twice, so somebody has delivered this container twice: it is there.
            Some(BadMsg::ContainerIdUsed) => {
                requests(&errands).for_each(|request| self.requests.received(request));
            }
            Some(BadMsg::Salt) => self.redo_salted(link, errands),
            Some(BadMsg::TooOld) => {
                requests(&errands).for_each(|request| self.requests.send_anew(request));
                self.redo(link, errands);
            }
            Some(BadMsg::Container) => {
                self.part(link, errands, code);
            }
            // We do not make such messages; if one is refused so, it would be again.
            Some(BadMsg::IdBits | BadMsg::SeqnoEven | BadMsg::SeqnoOdd) | None => {
                self.fail(errands, code);
            }
        }
    }

    /// Another session takes this one's place; the server knows nothing of it.
    // req: S12, S118
    pub(super) fn restart(&mut self) {
        let old = self.session_id;
        self.session_id = next_session_id(old);
        self.ids = MsgIds::default();
        self.seqnos = Seqnos::default();
        self.inbox.clear();
        self.acks.clear();
        self.requests.restart();
        self.sent.clear();
        self.errands.restart();
        self.errands.destroy_session(old);
        self.notices = Notices::default();
        self.quick_acks.clear();
        self.pings.restart(self.now);
        let session_id = self.session_id;
        self.tell(ClientEvent::Gap(Gap::SessionReplaced { session_id }));
    }

    /// What the refused message or packet was about. A request that has been sent again since is
    /// left out: the refusal is not about what is on its way now.
    fn take_sent(&mut self, id: MsgId) -> Vec<Errand> {
        match self.sent.take(id) {
            Some(Refused::Message(errand)) => vec![errand],
            Some(Refused::Packet { before, mut errands }) => {
                let requests = self.requests.take_refused_in(before, id);
                errands.extend(requests.into_iter().map(Errand::Request));
                errands
            }
            None => self.requests.take_refused(id).map(Errand::Request).into_iter().collect(),
        }
    }

    /// Sends everything again, as far as it can be with new ids.
    pub(super) fn redo(&mut self, link: LinkId, errands: Vec<Errand>) {
        let mut too_often = false;
        for errand in errands {
            match errand {
                Errand::Acks(ids) => {
                    self.sent.acked(&ids).for_each(|id| self.acks.owe_at_once(id, self.now));
                }
                Errand::DestroyAuthKey => self.errands.destroy_auth_key = true,
                Errand::DestroySession(session_id) => self.errands.destroy_session(session_id),
                Errand::DropAnswer(request) => self.errands.drop_answer(request),
                Errand::FutureSalts => self.errands.salts_asked = None,
                Errand::Ping(ping) => self.pings.refused(ping),
                Errand::HttpWait | Errand::Reply => (),
                Errand::Request(request) => {
                    too_often |= self.requests.refused(request);
                    self.requests.send_again(request);
                }
                Errand::Resend(ids) => ids.into_iter().for_each(|id| self.errands.ask_resend(id)),
                Errand::States(ids) => self.errands.ask_states(ids),
            }
        }
        if too_often {
            let reason = ClientCloseReason::Refusals;
            self.outputs.push_back(ClientOutput::Close { link, reason });
        }
    }

    /// Sends requests of a refused container again, each in a packet of its own. One that was alone
    /// already is at fault itself.
    fn part(&mut self, link: LinkId, errands: Vec<Errand>, code: i32) {
        let (refused, again) = errands.into_iter().partition(|errand| match errand {
            Errand::Request(request) => !self.requests.set_alone(*request),
            _ => false,
        });
        self.redo(link, again);
        self.fail(refused, code);
    }

    fn fail(&mut self, errands: Vec<Errand>, code: i32) {
        for errand in errands {
            if let Errand::Request(request) = errand {
                self.refuse(request, code);
            }
        }
    }

    fn refuse(&mut self, request: RequestId, code: i32) {
        if self.requests.remove(request).is_some() {
            let outcome = Err(RequestError::Refused { code });
            self.tell(ClientEvent::Answer { request, outcome });
        }
    }
}

fn requests(errands: &[Errand]) -> impl Iterator<Item = RequestId> {
    errands.iter().filter_map(|errand| match errand {
        Errand::Request(request) => Some(*request),
        _ => None,
    })
}

/// What is worth doing in another session too.
fn lasting(mut errands: Vec<Errand>) -> Vec<Errand> {
    errands.retain(|errand| match errand {
        Errand::DestroyAuthKey
        | Errand::DestroySession(_)
        | Errand::Ping(_)
        | Errand::Request(_) => true,
        Errand::Acks(_)
        | Errand::DropAnswer(_)
        | Errand::FutureSalts
        | Errand::HttpWait
        | Errand::Reply
        | Errand::Resend(_)
        | Errand::States(_) => false,
    });
    errands
}

/// The id of the session after this one: as random as the first, since that was.
// req: L9
fn next_session_id(session_id: SessionId) -> SessionId {
    let [a, b, c, d, e, f, g, h, ..] = sha256(&[b"session after", &session_id.0.to_le_bytes()]);
    let next = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    // Zero names no session, and one in 2^64 hashes is zero.
    SessionId(next.max(1))
}
