//! A server endpoint with its store, its application and its links, in virtual time. What happens
//! is written down: `>` is a packet of a client, `<` one of the server, `!` the rest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use expect_test::Expect;
use mtproto_auth::{KeyKind as NewKeyKind, NewKey, PlainMessage, is_plain};
use mtproto_crypto::envelope::{self, Filler, OpenJob};
use mtproto_crypto::rsa::RsaPrivateKey;
use mtproto_crypto::{AuthKey, Direction, SecureRandom, SecureRandomExt, SeededRandom};
use mtproto_frame::{Outbound, TransportError};
use mtproto_pack::{CONTAINER_ID, Message, read_container};
use mtproto_session::transcript::Transcript;
use mtproto_session::{LinkId, SaltSecret, ServerClock, ServerSessionConfig};
use mtproto_store::{Inserted, KeyKind, KeyRecord, KeyStore, MemoryKeyStore, StoreError};
use mtproto_tl::functions::{ReqDhParams, ReqPqMulti, SetClientDhParams};
use mtproto_tl::types::{DhGenFail, DhGenOk, DhGenRetry, MsgsAck, ResPq, ServerDhParamsOk};
use mtproto_tl::{AuthKeyId, Constructor, Encode, MsgId, Salt, ServerTime};

use super::peer::{Handshake, Peer};
use super::start;
use crate::server::{
    CloseReason, Event, Job, Output, Request, ServerConfig, ServerEndpoint, SessionRef,
    StoreAction, StoreOutcome, StoreRequest,
};

/// What all sessions of a world may have queued, in bytes: less than one of them might.
pub(super) const MEMORY: usize = 3 << 20;

pub(super) struct World {
    pub(super) endpoint: ServerEndpoint,
    pub(super) memory: MemoryKeyStore,
    pub(super) random: SeededRandom,
    pub(super) now: Instant,
    pub(super) holds: Holds,
    /// Held back.
    pub(super) jobs: VecDeque<Job>,
    pub(super) asked: VecDeque<StoreRequest>,
    pub(super) requests: Vec<Request>,
    /// What each link has got.
    pub(super) links: BTreeMap<LinkId, Received>,
    pub(super) events: Vec<Event>,
    config: ServerConfig,
    clock: ServerClock,
    start: Instant,
    deadline: Option<Instant>,
    /// Keys that packets of the server are opened with, and the salt it used last.
    keys: BTreeMap<AuthKeyId, (AuthKey, Salt)>,
    transcript: Transcript,
    text: String,
}

/// What waits for the test's word instead of happening at once.
#[derive(Default)]
pub(super) struct Holds {
    pub(super) jobs: bool,
    pub(super) store: bool,
    pub(super) requests: bool,
    /// The store does not answer.
    pub(super) store_fails: bool,
}

/// What a link has got.
#[derive(Default)]
pub(super) struct Received {
    pub(super) plain: Vec<Bytes>,
    pub(super) messages: Vec<Message>,
    pub(super) quick_acks: Vec<u32>,
    pub(super) error: Option<TransportError>,
    pub(super) closed: Option<CloseReason>,
    /// Whether a packet waits for its answer, if the link takes turns.
    pub(super) is_asking: Option<bool>,
}

impl Received {
    /// Every message, those in containers too.
    pub(super) fn unpacked(&self) -> Vec<Message> {
        let unpack = |message: &Message| match read_container(&message.body) {
            Ok(inner) => inner,
            Err(_) => vec![message.clone()],
        };
        self.messages.iter().flat_map(unpack).collect()
    }

    /// Whether this object has come, as a message of its own.
    pub(super) fn has(&self, object: &impl Encode) -> bool {
        let object = object.to_bytes();
        self.unpacked().iter().any(|message| message.body == object)
    }
}

