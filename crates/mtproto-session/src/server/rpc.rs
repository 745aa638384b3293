//! Queries from the moment they are received until their answer is acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use mtproto_pack::{DropAnswer, RpcError, RpcResult, object_id, wrappers};
use mtproto_tl::functions::auth::BindTempAuthKey;
use mtproto_tl::{Author, Constructor, Decode, Encode, MsgId, types};

use super::checks::{MSG_ID_PAST_MAX, Received, Refusal};
use super::inbound::Inbound;
use super::order::Released;
use super::outbox::{Outbox, Unsent};
use super::{Control, Request, RpcReply, ServerOutput, ServerSession};
use crate::notices::Manner;
use crate::{Arrival, BadMsg, LinkId, MsgState};

/// The most queries of one session that are carried out at a time. Further ones are answered with
/// `420 FLOOD_WAIT_1`.
pub const RUNNING_MAX: usize = 2048;

/// The length in bytes from which an answer to a repeated query is not sent again, only described:
/// the client asks for it unless it has it.
// req: S19
pub const DETAILED_LEN_MIN: usize = 4096;

/// Queries that are being carried out, or whose answer is in the queue.
#[derive(Debug, Default)]
pub(super) struct Requests {
    progress: BTreeMap<MsgId, Progress>,
    running: usize,
}

#[derive(Clone, Copy, Debug)]
enum Progress {
    /// `link` is the one that the query came over.
    Running {
        dropped: bool,
        link: LinkId,
    },
    Answered {
        answer: MsgId,
    },
}

impl Requests {
    pub(super) fn running(&self) -> usize {
        self.running
    }

    fn is_running(&self, request: MsgId) -> bool {
        matches!(self.progress.get(&request), Some(Progress::Running { .. }))
    }

    /// What is known of a query until its answer is acknowledged, however low its id is by then.
    fn state(&self, request: MsgId) -> Option<MsgState> {
        let received = MsgState::RECEIVED | MsgState::QUERY;
        Some(match self.progress.get(&request)? {
            Progress::Running { .. } => received,
            Progress::Answered { .. } => received | MsgState::ACKED | MsgState::ANSWERED,
        })
    }

    fn running_ids(&self) -> impl Iterator<Item = MsgId> {
        let is_running = |progress: &Progress| matches!(progress, Progress::Running { .. });
        self.progress.iter().filter(move |(_, it)| is_running(it)).map(|(id, _)| *id)
    }

    /// Whether a query that came over `link` is being carried out.
    pub(super) fn any_running_of(&self, link: LinkId) -> bool {
        let is_meant =
            |it: &Progress| matches!(it, Progress::Running { link: of, .. } if *of == link);
        self.progress.values().any(is_meant)
    }

    fn start(&mut self, request: MsgId, link: LinkId) {
        self.progress.insert(request, Progress::Running { dropped: false, link });
        self.running += 1;
    }

    /// Ends a running query; returns whether its answer was cancelled and the link it came over,
    /// `None` if it does not run.
    fn finish(&mut self, request: MsgId) -> Option<(bool, LinkId)> {
        match self.progress.get(&request)? {
            Progress::Running { dropped, link } => {
                let finished = (*dropped, *link);
                self.progress.remove(&request);
                self.running -= 1;
                Some(finished)
            }
            Progress::Answered { .. } => None,
        }
    }

    fn answered(&mut self, request: MsgId, answer: MsgId) {
        self.progress.insert(request, Progress::Answered { answer });
    }

    /// Forgets a query whose answer is no longer in the queue.
    fn forget(&mut self, request: MsgId) {
        self.progress.remove(&request);
    }

    fn answer_of(&self, request: MsgId) -> Option<MsgId> {
        match self.progress.get(&request)? {
            Progress::Answered { answer } => Some(*answer),
            Progress::Running { .. } => None,
        }
    }
}

impl ServerSession {
    /// How `id` relates to those received before. A query may take longer than its id is remembered
    /// among the others.
    // req: S97, S98
    pub(super) fn arrival(&self, id: MsgId) -> Arrival {
        self.or_unfinished(id, self.inbox.arrival(id))
    }

