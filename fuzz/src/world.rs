//! A client, a server, a store and what is under way between them, in virtual time. Nobody does
//! anything here but what the endpoints want; [`crate::operations()`] does the rest.

use std::collections::{BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_crypto::envelope::{self, Filler, OpenJob};
use mtproto_crypto::{AuthKey, Direction, SecureRandomExt, SeededRandom};
use mtproto_endpoint::client::{self, ClientConfig, ClientEndpoint, LinkId, Pfs, RequestId};
use mtproto_endpoint::server::{
    self, LOADS_MAX, RequestRef, SESSIONS_PER_KEY_MAX, ServerConfig, ServerEndpoint, SessionRef,
    StoreRequest, Usage,
};
use mtproto_frame::Outbound;
use mtproto_pack::read_container;
use mtproto_session::server::{OUTBOX_MESSAGES_MAX, RUNNING_MAX};
use mtproto_session::{SaltSecret, ServerClock, ServerSessionConfig};
use mtproto_store::{
    ClientKey, DcRecord, Inserted, KeyKind, KeyRecord, KeyStore, MemoryKeyStore, TemporaryKey,
};
use mtproto_tl::{AuthKeyId, MsgId, Salt, ServerTime, SessionId};

use crate::objects::Known;

/// Outputs of one drain. More is an endpoint that never waits.
const OUTPUTS_MAX: usize = 20_000;

/// Timeouts at one moment. More is time that does not pass.
const TIMEOUTS_MAX: usize = 100;

/// What the server's sessions may have queued, in bytes: little, so that it is reached.
const QUEUED_BYTES_MAX: usize = 1 << 16;

/// How much of what was seen is remembered.
const KNOWN_MAX: usize = 64;

/// Everybody and everything.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) clock: ServerClock,
    pub(crate) random: SeededRandom,
    pub(crate) client: ClientEndpoint,
    pub(crate) server: ServerEndpoint,
    pub(crate) store: MemoryKeyStore,
    pub(crate) links: Vec<Link>,
    /// What waits for somebody's word.
    pub(crate) dialing: Vec<LinkId>,
    pub(crate) asked: Vec<StoreRequest>,
    pub(crate) running: Vec<RequestRef>,
    pub(crate) saving: Vec<Option<Box<DcRecord>>>,
    /// Calls of the client that have no outcome yet.
    pub(crate) calls: BTreeSet<RequestId>,
    /// What the client has stored.
    pub(crate) stored: Option<DcRecord>,
    /// Keys that both sides had at the beginning.
    pub(crate) keys: Vec<AuthKey>,
    pub(crate) sessions: Vec<SessionRef>,
    pub(crate) known: Known,
    /// Of the last message of the server.
    pub(crate) salt: Salt,
    /// Whether the application answers at once.
    pub(crate) is_prompt: bool,
    config: ClientConfig,
    opened: u64,
    deadlines: [Option<Instant>; 2],
}

/// A link, of which either side may be gone.
#[derive(Default)]
pub(crate) struct Link {
    /// What each side calls it.
    pub(crate) client: Option<LinkId>,
    pub(crate) server: Option<LinkId>,
    /// Whether it takes turns, as over HTTP, and how many packets have no answer yet.
    takes_turns: bool,
    turns: usize,
    /// What is under way to the server and to the client; nothing comes behind an end.
    pub(crate) up: VecDeque<Transit>,
    pub(crate) down: VecDeque<Transit>,
}

/// An item, or the end of a stream.
pub(crate) type Transit = Option<Outbound>;

