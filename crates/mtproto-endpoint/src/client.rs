//! The client: one server, one session at a time, any number of links.
//!
//! Whatever breaks, a request stays until it has its one outcome: links are dialed again, with
//! backoff and a limit; a session that the server forgot is replaced; a temporary key is made
//! again.
//!
//! ```text
//! Keyless ── exchange ──► (Binding, with forward secrecy) ──► Ready ──► Closed
//!    ▲                                                          │
//!    └──────────────── the server does not know the key ◄───────┘
//! ```

mod calls;
mod channel;
mod config;
mod dialing;
mod exchange;
mod keying;
mod keys;
mod leaving;
mod links;
mod output;
mod packets;
mod pings;
mod saving;
mod service;
#[cfg(test)]
mod tests;
mod waking;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mtproto_crypto::SecureRandom;
use mtproto_frame::TransportError;
use mtproto_session::MsgIds;
pub use mtproto_session::client::{REQUEST_BYTES_MAX, REQUEST_LEN_MAX, REQUESTS_MAX};
pub use mtproto_session::{LinkId, ServerClock};
use mtproto_store::DcRecord;
use mtproto_tl::{AuthKeyId, ServerTime};

use calls::Calls;
use channel::Channel;
pub use config::{ClientConfig, Pfs, TEMPORARY_KEY_LIFETIME};
use dialing::Dialing;
pub use dialing::{
    DELAY_MAX, DIAL_WINDOW, DIALS_MAX, FLOOD_DELAY_MAX, FLOOD_DELAY_MIN, ReconnectPolicy,
    STABLE_MIN,
};
use exchange::Exchange;
pub use exchange::{EXCHANGE_MAX, EXCHANGE_STEP_MAX, Job, JobDone};
pub use keying::{BINDING_MAX, EXCHANGE_RETRY_DELAY};
use keys::Keys;
pub use keys::PERMANENT_KEY_YOUNG;
pub use leaving::LOG_OUT_MAX;
pub use links::LINKS_MAX;
use links::{Link, Links};
pub use output::{
    Closed, Event, Gap, KeyLoss, KeyMade, LinkEnd, Misuse, Output, PingId, RequestError, RequestId,
    RequestOptions, State,
};
pub use packets::PACKETS_MAX;
use packets::Packet;
pub use pings::PINGS_MAX;
use pings::Pings;
pub use saving::SAVE_RETRY_DELAY;
use saving::Saving;
use waking::Hearing;
pub use waking::{QUEUE_AGE_MAX, SLEEP_MIN, WAKE_PONG_MAX};

/// A whole client without its sockets.
pub struct ClientEndpoint {
    config: ClientConfig,
    random: Box<dyn SecureRandom>,
    /// When the last input came.
    now: Instant,
    /// The local clock, as it was when the endpoint began.
    local: ServerClock,
    /// The server's clock, as far as it is known.
    clock: ServerClock,
    keys: Keys,
    phase: Phase,
    /// Since when the permanent key is under suspicion: the server said once that it has none such.
    suspected: Option<Instant>,
    /// The key in use before: packets under it may still come.
    retired_key: Option<AuthKeyId>,
    exchange: Option<Exchange>,
    exchanges_begun: u64,
    exchange_not_before: Option<Instant>,
    plain_ids: MsgIds,
    links: Links,
    dialing: Dialing,
    last_end: Option<LinkEnd>,
    calls: Calls,
    pings: Pings,
    saving: Saving,
    hearing: Hearing,
    /// Whether there was a session before the current one.
    had_session: bool,
    /// Received and not yet opened.
    received: Vec<Packet>,
    outputs: VecDeque<Output>,
    told: State,
    /// Until when the session has nothing to do.
    session_idle_until: Option<Instant>,
}

/// What messages can be encrypted with.
enum Phase {
    /// A temporary key that says nothing before it is bound.
    Binding(Channel),
    /// The end.
    Closed(Closed),
    /// Nothing.
    Keyless,
    /// The permanent key, which the server is to destroy until then.
    Leaving(Channel, Instant),
    /// A key, and the session on it.
    Ready(Channel),
}

