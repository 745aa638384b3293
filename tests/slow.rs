//! Promise: a peer that is slow, silent or too big is closed by its limit, with the answer that its
//! transport has for that, and nobody else notices.
//!
//! The limits are those of a public server, shortened; peers send a byte in a tenth of them.

use std::net::SocketAddr;
use std::time::Duration;

use mtproto_kit::client::{Client, TlsClient, Trust};
use mtproto_kit::crypto::SeededRandom;
use mtproto_kit::frame::fake_tls::{ClientHandshake, HelloShape};
use mtproto_kit::frame::{Host, Secret};
use mtproto_kit::server::{Limits, Server, TlsServer, handler_fn};
use mtproto_kit::tl::Constructor;
use mtproto_kit::tl::functions::ReqPqMulti;
use mtproto_kit::transport::Stream;
use mtproto_tests::{ECHO, echo, object, plain_packet, public_key, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// What every limit is here.
const LIMIT: Duration = Duration::from_millis(500);

/// Ends whatever does not end by itself.
const PATIENCE: Duration = Duration::from_secs(20);

const FAKE_TLS: &str = "ee200102030405060708090a0b0c0d0e0f7777772e6578616d706c652e6f7267";

struct World {
    server: Server,
    trust: Trust,
    _dir: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (tls, _) =
            TlsServer::self_signed(dir.path(), &["localhost".to_owned()]).expect("a certificate");
        let trust = Trust::Pin(tls.fingerprint());
        let mut limits = Limits::default();
        limits.first_packet_max = LIMIT;
        limits.handshake_max = LIMIT;
        limits.request_head_max = LIMIT;
        limits.request_body_max = LIMIT;
        limits.keep_alive_max = LIMIT;
        let builder = server().limits(limits).tls(tls);
        let builder = builder.secret(FAKE_TLS.parse().expect("a secret"));
        let server = builder.serve(handler_fn(echo)).await.expect("a free port");
        Self { server, trust, _dir: dir }
    }

    fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    async fn connect(&self) -> Box<dyn Stream> {
        Box::new(TcpStream::connect(self.address()).await.expect("a connection"))
    }

    async fn connect_tls(&self) -> Box<dyn Stream> {
        let tls = TlsClient::new(&self.trust).expect("a client");
        let host = Host::Ip(self.address().ip());
        Box::new(tls.connect(&host, self.connect().await).await.expect("TLS"))
    }

    /// A client that is well.
    async fn client(&self) -> Client {
        let client = Client::builder().server_key(public_key());
        let client = client.address(format!("tcp://{}", self.address()));
        client.connect().await.expect("the server is there")
    }
}

type Halves = (ReadHalf<Box<dyn Stream>>, WriteHalf<Box<dyn Stream>>);

/// All that the server says until it closes.
async fn read_out(reader: &mut ReadHalf<Box<dyn Stream>>) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, reader.read_to_end(&mut said)).await.expect("the server closes");
    said
}

/// Sends `begin` at once and `slowly` byte by byte; what the server says until it closes.
async fn drip(stream: Box<dyn Stream>, begin: &[u8], slowly: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer): Halves = tokio::io::split(stream);
    let write = async {
        writer.write_all(begin).await?;
        for byte in slowly {
            writer.write_all(&[*byte]).await?;
            sleep(LIMIT / 10).await;
        }
        Ok::<_, std::io::Error>(())
    };
    tokio::select! {
        said = read_out(&mut reader) => said,
        // The connection broke under the writer; what was said before is still there.
        Err(_) = write => read_out(&mut reader).await,
    }
}

fn head(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    text.lines().next().unwrap_or_default().to_owned()
}

/// As much as it takes to be slow for longer than any limit.
const LONG: [u8; 60] = [b'x'; 60];

/// A slow peer: the carrier, what it sends at once, what it sends slowly, and the beginning of what
/// it is told.
type Slow<'a> = (&'a str, Vec<u8>, Vec<u8>, &'a str);

