//! A client and a server endpoint, the links between them and a store, in virtual time.
//!
//! What happens is written down: `>` is a message of the client, `<` one of the server, the rest
//! are the client's own wishes and events.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mtproto_auth::{PlainMessage, is_plain};
use mtproto_crypto::envelope::{self, Filler, OpenJob};
use mtproto_crypto::rsa::RsaPrivateKey;
use mtproto_crypto::{Direction, SecureRandom, SeededRandom};
use mtproto_frame::Outbound;
use mtproto_pack::{CONTAINER_ID, Message, read_container};
use mtproto_session::{SaltSecret, ServerSessionConfig, Strictness};
use mtproto_store::{DcRecord, KeyStore, MemoryKeyStore};
use mtproto_tl::{AuthKeyId, MsgId, Seqno, ServerTime};

use super::connections::Connections;
use super::names::{ECHO_ID, name};
use crate::client::{
    ClientConfig, ClientEndpoint, Event, JobDone, LinkId, Output, RequestId, RequestOptions,
    ServerClock,
};
use crate::server::{self, QUEUED_BYTES_MAX, ServerConfig, ServerEndpoint};

/// One way from the client to the server.
pub(super) const LATENCY: Duration = Duration::from_millis(20);

/// How far the client's own clock is behind the server's; nobody else may notice.
pub(super) const LOCAL_LAG: Duration = Duration::from_secs(3600);

/// What a handler takes.
pub(super) const HANDLING: Duration = Duration::from_millis(10);

/// Everything there is.
pub(super) struct World {
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) client: ClientEndpoint,
    pub(super) server: ServerEndpoint,
    pub(super) store: MemoryKeyStore,
    pub(super) saved: Option<DcRecord>,
    pub(super) events: Vec<Event>,
    /// Requests that reached the server's application, in order.
    pub(super) handled: Vec<Bytes>,
    /// The session that the server made last.
    pub(super) session: Option<server::SessionRef>,
    /// Dials begun.
    pub(super) dials: Vec<Instant>,
    pub(super) network: Network,
    /// How long the client's monotonic clock has stood still so far.
    pub(super) slept: Duration,
    /// How far its wall clock was set ahead so far, and back.
    pub(super) wall_set: (Duration, Duration),
    config: ClientConfig,
    random: SeededRandom,
    transcript: String,
    queue: BTreeMap<(Instant, u64), Act>,
    acts: u64,
    links: BTreeSet<LinkId>,
    /// Of links that take turns.
    connections: Connections,
    ciphertexts: HashSet<Bytes>,
}

/// How the world between the two behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Network {
    /// No dial succeeds.
    pub(super) refuses: bool,
    /// Links open, and nothing of the client arrives.
    pub(super) silent: bool,
    /// The server's handlers never finish.
    pub(super) stalls: bool,
    /// How much longer than [`HANDLING`] they take.
    pub(super) slowness: Duration,
    /// The server never finishes binding a key.
    pub(super) binding_stalls: bool,
    /// The store of the client fails.
    pub(super) cannot_save: bool,
    /// The client does not notice when the server closes a link.
    pub(super) half_open: bool,
    /// Links take turns from now on.
    pub(super) turns: bool,
}

