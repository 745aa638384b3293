//! Promise: one port serves every transport, and a client finds its way over each of them, however
//! its bytes are cut, however slow the network is, and however often it breaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mtproto_kit::client::{Client, ClientBuilder, ReconnectPolicy, TlsClient, Trust};
use mtproto_kit::crypto::{SecureRandom, SeededRandom};
use mtproto_kit::frame::{Framing, Secret};
use mtproto_kit::server::{Server, ServerBuilder, TlsServer, handler_fn};
use mtproto_tests::{COUNT, object, public_key, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// Queries of one client.
const CALLS: u32 = 30;

const PLAIN: &str = "000102030405060708090a0b0c0d0e0f";
const PADDED: &str = "dd100102030405060708090a0b0c0d0e0f";
/// Of www.example.org.
const FAKE_TLS: &str = "ee200102030405060708090a0b0c0d0e0f7777772e6578616d706c652e6f7267";

/// A server with all that there is, and how to trust its certificate.
struct Port {
    server: Server,
    trust: Trust,
    /// How many queries its application was asked.
    counted: Arc<AtomicUsize>,
    _dir: tempfile::TempDir,
}

impl Port {
    async fn open() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let names = ["localhost".to_owned()];
        let (tls, _) = TlsServer::self_signed(dir.path(), &names).expect("a certificate");
        let trust = Trust::Pin(tls.fingerprint());
        let counted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&counted);
        let handler = handler_fn(move |request: mtproto_kit::server::Request| {
            count.fetch_add(1, Ordering::Relaxed);
            async move { Ok::<Bytes, _>(request.query) }
        });
        let secrets = [PLAIN, PADDED, FAKE_TLS].map(secret);
        let builder = secrets.into_iter().fold(server(), ServerBuilder::secret);
        let server = builder.tls(tls).serve(handler).await.expect("a server");
        Self { server, trust, counted, _dir: dir }
    }

    fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    /// A client for every transport, with all that can be in its stream, of a server at `address`.
    fn clients(&self, address: SocketAddr) -> Vec<(String, ClientBuilder)> {
        let client = |uri: String| {
            let tls = TlsClient::new(&self.trust).expect("a client");
            Client::builder().server_key(public_key()).tls(tls).address(uri)
        };
        let over = |scheme: &str| client(format!("{scheme}://{address}"));
        let framings = Framing::ALL.into_iter().flat_map(|framing| {
            let tcp = || over("tcp").framing(framing);
            let name = |what: &str| format!("tcp {framing}{what}");
            let mut kinds = vec![(name(""), tcp())];
            if framing != Framing::Full {
                kinds.push((name(" obfuscated"), tcp().obfuscated(true)));
                kinds.push((name(" secret"), tcp().secret(secret(PLAIN))));
                kinds.push((format!("ws {framing}"), over("ws").framing(framing)));
            }
            kinds
        });
        let (ip, port) = (address.ip(), address.port());
        let link = format!("tg://proxy?server={ip}&port={port}&secret={FAKE_TLS}");
        let others = [
            ("tcp secret dd", over("tcp").secret(secret(PADDED))),
            ("tcp secret ee", over("tcp").secret(secret(FAKE_TLS))),
            ("proxy link", client(link)),
            ("ws secret", over("ws").secret(secret(PLAIN))),
            ("ws secret dd", over("ws").secret(secret(PADDED))),
            ("wss", client(format!("https://{address}/apiws1"))),
            ("wss secret dd", over("wss").secret(secret(PADDED))),
            ("http", over("http")),
            ("http for pages", client(format!("http://{address}/apiw"))),
            ("https", over("https")),
        ];
        framings.chain(others.map(|(name, client)| (name.to_owned(), client))).collect()
    }
}

fn secret(text: &str) -> Secret {
    text.parse().expect("a secret")
}

