//! What living clients do to a whole server, from the first unencrypted byte on: one test for each.
// req: L10

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mtproto_auth::client::{ClientConfig, Exchange, Step};
use mtproto_auth::{KeyKind, NewKey, PlainMessage, is_plain};
use mtproto_crypto::envelope::{self, Filler, Header, OpenJob, Padding, SealJob};
use mtproto_crypto::rsa::RsaPrivateKey;
use mtproto_crypto::{AuthKey, Direction, SecureRandom, SeededRandom, pq};
use mtproto_endpoint::server::{Output, QUEUED_BYTES_MAX, ServerConfig, ServerEndpoint};
use mtproto_frame::Outbound;
use mtproto_pack::object_id;
use mtproto_session::{LinkId, SaltSecret, ServerClock, ServerSessionConfig};
use mtproto_store::MemoryKeyStore;
use mtproto_tl::functions::{Ping, ReqDhParams, ReqPqMulti};
use mtproto_tl::types::{MsgsAck, PQInnerData, Pong, ResPq, ServerDhParamsOk};
use mtproto_tl::{Constructor, Decode, Encode, MsgId, ServerTime};

const PERMANENT: KeyKind = KeyKind::Permanent;
const TEMPORARY: KeyKind = KeyKind::Temporary { expires_in: 86_400 };
const SECONDS: u64 = 1_700_000_000;

/// How a client writes an unencrypted message.
#[derive(Clone, Copy, Default)]
struct PlainStyle {
    msg_id: MsgId,
    inside: usize,
    behind: usize,
    acknowledges: bool,
}

struct World {
    endpoint: ServerEndpoint,
    store: MemoryKeyStore,
    random: SeededRandom,
    now: Instant,
    received: HashMap<LinkId, Vec<Outbound>>,
}

impl World {
    fn new() -> Self {
        #[allow(clippy::disallowed_methods, reason = "virtual time needs a beginning")]
        let now = Instant::now();
        let mut random = SeededRandom::new(1);
        let config = ServerConfig {
            keys: server_keys(),
            dc: None,
            session: ServerSessionConfig::default(),
            salts: Arc::new(SaltSecret::new([7; 32])),
            queued_bytes_max: QUEUED_BYTES_MAX,
        };
        let clock = ServerClock::new(now, ServerTime::from_unix(Duration::from_secs(SECONDS)));
        let endpoint = ServerEndpoint::new(&config, clock, Box::new(SeededRandom::new(2)), now);
        let store = MemoryKeyStore::new(&mut random);
        Self { endpoint, store, random, now, received: HashMap::new() }
    }

    fn open(&mut self, link: u64) -> LinkId {
        let link = LinkId(link);
        self.endpoint.link_opened(link, self.now);
        link
    }

    /// Lets a packet come; what goes back over its link.
    fn give(&mut self, link: LinkId, packet: &[u8]) -> Vec<Outbound> {
        self.endpoint.handle_packet(link, BytesMut::from(packet), false, self.now);
        loop {
            match self.endpoint.poll_output() {
                Output::Compute(job) => {
                    let done = job.run(&mut self.random);
                    self.endpoint.computed(done, self.now);
                }
                Output::Send { link, item } => self.received.entry(link).or_default().push(item),
                Output::Store(request) => {
                    let outcome = ready(request.carry_out(&self.store));
                    self.endpoint.stored(outcome, self.now);
                }
                Output::Close { link, reason } => panic!("{link:?} is closed: {reason}"),
                Output::Event(_) | Output::Request(_) => {}
                Output::Wait(_) => return self.received.remove(&link).unwrap_or_default(),
            }
        }
    }