    /// As [`ServerSession::arrival`]; a new message is remembered. Only from here on is it a
    /// duplicate when it comes again.
    // req: L5, S97
    pub(super) fn receive_one(&mut self, message: &Received) -> Arrival {
        let arrival = self.inbox.receive(message.id, message.seqno, message.state());
        self.or_unfinished(message.id, arrival)
    }

    fn or_unfinished(&self, id: MsgId, arrival: Arrival) -> Arrival {
        match arrival {
            Arrival::TooOld => self.requests.state(id).map_or(arrival, Arrival::Duplicate),
            Arrival::Duplicate(_) | Arrival::New => arrival,
        }
    }

    /// What `msgs_state_info` says of `id`.
    // req: S16, S17
    pub(super) fn state(&self, id: MsgId) -> MsgState {
        match self.arrival(id) {
            Arrival::Duplicate(state) => state,
            Arrival::New | Arrival::TooOld => self.inbox.state(id),
        }
    }

    /// Gives the outcome of a query. If the query was cancelled, or the session forgot it, the
    /// outcome is dropped. Queries that waited for it are carried out, or fail as it did.
    // req: S119
    pub fn answer(&mut self, request: MsgId, reply: RpcReply, now: Instant) {
        self.now = now;
        let (mut first, mut others) = (Some((request, reply)), VecDeque::new());
        while let Some((request, reply)) = first.take().or_else(|| others.pop_front()) {
            let is_ok = matches!(reply, RpcReply::Ok(_));
            if !self.conclude(request, reply) {
                continue;
            }
            for released in self.order.done(request, is_ok) {
                match released {
                    Released::Failed(request) => {
                        others.push_back((request.id, refusal(400, "MSG_WAIT_FAILED")));
                    }
                    Released::Ready(request) => {
                        self.want(ServerOutput::Request(request));
                    }
                }
            }
        }
    }

    /// Refuses queries that have waited too long for one that never came.
    // req: S119
    pub(super) fn end_overdue_waits(&mut self) {
        let (inbox, now) = (&self.inbox, self.now);
        let is_known = |id| inbox.arrival(id) != Arrival::New;
        let mut overdue = Vec::new();
        while let Some(request) = self.order.take_overdue(now, is_known) {
            overdue.push(request.id);
        }
        for request in overdue {
            self.answer(request, refusal(400, "MSG_WAIT_TIMEOUT"), now);
        }
    }

    /// Hands a query to the application, or lets it wait for those that it names.
    // req: S119
    fn pass_on(&mut self, request: Request) {
        let id = request.id;
        if self.order.has_failed(&request.after) {
            return self.answer(id, refusal(400, "MSG_WAIT_FAILED"), self.now);
        }
        // Only what is older can be waited for, so no two wait for each other.
        let older = request.after.iter().filter(|other| **other < id);
        let before: BTreeSet<_> = older.copied().filter(|other| self.is_ahead(*other)).collect();
        if before.is_empty() {
            self.want(ServerOutput::Request(request));
        } else if self.order.hold(request, before, self.now).is_err() {
            self.answer(id, refusal(420, "FLOOD_WAIT_1"), self.now);
        }
    }

    /// Whether a query is being carried out, or may still arrive.
    fn is_ahead(&self, id: MsgId) -> bool {
        let oldest = self.clock.now(self.now).before(MSG_ID_PAST_MAX);
        match self.arrival(id) {
            Arrival::New => id.time() >= oldest,
            Arrival::Duplicate(_) => self.requests.is_running(id),
            Arrival::TooOld => false,
        }
    }

    /// Queues the outcome of a query; returns whether it was being carried out.
    // req: S1, S2, S8, S55
    fn conclude(&mut self, request: MsgId, reply: RpcReply) -> bool {
        let Some((dropped, link)) = self.requests.finish(request) else { return false };
        let result = match reply {
            _ if dropped => DropAnswer::DroppedRunning.to_bytes(),
            RpcReply::Err(error) => error.to_bytes(),
            RpcReply::Ok(object) if object.is_empty() || !object.len().is_multiple_of(4) => {
                RpcError::new(500, "ANSWER_INVALID").to_bytes()
            }
            RpcReply::Ok(object) => self.pack(object),
        };
        self.queue_answer(link, request, result);
        true
    }

