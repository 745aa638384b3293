//! Promise: whatever bytes stand on the port, the server answers with the right transport error or
//! with silence, closes in time, and goes on serving everybody else.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use mtproto_kit::auth::client::Step;
use mtproto_kit::auth::{KeyKind, NewKey};
use mtproto_kit::frame::{Framing, Secret, TransportError, WireConfig};
use mtproto_kit::server::{Limits, Request, Server, handler_fn};
use mtproto_kit::tl::functions::Ping;
use mtproto_kit::tl::types::BadServerSalt;
use mtproto_kit::tl::{AuthKeyId, Decode, Salt};
use mtproto_tests::{
    HandSession, Mutator, Peer, Received, address, echo, now, object, plain_packet, server,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Of an answer or a push that is large, in bytes.
const BLOB_LEN: usize = 256 << 10;

/// Long enough that an answer would have come.
const SILENCE: Duration = Duration::from_millis(300);

async fn start() -> (Server, SocketAddr) {
    start_with(Limits::default()).await
}

async fn start_with(limits: Limits) -> (Server, SocketAddr) {
    let server = server().limits(limits).serve(handler_fn(echo)).await.expect("a free port");
    let address = address(&server);
    (server, address)
}

/// Limits that a test can wait for.
fn short(first_packet: u64, handshake: u64, idle: u64) -> Limits {
    let mut limits = Limits::default();
    limits.first_packet_max = Duration::from_millis(first_packet);
    limits.handshake_max = Duration::from_millis(handshake);
    limits.idle_max = Duration::from_millis(idle);
    limits
}

fn every_way() -> impl Iterator<Item = WireConfig> {
    let tagged = Framing::ALL.into_iter().filter(|framing| framing.tag().is_some());
    let obfuscated = tagged.map(WireConfig::obfuscated);
    Framing::ALL.into_iter().map(WireConfig::plain).chain(obfuscated)
}

fn plain(framing: Framing) -> WireConfig {
    WireConfig::plain(framing)
}

/// A key made over a connection of its own.
async fn new_key(address: SocketAddr) -> NewKey {
    let mut peer = Peer::connect(address, &plain(Framing::Intermediate), 1).await;
    peer.make_key(KeyKind::Permanent).await
}

/// Bytes that no packing makes fewer, so that they fill sockets.
fn noise() -> Bytes {
    static NOISE: LazyLock<Bytes> = LazyLock::new(|| Mutator::new(5).bytes(BLOB_LEN).into());
    NOISE.clone()
}

async fn assert_serves(address: SocketAddr) {
    let mut peer = Peer::connect(address, &plain(Framing::Abridged), 99).await;
    let key = peer.make_key(KeyKind::Permanent).await;
    let query = object(0x0e2e_0001, &[1]);
    let answer = HandSession::new(&key, 99).call(&mut peer, query.clone()).await;
    assert_eq!(answer, Ok(query));
}

async fn assert_refused(peer: &mut Peer, error: TransportError, what: &str) {
    assert_eq!(peer.receive().await, Received::Error(error), "{what}");
    assert_eq!(peer.receive().await, Received::Closed, "{what}");
}

#[tokio::test]
async fn random_bytes_and_half_frames_get_no_packet_back() {
    let (_server, address) = start_with(short(300, 300, 300)).await;
    let mut mutator = Mutator::new(1);
    for len in [1, 3, 4, 7, 8, 63, 64, 65, 200, 5000] {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        let _ = stream.write_all(&mutator.bytes(len)).await;
        let mut back = Vec::new();
        let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut back)).await;
        assert!(read.is_ok(), "{len} bytes: the server never closes");
        assert!(back.is_empty(), "{len} bytes: {} bytes came back", back.len());
    }
    for config in every_way() {
        let mut peer = Peer::connect(address, &config, 2).await;
        let (_, query) = peer.begin_exchange(KeyKind::Permanent, 2);
        let mut frame = peer.frame(plain_packet(&query), false);
        frame.truncate(frame.len() - 1);
        peer.write(&frame).await;
        assert_eq!(peer.receive().await, Received::Closed, "{config:?}");
    }
    assert_serves(address).await;
}