/// Makes a key and asks, several queries at a time.
async fn talk(name: &str, client: ClientBuilder) {
    let eager = ReconnectPolicy {
        first_delay: Duration::from_millis(5),
        max_delay: Duration::from_millis(20),
        dials_per_minute_max: 600,
        ..ReconnectPolicy::default()
    };
    let client = client.reconnect(eager).connect_timeout(Duration::from_secs(60)).connect().await;
    let client = client.unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let query = object(COUNT, &vec![number; 1 + number as usize * 7]);
        let (client, name) = (client.clone(), name.to_owned());
        calls.spawn(
            async move { assert_eq!(client.call(query.clone()).await, Ok(query), "{name}") },
        );
        if number % 5 == 0 {
            while let Some(call) = calls.join_next().await {
                call.expect("an answer");
            }
        }
    }
    calls.join_all().await;
    client.shutdown().await;
}

/// Lets every client talk over a network of this kind. Each query reaches the application once.
async fn all_talk_over(network: Network) {
    let port = Port::open().await;
    let mut talks = JoinSet::new();
    let mut relays = Vec::new();
    let mut clients = 0;
    for (seed, _) in (1..).zip(port.clients(port.address())) {
        let relay = Relay::start(network, seed, port.address()).await;
        let (name, client) = port.clients(relay.address).swap_remove(seed as usize - 1);
        talks.spawn(async move { talk(&name, client).await });
        relays.push(relay);
        clients += 1;
        // A few at a time.
        if talks.len() >= 4 {
            talks.join_next().await.expect("one ends").expect("it goes well");
        }
    }
    talks.join_all().await;
    assert_eq!(port.counted.load(Ordering::Relaxed), clients * CALLS as usize);
    let cuts: usize = relays.iter().map(|relay| relay.cuts.load(Ordering::Relaxed)).sum();
    assert_eq!(cuts > 0, matches!(network, Network::Breaking), "{cuts} connections were cut");
}

/// What becomes of bytes on their way.
#[derive(Clone, Copy)]
enum Network {
    /// Connections break in the middle of whatever they carry.
    Breaking,
    /// Every byte travels alone.
    ByteByByte,
    /// Pieces of any size come late, each connection at its own pace, so that what was sent on
    /// one after another may arrive on the other before it.
    Slow,
}

/// A network between a client and a server.
struct Relay {
    address: SocketAddr,
    cuts: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Relay {
    async fn start(network: Network, seed: u64, server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let cuts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&cuts);
        let task = tokio::spawn(async move {
            let mut random = SeededRandom::new(seed);
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.expect("the server listens");
                for stream in [&client, &server] {
                    stream.set_nodelay(true).expect("it is open");
                }
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let [up, down] = [random.u64(), random.u64()].map(SeededRandom::new);
                let cuts = Arc::clone(&counted);
                connections.spawn(async move {
                    let is_cut = tokio::select! {
                        is_cut = pass(network, up, from_client, to_server) => is_cut,
                        is_cut = pass(network, down, from_server, to_client) => is_cut,
                    };
                    cuts.fetch_add(is_cut.into(), Ordering::Relaxed);
                });
            }
        });
        Self { address, cuts, task }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries one direction until it ends; whether that was the network's doing.
async fn pass(
    network: Network,
    mut random: SeededRandom,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
) -> bool {
    let mut buffer = vec![0; 16 << 10];
    // Long enough for a key exchange, mostly.
    let mut left = 6_000 + random.u32() as usize % 8_000;
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return false };
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let len = match network {
                Network::ByteByByte => 1,
                Network::Slow => 1 + random.u32() as usize % rest.len(),
                Network::Breaking => rest.len().min(left),
            };
            let (piece, more) = rest.split_at(len);
            if to.write_all(piece).await.is_err() {
                return false;
            }
            rest = more;
            match network {
                Network::ByteByByte => tokio::task::yield_now().await,
                Network::Slow => sleep(Duration::from_millis(u64::from(random.u32() % 4))).await,
                Network::Breaking => {
                    left -= len;
                    if left == 0 {
                        return true;
                    }
                }
            }
        }
    }
}

// req: S71, S73, S79, S81, S116, S117
#[tokio::test(flavor = "multi_thread")]
async fn every_transport_is_told_apart_byte_by_byte() {
    all_talk_over(Network::ByteByByte).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transport_bears_a_slow_network() {
    all_talk_over(Network::Slow).await;
}

// req: S5, S118
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_connections_break() {
    all_talk_over(Network::Breaking).await;
}
