//! The server's side of one session.
//!
//! Packets come in through [`ServerSession::handle_message`]; what they ask of the application and
//! of the auth key comes out as [`ServerOutput`], and so do the packets that answer them. A link
//! joins the session with its first message that is not a duplicate, so a packet that was recorded
//! and sent again by somebody else never draws the answers to itself.

mod checks;
mod desk;
mod inbound;
mod links;
mod order;
mod outbox;
mod output;
mod questions;
mod rpc;
mod send;
mod service;
mod turns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_pack::{INFLATED_MAX, Message, MessageView, gzip};
use mtproto_tl::{Author, Encode, MsgId, Salt, Seqno, SessionId};

use crate::notices::Manner;
pub use crate::notices::{NOTICES_BYTES_MAX, NOTICES_MAX};
use crate::{
    AckQueue, Arrival, BadMsg, Fault, IDS_MAX, Inbox, LinkId, Misuse, MsgIds, MsgState,
    SaltSchedule, Seqnos, ServerClock,
};
use checks::{Accepted, Received, Refusal};
pub use checks::{MSG_ID_FUTURE_MAX, MSG_ID_PAST_MAX};
use desk::Desk;
pub use desk::{DESK_KEPT_LEN_MAX, DESKS_MAX, Desks, PACKET_KEPT_LEN_MAX};
pub use links::LINKS_MAX;
use links::Links;
use order::Order;
pub use order::{AFTER_WAIT_MAX, FAILED_MAX, HELD_BYTES_MAX, HELD_MAX};
use outbox::Outbox;
pub use outbox::{
    OUTBOX_AGE_MAX, OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX, SENDS_MAX, WHOLE_SENDS_MAX,
};
pub use output::{Control, KeyDestroyed, Request, RpcReply, ServerOutput, Ticket, Verdict};
use questions::Questions;
use rpc::Requests;
pub use rpc::{DETAILED_LEN_MIN, RUNNING_MAX};
pub use service::DISCONNECT_DELAY_MAX;
use turns::Turns;
pub use turns::{TURN_SENDS_MAX, TURNS_MAX};

/// How many ids a server remembers per session: those of all that a client has in flight and of the
/// containers and acknowledgements between them.
pub const SERVER_INBOX_IDS_MAX: usize = 2048;

/// How long a query goes without an acknowledgement when its answer takes longer.
pub const SERVER_ACK_DELAY: Duration = Duration::from_millis(1500);

/// What a server tolerates.
// req: L10
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Strictness {
    /// What living clients are known to do wrong: seqnos of the wrong parity or order, and
    /// `http_wait` where there is no HTTP.
    #[default]
    Lenient,
    /// Nothing.
    Strict,
}

/// What a server's sessions have in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerSessionConfig {
    /// What is tolerated.
    pub strictness: Strictness,
    /// How long a query goes without an acknowledgement when its answer takes longer.
    pub ack_delay: Duration,
    /// Answers and pushes of at least so many bytes are packed where that saves; `None`: never.
    pub gzip_len_min: Option<usize>,
    /// What may come out of the gzip of one packet, in bytes.
    pub inflated_max: usize,
}

impl Default for ServerSessionConfig {
    fn default() -> Self {
        Self {
            strictness: Strictness::Lenient,
            ack_delay: SERVER_ACK_DELAY,
            gzip_len_min: Some(4096),
            inflated_max: INFLATED_MAX,
        }
    }
}

/// The server's side of one session.
#[derive(Debug)]
pub struct ServerSession {
    config: Arc<ServerSessionConfig>,
    salts: SaltSchedule,
    session_id: SessionId,
    unique_id: u64,
    clock: ServerClock,
    now: Instant,
    ids: MsgIds,
    seqnos: Seqnos,
    inbox: Inbox,
    acks: AckQueue,
    outbox: Outbox,
    questions: Questions,
    requests: Requests,
    order: Order,
    links: Links,
    turns: Turns,
    /// The lowest id that the client was told about by `new_session_created`.
    first_msg_id: Option<MsgId>,
    /// There while there is something to say.
    desk: Option<Box<Desk>>,
}