impl World {
    /// Both sides have a key; with `pfs` a temporary one too, which is to be bound.
    pub(crate) fn new(pfs: bool, links: usize) -> Self {
        #[allow(clippy::disallowed_methods, reason = "virtual time needs a beginning")]
        let now = Instant::now();
        let time = ServerTime::from_unix(Duration::from_secs(1_700_000_000));
        let clock = ServerClock::new(now, time);
        let mut random = SeededRandom::new(1);
        let store = MemoryKeyStore::new(&mut random);
        let count = if pfs { 2 } else { 1 };
        let keys: Vec<_> = (0..count).map(|_| AuthKey::new(random.array())).collect();
        let stored = first_record(&keys, time, &store);
        let config = ClientConfig {
            links,
            pfs: pfs.then(Pfs::default),
            replaces_lost_key: true,
            ..ClientConfig::default()
        };
        let known = Known { keys: keys.iter().map(key_id).collect(), ..Known::default() };
        Self {
            now,
            clock,
            client: client(&config, Some(&stored), clock, now),
            server: server(clock, now),
            random,
            store,
            links: Vec::new(),
            dialing: Vec::new(),
            asked: Vec::new(),
            running: Vec::new(),
            saving: Vec::new(),
            calls: BTreeSet::new(),
            stored: Some(stored),
            keys,
            sessions: Vec::new(),
            known,
            salt: Salt(0),
            is_prompt: true,
            config,
            opened: 0,
            deadlines: [None; 2],
        }
    }

    /// The server's process is another one.
    pub(crate) fn restart_server(&mut self) {
        self.server = server(self.clock, self.now);
        self.asked.clear();
        self.running.clear();
        for link in self.links.iter_mut().filter(|link| link.server.is_some()) {
            link.server = None;
            link.down.push_back(None);
        }
    }

    /// The client's process is another one.
    pub(crate) fn restart_client(&mut self) {
        self.client = client(&self.config, self.stored.as_ref(), self.clock, self.now);
        self.dialing.clear();
        self.saving.clear();
        self.calls.clear();
        for link in self.links.iter_mut().filter(|link| link.client.is_some()) {
            link.client = None;
            link.up.push_back(None);
        }
    }

    /// A link to the server is there; without a name of the client it is somebody else's.
    pub(crate) fn open_link(&mut self, client: Option<LinkId>, takes_turns: bool) {
        self.opened += 1;
        let server = LinkId(self.opened);
        self.links.push(Link { client, server: Some(server), takes_turns, ..Link::default() });
        self.server.link_opened(server, self.now);
        if let Some(client) = client {
            self.client.link_opened(client, takes_turns, self.now);
        }
    }

    /// Hands the first of what is under way to whom it is for; false if there is nothing.
    pub(crate) fn deliver(&mut self, link: usize, is_up: bool) -> bool {
        let Some(link) = self.links.get_mut(link) else { return false };
        let (takes_turns, turns) = (link.takes_turns, &mut link.turns);
        let (queue, end) = if is_up {
            (&mut link.up, &mut link.server)
        } else {
            (&mut link.down, &mut link.client)
        };
        let Some(item) = queue.pop_front() else { return false };
        let Some(name) = *end else { return true };
        if item.is_none() {
            *end = None;
        }
        let now = self.now;
        match item {
            None if is_up => self.server.link_lost(name, now),
            None => self.client.link_lost(name, now),
            Some(Outbound::Packet { payload, .. }) if is_up && takes_turns => {
                *turns += 1;
                self.server.handle_turn(name, payload.as_ref().into(), now);
            }
            Some(Outbound::Packet { payload, quick_ack }) if is_up => {
                self.server.handle_packet(name, payload.as_ref().into(), quick_ack, now);
            }
            Some(Outbound::Packet { payload, .. }) => {
                self.client.handle_packet(name, payload.as_ref().into(), now);
            }
            Some(Outbound::Error(error)) => self.client.handle_transport_error(name, error, now),
            Some(Outbound::QuickAck(token)) => self.client.handle_quick_ack(name, token, now),
        }
        true
    }

    /// Whether nothing is under way, and nobody waits for the store or for a link.
    pub(crate) fn is_settled(&self) -> bool {
        let mut links = self.links.iter();
        links.all(|link| link.up.is_empty() && link.down.is_empty())
            && self.asked.is_empty()
            && self.dialing.is_empty()
    }