    /// Begins a query.
    pub(super) fn start(&mut self, link: LinkId, id: MsgId, body: Bytes) {
        if self.requests.running() >= RUNNING_MAX {
            let result = RpcError::new(420, "FLOOD_WAIT_1").to_bytes();
            return self.queue_answer(link, id, result);
        }
        self.requests.start(id, link);
        let wrapped = body;
        // A query in wrappers that nobody can open is the application's to refuse.
        let inner = wrappers::strip(&wrapped, self.config.inflated_max).unwrap_or_else(|_| {
            wrappers::Unwrapped { query: wrapped.clone(), ..wrappers::Unwrapped::default() }
        });
        let wrappers::Unwrapped { query, after, layer, without_updates } = inner;
        // req: L21, S113
        if object_id(&query) == BindTempAuthKey::ID {
            return match BindTempAuthKey::from_bytes(&query) {
                Ok(query) => {
                    let control = Control::BindTempAuthKey { request: id, link, query };
                    self.want(ServerOutput::Control(control));
                }
                Err(_) => {
                    let error = RpcError::new(400, "ENCRYPTED_MESSAGE_INVALID");
                    self.answer(id, RpcReply::Err(error), self.now);
                }
            };
        }
        self.pass_on(Request { id, link, query, wrapped, after, layer, without_updates });
    }

    /// Answers `rpc_drop_answer`, as what is known of the query demands.
    // req: S7, S8, S9, S10, S11
    pub(super) fn drop_answer(&mut self, link: LinkId, id: MsgId, request: MsgId) {
        let answer = match self.requests.progress.get_mut(&request) {
            None => DropAnswer::Unknown,
            Some(Progress::Running { dropped, .. }) => {
                *dropped = true;
                DropAnswer::DroppedRunning
            }
            Some(Progress::Answered { answer }) => {
                let answer = *answer;
                self.requests.forget(request);
                match self.outbox.remove(answer) {
                    None => DropAnswer::Unknown,
                    Some(entry) => DropAnswer::Dropped {
                        msg_id: answer,
                        seqno: entry.message.seqno,
                        bytes: u32::try_from(entry.message.body.len()).unwrap_or(u32::MAX),
                    },
                }
            }
        };
        if answer != DropAnswer::Unknown {
            self.acks.settle(request);
            self.inbox.mark(request, MsgState::ACKED);
        }
        self.queue_answer(link, id, answer.to_bytes());
    }

    /// Handles a message that was received before. It is never carried out again.
    // req: S97
    pub(super) fn repeat(&mut self, link: LinkId, message: &Received, state: MsgState) {
        let Received { id, seqno, copied_by, .. } = message;
        let (id, seqno) = (*id, *seqno);
        if state == MsgState::UNKNOWN {
            return self.refuse(link, Refusal { id, seqno, reason: BadMsg::TooOld });
        }
        // req: S50
        if let Some(copy) = copied_by {
            self.inbox.receive(copy.0, copy.1, MsgState::NO_ACK);
            self.acks.owe_at_once(copy.0, self.now);
        }
        match self.requests.answer_of(id) {
            Some(answer) => self.repeat_answer(link, answer),
            // req: S13
            None if seqno.is_content_related() => self.acks.owe_at_once(id, self.now),
            None => (),
        }
    }

    /// Sends an answer again when it is short, else says that it exists.
    // req: S19
    fn repeat_answer(&mut self, link: LinkId, answer: MsgId) {
        let Some(entry) = self.outbox.get(answer) else { return };
        if entry.message.body.len() < DETAILED_LEN_MIN {
            self.outbox.send_again(answer, link);
        } else {
            self.describe(link, answer, Manner::Shared);
        }
    }

    /// Lets the client know of messages that it does not get again unasked.
    // req: S16, S19
    pub(super) fn mention(&mut self, link: LinkId, unsent: Unsent) {
        unsent.described.into_iter().for_each(|id| self.describe(link, id, Manner::Along));
        self.questions.ask(link, unsent.doubtful);
    }