impl ServerSession {
    /// A session that no message has reached yet. `unique_id` is random, new for every session.
    // req: S36
    #[must_use]
    pub fn new(
        config: Arc<ServerSessionConfig>,
        salts: SaltSchedule,
        session_id: SessionId,
        unique_id: u64,
        clock: ServerClock,
        now: Instant,
    ) -> Self {
        Self {
            acks: AckQueue::new(config.ack_delay, IDS_MAX),
            config,
            salts,
            session_id,
            unique_id,
            clock,
            now,
            ids: MsgIds::default(),
            seqnos: Seqnos::default(),
            inbox: Inbox::new(SERVER_INBOX_IDS_MAX),
            outbox: Outbox::default(),
            questions: Questions::default(),
            requests: Requests::default(),
            order: Order::default(),
            links: Links::default(),
            turns: Turns::default(),
            first_msg_id: None,
            desk: None,
        }
    }

    /// Sends an object that answers nothing, such as an update, and keeps it until it is
    /// acknowledged.
    ///
    /// # Errors
    /// `QueueFull` if the queue is full of messages that have not been sent even once; `TooLong` if
    /// it cannot hold the object at all; `BadObject`.
    // req: S55, S93, S94
    pub fn push(&mut self, object: Bytes, now: Instant) -> Result<MsgId, Misuse> {
        self.now = now;
        if object.is_empty() || !object.len().is_multiple_of(4) {
            return Err(Misuse::BadObject { len: object.len() });
        }
        let body = self.pack(object);
        if !Outbox::can_hold(body.len()) {
            return Err(Misuse::TooLong { len: body.len(), max: OUTBOX_BYTES_MAX });
        }
        while !self.outbox.has_room(body.len()) {
            let forgotten = self.outbox.forget_sent().ok_or(Misuse::QueueFull)?;
            self.forget_answer(forgotten.answers);
        }
        Ok(self.queue(body, Author::ServerNotice, None))
    }

    /// Forgets the oldest of what is queued until at least `bytes` are free; returns how many are.
    /// For a caller whose memory is short.
    // req: S100
    pub fn shed(&mut self, bytes: usize, now: Instant) -> usize {
        self.now = now;
        let before = self.outbox.bytes();
        while before - self.outbox.bytes() < bytes {
            let Some(forgotten) = self.outbox.forget_oldest() else { break };
            self.forget_answer(forgotten.answers);
        }
        before - self.outbox.bytes()
    }

    /// Takes a decrypted packet that came over `link`, and says whether it is to be acknowledged
    /// early if the client wants that.
    ///
    /// # Errors
    /// `SessionIdZero`: the link must close. A message that is only refused is no error; the client
    /// is told, and may send it again.
    // req: S115
    pub fn handle_message(
        &mut self,
        link: LinkId,
        header_salt: Salt,
        message: MessageView<'_>,
        now: Instant,
    ) -> Result<Verdict, Fault> {
        self.now = now;
        self.receive(link, header_salt, message, false)
    }

    /// As [`ServerSession::handle_message`], over a link that takes turns, as HTTP does: one packet
    /// is sent over it for this one, when there is something to say or the client will wait no
    /// longer, and nothing else before its next.
    ///
    /// # Errors
    /// `SessionIdZero`, and `TooManyTurns` if more than [`TURNS_MAX`] packets of the session would
    /// wait: the link must close.
    // req: S84, S85, S87
    pub fn handle_turn(
        &mut self,
        link: LinkId,
        header_salt: Salt,
        message: MessageView<'_>,
        now: Instant,
    ) -> Result<Verdict, Fault> {
        self.now = now;
        if !self.turns.has_room(link) {
            return Err(Fault::TooManyTurns);
        }
        self.receive(link, header_salt, message, true)
    }