impl ClientEndpoint {
    /// A client that has no link yet. `stored` is what an earlier one saved for this server;
    /// `local` ties `Instant`s to the local clock.
    #[must_use]
    pub fn new(
        config: ClientConfig,
        stored: Option<DcRecord>,
        local: ServerClock,
        random: Box<dyn SecureRandom>,
        now: Instant,
    ) -> Self {
        let offset_ms = stored.as_ref().map_or(0, |stored| stored.time_offset_ms);
        let time = shifted(local.now(now), offset_ms);
        let keys = stored.map(|stored| Keys::restore(stored, config.pfs, time)).unwrap_or_default();
        let dialing = Dialing::new(config.reconnect);
        let mut endpoint = Self {
            config,
            random,
            now,
            local,
            clock: ServerClock::new(now, time),
            keys,
            phase: Phase::Keyless,
            suspected: None,
            retired_key: None,
            exchange: None,
            exchanges_begun: 0,
            exchange_not_before: None,
            plain_ids: MsgIds::default(),
            links: Links::default(),
            dialing,
            last_end: None,
            calls: Calls::default(),
            pings: Pings::default(),
            saving: Saving::default(),
            hearing: Hearing::default(),
            had_session: false,
            received: Vec::new(),
            outputs: VecDeque::new(),
            told: State::Dialing { failures: 0, last: None },
            session_idle_until: None,
        };
        endpoint.use_keys();
        endpoint
    }

    /// Takes one boxed object to be sent as a query. It has exactly one outcome: an
    /// [`Event::Answer`], unless it is cancelled.
    ///
    /// # Errors
    /// See [`Misuse`]; nothing has changed then.
    pub fn request(
        &mut self,
        object: Bytes,
        options: RequestOptions,
        now: Instant,
    ) -> Result<RequestId, Misuse> {
        self.now = now;
        self.check_open()?;
        self.calls.add(object, options)
    }

    /// Gives a request up: it will have no outcome, unless that was ready to be polled already. The
    /// server is told to drop the answer.
    // req: S6
    pub fn cancel(&mut self, request: RequestId, now: Instant) {
        self.now = now;
        if let Some(Some(handed_as)) = self.calls.remove(request)
            && let Some(channel) = self.phase.channel()
        {
            channel.session.cancel(handed_as, now);
        }
    }

    /// Begins another session and lets the server destroy this one, with every answer that waits in
    /// it: after many requests were given up that is cheaper than dropping the answer to each. What
    /// is still wanted goes out again, and may be carried out again.
    // req: S12
    pub fn replace_session(&mut self, now: Instant) {
        self.now = now;
        if let Some(channel) = self.phase.channel() {
            channel.session.replace_session(now);
        }
    }

    /// Measures the way to the server and back; the outcome is an [`Event::Pong`]. A ping that is
    /// lost with its link goes out again.
    ///
    /// # Errors
    /// `Closed`, `TooManyPings`.
    pub fn ping(&mut self, now: Instant) -> Result<PingId, Misuse> {
        self.now = now;
        self.check_open()?;
        self.pings.add()
    }

    /// Gives a ping up: its pong, if one comes, is not told.
    pub fn forget_ping(&mut self, ping: PingId) {
        self.pings.remove(ping);
    }

    /// Ends everything: requests without an outcome get [`RequestError::Closed`], what is owed to
    /// the server is acknowledged, links are closed.
    // req: S95
    pub fn close(&mut self, now: Instant) {
        self.now = now;
        self.say_last_words(false);
        self.finish(Closed::ByCaller);
    }

    /// The link that [`Output::Dial`] wanted is open. One that `takes_turns`, as over HTTP, brings
    /// one item for each packet that was sent over it: a packet without a byte says nothing.
    pub fn link_opened(&mut self, link: LinkId, takes_turns: bool, now: Instant) {
        self.now = now;
        if !self.links.opened(link, takes_turns, now) {
            self.outputs.push_back(Output::Close { link, reason: LinkEnd::Closed });
            return;
        }
        if let Some(channel) = self.phase.channel() {
            channel.link_attached(link, takes_turns, now);
        }
    }

    /// The link that [`Output::Dial`] wanted could not be opened.
    pub fn dial_failed(&mut self, link: LinkId, now: Instant) {
        self.now = now;
        if self.links.dial_failed(link) {
            self.last_end = Some(LinkEnd::DialFailed);
            self.dialing.failed(now, &mut *self.random);
        }
    }