#[tokio::test]
async fn a_frame_of_a_gibibyte_closes_before_it_is_sent() {
    let (_server, address) = start().await;
    let full = [&(1_u32 << 30).to_le_bytes()[..], &[0; 4]].concat();
    let intermediate = [&[0xee; 4][..], &(1_u32 << 30).to_le_bytes()].concat();
    let padded = [&[0xdd; 4][..], &((1_u32 << 30) + 1).to_le_bytes()].concat();
    // The longest there is: 2^24 - 1 words.
    let abridged = vec![0xef, 0x7f, 0xff, 0xff, 0xff];
    for bytes in [full, intermediate, padded, abridged] {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        stream.write_all(&bytes).await.expect("a fresh connection");
        let mut back = Vec::new();
        let read = timeout(Duration::from_secs(2), stream.read_to_end(&mut back)).await;
        assert!(read.is_ok(), "{bytes:x?}: the server waits for more");
        assert!(back.is_empty(), "{bytes:x?}: {back:x?} came back");
    }
    assert_serves(address).await;
}

// req: S117
#[tokio::test]
async fn one_byte_at_a_time_is_as_good_as_all_at_once() {
    let (_server, address) = start().await;
    let key = new_key(address).await;
    for (config, seed) in every_way().zip(1..) {
        let mut peer = Peer::connect(address, &config, seed).await;
        let mut session = HandSession::new(&key, seed);
        let (exchange, query) = peer.begin_exchange(KeyKind::Permanent, 2);
        for byte in peer.frame(plain_packet(&query), false) {
            peer.write(&[byte]).await;
            // Lets the server read each of them alone.
            tokio::task::yield_now().await;
        }
        let Received::Packet(packet) = peer.receive().await else { panic!("{config:?}") };
        assert!(packet.len() > 80, "{config:?}: {} bytes", packet.len());
        drop(exchange);
        let message = session.query(object(0x0e2e_0002, &[2]));
        let sealed = session.seal(&message);
        for byte in peer.frame(sealed.packet, false) {
            peer.write(&[byte]).await;
            tokio::task::yield_now().await;
        }
        let answer = session.answer(&mut peer, message.id).await;
        assert_eq!(answer, Ok(message.body), "{config:?}");
    }
}