/// Something that will happen.
enum Act {
    Opened(LinkId),
    DialFailed(LinkId),
    ToServer(LinkId, Bytes, bool),
    ToClient(LinkId, Outbound),
    ServerCloses(LinkId),
    ClientCloses(LinkId),
    ClientComputed(JobDone),
    ServerComputed(server::Computed),
    Stored(server::StoreOutcome),
    Handled(server::Request),
    Saved(bool),
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self::with(seed, ClientConfig::default(), None)
    }

    pub(super) fn with(seed: u64, config: ClientConfig, stored: Option<DcRecord>) -> Self {
        let keys = server_keys().iter().map(|key| key.public().clone()).collect();
        let config = ClientConfig { keys, ..config };
        let start = super::start();
        let mut random = SeededRandom::new(seed);
        let client = new_client(&config, stored, local_time(Duration::ZERO), start, &mut random);
        let server = new_server(start, start, &mut random);
        Self {
            start,
            now: start,
            client,
            server,
            store: MemoryKeyStore::new(&mut SeededRandom::new(seed ^ 1)),
            saved: None,
            events: Vec::new(),
            handled: Vec::new(),
            session: None,
            dials: Vec::new(),
            network: Network::default(),
            slept: Duration::ZERO,
            wall_set: (Duration::ZERO, Duration::ZERO),
            config,
            random,
            transcript: String::new(),
            queue: BTreeMap::new(),
            acts: 0,
            links: BTreeSet::new(),
            connections: Connections::default(),
            ciphertexts: HashSet::new(),
        }
    }

    /// Sends a request that the server echoes.
    pub(super) fn request(&mut self, text: &str) -> RequestId {
        self.request_with(text, RequestOptions::default())
    }

    pub(super) fn request_with(&mut self, text: &str, options: RequestOptions) -> RequestId {
        self.client.request(object(text), options, self.client_now()).expect("there is room")
    }

    /// Lets `span` pass.
    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until `done`, a minute at most.
    pub(super) fn run_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let end = self.now + Duration::from_secs(60);
        while !done(self) {
            assert!(self.step(end), "{what} did not happen:\n{}", self.transcript);
        }
    }

    /// Waits for the outcome of a request.
    pub(super) fn outcome(
        &mut self,
        request: RequestId,
    ) -> Result<Bytes, crate::client::RequestError> {
        self.run_until("the answer", |world| world.answers(request).next().is_some());
        self.answers(request).next().cloned().expect("it was awaited")
    }

    /// The outcomes of a request: one at most, if all is well.
    pub(super) fn answers(
        &self,
        wanted: RequestId,
    ) -> impl Iterator<Item = &Result<Bytes, crate::client::RequestError>> {
        self.events.iter().filter_map(move |event| match event {
            Event::Answer { request, outcome } if *request == wanted => Some(outcome),
            _ => None,
        })
    }

    /// Lets time pass until a packet of the server arrives, and takes it.
    pub(super) fn next_packet_to_client(&mut self) -> BytesMut {
        loop {
            self.drain_client();
            self.drain_server();
            let entry = self.queue.first_entry().expect("something happens");
            self.now = self.now.max(entry.key().0);
            match entry.remove() {
                Act::ToClient(_, Outbound::Packet { payload, .. }) => {
                    return BytesMut::from(&*payload);
                }
                act => self.act(act),
            }
        }
    }

    /// Cuts every link; both sides notice at once, and what was on its way is lost.
    pub(super) fn cut(&mut self) {
        self.note("-- the links are cut");
        for link in std::mem::take(&mut self.links) {
            self.lose_at_server(link);
            self.client.link_lost(link, self.client_now());
        }
    }

    /// Cuts one link.
    pub(super) fn cut_one(&mut self, link: LinkId) {
        self.links.remove(&link);
        self.lose_at_server(link);
        self.client.link_lost(link, self.client_now());
    }

    /// The server dies and comes back; what its store has, it has.
    pub(super) fn restart_server(&mut self) {
        self.cut();
        self.note("-- the server restarts");
        self.server = new_server(self.start, self.now, &mut self.random);
        self.queue.retain(|_, act| {
            !matches!(act, Act::ServerComputed(_) | Act::Stored(_) | Act::Handled(_))
        });
    }

    /// The client's process dies and starts again with what it had saved.
    pub(super) fn restart_client(&mut self) {
        self.cut();
        self.note("-- the client restarts");
        let (wall, now) = (self.wall(), self.client_now());
        self.client = new_client(&self.config, self.saved.clone(), wall, now, &mut self.random);
        self.events.clear();
        self.queue.retain(|_, act| {
            !matches!(
                act,
                Act::Opened(_) | Act::DialFailed(_) | Act::ClientComputed(_) | Act::Saved(_)
            )
        });
    }

    /// The client's machine sleeps, and everybody else does not.
    pub(super) fn sleep(&mut self, span: Duration) {
        self.note("-- the client sleeps");
        self.now += span;
        self.slept += span;
    }

    /// The server's store loses a key.
    pub(super) fn forget_key(&mut self, key: AuthKeyId) {
        self.note("-- the server loses a key");
        ready(self.store.remove(key)).expect("the store works");
        self.server.forget_key(key, self.now);
    }

    /// The client trusts another RSA key than the server's.
    pub(super) fn distrust_server(&mut self) {
        let other = RsaPrivateKey::generate(&mut SeededRandom::new(2));
        self.config.keys = Arc::new([other.public().clone()]);
        let (wall, now) = (self.wall(), self.client_now());
        self.client = new_client(&self.config, None, wall, now, &mut self.random);
    }

    /// Whether the server has a key.
    pub(super) fn server_has(&self, key: AuthKeyId) -> bool {
        ready(self.store.get(key, self.server_time())).expect("the store works").is_some()
    }

    /// The newest link.
    pub(super) fn link(&mut self) -> LinkId {
        self.run_until("a link", |world| !world.links.is_empty());
        *self.links.last().expect("it was awaited")
    }

    /// How many links are open.
    pub(super) fn links(&self) -> usize {
        self.links.len()
    }

    /// What was written down since the last time.
    pub(super) fn transcript(&mut self) -> String {
        std::mem::take(&mut self.transcript)
    }

    /// The same without times, which depend on every random number drawn before.
    pub(super) fn conversation(&mut self) -> String {
        let transcript = self.transcript();
        transcript.lines().map(|line| format!("{}\n", line.get(9..).unwrap_or_default())).collect()
    }

    pub(super) fn note(&mut self, line: &str) {
        let at = format!("{}ms", self.now.duration_since(self.start).as_millis());
        let _ = writeln!(self.transcript, "{at:<8} {line}");
    }

    /// Does what happens next before `end`; false if nothing does.
    fn step(&mut self, end: Instant) -> bool {
        self.client.handle_wall_time(self.wall(), self.client_now());
        let client = self.drain_client();
        let server = self.drain_server();
        let act = self.queue.first_key_value().map(|((at, _), _)| *at);
        let Some(next) = [client, server, act].into_iter().flatten().min() else { return false };
        if next > end {
            return false;
        }
        // A deadline in the past would spin.
        assert!(client.is_none_or(|at| at > self.now), "the client waits for what is over");
        self.now = self.now.max(next);
        if act.is_some_and(|at| at <= self.now) {
            let ((_, _), act) = self.queue.pop_first().expect("it is there");
            self.act(act);
        }
        if client.is_some_and(|at| at <= self.now) {
            self.client.handle_timeout(self.client_now());
        }
        if server.is_some_and(|at| at <= self.now) {
            self.server.handle_timeout(self.now);
        }
        self.drain_client();
        self.drain_server();
        true
    }

    fn act(&mut self, act: Act) {
        let (now, client_now) = (self.now, self.client_now());
        match act {
            Act::Opened(link) => {
                self.links.insert(link);
                if self.network.turns {
                    self.connections.add(link);
                } else {
                    self.server.link_opened(link, now);
                }
                self.client.link_opened(link, self.network.turns, client_now);
            }
            Act::DialFailed(link) => self.client.dial_failed(link, client_now),
            Act::ToServer(link, payload, quick_ack)
                if self.links.contains(&link) && self.connections.belong_to(link) =>
            {
                assert!(!quick_ack, "there are none in turns");
                let (connection, is_new) = self.connections.take(link, now);
                if is_new {
                    self.server.link_opened(connection, now);
                }
                self.server.handle_turn(connection, BytesMut::from(&*payload), now);
            }
            Act::ToServer(link, payload, quick_ack) if self.links.contains(&link) => {
                self.server.handle_packet(link, BytesMut::from(&*payload), quick_ack, now);
            }
            Act::ToClient(link, item) if self.links.contains(&link) => match item {
                Outbound::Error(error) => {
                    self.client.handle_transport_error(link, error, client_now);
                }
                Outbound::Packet { payload, .. } => {
                    self.client.handle_packet(link, BytesMut::from(&*payload), client_now);
                }
                Outbound::QuickAck(token) => self.client.handle_quick_ack(link, token, client_now),
            },
            Act::ToServer(..) | Act::ToClient(..) => {}
            Act::ServerCloses(link) => {
                if self.links.remove(&link) && !self.network.half_open {
                    self.client.link_lost(link, client_now);
                }
                self.server.link_lost(link, now);
            }
            Act::ClientCloses(link) => {
                self.links.remove(&link);
                self.lose_at_server(link);
            }
            Act::ClientComputed(done) => self.client.computed(done, client_now),
            Act::ServerComputed(done) => self.server.computed(done, now),
            Act::Stored(outcome) => self.server.stored(outcome, now),
            Act::Handled(request) => {
                self.server.answer(request.id, Ok(request.content.query), now);
            }
            Act::Saved(stored) => self.client.saved(stored, client_now),
        }
    }

    fn lose_at_server(&mut self, link: LinkId) {
        self.server.link_lost(link, self.now);
        for connection in self.connections.end(link) {
            self.server.link_lost(connection, self.now);
        }
    }

    fn later(&mut self, span: Duration, act: Act) {
        self.acts += 1;
        self.queue.insert((self.now + span, self.acts), act);
    }

    fn drain_client(&mut self) -> Option<Instant> {
        loop {
            match self.client.poll_output() {
                Output::Close { link, reason } => {
                    self.note(&format!("close {}: {reason}", link.0));
                    self.later(LATENCY, Act::ClientCloses(link));
                }
                Output::Compute(job) => {
                    let done = job.run(&mut self.random);
                    self.later(Duration::from_millis(5), Act::ClientComputed(done));
                }
                Output::Dial(link) => {
                    self.note(&format!("dial {}", link.0));
                    self.dials.push(self.now);
                    let act = if self.network.refuses {
                        Act::DialFailed(link)
                    } else {
                        Act::Opened(link)
                    };
                    self.later(LATENCY, act);
                }
                Output::Event(event) => {
                    self.note(&described(&event));
                    self.events.push(event);
                }
                Output::Save(record) => {
                    let stored = !self.network.cannot_save;
                    if stored {
                        self.saved = record.map(|record| *record);
                    }
                    self.later(Duration::from_millis(1), Act::Saved(stored));
                }
                Output::Send { link, payload, quick_ack } => {
                    self.write_down('>', Direction::ClientToServer, &payload);
                    // req: S118
                    let fresh = is_plain(&payload) || self.ciphertexts.insert(payload.clone());
                    assert!(fresh, "a ciphertext was sent twice");
                    if !self.network.silent {
                        self.later(LATENCY, Act::ToServer(link, payload, quick_ack));
                    }
                }
                Output::Wait(deadline) => return deadline.map(|at| at + self.slept),
            }
        }
    }

    fn drain_server(&mut self) -> Option<Instant> {
        loop {
            match self.server.poll_output() {
                server::Output::Close { link, .. } if self.connections.contain(link) => {
                    self.connections.close(link);
                    self.server.link_lost(link, self.now);
                }
                server::Output::Close { link, .. } => self.later(LATENCY, Act::ServerCloses(link)),
                server::Output::Compute(job) => {
                    let done = job.run(&mut self.random);
                    self.later(Duration::from_millis(5), Act::ServerComputed(done));
                }
                server::Output::Event(server::Event::SessionOpened(session)) => {
                    self.session = Some(session);
                }
                server::Output::Event(_) => {}
                server::Output::Request(request) => {
                    self.handled.push(request.content.query.clone());
                    if !self.network.stalls {
                        self.later(HANDLING + self.network.slowness, Act::Handled(request));
                    }
                }
                server::Output::Send { link, item } => {
                    match &item {
                        Outbound::Packet { payload, .. } => {
                            let payload = payload.clone().into_bytes();
                            self.write_down('<', Direction::ServerToClient, &payload);
                        }
                        Outbound::Error(error) => self.note(&format!("< {error}")),
                        Outbound::QuickAck(_) => self.note("< quick ack"),
                    }
                    let link = self.connections.answered(link, self.now + LATENCY).unwrap_or(link);
                    self.later(LATENCY, Act::ToClient(link, item));
                }
                server::Output::Store(request) => {
                    let binds = matches!(request.action, server::StoreAction::Find(_));
                    if !(binds && self.network.binding_stalls) {
                        let outcome = ready(request.carry_out(&self.store));
                        self.later(Duration::from_millis(1), Act::Stored(outcome));
                    }
                }
                server::Output::Wait(deadline) => return deadline,
            }
        }
    }

    /// Writes down what is in a packet, as far as the server's store has its key.
    fn write_down(&mut self, arrow: char, direction: Direction, payload: &Bytes) {
        if let Ok(message) = PlainMessage::decode(payload) {
            return self.note(&format!("{arrow} plain {}", name(&message.body)));
        }
        let id = AuthKeyId(envelope::key_id(payload).expect("a packet has a key id"));
        let time = self.server_time();
        let Some(record) = ready(self.store.get(id, time)).expect("the store works") else {
            return self.note(&format!("{arrow} sealed under a key that is unknown"));
        };
        let mut packet = payload.to_vec();
        let mut jobs = [OpenJob::new(&record.key, direction, Filler::Never, &mut packet)];
        envelope::open(&mut jobs);
        let [job] = jobs;
        let opened = job.opened.expect("both sides seal correctly");
        let body = Bytes::copy_from_slice(&packet[opened.body]);
        let outer =
            Message { id: MsgId(opened.header.msg_id), seqno: Seqno(opened.header.seqno), body };
        let messages = match outer.object_id() {
            CONTAINER_ID => read_container(&outer.body).expect("both sides pack correctly"),
            _ => vec![outer],
        };
        let names: Vec<_> = messages.iter().map(|message| name(&message.body)).collect();
        let says = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        self.note(&format!("{arrow} {says}"));
    }

    /// The moment, to the client.
    pub(super) fn client_now(&self) -> Instant {
        self.now.checked_sub(self.slept).expect("it was awake before")
    }

    /// What the client's wall clock shows.
    pub(super) fn wall(&self) -> ServerTime {
        let (ahead, back) = self.wall_set;
        local_time(self.now.duration_since(self.start)).after(ahead).before(back)
    }

    /// What time it is on the server.
    pub(super) fn server_time(&self) -> ServerTime {
        epoch().after(self.now.duration_since(self.start))
    }
}