    /// The link is gone.
    // req: S118
    pub fn link_lost(&mut self, link: LinkId, now: Instant) {
        self.now = now;
        // What came before the end counts.
        self.open_received();
        self.forget_link(link, LinkEnd::Lost);
    }

    /// A packet came. It is looked at when the endpoint is polled, together with what came with it.
    pub fn handle_packet(&mut self, link: LinkId, payload: BytesMut, now: Instant) {
        self.now = now;
        self.received.push(Packet { link, payload });
        if self.received.len() >= PACKETS_MAX {
            self.open_received();
        }
    }

    /// The server has, early, taken note of the packet with this token.
    // req: S115
    pub fn handle_quick_ack(&mut self, link: LinkId, token: u32, now: Instant) {
        self.now = now;
        if self.links.is_open(link)
            && let Some(channel) = self.phase.channel()
        {
            channel.session.handle_quick_ack(token, now);
        }
    }

    /// The server sent an error in place of a packet. The link is closed whatever it is.
    // req: S114
    pub fn handle_transport_error(&mut self, link: LinkId, error: TransportError, now: Instant) {
        self.now = now;
        // What came before the error counts before it.
        self.open_received();
        match error {
            TransportError::NotFound => self.not_found(link),
            TransportError::WrongDc => {
                if self.end_link(link, LinkEnd::Transport(error)).is_some() {
                    self.finish(Closed::WrongDc);
                }
            }
            TransportError::Flood | TransportError::Forbidden | TransportError::Other(_) => {
                self.end_link(link, LinkEnd::Transport(error));
            }
        }
    }

    /// A job is done.
    pub fn computed(&mut self, done: JobDone, now: Instant) {
        self.now = now;
        self.exchange_computed(done);
    }

    /// What was to be saved is stored, or the store failed; then it is asked again later.
    pub fn saved(&mut self, stored: bool, now: Instant) {
        self.now = now;
        self.saving.ended(stored, now);
    }