/// Runs a script and compares what happened.
pub(super) fn check(script: impl FnOnce(&mut World), expected: &Expect) {
    let mut world = World::new(1);
    script(&mut world);
    world.drain();
    expected.assert_eq(&world.text);
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self::with_dc(seed, None)
    }

    pub(super) fn with_dc(seed: u64, dc: Option<i32>) -> Self {
        let start = start();
        let clock = ServerClock::new(start, noon());
        let mut random = SeededRandom::new(seed);
        let config = ServerConfig {
            keys: server_keys(),
            dc,
            session: ServerSessionConfig::default(),
            salts: Arc::new(SaltSecret::new(random.array())),
            queued_bytes_max: MEMORY,
        };
        let own = Box::new(SeededRandom::new(random.u64()));
        Self {
            endpoint: ServerEndpoint::new(&config, clock, own, start),
            memory: MemoryKeyStore::new(&mut random),
            random,
            now: start,
            holds: Holds::default(),
            jobs: VecDeque::new(),
            asked: VecDeque::new(),
            requests: Vec::new(),
            links: BTreeMap::new(),
            events: Vec::new(),
            config,
            clock,
            start,
            deadline: None,
            keys: BTreeMap::new(),
            transcript: Transcript::default(),
            text: String::new(),
        }
    }

    /// The process ends and another takes its place: all that is left is what the store has.
    pub(super) fn restart(&mut self) {
        let own = Box::new(SeededRandom::new(self.random.u64()));
        self.endpoint = ServerEndpoint::new(&self.config, self.clock, own, self.now);
        self.jobs.clear();
        self.asked.clear();
        self.links.clear();
    }

    /// A client with a permanent key that the store has.
    pub(super) fn peer(&mut self) -> Peer {
        let key = self.random_key();
        self.keep(&key, KeyKind::Permanent);
        Peer::new(key, 0x5e55)
    }

    /// A client with an unbound temporary key that lives for `life`.
    pub(super) fn temporary_peer(&mut self, life: Duration) -> Peer {
        let key = self.random_key();
        let expires_at = self.time().after(life).unix_seconds();
        self.keep(&key, KeyKind::Temporary { expires_at, bound_to: None });
        Peer::new(key, 0x7e55)
    }

    pub(super) fn random_key(&mut self) -> AuthKey {
        AuthKey::new(self.random.array())
    }

    /// Puts a key into the store.
    fn keep(&mut self, key: &AuthKey, kind: KeyKind) {
        let (key, first_salt) = (key.clone(), Salt(self.random.u64()));
        let record = KeyRecord { created: self.time().unix_seconds(), first_salt, kind, key };
        let inserted = ready(self.memory.insert_new(&record, self.time()));
        assert_eq!(inserted, Ok(Inserted::Created));
        self.know(&record.key, first_salt);
    }

    /// Opens packets of the server under `key` from now on.
    pub(super) fn know(&mut self, key: &AuthKey, salt: Salt) {
        self.transcript.salt(salt);
        self.keys.insert(AuthKeyId(key.id()), (key.clone(), salt));
    }

    pub(super) fn is_stored(&self, key: AuthKeyId) -> bool {
        ready(self.memory.get(key, self.time())).expect("the store answers").is_some()
    }

    pub(super) fn time(&self) -> ServerTime {
        self.clock.now(self.now)
    }

    pub(super) fn open(&mut self, link: u64) -> LinkId {
        let link = LinkId(link);
        self.links.insert(link, Received::default());
        self.endpoint.link_opened(link, self.now);
        link
    }

    pub(super) fn lose(&mut self, link: LinkId) {
        self.note('!', link, "lost");
        self.endpoint.link_lost(link, self.now);
        self.drain();
    }

    pub(super) fn link(&self, link: LinkId) -> &Received {
        &self.links[&link]
    }

    /// Whether the link was refused with this error, and closed.
    pub(super) fn is_refused(&self, link: LinkId, error: TransportError) -> bool {
        let link = self.link(link);
        link.error == Some(error) && link.closed == Some(CloseReason::Refused(error))
    }

    /// Makes a key over `link`.
    pub(super) fn exchange(&mut self, link: LinkId, kind: NewKeyKind) -> NewKey {
        let made = Handshake::start(self, kind).finish(self, link);
        self.know(&made.key, made.first_salt);
        made
    }

    /// Sends an unencrypted query and returns the answer to it, if one came over that link.
    pub(super) fn ask(&mut self, link: LinkId, query: &Bytes) -> Option<Bytes> {
        let before = self.link(link).plain.len();
        self.put_plain(link, query);
        self.drain();
        self.link(link).plain.get(before).cloned()
    }

    /// Sends an unencrypted query without letting the server react.
    pub(super) fn put_plain(&mut self, link: LinkId, query: &Bytes) {
        self.note('>', link, &format!("plain {}", plain_name(query)));
        let packet = PlainMessage { msg_id: MsgId(4), body: query.clone() }.to_packet();
        self.endpoint.handle_packet(link, packet.as_ref().into(), false, self.now);
    }

    /// Sends an object and lets the server react.
    pub(super) fn send(&mut self, link: LinkId, peer: &mut Peer, object: &impl Encode) -> MsgId {
        let id = self.put(link, peer, object);
        self.drain();
        id
    }

    /// Sends an object without letting the server react.
    pub(super) fn put(&mut self, link: LinkId, peer: &mut Peer, object: &impl Encode) -> MsgId {
        let message = peer.message(self.time(), object);
        self.put_message(link, peer, &message, false);
        message.id
    }

    /// Sends a message without letting the server react; returns the token of a quick
    /// acknowledgement.
    pub(super) fn put_message(
        &mut self,
        link: LinkId,
        peer: &Peer,
        message: &Message,
        quick_ack: bool,
    ) -> u32 {
        for line in self.transcript.packet(message) {
            self.note('>', link, &line);
        }
        let (packet, token) = self.seal(peer, message);
        self.endpoint.handle_packet(link, packet, quick_ack, self.now);
        token
    }

    /// Sends an object over a link that takes turns, and lets the server react.
    pub(super) fn turn(&mut self, link: LinkId, peer: &mut Peer, object: &impl Encode) -> MsgId {
        let message = peer.message(self.time(), object);
        self.turn_message(link, peer, &message);
        message.id
    }

    /// Sends a message over a link that takes turns, and lets the server react.
    pub(super) fn turn_message(&mut self, link: LinkId, peer: &Peer, message: &Message) {
        for line in self.transcript.packet(message) {
            self.note('>', link, &line);
        }
        let (packet, _) = self.seal(peer, message);
        self.turn_bytes(link, packet);
    }

    /// Sends an unencrypted query over a link that takes turns, and lets the server react.
    pub(super) fn turn_plain(&mut self, link: LinkId, query: &Bytes) {
        self.note('>', link, &format!("plain {}", plain_name(query)));
        let packet = PlainMessage { msg_id: MsgId(4), body: query.clone() }.to_packet();
        self.turn_bytes(link, packet.as_ref().into());
    }

    fn turn_bytes(&mut self, link: LinkId, packet: BytesMut) {
        self.links.get_mut(&link).expect("a link").is_asking = Some(true);
        self.endpoint.handle_turn(link, packet, self.now);
        self.drain();
    }

    pub(super) fn seal(&mut self, peer: &Peer, message: &Message) -> (BytesMut, u32) {
        let salt = peer
            .salt
            .unwrap_or_else(|| self.keys.get(&peer.key_id()).map_or(Salt(0), |(_, salt)| *salt));
        peer.seal(message, salt, &mut self.random)
    }

    /// Sends bytes as they are, and lets the server react.
    pub(super) fn send_bytes(&mut self, link: LinkId, packet: &[u8]) {
        self.endpoint.handle_packet(link, packet.into(), false, self.now);
        self.drain();
    }

    pub(super) fn push(&mut self, session: SessionRef, object: &impl Encode) {
        self.endpoint.push(session, object.to_bytes(), self.now).expect("a push");
        self.drain();
    }

    /// Lets time pass, with every timer on the way.
    pub(super) fn wait(&mut self, span: Duration) {
        self.drain();
        let end = self.now + span;
        let mut steps = 0;
        while let Some(deadline) = self.deadline.filter(|deadline| *deadline <= end) {
            steps += 1;
            assert!(steps < 10_000, "time does not pass");
            self.now = self.now.max(deadline);
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Runs the jobs that were held back.
    pub(super) fn run_jobs(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            let done = job.run(&mut self.random);
            self.endpoint.computed(done, self.now);
            self.drain();
        }
    }

    /// Lets the store answer what was held back.
    pub(super) fn run_store(&mut self) {
        for request in std::mem::take(&mut self.asked) {
            self.ask_store(request);
            self.drain();
        }
    }

    fn ask_store(&mut self, request: StoreRequest) {
        let outcome = match self.holds.store_fails {
            true => failed(request),
            false => ready(request.carry_out(&self.memory)),
        };
        self.endpoint.stored(outcome, self.now);
    }

    /// Takes everything that the server wants.
    pub(super) fn drain(&mut self) {
        loop {
            match self.endpoint.poll_output() {
                Output::Close { link, reason } => {
                    self.note('!', link, &format!("closed: {reason}"));
                    let state = self.links.get_mut(&link).expect("a link");
                    assert_ne!(state.is_asking, Some(true), "no packet is left unanswered");
                    assert_eq!(state.closed.replace(reason), None, "closed once");
                }
                Output::Compute(job) if self.holds.jobs => self.jobs.push_back(*job),
                Output::Compute(job) => {
                    let done = job.run(&mut self.random);
                    self.endpoint.computed(done, self.now);
                }
                Output::Event(event) => self.observe(event),
                Output::Request(request) if self.holds.requests => self.requests.push(request),
                Output::Request(request) => {
                    let answer = Ok(request.content.query.clone());
                    self.endpoint.answer(request.id, answer, self.now);
                    self.requests.push(request);
                }
                Output::Send { link, item } => self.receive(link, item),
                Output::Store(request) if self.holds.store => self.asked.push_back(request),
                Output::Store(request) => self.ask_store(request),
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    assert_sound(&self.endpoint);
                    return;
                }
            }
        }
    }

    fn observe(&mut self, event: Event) {
        let line = match event {
            Event::KeyCreated(_) => "key created",
            Event::KeyDestroyed(_) => "key destroyed",
            Event::KeyUnbound(_) => "key unbound",
            Event::LinkTimer(..) => return,
            Event::SessionClosed(_) => "session closed",
            Event::SessionOpened(_) => "session opened",
            Event::Shed { .. } => "shed",
        };
        self.note('!', LinkId(0), line);
        self.events.push(event);
    }

    fn receive(&mut self, link: LinkId, item: Outbound) {
        let state = self.links.get_mut(&link).expect("a link");
        assert_eq!(state.closed, None, "nothing is sent over a closed link");
        if let Some(is_asking) = &mut state.is_asking {
            assert!(std::mem::replace(is_asking, false), "one answer for each packet");
        }
        let lines = match item {
            Outbound::Error(error) => {
                state.error = Some(error);
                vec![format!("error {}", error.code())]
            }
            Outbound::QuickAck(token) => {
                state.quick_acks.push(token);
                vec!["quick ack".to_owned()]
            }
            Outbound::Packet { payload, quick_ack } => {
                assert!(!quick_ack, "only clients ask for quick acknowledgements");
                let payload = payload.into_bytes();
                if is_plain(&payload) {
                    let message = PlainMessage::decode(&payload).expect("a plain message");
                    let line = format!("plain {}", plain_name(&message.body));
                    state.plain.push(message.body);
                    vec![line]
                } else {
                    let message = open_packet(&mut self.keys, &payload);
                    let lines = self.transcript.packet(&message);
                    state.messages.push(message);
                    lines
                }
            }
        };
        for line in lines {
            self.note('<', link, &line);
        }
    }

    /// Begins to write down from here on.
    pub(super) fn hush(&mut self) {
        self.text.clear();
    }

    /// Writes a line down.
    fn note(&mut self, direction: char, link: LinkId, line: &str) {
        let at = (self.now - self.start).as_millis();
        let link = if link == LinkId(0) { String::new() } else { format!("[{}] ", link.0) };
        self.text.push_str(&format!("{at}ms {direction} {link}{line}\n"));
    }
}