#[tokio::test]
async fn a_connection_that_makes_no_packet_is_closed_by_its_limit() {
    let (_server, address) = start_with(short(400, 60_000, 60_000)).await;
    let started = now();
    let mut silent = Peer::connect(address, &plain(Framing::Full), 1).await;
    let mut dribbling = Peer::connect(address, &plain(Framing::Intermediate), 2).await;
    let (_, query) = dribbling.begin_exchange(KeyKind::Permanent, 2);
    let frame = dribbling.frame(plain_packet(&query), false);
    for byte in &frame[..8] {
        dribbling.write(&[*byte]).await;
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(silent.receive().await, Received::Closed);
    assert_eq!(dribbling.receive().await, Received::Closed);
    let elapsed = now() - started;
    assert!(elapsed >= Duration::from_millis(400), "closed after {elapsed:?}");
    assert_serves(address).await;
}

#[tokio::test]
async fn an_exchange_that_stops_is_told_so_and_closed() {
    let (_server, address) = start_with(short(60_000, 400, 60_000)).await;
    for config in every_way() {
        let mut peer = Peer::connect(address, &config, 3).await;
        let (_, query) = peer.begin_exchange(KeyKind::Permanent, 2);
        peer.ask(&query).await.expect("an honest query");
        let started = now();
        assert_refused(&mut peer, TransportError::NotFound, &format!("{config:?}")).await;
        let elapsed = now() - started;
        assert!(elapsed >= Duration::from_millis(300), "{config:?}: after {elapsed:?}");
    }
}

#[tokio::test]
async fn an_idle_session_is_closed_by_its_limit_and_no_sooner() {
    let (_server, address) = start_with(short(60_000, 60_000, 500)).await;
    let mut peer = Peer::connect(address, &plain(Framing::Padded), 4).await;
    let key = peer.make_key(KeyKind::Permanent).await;
    let mut session = HandSession::new(&key, 4);
    for _ in 0..4 {
        session.settle(&mut peer).await;
        sleep(Duration::from_millis(300)).await;
    }
    let started = now();
    loop {
        match peer.receive().await {
            Received::Closed => break,
            Received::Packet(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let elapsed = now() - started;
    assert!(elapsed < Duration::from_secs(3), "closed only after {elapsed:?}");
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_closed_when_it_stalls() {
    let mut limits = Limits::default();
    limits.stalled_max = Duration::from_millis(400);
    let blob = handler_fn(|_: Request| async { Ok(noise()) });
    let server = server().limits(limits).serve(blob).await.expect("a free port");
    let mut peer = Peer::connect(address(&server), &plain(Framing::Full), 5).await;
    let key = peer.make_key(KeyKind::Permanent).await;
    // A session forgets answers that do not fit its queue, so there are several.
    for seed in 0..6 {
        let mut session = HandSession::new(&key, seed);
        for _ in 0..14 {
            let query = session.query(object(0x0e2e_0003, &[]));
            session.send(&mut peer, &query).await;
        }
    }
    sleep(Duration::from_secs(2)).await;
    // What the system's buffers held comes, and then the end.
    let read = peer.read_to_end().await;
    assert!(read < 6 * 14 * BLOB_LEN, "all {read} bytes came");
}

#[tokio::test]
async fn a_peer_that_reads_late_gets_all_of_it() {
    let (server, address) = start().await;
    let mut peer = Peer::connect(address, &plain(Framing::Full), 12).await;
    let key = peer.make_key(KeyKind::Permanent).await;
    let mut session = HandSession::new(&key, 12);
    session.settle(&mut peer).await;
    let handle = server.session(AuthKeyId(key.key.id()), session.id);
    // The first fill the socket and what the server has in hand; the last wait behind them.
    let waves = [18, 10];
    for pushes in waves {
        for _ in 0..pushes {
            handle.push_bytes(noise()).await.expect("what was sent makes room");
        }
        sleep(Duration::from_millis(300)).await;
    }
    let mut read = 0;
    while read < waves.iter().sum::<usize>() * BLOB_LEN {
        match peer.receive().await {
            Received::Packet(packet) => read += packet.len(),
            other => panic!("{other:?} after {} MiB", read >> 20),
        }
    }
}

#[tokio::test]
async fn a_peer_that_reads_nothing_does_not_fill_the_server_with_pushes() {
    let (server, address) = start().await;
    let mut peer = Peer::connect(address, &plain(Framing::Full), 11).await;
    let key = peer.make_key(KeyKind::Permanent).await;
    let mut session = HandSession::new(&key, 11);
    session.settle(&mut peer).await;
    let handle = server.session(AuthKeyId(key.key.id()), session.id);
    let pushes = 256;
    for _ in 0..pushes {
        // That there is no room for it would be a good answer, too.
        let _ = handle.push_bytes(noise()).await;
        // The connection takes each of them before the next.
        sleep(Duration::from_millis(2)).await;
    }
    // Most of it is forgotten, and the connection with it.
    let read = peer.read_to_end().await;
    assert!(read < pushes * BLOB_LEN / 2, "{} MiB were kept for the peer", read >> 20);
}

// req: S114
#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    let mut limits = Limits::default();
    limits.connections_per_ip_max = 2;
    let (_server, address) = start_with(limits).await;
    let mut first = Peer::connect(address, &plain(Framing::Full), 1).await;
    let key = first.make_key(KeyKind::Permanent).await;
    let mut second = Peer::connect(address, &plain(Framing::Full), 2).await;
    HandSession::new(&key, 2).settle(&mut second).await;
    let mut third = Peer::connect(address, &plain(Framing::Full), 3).await;
    let (_, query) = third.begin_exchange(KeyKind::Permanent, 2);
    assert_eq!(third.ask(&query).await, Err(TransportError::Flood));
    assert_eq!(third.receive().await, Received::Closed);
    HandSession::new(&key, 1).settle(&mut first).await;

    // A place is free again once the server has seen its connection go.
    second.finish().await;
    let mut fourth = Peer::connect(address, &plain(Framing::Full), 4).await;
    let mut session = HandSession::new(&key, 4);
    for _ in 0..50 {
        let ping = session.service(&Ping { ping_id: 1 });
        session.send(&mut fourth, &ping).await;
        match fourth.receive().await {
            Received::Packet(_) => return,
            _ => fourth = Peer::connect(address, &plain(Framing::Full), 5).await,
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the place is never free");
}

// req: S114
#[tokio::test]
async fn an_address_that_begins_too_many_exchanges_is_told_so() {
    let mut limits = Limits::default();
    limits.exchanges_per_ip_per_second = NonZeroU32::new(3).expect("three");
    let (_server, address) = start_with(limits).await;
    let mut peers = Vec::new();
    for seed in 0..3 {
        let mut peer = Peer::connect(address, &plain(Framing::Full), seed).await;
        let (exchange, query) = peer.begin_exchange(KeyKind::Permanent, 2);
        let answer = peer.ask(&query).await.expect("there is room");
        peers.push((peer, exchange, answer));
    }
    let mut late = Peer::connect(address, &plain(Framing::Full), 9).await;
    let (_, query) = late.begin_exchange(KeyKind::Permanent, 2);
    assert_eq!(late.ask(&query).await, Err(TransportError::Flood));
    // Who has begun may go on.
    for (mut peer, exchange, answer) in peers {
        let Step::Query(_, query) = peer.advance(exchange, &answer) else { panic!("one query") };
        assert!(peer.ask(&query).await.is_ok());
    }
}

// req: S116
#[tokio::test]
async fn a_wrong_secret_is_met_with_silence_until_the_peer_leaves() {
    let right: Secret = "000102030405060708090a0b0c0d0e0f".parse().expect("a secret");
    let wrong: Secret = "ff0102030405060708090a0b0c0d0e0f".parse().expect("a secret");
    let server = server().secret(right.clone()).serve(handler_fn(echo)).await.expect("a free port");
    let address = address(&server);
    for framing in [Framing::Abridged, Framing::Intermediate, Framing::Padded] {
        let config = WireConfig::with_secret(framing, wrong.clone());
        let mut peer = Peer::connect(address, &config, 6).await;
        let (_, query) = peer.begin_exchange(KeyKind::Permanent, 2);
        for _ in 0..50 {
            peer.send(plain_packet(&query)).await;
        }
        assert_eq!(peer.receive_within(SILENCE).await, None, "{framing}: the server reacts");
        // This returns once the server has closed, too.
        peer.finish().await;

        let config = WireConfig::with_secret(framing, right.clone());
        let mut peer = Peer::connect(address, &config, 7).await;
        let key = peer.make_key(KeyKind::Permanent).await;
        HandSession::new(&key, 7).settle(&mut peer).await;
    }
    assert_serves(address).await;
}

#[tokio::test]
async fn a_wrong_secret_does_not_keep_a_connection_for_ever() {
    let right: Secret = "000102030405060708090a0b0c0d0e0f".parse().expect("a secret");
    let wrong: Secret = "ff0102030405060708090a0b0c0d0e0f".parse().expect("a secret");
    let builder = server().secret(right).limits(short(400, 400, 400));
    let server = builder.serve(handler_fn(echo)).await.expect("a free port");
    let config = WireConfig::with_secret(Framing::Padded, wrong);
    let mut peer = Peer::connect(address(&server), &config, 8).await;
    peer.send(vec![1; 64]).await;
    assert_eq!(peer.receive().await, Received::Closed);
}

// req: S111
#[tokio::test]
async fn a_changed_query_of_an_exchange_kills_it_on_every_connection() {
    let (_server, address) = start().await;
    for step in 0..2 {
        for (config, seed) in every_way().zip(10..) {
            let what = format!("query {step} over {config:?}");
            let mut peer = Peer::connect(address, &config, seed).await;
            let (mut exchange, mut query) = peer.begin_exchange(KeyKind::Permanent, 2);
            for _ in 0..=step {
                let answer = peer.ask(&query).await.expect("an honest query");
                let Step::Query(next, next_query) = peer.advance(exchange, &answer) else {
                    panic!("{what}: it is over already")
                };
                (exchange, query) = (next, next_query);
            }
            // The last byte is of the encrypted part.
            let mut flipped = query.to_vec();
            let last = flipped.len() - 8;
            flipped[last] ^= 1;
            let refused = peer.ask(&flipped.into()).await;
            assert_eq!(refused, Err(TransportError::NotFound), "{what}");
            assert_eq!(peer.receive().await, Received::Closed, "{what}");

            let mut other = Peer::connect(address, &config, seed + 1).await;
            assert_eq!(other.ask(&query).await, Err(TransportError::NotFound), "{what}, right");
            assert_eq!(other.receive().await, Received::Closed, "{what}, right");
        }
    }
    assert_serves(address).await;
}

#[tokio::test]
async fn a_truncated_query_is_refused_wherever_it_is_cut() {
    let (_server, address) = start().await;
    let config = plain(Framing::Intermediate);
    let mut peer = Peer::connect(address, &config, 20).await;
    let (exchange, first) = peer.begin_exchange(KeyKind::Permanent, 2);
    let answer = peer.ask(&first).await.expect("an honest query");
    let Step::Query(_, second) = peer.advance(exchange, &answer) else { panic!("one query") };
    for query in [first, second] {
        for len in (0..query.len()).step_by(4) {
            let mut peer = Peer::connect(address, &config, 21).await;
            let refused = peer.ask(&query.slice(..len)).await;
            assert_eq!(refused, Err(TransportError::NotFound), "{len} bytes");
            assert_eq!(peer.receive().await, Received::Closed, "{len} bytes");
        }
    }
}

// req: S111
#[tokio::test]
async fn an_exchange_goes_on_over_another_connection_and_repeats_get_the_same_answer() {
    let (_server, address) = start().await;
    let mut peer = Peer::connect(address, &plain(Framing::Full), 30).await;
    let (mut exchange, mut query) = peer.begin_exchange(KeyKind::Permanent, 2);
    let mut seed = 31;
    let key = loop {
        let mut next_peer = Peer::connect(address, &plain(Framing::Padded), seed).await;
        let answer = next_peer.ask(&query).await.expect("an honest query");
        let mut repeating = Peer::connect(address, &plain(Framing::Abridged), seed + 1).await;
        assert_eq!(repeating.ask(&query).await.as_ref(), Ok(&answer));
        match peer.advance(exchange, &answer) {
            Step::Query(next, next_query) => (exchange, query) = (next, next_query),
            Step::Done(key) => break key,
        }
        seed += 2;
    };
    HandSession::new(&key, 30).settle(&mut peer).await;
}

// req: S114
#[tokio::test]
async fn an_unknown_key_is_refused() {
    let (_server, address) = start().await;
    for (config, seed) in every_way().zip(40..) {
        let what = format!("{config:?}");
        let mut peer = Peer::connect(address, &config, seed).await;
        peer.send(Mutator::new(seed).bytes(24 + 96)).await;
        assert_refused(&mut peer, TransportError::NotFound, &what).await;

        // A key that is known, and a packet that is not its own.
        let key = new_key(address).await;
        let mut packet = Mutator::new(seed).bytes(24 + 96);
        packet[..8].copy_from_slice(&key.key.id().to_le_bytes());
        let mut peer = Peer::connect(address, &config, seed).await;
        peer.send(packet).await;
        assert_refused(&mut peer, TransportError::NotFound, &what).await;
    }
}

// req: S114
#[tokio::test]
async fn an_exchange_meant_for_another_data_centre_is_refused() {
    let server = server().dc(2).serve(handler_fn(echo)).await.expect("a free port");
    let address = address(&server);
    for (config, seed) in every_way().zip(50..) {
        let mut peer = Peer::connect(address, &config, seed).await;
        let (exchange, query) = peer.begin_exchange(KeyKind::Permanent, 4);
        let answer = peer.ask(&query).await.expect("nothing is known of it yet");
        let Step::Query(_, query) = peer.advance(exchange, &answer) else { panic!("one query") };
        assert_eq!(peer.ask(&query).await, Err(TransportError::WrongDc), "{config:?}");
        assert_eq!(peer.receive().await, Received::Closed, "{config:?}");
    }
    assert_serves(address).await;
}

// req: S115
#[tokio::test]
async fn quick_acks_come_back_where_the_framing_has_them() {
    let (_server, address) = start().await;
    let key = new_key(address).await;
    for (config, seed) in every_way().zip(60..) {
        let mut peer = Peer::connect(address, &config, seed).await;
        let mut session = HandSession::new(&key, seed);
        let mut tokens = Vec::new();
        for _ in 0..3 {
            let message = session.query(object(0x0e2e_0004, &[4]));
            let sealed = session.seal(&message);
            peer.send_with_quick_ack(sealed.packet).await;
            tokens.push(sealed.ack_token);
        }
        if config.framing == Framing::Full {
            tokens.clear();
        }
        assert_eq!(quick_acks_until_settled(&mut session, &mut peer).await, tokens, "{config:?}");
    }
}

// req: S115
#[tokio::test]
async fn a_refused_message_gets_no_quick_ack() {
    let (_server, address) = start().await;
    let key = new_key(address).await;
    let tagged = Framing::ALL.into_iter().filter(|framing| framing.tag().is_some());
    for (framing, seed) in tagged.zip(70..) {
        let mut peer = Peer::connect(address, &plain(framing), seed).await;
        let mut session = HandSession::new(&key, seed);
        session.salt = Salt(!key.first_salt.0);
        let message = session.query(object(0x0e2e_0005, &[5]));
        let sealed = session.seal(&message);
        peer.send_with_quick_ack(sealed.packet).await;
        // A quick ack would come before the refusal.
        let refusal = match peer.receive().await {
            Received::Packet(packet) => session.open(packet),
            other => panic!("{framing}: in place of the refusal came {other:?}"),
        };
        let refusal = refusal.iter().find_map(|it| BadServerSalt::from_bytes(&it.body).ok());
        assert_eq!(refusal.map(|refusal| refusal.bad_msg_id), Some(message.id), "{framing}");
        session.salt = key.first_salt;
        let tokens = quick_acks_until_settled(&mut session, &mut peer).await;
        assert!(tokens.is_empty(), "{framing}: {tokens:x?}");
    }
}

/// Reads on until the server has dealt with everything; returns the quick acks that came till then.
async fn quick_acks_until_settled(session: &mut HandSession, peer: &mut Peer) -> Vec<u32> {
    let ping = session.service(&Ping { ping_id: 77 });
    session.send(peer, &ping).await;
    let mut tokens = Vec::new();
    loop {
        match peer.receive().await {
            Received::QuickAck(token) => tokens.push(token),
            Received::Packet(packet) => {
                let pong = |body| mtproto_kit::tl::types::Pong::from_bytes(body).ok();
                if session.open(packet).iter().any(|it| pong(&it.body).is_some()) {
                    return tokens;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}
