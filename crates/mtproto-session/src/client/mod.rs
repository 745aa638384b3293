//! The client's side of one session.
//!
//! A request stays until it has its one outcome, whatever happens to links. When a link is lost, a
//! short request goes out again under the same id inside a container, so that a server which has it
//! does not carry it out twice; for a long one the server is asked first. If our clock or count was
//! too wrong for the session to go on, another session takes its place without the caller's help.

mod errands;
mod inbound;
mod line;
mod output;
mod pings;
mod receive;
mod refused;
mod requests;
mod send;
mod sent;
mod service;
mod turns;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_pack::{INFLATED_MAX, gzip};
use mtproto_tl::{MsgId, SessionId};

use crate::notices::Notices;
use crate::{AckQueue, Inbox, LinkId, Misuse, MsgIds, Salts, Seqnos, ServerClock};
use errands::Errands;
pub use errands::{DESTROY_MAX, DROPS_MAX, SALTS_AHEAD_MIN, SALTS_ASK_INTERVAL};
pub use output::{
    ClientCloseReason, ClientEvent, ClientOutput, Gap, PingId, RequestError, RequestId,
    RequestOptions,
};
use pings::Pings;
pub use pings::{PINGS_MAX, PingConfig};
pub use receive::SERVER_ID_PAST_MAX;
use requests::{Body, Requests};
pub use requests::{
    IN_FLIGHT_MAX, MakeBody, REFUSALS_MAX, REPEAT_LEN_MAX, REQUEST_BYTES_MAX, REQUEST_LEN_MAX,
    REQUEST_MSG_IDS_MAX, REQUESTS_MAX, STATE_ASK_DELAY, STATE_ASK_INTERVAL,
};
use sent::SentLog;
pub use sent::{LOST_AGE_MAX, SENT_ACKS_MAX, SENT_AGE_MAX, SENT_PACKETS_MAX};
use turns::Turns;
pub use turns::{CLIENT_TURNS_MAX, POLL_DELAY_MAX, POLL_DELAY_MIN, POLL_INTERVAL_MIN, POLL_WAIT};

/// How many ids of the server a client remembers.
pub const CLIENT_INBOX_IDS_MAX: usize = 1000;

/// How long an acknowledgement waits for company.
pub const CLIENT_ACK_DELAY: Duration = Duration::from_secs(10);

/// How many acknowledgements leave without waiting any longer.
// req: S13
pub const CLIENT_ACK_BATCH: usize = 17;

/// The most links of one session. The oldest is left to itself for a further one.
pub const CLIENT_LINKS_MAX: usize = 8;

/// The most packets whose quick acknowledgement is awaited.
pub const QUICK_ACKS_MAX: usize = 256;

/// How a client's session behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientSessionConfig {
    /// How long an acknowledgement waits for company.
    pub ack_delay: Duration,
    /// Requests of at least so many bytes are packed where that saves; `None`: never.
    pub gzip_len_min: Option<usize>,
    /// What may come out of the gzip of one packet, in bytes.
    pub inflated_max: usize,
    /// The keepalive.
    pub pings: PingConfig,
}

impl Default for ClientSessionConfig {
    fn default() -> Self {
        Self {
            ack_delay: CLIENT_ACK_DELAY,
            gzip_len_min: Some(512),
            inflated_max: INFLATED_MAX,
            pings: PingConfig::default(),
        }
    }
}

/// A packet whose quick acknowledgement is awaited.
#[derive(Debug)]
struct QuickAck {
    packet: MsgId,
    /// Known once the packet is sealed.
    token: Option<u32>,
    requests: Vec<RequestId>,
}

/// The client's side of one session.
#[derive(Debug)]
pub struct ClientSession {
    config: ClientSessionConfig,
    session_id: SessionId,
    clock: ServerClock,
    /// Whether a message of the server has confirmed the clock.
    time_known: bool,
    now: Instant,
    ids: MsgIds,
    seqnos: Seqnos,
    inbox: Inbox,
    acks: AckQueue,
    salts: Salts,
    requests: Requests,
    sent: SentLog,
    errands: Errands,
    pings: Pings,
    notices: Notices,
    /// The newest, which everything leaves by, is the last.
    links: Vec<LinkId>,
    turns: Turns,
    quick_acks: VecDeque<QuickAck>,
    outputs: VecDeque<ClientOutput>,
}