    /// Asks something unencrypted; the answer.
    fn ask(&mut self, link: LinkId, query: &[u8], style: PlainStyle) -> Bytes {
        let body = [query, &vec![0x77; style.inside]].concat().into();
        let mut packet = PlainMessage { msg_id: style.msg_id, body }.to_packet().to_vec();
        packet.resize(packet.len() + style.behind, 0x55);
        let answers = self.give(link, &packet);
        let [Outbound::Packet { payload, .. }] = &answers[..] else { panic!("{answers:?}") };
        assert!(is_plain(payload));
        let answer =
            PlainMessage::decode(&payload.clone().into_bytes()).expect("an unencrypted message");
        if style.acknowledges {
            let ack = MsgsAck { msg_ids: vec![answer.msg_id] }.to_bytes();
            let ack = PlainMessage { msg_id: style.msg_id, body: ack }.to_packet();
            assert!(self.give(link, &ack).is_empty());
        }
        answer.body
    }

    /// Goes through a whole key exchange.
    fn make_key(&mut self, link: LinkId, kind: KeyKind, style: PlainStyle) -> NewKey {
        let mut begun = self.begin(kind);
        loop {
            match self.advance(link, begun, style) {
                Ok(next) => begun = next,
                Err(key) => return *key,
            }
        }
    }

    fn begin(&mut self, kind: KeyKind) -> (Exchange, Bytes) {
        let keys = server_keys().iter().map(|key| key.public().clone()).collect();
        Exchange::start(ClientConfig { keys, dc: 2, kind }, &mut self.random)
    }

    fn advance(
        &mut self,
        link: LinkId,
        (exchange, query): (Exchange, Bytes),
        style: PlainStyle,
    ) -> Result<(Exchange, Bytes), Box<NewKey>> {
        let answer = self.ask(link, &query, style);
        match exchange.handle(&answer, &mut self.random).expect("a good answer") {
            Step::Query(exchange, query) => Ok((exchange, query)),
            Step::Done(key) => Err(Box::new(key)),
        }
    }

    /// Whether a ping under `made` comes back over `link`. It has so much padding and so new an id.
    fn pings(&mut self, link: LinkId, made: &NewKey, padding: usize, number: u64) -> bool {
        let header = Header {
            salt: made.first_salt.0,
            session_id: 7,
            msg_id: SECONDS << 32 | number << 2,
            seqno: 0,
        };
        let (mut packet, ping) = (Vec::new(), Ping { ping_id: 5 }.to_bytes());
        envelope::lay_out(&mut packet, &header, &ping, Padding::Least, &mut self.random);
        packet.resize(envelope::PREFIX_LEN + envelope::HEADER_LEN + ping.len() + padding, 9);
        envelope::seal(&mut [SealJob::new(&made.key, Direction::ClientToServer, &mut packet)]);
        let answers = self.give(link, &packet);
        answers.iter().any(|answer| has_pong(&made.key, answer))
    }
}

fn has_pong(key: &AuthKey, answer: &Outbound) -> bool {
    let Outbound::Packet { payload, .. } = answer else { return false };
    let mut packet = payload.to_vec();
    let direction = Direction::ServerToClient;
    let mut jobs = [OpenJob::new(key, direction, Filler::Never, &mut packet)];
    envelope::open(&mut jobs);
    let opened = jobs.map(|job| job.opened);
    let [Ok(opened)] = opened else { panic!("the server keeps the rules") };
    packet[opened.body].windows(4).any(|word| object_id(word) == Pong::ID)
}

// req: L6, L14
#[test]
fn mtcute_tdlib_and_madeline_write_unencrypted_messages_in_their_own_ways() {
    // An hour into 1970.
    let mtcute = PlainStyle { msg_id: MsgId(3600 << 32 | 4), ..PlainStyle::default() };
    let tdlib = PlainStyle { inside: 200, ..PlainStyle::default() };
    let madeline = PlainStyle { behind: 24, ..PlainStyle::default() };
    let acknowledging = PlainStyle { acknowledges: true, ..PlainStyle::default() };
    let mut world = World::new();
    for (style, number) in [mtcute, tdlib, madeline, acknowledging].into_iter().zip(1..) {
        let link = world.open(number);
        let key = world.make_key(link, PERMANENT, style);
        assert!(world.pings(link, &key, 20, number));
    }
}