    /// The moment that [`Output::Wait`] named has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if let Some(channel) = self.phase.channel() {
            channel.session.handle_timeout(now);
        }
        while let Some(request) = self.calls.overdue(now) {
            self.cancel(request, now);
            self.answer(request, Err(RequestError::TimedOut));
        }
        self.check_exchange();
        self.check_binding();
        self.check_keys();
        self.check_leaving();
    }

    /// What to do next. It must be asked until it says [`Output::Wait`].
    pub fn poll_output(&mut self) -> Output {
        self.open_received();
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            if !self.step() {
                return Output::Wait(self.deadline());
            }
        }
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> State {
        let failures = self.dialing.failures();
        let last = self.last_end;
        match &self.phase {
            Phase::Closed(reason) => State::Closed(*reason),
            _ if !self.links.any_open() => match self.dialing.due().filter(|due| *due > self.now) {
                Some(until) if !self.links.is_dialing() => State::Waiting { failures, last, until },
                _ => State::Dialing { failures, last },
            },
            Phase::Keyless => State::Exchanging,
            Phase::Leaving(..) => State::LoggingOut,
            Phase::Binding(_) => State::Binding,
            Phase::Ready(_) if self.links.is_proven() => State::Ready,
            Phase::Ready(_) => State::Resuming,
        }
    }

    /// The key that messages are encrypted with.
    #[must_use]
    pub fn key(&self) -> Option<AuthKeyId> {
        match &self.phase {
            Phase::Binding(channel) | Phase::Leaving(channel, _) | Phase::Ready(channel) => {
                Some(channel.key_id())
            }
            Phase::Closed(_) | Phase::Keyless => None,
        }
    }

    /// How many requests have no outcome yet.
    #[must_use]
    pub fn pending_requests(&self) -> usize {
        self.calls.len()
    }

    /// Whether a request would be taken, of whatever length it may be.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.calls.has_room(REQUEST_LEN_MAX)
    }

    /// Whether it has closed. Only what is to be saved may still be under way.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }

    /// Does one thing that is due; false if nothing is.
    fn step(&mut self) -> bool {
        if self.is_closed() {
            return self.save() || self.tell_state();
        }
        self.dial()
            || self.exchange()
            || self.take_over()
            || self.hand_over()
            || self.poll_session()
            || self.save()
            || self.tell_state()
    }

    /// Dials, if there are too few links and it is time.
    // req: S118
    fn dial(&mut self) -> bool {
        let due = self.wants_links() && self.dialing.is_due(self.now);
        if due {
            self.dialing.begun(self.now);
            let link = self.links.dial();
            self.outputs.push_back(Output::Dial(link));
        }
        due
    }

    fn wants_links(&self) -> bool {
        self.links.len() < self.config.links.clamp(1, LINKS_MAX)
    }

    fn save(&mut self) -> bool {
        let due = self.saving.begin(self.now);
        if due {
            let offset = offset_ms(self.clock.now(self.now), self.local.now(self.now));
            let record = self.keys.record(&self.config.address, offset);
            self.outputs.push_back(Output::Save(record.map(Box::new)));
        }
        due
    }

    fn tell_state(&mut self) -> bool {
        let state = self.state();
        let changed = state != self.told;
        if changed {
            self.told = state;
            self.tell(Event::State(state));
        }
        changed
    }

    /// When something happens though no input comes.
    fn deadline(&self) -> Option<Instant> {
        if self.is_closed() {
            return self.saving.deadline();
        }
        let deadlines = [
            self.dialing.due().filter(|_| self.wants_links()),
            self.exchange.as_ref().map(Exchange::deadline),
            self.binding_deadline(),
            self.keys_deadline(),
            self.leaving_deadline(),
            self.session_idle_until,
            self.calls.deadline(),
            self.saving.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Closes a link for `reason`; `None` if it is not open.
    fn end_link(&mut self, link: LinkId, reason: LinkEnd) -> Option<Link> {
        let ended = self.forget_link(link, reason)?;
        self.outputs.push_back(Output::Close { link, reason });
        Some(ended)
    }

    /// Forgets a link that ended for `reason`; `None` if it is not open.
    fn forget_link(&mut self, link: LinkId, reason: LinkEnd) -> Option<Link> {
        let ended = self.links.end(link)?;
        self.last_end = Some(reason);
        if let Some(exchange) = &mut self.exchange {
            exchange.link_lost(link);
        }
        self.pings.take_back();
        if let Some(channel) = self.phase.channel() {
            channel.session.link_detached(link, self.now);
        }
        if reason == LinkEnd::Transport(TransportError::Flood) {
            self.dialing.flooded(self.now, &mut *self.random);
        } else if ended.was_stable(self.now) {
            self.dialing.ended(self.now, &mut *self.random);
        } else {
            self.dialing.failed(self.now, &mut *self.random);
        }
        Some(ended)
    }

    /// Ends everything.
    fn finish(&mut self, reason: Closed) {
        if self.is_closed() {
            return;
        }
        self.phase = Phase::Closed(reason);
        self.received.clear();
        self.exchange = None;
        self.links.stop_dialing();
        for link in self.links.open().collect::<Vec<_>>() {
            self.links.end(link);
            self.outputs.push_back(Output::Close { link, reason: LinkEnd::Closed });
        }
        self.end_requests(reason);
    }

    /// Gives every request the same outcome.
    fn end_requests(&mut self, reason: Closed) {
        while let Some(request) = self.calls.first() {
            self.cancel(request, self.now);
            self.answer(request, Err(RequestError::Closed(reason)));
        }
    }

    fn answer(&mut self, request: RequestId, outcome: Result<Bytes, RequestError>) {
        self.tell(Event::Answer { request, outcome });
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

impl Phase {
    /// The key in use and its session.
    fn channel(&mut self) -> Option<&mut Channel> {
        match self {
            Self::Binding(channel) | Self::Leaving(channel, _) | Self::Ready(channel) => {
                Some(channel)
            }
            Self::Closed(_) | Self::Keyless => None,
        }
    }
}

impl fmt::Debug for ClientEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientEndpoint")
            .field("state", &self.state())
            .field("key", &self.key())
            .field("requests", &self.calls.len())
            .finish_non_exhaustive()
    }
}

/// `time` moved on by `offset_ms` milliseconds.
fn shifted(time: ServerTime, offset_ms: i64) -> ServerTime {
    let span = Duration::from_millis(offset_ms.unsigned_abs());
    if offset_ms < 0 { time.before(span) } else { time.after(span) }
}

/// How many milliseconds `server` is ahead of `local`.
fn offset_ms(server: ServerTime, local: ServerTime) -> i64 {
    let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    ms(server.saturating_since(local)) - ms(local.saturating_since(server))
}