/// Checks what must hold whenever there is nothing more to do.
fn assert_sound(endpoint: &ServerEndpoint) {
    endpoint.keys.assert_sound();
    endpoint.loads.assert_sound();
    endpoint.assert_links_sound();
    let links = endpoint.links.iter();
    let carried = links.flat_map(|(id, link)| link.sessions.iter().map(|name| (*id, *name)));
    assert_eq!(carried.collect::<BTreeSet<_>>(), endpoint.keys.carried(), "links and sessions");
    let packets = endpoint.received.len() + endpoint.unsealed.len();
    assert_eq!((packets, endpoint.ready.len(), endpoint.leaving.len()), (0, 0, 0), "work is left");
}

fn open_packet(keys: &mut BTreeMap<AuthKeyId, (AuthKey, Salt)>, payload: &[u8]) -> Message {
    let id = AuthKeyId(envelope::key_id(payload).expect("a key id"));
    let (key, salt) = keys.get_mut(&id).expect("a key that is known");
    let mut packet = payload.to_vec();
    let direction = Direction::ServerToClient;
    let mut jobs = [OpenJob::new(key, direction, Filler::Never, &mut packet)];
    envelope::open(&mut jobs);
    let [job] = jobs;
    let opened = job.opened.expect("a packet sealed with the key");
    *salt = Salt(opened.header.salt);
    Message {
        id: MsgId(opened.header.msg_id),
        seqno: mtproto_tl::Seqno(opened.header.seqno),
        body: Bytes::copy_from_slice(&packet[opened.body]),
    }
}