    /// Lets time pass, with so many timeouts on the way at most.
    pub(crate) fn pass(&mut self, end: Instant, timeouts_max: usize) {
        let mut at_this_moment = 0;
        for _ in 0..timeouts_max {
            let Some(next) = self.deadlines.into_iter().flatten().min() else { break };
            if next > end {
                break;
            }
            at_this_moment = if next > self.now { 0 } else { at_this_moment + 1 };
            assert!(at_this_moment < TIMEOUTS_MAX, "time does not pass: {:?}", self.deadlines);
            self.now = self.now.max(next);
            let [client, server] = self.deadlines.map(|it| it.is_some_and(|it| it <= self.now));
            if client {
                self.client.handle_timeout(self.now);
            }
            if server {
                self.server.handle_timeout(self.now);
            }
            self.drain();
        }
        self.now = self.now.max(end);
    }

    /// Carries out what both want until they wait, and looks at what they hold.
    pub(crate) fn drain(&mut self) {
        self.deadlines = [self.drain_client(), self.drain_server()];
        self.links.retain(|link| link.client.is_some() || link.server.is_some());
        self.known.time = self.clock.now(self.now);
        assert_eq!(self.client.pending_requests(), self.calls.len());
        let usage = self.server.usage();
        let is_bounded = usage.links <= self.links.len()
            && usage.loads <= LOADS_MAX
            && usage.sessions <= usage.keys * SESSIONS_PER_KEY_MAX
            && usage.running_requests <= usage.sessions * RUNNING_MAX
            && usage.queued_messages <= usage.sessions * OUTBOX_MESSAGES_MAX
            && usage.queued_bytes <= QUEUED_BYTES_MAX;
        assert!(is_bounded, "the server holds too much: {usage:?}");
    }

    /// Everybody leaves, and in time nothing is left.
    pub(crate) fn end(&mut self) {
        self.client.close(self.now);
        for name in self.links.iter_mut().filter_map(|link| link.server.take()) {
            self.server.link_lost(name, self.now);
        }
        self.drain();
        assert!(self.calls.is_empty(), "a call without an outcome");
        while let Some(request) = self.asked.pop() {
            self.server.stored(at_once(request.carry_out(&self.store)), self.now);
            self.drain();
        }
        self.pass(self.now + 2 * server::SESSION_IDLE, OUTPUTS_MAX);
        let usage = self.server.usage();
        assert_eq!(usage, Usage::default(), "nobody is there");
    }

    fn drain_client(&mut self) -> Option<Instant> {
        use client::{Event, Output};
        for _ in 0..OUTPUTS_MAX {
            match self.client.poll_output() {
                Output::Close { link, .. } => {
                    for it in self.links.iter_mut().filter(|it| it.client == Some(link)) {
                        it.client = None;
                        it.up.push_back(None);
                    }
                }
                Output::Compute(job) => {
                    // It trusts no RSA key, so there is nothing to compute.
                    let done = job.run(&mut self.random);
                    self.client.computed(done, self.now);
                }
                Output::Dial(link) => self.dialing.push(link),
                Output::Event(Event::Answer { request, .. }) => {
                    assert!(self.calls.remove(&request), "another outcome of {request:?}");
                }
                Output::Event(_) => {}
                Output::Save(record) => self.saving.push(record),
                Output::Send { link, payload, quick_ack } => {
                    self.observe(&payload, Direction::ClientToServer);
                    if let Some(it) = self.links.iter_mut().find(|it| it.client == Some(link)) {
                        let payload = payload.into();
                        it.up.push_back(Some(Outbound::Packet { payload, quick_ack }));
                    }
                }
                Output::Wait(deadline) => return deadline,
            }
        }
        panic!("the client never waits");
    }