/// One of each kind. An empty answer is a close without a word.
fn slow_peers() -> Vec<Slow<'static>> {
    let post =
        |len: usize| format!("POST /api HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n");
    let upgrade = "GET /apiws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Protocol: binary\r\n\r\n";
    let intermediate = [&[0xee; 4][..], &64_u32.to_le_bytes()].concat();
    let full = [&76_u32.to_le_bytes()[..], &[0; 4]].concat();
    let slow_http = b"POST /api HTTP/1.1\r\nHost: a-host-with-a-long-name\r\nX: y\r\n".to_vec();
    let timed_out = "HTTP/1.1 408 Request Timeout";
    vec![
        ("tcp", Vec::new(), Vec::new(), ""),
        ("tcp", vec![0xef, 0x10], LONG.to_vec(), ""),
        ("tcp", intermediate, LONG.to_vec(), ""),
        ("tcp", full, LONG.to_vec(), ""),
        // An obfuscated header, or noise.
        ("tcp", Vec::new(), LONG.to_vec(), ""),
        ("tcp", b"POST".to_vec(), slow_http.clone(), timed_out),
        ("tcp", post(64).into_bytes(), LONG.to_vec(), timed_out),
        ("tcp", upgrade.as_bytes().to_vec(), LONG.to_vec(), "HTTP/1.1 101 Switching Protocols"),
        // TLS, real or fake.
        ("tcp", vec![0x16, 3, 1, 2, 0, 1], LONG.to_vec(), ""),
        ("tcp", fake_hello(), Vec::new(), "\u{16}\u{3}\u{3}"),
        ("tls", Vec::new(), Vec::new(), ""),
        ("tls", b"POST".to_vec(), slow_http, timed_out),
        ("tls", post(64).into_bytes(), LONG.to_vec(), timed_out),
        ("tls", upgrade.as_bytes().to_vec(), LONG.to_vec(), "HTTP/1.1 101 Switching Protocols"),
    ]
}

fn fake_hello() -> Vec<u8> {
    let Ok(Secret::FakeTls { key, domain }) = FAKE_TLS.parse() else { panic!("a secret") };
    #[allow(clippy::disallowed_methods, reason = "a test is a driver")]
    let time = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs() as u32;
    let random = &mut SeededRandom::new(time.into());
    ClientHandshake::start(&key, &domain, HelloShape::Classic, time, random).1
}

// req: S83, S114, S117
#[tokio::test(flavor = "multi_thread")]
async fn slow_and_silent_peers_are_closed_and_told_why_where_that_can_be_said() {
    let world = World::start().await;
    let client = world.client().await;
    let mut peers = JoinSet::new();
    for (number, (carrier, begin, slowly, answer)) in slow_peers().into_iter().enumerate() {
        let stream = match carrier {
            "tls" => world.connect_tls().await,
            _ => world.connect().await,
        };
        peers.spawn(async move {
            let said = drip(stream, &begin, &slowly).await;
            let said = if answer.starts_with("HTTP") {
                head(&said)
            } else {
                String::from_utf8_lossy(said.get(..answer.len()).unwrap_or(&said)).into_owned()
            };
            assert_eq!(said, answer, "peer {number} over {carrier}");
        });
    }
    while !peers.is_empty() {
        tokio::select! {
            Some(peer) = peers.join_next() => peer.expect("closed as it should be"),
            () = sleep(LIMIT / 5) => {
                let query = object(ECHO, &[1]);
                assert_eq!(client.call(query.clone()).await, Ok(query), "others are served");
            }
        }
    }
    client.shutdown().await;
}

// req: S114
#[tokio::test]
async fn a_peer_that_makes_no_key_in_time_is_told() {
    let world = World::start().await;
    // A first query of an exchange, and then nothing.
    let query = plain_packet(&object(ReqPqMulti::ID, &[7; 4]));
    let len = u8::try_from(query.len() / 4).expect("it is short");
    let begin = [&[0xef, len][..], &query].concat();
    let said = drip(world.connect().await, &begin, &[]).await;
    assert!(said.ends_with(&[1, 0x6c, 0xfe, 0xff, 0xff]), "-404 at the end: {said:02x?}");
}

// req: S83
#[tokio::test]
async fn what_is_too_big_is_refused_before_it_is_read() {
    let world = World::start().await;
    let client = world.client().await;
    let check = async |begin: &str, answer: &str| {
        let said = drip(world.connect_tls().await, begin.as_bytes(), &[]).await;
        assert_eq!(head(&said), answer, "{begin:.40}");
    };
    let length =
        |len: u64| format!("POST /api HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n");
    check(&length(1 << 40), "HTTP/1.1 413 Payload Too Large").await;
    check(&length(u64::MAX >> 1), "HTTP/1.1 413 Payload Too Large").await;
    let long = "x".repeat(64 << 10);
    let header = format!("POST /api HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n");
    check(&header, "HTTP/1.1 431 Request Header Fields Too Large").await;
    let path = format!("POST /api{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(2000));
    check(&path, "HTTP/1.1 414 URI Too Long").await;
    // A frame longer than any.
    let frame = [&[0xee; 4][..], &0x3fff_fffc_u32.to_le_bytes()].concat();
    assert_eq!(drip(world.connect().await, &frame, &[]).await, b"");
    let query = object(ECHO, &[1]);
    assert_eq!(client.call(query.clone()).await, Ok(query));
}