// req: L7
#[test]
fn telegram_desktop_probes_a_connection_in_use_with_fake_nonces() {
    let mut world = World::new();
    let link = world.open(1);
    let key = world.make_key(link, PERMANENT, PlainStyle::default());
    for number in 1..100 {
        let mut nonce = [0; 16];
        world.random.fill(&mut nonce);
        let answer = world.ask(link, &ReqPqMulti { nonce }.to_bytes(), PlainStyle::default());
        assert_eq!(ResPq::from_bytes(&answer).expect("resPQ").nonce, nonce);
        assert!(world.pings(link, &key, 20, number));
    }
}

// req: L11
#[test]
fn telethon_pyrogram_mtproto_core_and_grammers_use_the_old_rsa_form() {
    let mut world = World::new();
    let (link, style) = (world.open(1), PlainStyle::default());
    let answer = world.ask(link, &ReqPqMulti { nonce: [3; 16] }.to_bytes(), style);
    let ResPq { nonce, server_nonce, pq, .. } = ResPq::from_bytes(&answer).expect("resPQ");
    let product = u64::from_be_bytes(pq[..].try_into().expect("eight bytes"));
    let (p, q) = pq::factorize(product).expect("two primes");
    let [p, q] = [p, q].map(|factor| Bytes::copy_from_slice(&factor.to_be_bytes()));
    let inner =
        PQInnerData { pq, p: p.clone(), q: q.clone(), nonce, server_nonce, new_nonce: [5; 32] };
    let keys = server_keys();
    let key = keys[0].public();
    let encrypted = key.encrypt_old(&inner.to_bytes(), &mut world.random).expect("it fits");
    let query = ReqDhParams {
        nonce,
        server_nonce,
        p,
        q,
        public_key_fingerprint: key.fingerprint().cast_signed(),
        encrypted_data: Bytes::copy_from_slice(&encrypted),
    };
    let answer = world.ask(link, &query.to_bytes(), style);
    assert_eq!(object_id(&answer), ServerDhParamsOk::ID);
}

// req: L16
#[test]
fn a_temporary_key_is_made_before_beside_or_after_the_permanent_one() {
    let mut world = World::new();
    let (one, other, style) = (world.open(1), world.open(2), PlainStyle::default());
    for (kinds, number) in [[PERMANENT, TEMPORARY], [TEMPORARY, PERMANENT]].into_iter().zip(1..) {
        let keys = kinds.map(|kind| world.make_key(one, kind, style));
        assert!(keys.iter().all(|key| world.pings(one, key, 20, number)));
    }
    // Step by step in turn, each also going on over the other connection.
    let mut under_way = [PERMANENT, TEMPORARY].map(|kind| world.begin(kind));
    for links in [[one, one], [one, other]] {
        let steps = under_way.into_iter().zip(links);
        let next = steps.map(|(begun, link)| world.advance(link, begun, style).expect("a query"));
        let next: Vec<_> = next.collect();
        under_way = next.try_into().expect("two");
    }
    for (begun, link) in under_way.into_iter().zip([other, one]) {
        let made = world.advance(link, begun, style).expect_err("the key");
        assert!(world.pings(link, &made, 20, 1));
    }
}

// req: L26
#[test]
fn clients_pad_as_much_as_they_may() {
    let mut world = World::new();
    let link = world.open(1);
    let key = world.make_key(link, PERMANENT, PlainStyle::default());
    // A ping has 12 bytes and its header 32, so these make whole blocks.
    for (padding, number) in (20..=1012).step_by(16).zip(1..) {
        assert!(world.pings(link, &key, padding, number), "{padding}");
    }
}

/// The server's RSA key, made once.
fn server_keys() -> Arc<[RsaPrivateKey]> {
    static KEYS: OnceLock<Arc<[RsaPrivateKey]>> = OnceLock::new();
    let make = || Arc::from([RsaPrivateKey::generate(&mut SeededRandom::new(1))]);
    Arc::clone(KEYS.get_or_init(make))
}

/// The outcome of a future that waits for nothing.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the store in memory never waits"),
    }
}