    fn drain_server(&mut self) -> Option<Instant> {
        use server::Output;
        for _ in 0..OUTPUTS_MAX {
            match self.server.poll_output() {
                Output::Close { link, .. } => {
                    for it in self.links.iter_mut().filter(|it| it.server == Some(link)) {
                        it.server = None;
                        it.down.push_back(None);
                    }
                }
                // Arithmetic would take all of the time.
                Output::Compute(job) => self.server.refused(*job, self.now),
                Output::Event(_) => {}
                Output::Request(request) if self.is_prompt => {
                    let answer = Ok(request.content.query);
                    self.server.answer(request.id, answer, self.now);
                }
                Output::Request(request) => self.running.push(request.id),
                Output::Send { link, item } => {
                    if let Outbound::Packet { payload, .. } = &item {
                        self.observe(payload, Direction::ServerToClient);
                    }
                    // What was to go over a link that was lost meanwhile is thrown away.
                    if let Some(it) = self.links.iter_mut().find(|it| it.server == Some(link)) {
                        assert!(!it.takes_turns || it.turns > 0, "nobody waits for {item:?}");
                        it.turns = it.turns.saturating_sub(1);
                        it.down.push_back(Some(item));
                    }
                }
                Output::Store(request) => self.asked.push(request),
                Output::Wait(deadline) => return deadline,
            }
        }
        panic!("the server never waits");
    }

    /// Reads what an endpoint sends, and remembers the names in it.
    fn observe(&mut self, payload: &[u8], direction: Direction) {
        let Some(id) = envelope::key_id(payload).filter(|id| *id != 0) else { return };
        let key = self.keys.iter().find(|key| key.id() == id).expect("a key of both");
        let mut packet = payload.to_vec();
        let mut jobs = [OpenJob::new(key, direction, Filler::Never, &mut packet)];
        envelope::open(&mut jobs);
        let [opened] = jobs.map(|job| job.opened);
        let opened = opened.expect("endpoints keep the rules");
        let session = SessionId(opened.header.session_id);
        let inside = read_container(&Bytes::copy_from_slice(&packet[opened.body]));
        let inside = inside.unwrap_or_default();
        let ids = inside.iter().map(|message| message.id).chain([MsgId(opened.header.msg_id)]);
        ids.for_each(|id| remember(&mut self.known.msg_ids, id));
        remember(&mut self.known.sessions, session);
        remember(&mut self.sessions, SessionRef { key: AuthKeyId(id), session });
        if direction == Direction::ServerToClient {
            self.salt = Salt(opened.header.salt);
        }
    }
}

/// What the client stored a day ago; the server's store has it too.
fn first_record(keys: &[AuthKey], time: ServerTime, store: &MemoryKeyStore) -> DcRecord {
    let created = time.unix_seconds() - 86_400;
    let expires_at = time.unix_seconds() + 43_200;
    let kinds = [KeyKind::Permanent, KeyKind::Temporary { expires_at, bound_to: None }];
    for (key, kind) in keys.iter().zip(kinds) {
        let record = KeyRecord { key: key.clone(), created, first_salt: Salt(1), kind };
        assert_eq!(at_once(store.insert_new(&record, time)), Ok(Inserted::Created));
    }
    let stored = |key: &AuthKey| ClientKey { key: key.clone(), created, salts: Vec::new() };
    DcRecord {
        address: String::new(),
        time_offset_ms: 0,
        permanent: stored(&keys[0]),
        temporary: keys.get(1).map(|key| TemporaryKey {
            key: stored(key),
            expires_at,
            bound: false,
        }),
    }
}

fn client(
    config: &ClientConfig,
    stored: Option<&DcRecord>,
    clock: ServerClock,
    now: Instant,
) -> ClientEndpoint {
    let random = Box::new(SeededRandom::new(2));
    ClientEndpoint::new(config.clone(), stored.cloned(), clock, random, now)
}

fn server(clock: ServerClock, now: Instant) -> ServerEndpoint {
    let config = ServerConfig {
        keys: Arc::new([]),
        dc: None,
        session: ServerSessionConfig::default(),
        salts: Arc::new(SaltSecret::new([7; 32])),
        queued_bytes_max: QUEUED_BYTES_MAX,
    };
    ServerEndpoint::new(&config, clock, Box::new(SeededRandom::new(3)), now)
}

fn remember<T: PartialEq>(known: &mut Vec<T>, it: T) {
    if !known.contains(&it) {
        known.push(it);
        let excess = known.len().saturating_sub(KNOWN_MAX);
        known.drain(..excess);
    }
}

fn key_id(key: &AuthKey) -> AuthKeyId {
    AuthKeyId(key.id())
}

/// The outcome of what waits for nothing.
pub(crate) fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store in memory does not wait"),
    }
}