    /// Refuses a packet whose id was too high when it came for the first time, though it no longer
    /// is.
    // req: S14, S97
    pub fn refuse_early(
        &mut self,
        link: LinkId,
        id: MsgId,
        seqno: Seqno,
        is_turn: bool,
        now: Instant,
    ) -> Verdict {
        self.now = now;
        if is_turn {
            self.open_turn(link, None);
        }
        self.refuse(link, Refusal { id, seqno, reason: BadMsg::IdTooHigh });
        Verdict::Refused
    }

    /// A link is gone. What went to it without being acknowledged goes to the newest of the others,
    /// or waits for the next.
    // req: S5, S94
    pub fn link_detached(&mut self, link: LinkId, now: Instant) {
        self.now = now;
        self.links.detach(link);
        self.turns.close(link);
        self.desk.iter_mut().for_each(|desk| desk.notices.forget_link(link));
        self.questions.forget_link(link);
        let unsent = self.outbox.link_detached(link);
        if let Some(newest) = self.links.newest() {
            self.mention(newest, unsent);
        }
    }

    /// The moment that `Wait` named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        // req: S99
        while let Some(forgotten) = self.outbox.forget_expired(now) {
            self.forget_answer(forgotten.answers);
        }
        self.end_overdue_waits();
    }

    /// What is to be done next. Call it until it says `Wait`.
    pub fn poll_output(&mut self) -> ServerOutput {
        self.poll_output_with(&mut Desks::default())
    }

    /// As [`ServerSession::poll_output`], in memory that sessions lend each other.
    pub fn poll_output_with(&mut self, desks: &mut Desks) -> ServerOutput {
        if let Some(output) = self.desk.as_mut().and_then(|desk| desk.outputs.pop_front()) {
            return output;
        }
        match self.next_packet(desks) {
            Some(outgoing) => ServerOutput::Send(outgoing),
            None => {
                desks.take_back(&mut self.desk);
                ServerOutput::Wait(self.deadline())
            }
        }
    }

    /// Lends the session memory for what it will have to say to the next message. It gives that
    /// back as it says `Wait`.
    pub fn lend(&mut self, desks: &mut Desks) {
        if self.desk.is_none() {
            self.desk = desks.lend();
        }
    }

    /// The session's id.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session_id
    }

    /// Whether a message has been accepted. A session that only ever refused may be forgotten at
    /// once.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.first_msg_id.is_some()
    }

    /// Whether a link is attached.
    #[must_use]
    pub fn has_link(&self) -> bool {
        !self.links.is_empty()
    }

    /// The links that are attached, oldest first. Answers go to the last.
    pub fn links(&self) -> impl Iterator<Item = LinkId> {
        self.links.iter()
    }

    /// How many messages wait to be acknowledged.
    #[must_use]
    pub fn queued_messages(&self) -> usize {
        self.outbox.len()
    }

    /// How many bytes wait to be acknowledged.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// When the oldest of them was queued.
    #[must_use]
    pub fn oldest_queued(&self) -> Option<Instant> {
        self.outbox.oldest()
    }

    /// How many queries are being carried out.
    #[must_use]
    pub fn running_requests(&self) -> usize {
        self.requests.running()
    }

    fn receive(
        &mut self,
        link: LinkId,
        header_salt: Salt,
        message: MessageView<'_>,
        is_turn: bool,
    ) -> Result<Verdict, Fault> {
        // req: L9
        if self.session_id == SessionId(0) {
            return Err(Fault::SessionIdZero);
        }
        let time = self.clock.now(self.now);
        // What is lower is refused for that.
        let lowest = time.before(MSG_ID_PAST_MAX);
        self.inbox.tidy(MsgId::at(lowest, Author::Client));
        match self.check(header_salt, message, time, is_turn) {
            Ok(accepted) => {
                self.apply(link, accepted, is_turn);
                Ok(Verdict::Accepted)
            }
            Err(refusal) => {
                if is_turn {
                    self.open_turn(link, None);
                }
                self.refuse(link, refusal);
                Ok(Verdict::Refused)
            }
        }
    }

    /// Applies a packet: every message of it that is new.
    // req: S40
    fn apply(&mut self, link: LinkId, mut packet: Accepted, is_turn: bool) {
        let is_new = |message: &Received| self.inbox.arrival(message.id) == Arrival::New;
        // A container is always new, whatever is in it.
        let is_fresh = packet.container.is_some() || packet.messages.iter().any(is_new);
        // A lone duplicate may come from anybody who recorded it, but then nobody else is there.
        if (is_fresh || self.links.is_empty()) && self.links.attach(link, is_turn) {
            let unsent = self.outbox.link_attached();
            self.mention(link, unsent);
            self.reply_running(link);
        }
        if is_turn {
            self.open_turn(link, packet.http_wait());
        }
        self.announce(&packet);
        for message in packet.messages.drain(..) {
            match self.receive_one(&message) {
                Arrival::New => self.accept(link, message),
                Arrival::Duplicate(state) => self.repeat(link, &message, state),
                Arrival::TooOld => {
                    let Received { id, seqno, .. } = message;
                    self.refuse(link, Refusal { id, seqno, reason: BadMsg::TooOld });
                }
            }
        }
        // Its id is above those inside, so ids are remembered in their order.
        if let Some((id, seqno)) = packet.container {
            self.inbox.insert(id, seqno, MsgState::NO_ACK);
        }
        if let Some(desk) = &mut self.desk {
            desk.received = packet.messages;
        }
    }

    /// Tells the client that the session is new, or that it begins earlier than was said.
    // req: S33, S34, S35
    fn announce(&mut self, packet: &Accepted) {
        let messages = packet.messages.iter().map(|message| message.id);
        let is_earlier = |id: &MsgId| self.first_msg_id.is_none_or(|first| *id < first);
        let new = messages.filter(|id| is_earlier(id) && self.inbox.arrival(*id) == Arrival::New);
        let container = packet.container.map(|(id, _)| id).filter(is_earlier);
        if let Some(lowest) = new.min().or(container) {
            self.first_msg_id = Some(lowest);
            self.queue_new_session(lowest);
        }
    }

    fn accept(&mut self, link: LinkId, message: Received) {
        if let Some(copy) = &message.copied_by {
            self.inbox.receive(copy.0, copy.1, MsgState::NO_ACK);
        }
        self.act(link, message);
    }

    /// Answers a message that came over `link`, with a message and not with an `rpc_result`.
    // req: L17
    fn reply(&mut self, link: LinkId, object: &impl Encode) {
        self.say(link, object, Manner::Shared);
    }

    fn say(&mut self, link: LinkId, object: &impl Encode, manner: Manner) {
        let notices = &mut self.desk.get_or_insert_default().notices;
        notices.add(link, Author::ServerReply, object, manner, self.now);
    }

    /// Tells the caller what to do, before anything is sent.
    fn want(&mut self, output: ServerOutput) {
        self.desk.get_or_insert_default().outputs.push_back(output);
    }

    /// Packs an object if it is long and that saves.
    fn pack(&self, object: Bytes) -> Bytes {
        match self.config.gzip_len_min {
            Some(len_min) if object.len() >= len_min => gzip::pack(&object).unwrap_or(object),
            Some(_) | None => object,
        }
    }

    /// Puts a content-related message into the queue, which must have room.
    fn queue(&mut self, body: Bytes, author: Author, answers: Option<MsgId>) -> MsgId {
        let id = self.ids.issue(self.clock.now(self.now), author);
        let message = Message { id, seqno: self.seqnos.content_related(), body };
        self.outbox.push(message, answers, self.now);
        id
    }
}