/// A request, and its answer.
pub(super) fn object(text: &str) -> Bytes {
    let mut object = ECHO_ID.to_le_bytes().to_vec();
    object.extend_from_slice(text.as_bytes());
    object.resize(object.len().next_multiple_of(4), b' ');
    object.into()
}

/// The server's RSA key; making one takes a while.
fn server_keys() -> Arc<[RsaPrivateKey]> {
    static KEYS: OnceLock<Arc<[RsaPrivateKey]>> = OnceLock::new();
    let make = || Arc::from([RsaPrivateKey::generate(&mut SeededRandom::new(1))]);
    Arc::clone(KEYS.get_or_init(make))
}

/// The server's clock when a world begins.
pub(super) fn epoch() -> ServerTime {
    ServerTime::from_unix(Duration::from_secs(1_800_000_000))
}

/// What the client's wall clock shows, unless it was set.
fn local_time(since_start: Duration) -> ServerTime {
    epoch().before(LOCAL_LAG).after(since_start)
}

fn new_client(
    config: &ClientConfig,
    stored: Option<DcRecord>,
    wall: ServerTime,
    now: Instant,
    random: &mut SeededRandom,
) -> ClientEndpoint {
    let local = ServerClock::new(now, wall);
    let random = SeededRandom::new(random.u64());
    ClientEndpoint::new(config.clone(), stored, local, Box::new(random), now)
}