impl ClientSession {
    /// A session that nothing was sent in yet, over no link. `session_id` is random; `clock` shows
    /// the server's time as far as it is known.
    #[must_use]
    pub fn new(
        config: ClientSessionConfig,
        session_id: SessionId,
        salts: Salts,
        clock: ServerClock,
        now: Instant,
    ) -> Self {
        debug_assert_ne!(session_id, SessionId(0), "zero names no session");
        Self {
            config,
            session_id,
            clock,
            time_known: false,
            now,
            ids: MsgIds::default(),
            seqnos: Seqnos::default(),
            inbox: Inbox::new(CLIENT_INBOX_IDS_MAX),
            acks: AckQueue::new(config.ack_delay, CLIENT_ACK_BATCH),
            salts,
            requests: Requests::default(),
            sent: SentLog::default(),
            errands: Errands::default(),
            pings: Pings::new(config.pings),
            notices: Notices::default(),
            links: Vec::new(),
            turns: Turns::default(),
            quick_acks: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Sends a query, one boxed object. It has exactly one outcome, a [`ClientEvent::Answer`],
    /// unless it is cancelled.
    ///
    /// # Errors
    /// `BadObject`, `TooLong`, `QueueFull`.
    // req: S54
    pub fn request(
        &mut self,
        object: Bytes,
        options: RequestOptions,
        now: Instant,
    ) -> Result<RequestId, Misuse> {
        self.now = now;
        if object.is_empty() || !object.len().is_multiple_of(4) {
            return Err(Misuse::BadObject { len: object.len() });
        }
        if object.len() > REQUEST_LEN_MAX {
            return Err(Misuse::TooLong { len: object.len(), max: REQUEST_LEN_MAX });
        }
        if !self.requests.has_room(object.len()) {
            return Err(Misuse::QueueFull);
        }
        let object = match self.config.gzip_len_min {
            Some(len_min) if object.len() >= len_min => gzip::pack(&object).unwrap_or(object),
            Some(_) | None => object,
        };
        Ok(self.requests.add(Body::Object(object), options))
    }

    /// As [`ClientSession::request`], with an object that depends on the message that carries it:
    /// `make` gets the message's id and the session's, again whenever either is another. Key
    /// binding needs it.
    ///
    /// # Errors
    /// `QueueFull`.
    // req: S113
    pub fn request_made(&mut self, make: MakeBody, now: Instant) -> Result<RequestId, Misuse> {
        self.now = now;
        if !self.requests.has_room(0) {
            return Err(Misuse::QueueFull);
        }
        Ok(self.requests.add(Body::made_by(make), RequestOptions::default()))
    }

    /// Gives a request up: it will have no outcome, and the server is told to drop the answer. An
    /// answer that comes nevertheless is acknowledged and thrown away.
    // req: S6
    pub fn cancel(&mut self, request: RequestId, now: Instant) {
        self.now = now;
        if let Some(Some(id)) = self.requests.remove(request) {
            self.errands.drop_answer(id);
        }
    }

    /// Sends a ping, now or with the next link; its outcome is a [`ClientEvent::Pong`]. A ping is
    /// lost with the link that it was written to.
    // req: S28
    pub fn ping(&mut self, now: Instant) -> PingId {
        self.now = now;
        self.pings.want()
    }

    /// Begins another session and lets the server destroy this one, with all that it has to say in
    /// it. After many requests were cancelled that is cheaper than dropping the answer to each.
    /// What was not cancelled is sent again, and may be carried out again.
    // req: S12
    pub fn replace_session(&mut self, now: Instant) {
        self.now = now;
        self.restart();
    }

    /// Lets the server forget another session of the same auth key.
    // req: S31
    pub fn destroy_session(&mut self, session_id: SessionId, now: Instant) {
        self.now = now;
        self.errands.destroy_session(session_id);
    }

    /// Lets the server destroy the auth key; the outcome is a [`ClientEvent::AuthKeyDestroyed`].
    // req: S67
    pub fn destroy_auth_key(&mut self, now: Instant) {
        self.now = now;
        self.errands.destroy_auth_key = true;
    }

    /// A link is open. Everything leaves by the newest. Over one that `takes_turns`, as over HTTP,
    /// each packet brings one item of the server, which says nothing unless it has a packet open:
    /// so one always is.
    pub fn link_attached(&mut self, link: LinkId, takes_turns: bool, now: Instant) {
        self.now = now;
        self.links.retain(|known| *known != link);
        if self.links.len() >= CLIENT_LINKS_MAX {
            let oldest = self.links.remove(0);
            self.pings.link_detached(oldest, false);
            self.turns.detach(oldest);
        }
        self.links.push(link);
        if takes_turns {
            self.turns.attach(link);
        }
        self.pings.link_attached(link, now);
        self.ask_unanswered();
    }

    /// A link is gone. What went over it and is not answered goes out again, or is asked about.
    // req: S18, S45, S118
    pub fn link_detached(&mut self, link: LinkId, now: Instant) {
        self.now = now;
        self.links.retain(|known| *known != link);
        self.pings.link_detached(link, self.links.is_empty());
        self.turns.detach(link);
        self.notices.forget_link(link);
        let ask = self.requests.link_lost(link);
        self.errands.ask_states(ask);
        let lost = self.sent.lost_with(link, now);
        self.redo(link, lost);
        if self.links.is_empty() {
            self.rest();
        }
    }

    /// An item without a byte came over a link that takes turns: a packet of ours is answered with
    /// nothing.
    pub fn turn_ended(&mut self, link: LinkId, now: Instant) {
        self.now = now;
        self.pings.heard(link, now);
        self.turns.ended(link);
    }

    /// Something makes every link doubtful, such as the machine's sleep: each is pinged at once and
    /// closed, unless something comes over it within `limit`.
    // req: S118
    pub fn probe_links(&mut self, limit: Duration, now: Instant) {
        self.now = now;
        for link in &self.links {
            self.pings.probe(*link, limit);
        }
    }

    /// The packet whose outermost message is `packet` was sealed, and asks for the quick
    /// acknowledgement `token`. Only for an [`crate::Outgoing`] with `quick_ack`.
    // req: S115
    pub fn packet_sealed(&mut self, packet: MsgId, token: u32) {
        let mut awaited = self.quick_acks.iter_mut().rev();
        if let Some(awaited) = awaited.find(|awaited| awaited.packet == packet) {
            awaited.token = Some(token);
        }
    }

    /// A quick acknowledgement came over any link.
    // req: S115
    pub fn handle_quick_ack(&mut self, token: u32, now: Instant) {
        self.now = now;
        let index = self.quick_acks.iter().position(|awaited| awaited.token == Some(token));
        let Some(awaited) = index.and_then(|index| self.quick_acks.remove(index)) else { return };
        for request in awaited.requests {
            if self.requests.wants_quick_ack(request) {
                self.tell(ClientEvent::QuickAck { request });
            }
        }
    }

    /// The moment that `Wait` named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some(link) = self.pings.take_silent(now) {
            let reason = ClientCloseReason::PongTimeout;
            self.outputs.push_back(ClientOutput::Close { link, reason });
        }
        self.ask_unanswered();
    }