    /// Says that a message is there, and how long it is. The client asks for it unless it has it.
    // req: S19
    fn describe(&mut self, link: LinkId, id: MsgId, manner: Manner) {
        let Some(entry) = self.outbox.get(id) else { return };
        let bytes = i32::try_from(entry.message.body.len()).unwrap_or(i32::MAX);
        let (answer_msg_id, status) = (id, 0);
        match entry.answers {
            Some(msg_id) => {
                let info = types::MsgDetailedInfo { msg_id, answer_msg_id, bytes, status };
                self.say(link, &info, manner);
            }
            None => {
                let info = types::MsgNewDetailedInfo { answer_msg_id, bytes, status };
                self.say(link, &info, manner);
            }
        }
    }

    /// Tells a client that has come back which of its queries are being carried out, so that it
    /// need not ask.
    // req: S18
    pub(super) fn reply_running(&mut self, link: LinkId) {
        let running = self.requests.running_ids().map(|id| (id, self.state(id)));
        let known = running.filter(|(_, state)| state.is_received());
        let (msg_ids, info): (_, Vec<_>) = known.map(|(id, state)| (id, state.0)).unzip();
        if !info.is_empty() {
            self.say(link, &types::MsgsAllInfo { msg_ids, info: info.into() }, Manner::Along);
        }
    }

    /// Sends the answers to these queries again, as far as they are in the queue.
    // req: S20
    pub(super) fn resend_answers(&mut self, link: LinkId, requests: &[MsgId]) {
        for answer in requests.iter().filter_map(|request| self.requests.answer_of(*request)) {
            self.outbox.send_again(answer, link);
        }
    }

    /// The client has this message of ours. Whatever else it acknowledges is ignored.
    // req: L2, L23, S94
    pub(super) fn acknowledged(&mut self, id: MsgId) {
        let Some(entry) = self.outbox.remove(id) else { return };
        if let Some(request) = entry.answers {
            self.requests.forget(request);
            self.inbox.mark(request, MsgState::KNOWN);
        }
    }

    /// An answer was forgotten before it was acknowledged, so nothing is known of its query any
    /// more.
    // req: S98, S99
    pub(super) fn forget_answer(&mut self, answers: Option<MsgId>) {
        if let Some(request) = answers {
            self.requests.forget(request);
            self.inbox.forget(request);
        }
    }

    /// Queues an `rpc_result`, which is the acknowledgement of its query too. If the packet that
    /// brought the query over `link` waits for an answer, it goes there.
    // req: S2, S3, S87
    fn queue_answer(&mut self, link: LinkId, request: MsgId, result: Bytes) {
        let mut body = RpcResult { req_msg_id: request, result }.to_bytes();
        if !Outbox::can_hold(body.len()) {
            let result = RpcError::new(500, "ANSWER_TOO_LONG").to_bytes();
            body = RpcResult { req_msg_id: request, result }.to_bytes();
        }
        self.make_room(body.len());
        let answer = self.queue(body, Author::ServerReply, Some(request));
        if self.turns.is_open(link) {
            self.outbox.claim_newest(link);
        }
        self.requests.answered(request, answer);
        self.acks.settle(request);
        self.inbox.mark(request, MsgState::ACKED | MsgState::ANSWERED);
    }

    /// Forgets what is oldest, preferably what was sent already.
    // req: S99
    pub(super) fn make_room(&mut self, len: usize) {
        while !self.outbox.has_room(len) {
            let forgotten = self.outbox.forget_sent().or_else(|| self.outbox.forget_oldest());
            let Some(forgotten) = forgotten else { return };
            self.forget_answer(forgotten.answers);
        }
    }
}

/// An error of ours as the outcome of a query.
fn refusal(code: i32, message: &str) -> RpcReply {
    RpcReply::Err(RpcError::new(code, message))
}

/// Whether the reply to a message acknowledges it.
pub(super) fn is_acknowledged_by_reply(inbound: &Inbound) -> bool {
    match inbound {
        Inbound::DestroyAuthKey
        | Inbound::DestroySession(_)
        | Inbound::DropAnswer(_)
        | Inbound::FutureSalts { .. }
        | Inbound::Ping { .. }
        | Inbound::StateRequest(_) => true,
        Inbound::Acks(_)
        | Inbound::HttpWait(_)
        | Inbound::Ignored
        | Inbound::Query(_)
        | Inbound::Resend(_)
        | Inbound::ResendAnswers(_)
        | Inbound::StateInfo(_)
        | Inbound::States(_) => false,
    }
}
