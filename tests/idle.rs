//! Promise: a connection that has a session and nothing to say takes little of the server's memory.

#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, stdin};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use mtproto_kit::auth::KeyKind;
use mtproto_kit::frame::{Framing, WireConfig};
use mtproto_kit::server::handler_fn;
use mtproto_tests::{HandSession, Peer, address, echo, server};

/// What a connection may take, in bytes: a quarter of what it takes in gotd's server. With the
/// allocator of Linux and without optimization it is 2,300.
const CONNECTION_BYTES_MAX: u64 = 2944;

/// Connections that the server has before its memory is looked at, so that what it needs once is
/// not counted.
const WARM_UP: u64 = 128;

/// Connections that are counted. Both processes may have few descriptors.
const CONNECTIONS: u64 = 512;

/// Fewer sessions than a key may have.
const SESSIONS_PER_KEY: u64 = 32;

/// Tells the process that is the server so.
const CHILD: &str = "MTPROTO_TESTS_IDLE_SERVER";

/// The server, in a process of its own, whose memory is its alone.
struct Server(Child);

impl Server {
    fn start() -> (Self, SocketAddr) {
        let mut child = Command::new(env::current_exe().expect("this program has a name"))
            .args(["--exact", "--nocapture", "idle_connections_are_small"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut words = output.lines().map_while(Result::ok);
        let address = words.find_map(|line| line.split(' ').find_map(|word| word.parse().ok()));
        (Self(child), address.expect("where it listens"))
    }

    /// Bytes in memory; pages that it shares count in part.
    fn memory(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.0.id());
        let rollup = fs::read_to_string(path).expect("Linux tells");
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = pss.and_then(|pss| pss.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.expect("it is a number") << 10
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve() {
    let server = server().shards(NonZeroUsize::MIN).serve(handler_fn(echo)).await;
    let server = server.expect("a free port");
    println!(" {} ", address(&server));
    // Until the other process ends.
    let wait = tokio::task::spawn_blocking(|| stdin().read_to_end(&mut Vec::new()));
    wait.await.expect("no panic").expect("a pipe");
}

/// Connections with a session each, to which all was said that there is to say.
async fn connect(address: SocketAddr, numbers: std::ops::Range<u64>) -> Vec<Peer> {
    let (mut peers, mut of_key) = (Vec::new(), None);
    for number in numbers {
        let wire = WireConfig::plain(Framing::Intermediate);
        let mut peer = Peer::connect(address, &wire, number).await;
        if number % SESSIONS_PER_KEY == 0 {
            of_key = Some(HandSession::new(&peer.make_key(KeyKind::Permanent).await, number));
        }
        let of_key = of_key.as_ref().expect("the first number has a key");
        of_key.beside(number).settle(&mut peer).await;
        peers.push(peer);
    }
    peers
}

#[tokio::test]
async fn idle_connections_are_small() {
    if env::var_os(CHILD).is_some() {
        return tokio::task::spawn_blocking(serve).await.expect("no panic");
    }
    let (server, address) = Server::start();
    let _warm = connect(address, 0..WARM_UP).await;
    let before = server.memory();
    let _idle = connect(address, WARM_UP..WARM_UP + CONNECTIONS).await;
    let each = (server.memory() - before) / CONNECTIONS;
    assert!(each <= CONNECTION_BYTES_MAX, "{each} bytes a connection");
    println!("{each} bytes a connection");
}