    /// What is to be done next. Call it until it says `Wait`.
    pub fn poll_output(&mut self) -> ClientOutput {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        match self.next_packet() {
            Some(outgoing) => ClientOutput::Send(outgoing),
            None => ClientOutput::Wait(self.deadline()),
        }
    }

    /// The session's id. It changes with [`Gap::SessionReplaced`].
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session_id
    }

    /// The salts, for a store.
    // req: S22
    #[must_use]
    pub fn salts(&self) -> &Salts {
        &self.salts
    }

    /// The server's time, as corrected so far.
    #[must_use]
    pub fn clock(&self) -> &ServerClock {
        &self.clock
    }

    /// How many requests have no outcome yet.
    #[must_use]
    pub fn pending_requests(&self) -> usize {
        self.requests.len()
    }

    /// How many links are attached.
    #[must_use]
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// Asks for the state of what has been unanswered for long; without a link that has to wait.
    // req: S16
    fn ask_unanswered(&mut self) {
        if !self.links.is_empty() {
            let ids = self.requests.take_unanswered(self.now);
            self.errands.ask_states(ids);
        }
    }

    /// Gives memory back that is for more than there is, as after a burst.
    fn rest(&mut self) {
        self.requests.rest();
        self.sent.rest(self.now);
        self.acks.rest();
        self.notices.rest();
        self.outputs.shrink_to_fit();
        self.quick_acks.shrink_to_fit();
    }

    fn tell(&mut self, event: ClientEvent) {
        self.outputs.push_back(ClientOutput::Event(event));
    }
}