/// What a store that does not answer says.
fn failed(request: StoreRequest) -> StoreOutcome {
    let error = StoreError::Unavailable { reason: "out of order".to_owned() };
    match request.action {
        StoreAction::Bind { temporary, permanent, request } => {
            StoreOutcome::Bound { temporary, permanent, request, result: Err(error) }
        }
        StoreAction::Find(binding) => StoreOutcome::Found { binding, result: Err(error) },
        StoreAction::Insert { exchange, .. } => {
            StoreOutcome::Inserted { exchange, result: Err(error) }
        }
        StoreAction::Load(load) => StoreOutcome::Loaded { load, result: Err(error) },
        StoreAction::Remove { session, ticket, .. } => {
            StoreOutcome::Removed { session, ticket, result: Err(error) }
        }
    }
}

fn plain_name(body: &Bytes) -> &'static str {
    match mtproto_pack::object_id(body) {
        DhGenFail::ID => "dh_gen_fail",
        DhGenOk::ID => "dh_gen_ok",
        DhGenRetry::ID => "dh_gen_retry",
        ReqDhParams::ID => "req_DH_params",
        ReqPqMulti::ID => "req_pq_multi",
        ResPq::ID => "resPQ",
        CONTAINER_ID => "msg_container",
        MsgsAck::ID => "msgs_ack",
        ServerDhParamsOk::ID => "server_DH_params_ok",
        SetClientDhParams::ID => "set_client_DH_params",
        _ => "something else",
    }
}

/// The server's RSA key, made once.
pub(super) fn server_keys() -> Arc<[RsaPrivateKey]> {
    static KEYS: OnceLock<Arc<[RsaPrivateKey]>> = OnceLock::new();
    let make = || Arc::from([RsaPrivateKey::generate(&mut SeededRandom::new(1))]);
    Arc::clone(KEYS.get_or_init(make))
}

/// What the server's clock shows when a world begins.
fn noon() -> ServerTime {
    ServerTime::from_unix(Duration::from_secs(1_700_000_000))
}

/// The outcome of a future that waits for nothing.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the store in memory never waits"),
    }
}
