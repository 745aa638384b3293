//! A server endpoint behind links in memory, on tokio's clock.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_crypto::SeededRandom;
use mtproto_crypto::rsa::{RsaPrivateKey, RsaPublicKey};
use mtproto_endpoint::client::LinkId;
use mtproto_endpoint::server::{
    Event, Output, QUEUED_BYTES_MAX, Request, ServerConfig, ServerEndpoint, SessionRef,
};
use mtproto_frame::{Framing, Inbound, ServerWireConfig, WireConfig};
use mtproto_pack::RpcError;
use mtproto_session::{SaltSecret, ServerClock, ServerSessionConfig};
use mtproto_store::{KeyStore, MemoryKeyStore};
use mtproto_tl::{AuthKeyId, ServerTime};
use mtproto_transport::memory::{MemoryDial, MemoryListen, endpoints};
use mtproto_transport::{Link, LinkExt, Listen};
use tokio::sync::{mpsc, oneshot};

use crate::clock::now;
use crate::links::Links;

/// What a test does to its server.
#[derive(Debug)]
pub(super) enum Order {
    /// Close every link.
    Cut,
    /// Say nothing more on the links there are, nor close them.
    Fade,
    /// Destroy a key.
    ForgetKey(AuthKeyId),
    /// Push to the session made last.
    Push(Bytes),
    /// Tell how many bytes wait to be acknowledged.
    Queued(oneshot::Sender<usize>),
}

/// The test's side.
pub(super) struct Handle {
    pub(super) orders: mpsc::UnboundedSender<Order>,
    /// Every query that reached the application.
    pub(super) queries: mpsc::UnboundedReceiver<Bytes>,
}

/// How long a slow query takes.
const SLOW: Duration = Duration::from_secs(100);

struct Served {
    endpoint: ServerEndpoint,
    store: MemoryKeyStore,
    links: Links,
    faded: Vec<Box<dyn Link>>,
    last_link: u64,
    session: Option<SessionRef>,
    slow: VecDeque<(Instant, Request)>,
    queries: mpsc::UnboundedSender<Bytes>,
}

/// Starts a server; the dialler reaches it.
pub(super) fn serve() -> (MemoryDial, Handle) {
    let wire = WireConfig::obfuscated(Framing::Intermediate);
    let (dial, listen) = endpoints(wire, Arc::new(ServerWireConfig::open()), SeededRandom::new(1));
    let (orders, orders_in) = mpsc::unbounded_channel();
    let (queries, queries_out) = mpsc::unbounded_channel();
    let config = ServerConfig {
        keys: server_keys(),
        dc: None,
        session: ServerSessionConfig::default(),
        salts: Arc::new(SaltSecret::new([7; 32])),
        queued_bytes_max: QUEUED_BYTES_MAX,
    };
    let epoch = ServerTime::from_unix(Duration::from_secs(1_800_000_000));
    let clock = ServerClock::new(now(), epoch);
    let random = Box::new(SeededRandom::new(2));
    let served = Served {
        endpoint: ServerEndpoint::new(&config, clock, random, now()),
        store: MemoryKeyStore::new(&mut SeededRandom::new(3)),
        links: Links::default(),
        faded: Vec::new(),
        last_link: 0,
        session: None,
        slow: VecDeque::new(),
        queries,
    };
    tokio::spawn(served.run(listen, orders_in));
    (dial, Handle { orders, queries: queries_out })
}

/// The key that clients are to trust.
pub(super) fn public_key() -> RsaPublicKey {
    server_keys()[0].public().clone()
}

fn server_keys() -> Arc<[RsaPrivateKey]> {
    static KEYS: OnceLock<Arc<[RsaPrivateKey]>> = OnceLock::new();
    let make = || Arc::from([RsaPrivateKey::generate(&mut SeededRandom::new(4))]);
    Arc::clone(KEYS.get_or_init(make))
}

impl Served {
    async fn run(mut self, mut listen: MemoryListen, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            let slow = self.slow.front().map(|(at, _)| *at);
            let deadline = self.drain().await.into_iter().chain(slow).min();
            tokio::select! {
                link = listen.accept() => {
                    let Ok(link) = link else { return };
                    self.last_link += 1;
                    self.links.insert(LinkId(self.last_link), link);
                    self.endpoint.link_opened(LinkId(self.last_link), now());
                }
                arrivals = self.links.next(false) => {
                    for (link, arrival) in arrivals {
                        match arrival {
                            Ok(Inbound::Packet { payload, quick_ack }) => {
                                self.endpoint.handle_packet(link, payload, quick_ack, now());
                            }
                            Ok(_) => {}
                            Err(_) => self.endpoint.link_lost(link, now()),
                        }
                    }
                }
                Some(order) = orders.recv() => self.obey(order).await,
                () = crate::actor::sleep_until(deadline) => {
                    self.endpoint.handle_timeout(now());
                    while let Some((_, request)) = self.slow.pop_front_if(|(at, _)| *at <= now()) {
                        self.endpoint.answer(request.id, Ok(request.content.query), now());
                    }
                }
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Cut => {
                for link in 1..=self.last_link {
                    drop(self.links.remove(LinkId(link)));
                    self.endpoint.link_lost(LinkId(link), now());
                }
            }
            Order::Fade => {
                for link in 1..=self.last_link {
                    self.faded.extend(self.links.remove(LinkId(link)));
                }
            }
            Order::ForgetKey(key) => {
                self.store.remove(key).await.unwrap();
                self.endpoint.forget_key(key, now());
            }
            Order::Push(object) => {
                self.endpoint.push(self.session.unwrap(), object, now()).unwrap();
            }
            Order::Queued(answer) => answer.send(self.endpoint.usage().queued_bytes).unwrap(),
        }
    }

    async fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.endpoint.poll_output() {
                Output::Close { link, .. } => {
                    if let Some(mut link) = self.links.remove(link) {
                        let _ = link.close().await;
                    }
                    self.endpoint.link_lost(link, now());
                }
                Output::Compute(job) => {
                    let done = job.run(&mut SeededRandom::new(self.last_link));
                    self.endpoint.computed(done, now());
                }
                Output::Event(Event::SessionOpened(session)) => self.session = Some(session),
                Output::Event(_) => {}
                Output::Request(request) => self.answer(request),
                Output::Send { link, item } => self.links.send(link, item),
                Output::Store(request) => {
                    let outcome = request.carry_out(&self.store).await;
                    self.endpoint.stored(outcome, now());
                }
                Output::Wait(deadline) => return deadline,
            }
        }
    }

    /// Echoes, unless the query says `fail` or `stall`; `slow` ones after a while.
    fn answer(&mut self, request: Request) {
        let query = request.content.query.clone();
        let _ = self.queries.send(query.clone());
        match &query[..] {
            b"fail" => {
                let error = RpcError::new(400, "TEST_FAILED");
                self.endpoint.answer(request.id, Err(error), now());
            }
            b"staLL!!!" => {}
            query if query.starts_with(b"slow") => self.slow.push_back((now() + SLOW, request)),
            _ => self.endpoint.answer(request.id, Ok(query), now()),
        }
    }
}