fn new_server(start: Instant, now: Instant, random: &mut SeededRandom) -> ServerEndpoint {
    let session =
        ServerSessionConfig { strictness: Strictness::Strict, ..ServerSessionConfig::default() };
    let salts = Arc::new(SaltSecret::new([7; 32]));
    let (keys, queued_bytes_max) = (server_keys(), QUEUED_BYTES_MAX);
    let config = ServerConfig { keys, dc: None, session, salts, queued_bytes_max };
    let random = SeededRandom::new(random.u64());
    ServerEndpoint::new(&config, ServerClock::new(start, epoch()), Box::new(random), now)
}

/// The outcome of a future that waits for nothing.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the store in memory never waits"),
    }
}

fn described(event: &Event) -> String {
    match event {
        Event::Answer { request, outcome: Ok(_) } => format!("answer to {}", request.0),
        Event::Answer { request, outcome: Err(error) } => {
            format!("no answer to {}: {error}", request.0)
        }
        Event::ExchangeFailed(fault) => format!("exchange failed: {fault}"),
        Event::Gap(gap) => format!("gap: {gap:?}"),
        Event::KeyMade(made) if made.temporary => "temporary key made".to_owned(),
        Event::KeyMade(_) => "key made".to_owned(),
        Event::KeyLost { reason, .. } => format!("key lost: {reason:?}"),
        Event::Pong { round_trip, .. } => format!("pong after {round_trip:?}"),
        Event::QuickAck { request } => format!("quick ack of {}", request.0),
        Event::Push(object) => format!("push {}", name(object)),
        Event::State(state) => match state {
            crate::client::State::Waiting { failures, .. } => {
                format!("state Waiting, {failures} failures")
            }
            crate::client::State::Dialing { failures, .. } => {
                format!("state Dialing, {failures} failures")
            }
            crate::client::State::Closed(reason) => format!("closed: {reason}"),
            state => format!("state {state:?}"),
        },
    }
}
