//! Promise: 100 000 damaged frames, at every layer, cost a server nothing but the connections that
//! they came on.
//!
//! The seed is printed; `HOSTILE_SEED` sets it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mtproto_kit::auth::client::Step;
use mtproto_kit::auth::{KeyKind, NewKey};
use mtproto_kit::crypto::envelope::PREFIX_LEN;
use mtproto_kit::frame::{Framing, TransportError, WireConfig};
use mtproto_kit::pack::Message;
use mtproto_kit::server::{Limits, handler_fn};
use mtproto_kit::tl::functions::Ping;
use mtproto_kit::tl::types::{BadMsgNotification, BadServerSalt, Pong};
use mtproto_kit::tl::{Decode, Seqno};
use mtproto_tests::{
    HandSession, Mutator, Peer, Received, Sealed, address, echo, layout, malformed, now, object,
    plain_packet, seal, server,
};
use tokio::task::JoinSet;

/// Damaged frames in all.
const FRAMES: usize = 100_000;
/// On connections of their own: a bent stream ends its connection.
const STREAMS: usize = 7_000;
const HANDSHAKES: usize = 2_000;
const ENVELOPES: usize = 7_000;
const HEAVY: usize = 60;
/// The rest: sealed well, damaged inside.
const BODIES: usize = FRAMES - STREAMS - HANDSHAKES - ENVELOPES - HEAVY;
/// Attackers at a time.
const ATTACKERS: usize = 4;
/// Sealed frames that go out before their answers are read.
const BATCH: usize = 60;
/// How much more memory server and attackers together may hold afterwards, in bytes.
const GROWTH_MAX: usize = 256 << 20;

/// One attacker.
struct Attacker {
    address: SocketAddr,
    key: NewKey,
    mutator: Mutator,
    next_way: usize,
    /// Damaged frames written so far.
    frames: usize,
    /// Codes of what the server refused.
    refusals: BTreeSet<i32>,
}

// req: S41, S47, S52
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_damaged_frames_cost_only_their_connections() {
    let panics = count_panics();
    let seed = std::env::var("HOSTILE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(0x6d74_7072_6f74_6f00);
    println!("HOSTILE_SEED={seed}");
    // Without this most of the handshakes would be turned away unread.
    let mut limits = Limits::default();
    limits.exchanges_per_ip_per_second = NonZeroU32::MAX;
    let server = server().limits(limits).serve(handler_fn(echo)).await.expect("a free port");
    let address = address(&server);

    // Opened before, and in use again afterwards.
    let mut old_peer = Peer::connect(address, &WireConfig::plain(Framing::Full), seed).await;
    let key = old_peer.make_key(KeyKind::Permanent).await;
    let mut old_session = HandSession::new(&key, seed);
    assert!(calls(&mut old_session, &mut old_peer).await);
    let before = resident_bytes();

    let mut frames = 0;
    for (phase, count) in [
        (Phase::Streams, STREAMS),
        (Phase::Handshakes, HANDSHAKES),
        (Phase::Envelopes, ENVELOPES),
        (Phase::Heavy, HEAVY),
        (Phase::Bodies, BODIES),
    ] {
        let start = now();
        let sent = attack(phase, count, address, &key, seed).await;
        println!("{phase:?}: {sent} frames in {:?}", now() - start);
        frames += sent;
        assert!(calls(&mut old_session, &mut old_peer).await, "after {phase:?}");
    }

    assert!(frames >= FRAMES, "{frames} frames");
    let mut peer = Peer::connect(address, &WireConfig::obfuscated(Framing::Padded), seed).await;
    let key = peer.make_key(KeyKind::Permanent).await;
    assert!(calls(&mut HandSession::new(&key, seed + 1), &mut peer).await);
    let growth = resident_bytes().saturating_sub(before);
    println!("memory grew by {} KiB", growth >> 10);
    assert!(growth < GROWTH_MAX, "memory grew by {growth} bytes");
    server.shutdown(Duration::from_secs(5)).await;
    assert_eq!(panics.load(Ordering::Relaxed), 0, "panics");
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Streams,
    Handshakes,
    Envelopes,
    Heavy,
    Bodies,
}

/// Lets every attacker do its share; returns the number of damaged frames.
async fn attack(phase: Phase, count: usize, address: SocketAddr, key: &NewKey, seed: u64) -> usize {
    let share = count.div_ceil(ATTACKERS);
    let mut attackers = JoinSet::new();
    for (index, salt) in (0..ATTACKERS).zip(1..) {
        let mutator = Mutator::new(seed ^ (phase as u64) << 32 ^ salt << 40);
        let (key, next_way) = (key.clone(), index);
        let (frames, refusals) = (0, BTreeSet::new());
        let mut attacker = Attacker { address, key, mutator, next_way, frames, refusals };
        attackers.spawn(async move {
            while attacker.frames < share {
                match phase {
                    Phase::Streams => attacker.bend_a_stream().await,
                    Phase::Handshakes => attacker.bend_a_handshake().await,
                    Phase::Envelopes => attacker.bend_an_envelope().await,
                    Phase::Heavy => attacker.send_heavy_bodies().await,
                    Phase::Bodies => attacker.bend_bodies().await,
                }
            }
            if let Phase::Bodies = phase {
                // The damage was of every kind: ids, salts and bodies.
                let expected = [16, 17, 18, 48, 64];
                assert!(expected.iter().all(|code| attacker.refusals.contains(code)));
            }
            attacker.frames
        });
    }
    attackers.join_all().await.iter().sum()
}

impl Attacker {
    /// Connects over the next framing, plain or obfuscated.
    async fn connect(&mut self) -> (Peer, WireConfig) {
        let mut ways: Vec<_> = Framing::ALL.into_iter().map(WireConfig::plain).collect();
        let tagged = Framing::ALL.into_iter().filter(|framing| framing.tag().is_some());
        ways.extend(tagged.map(WireConfig::obfuscated));
        let way = ways.swap_remove(self.next_way % ways.len());
        self.next_way += 1;
        (Peer::connect(self.address, &way, self.mutator.number()).await, way)
    }

    fn session(&mut self) -> HandSession {
        HandSession::new(&self.key, self.mutator.number())
    }

    /// Damages opening, lengths, sums and payloads of a stream as it goes over the wire.
    async fn bend_a_stream(&mut self) {
        let (mut peer, _) = self.connect().await;
        let mut session = self.session();
        let ping = session.service(&Ping { ping_id: 1 });
        let (_, query) = peer.begin_exchange(KeyKind::Permanent, 2);
        let mut bytes = peer.frame(plain_packet(&query), false);
        // The damage is in the first frame, opening included, or in the second.
        let quick_ack = self.mutator.below(2) == 0;
        let second = peer.frame(session.seal(&ping).packet, quick_ack);
        if self.mutator.below(2) == 0 {
            self.mutator.mutate(&mut bytes);
            bytes.extend(second);
        } else {
            let mut second = second;
            // Half of the damage is where the length is.
            if self.mutator.below(2) == 0 {
                let mut head: Vec<u8> = second.drain(..8).collect();
                self.mutator.mutate(&mut head);
                second.splice(..0, head);
            } else {
                self.mutator.mutate(&mut second);
            }
            bytes.extend(second);
        }
        peer.write(&bytes).await;
        self.frames += 1;
        if self.mutator.below(2) == 0 {
            // Whatever the server made of it, it must come to an end with its peer.
            peer.finish().await;
        } else {
            peer.reset();
        }
    }

    /// Damages one query of a key exchange.
    async fn bend_a_handshake(&mut self) {
        let (mut peer, _) = self.connect().await;
        let (mut exchange, mut query) = peer.begin_exchange(KeyKind::Permanent, 2);
        // Most damage at the step that costs the server the least, so that there can be much of it.
        let good_steps = [0, 0, 0, 0, 0, 1, 1, 1, 1, 2][self.mutator.below(10)];
        for _ in 0..good_steps {
            let answer = match peer.ask(&query).await {
                Ok(answer) => answer,
                Err(TransportError::Flood) => return peer.reset(),
                Err(error) => panic!("an honest query is refused with {error}"),
            };
            let Step::Query(next, next_query) = peer.advance(exchange, &answer) else {
                panic!("an exchange of fewer than three queries");
            };
            (exchange, query) = (next, next_query);
        }
        let mut body = query.to_vec();
        self.mutator.mutate_words(&mut body);
        let mut packet = plain_packet(&body.into()).to_vec();
        if self.mutator.below(8) == 0 {
            self.mutator.mutate_words(&mut packet);
        }
        if packet.is_empty() {
            return peer.reset();
        }
        peer.send(packet).await;
        self.frames += 1;
        peer.finish().await;
    }

    /// Damages a sealed packet from the outside, or gives it fields that do not add up.
    async fn bend_an_envelope(&mut self) {
        let (mut peer, way) = self.connect().await;
        let mut session = self.session();
        let packet = match self.mutator.below(2) {
            0 => {
                let message = query(&mut session);
                let mut packet = session.seal(&message).packet.to_vec();
                self.mutator.mutate_words(&mut packet);
                packet
            }
            _ => self.seal_badly(&mut session).packet.to_vec(),
        };
        if packet.is_empty() {
            return peer.reset();
        }
        peer.send(packet).await;
        let ping = session.service(&Ping { ping_id: 1 });
        session.send(&mut peer, &ping).await;
        self.frames += 1;
        // Either the packet was sound after all, or the connection is refused.
        loop {
            match peer.receive().await {
                Received::Packet(_) => break peer.reset(),
                Received::Error(TransportError::NotFound) => {}
                Received::Closed => break,
                other => panic!("{way:?}: {other:?}"),
            }
        }
    }

    /// Seals under the right key what has the wrong lengths, or a header of noise.
    fn seal_badly(&mut self, session: &mut HandSession) -> Sealed {
        let message = query(session);
        let mut header = session.header(&message);
        let body_len = u32::try_from(message.body.len()).expect("a short body");
        let mut len = body_len;
        let mut padding_len = 12;
        match self.mutator.below(5) {
            0 => len = [0, 1, 2, 3, 0x7fff_fffc, 0x8000_0000, u32::MAX][self.mutator.below(7)],
            1 => len = self.mutator.word(),
            2 => padding_len = self.mutator.below(12),
            3 => padding_len = 1025 + self.mutator.below(100),
            _ => {
                header.session_id = 0;
                header.msg_id = self.mutator.number();
            }
        }
        let text_len = PREFIX_LEN + 32 + message.body.len() + padding_len;
        let padding_len = padding_len + (16 - (text_len - PREFIX_LEN) % 16) % 16;
        let padding = self.mutator.bytes(padding_len);
        seal(&session.key, layout(&header, len, &message.body, &padding))
    }

    /// Seals bodies well that are as large as they can be.
    async fn send_heavy_bodies(&mut self) {
        let (mut peer, _) = self.connect().await;
        let mut session = self.session();
        for make in malformed::HEAVY {
            let id = session.next_id();
            let body = make(id);
            session.send(&mut peer, &Message { id, seqno: Seqno(1), body }).await;
            session.settle(&mut peer).await;
            self.frames += 1;
        }
        peer.reset();
    }

    /// Seals damaged bodies and headers well. No such packet may close its connection.
    async fn bend_bodies(&mut self) {
        let (mut peer, _) = self.connect().await;
        let mut session = self.session();
        for _ in 0..10 {
            let mut bytes = Vec::new();
            for _ in 0..BATCH {
                let sealed = self.seal_bent(&mut session);
                bytes.extend(peer.frame(sealed.packet, self.mutator.below(4) == 0));
                self.frames += 1;
            }
            peer.write(&bytes).await;
            self.settle_and_note(&mut session, &mut peer).await;
        }
        peer.reset();
    }

    /// Waits until the server has dealt with it all, and notes the codes of its refusals.
    async fn settle_and_note(&mut self, session: &mut HandSession, peer: &mut Peer) {
        let ping_id = self.mutator.number().cast_signed();
        let ping = session.service(&Ping { ping_id });
        session.send(peer, &ping).await;
        session
            .expect(peer, |message| {
                if let Ok(notice) = BadMsgNotification::from_bytes(&message.body) {
                    self.refusals.insert(notice.error_code);
                } else if let Ok(notice) = BadServerSalt::from_bytes(&message.body) {
                    self.refusals.insert(notice.error_code);
                }
                Pong::from_bytes(&message.body).ok().filter(|pong| pong.ping_id == ping_id)
            })
            .await;
    }

    fn seal_bent(&mut self, session: &mut HandSession) -> Sealed {
        let id = session.next_id();
        let crooked = self.mutator.below(4) == 0;
        let makers = if crooked { malformed::CROOKED } else { malformed::WELL_FORMED };
        let mut body = makers[self.mutator.below(makers.len())](id).to_vec();
        if !crooked {
            self.mutator.mutate_words(&mut body);
        }
        let seqno = Seqno([0, 1, 2, 3, self.mutator.word()][self.mutator.below(5)]);
        let mut header = session.header(&Message { id, seqno, body: body.clone().into() });
        match self.mutator.below(16) {
            0 => header.salt = self.mutator.number(),
            1 => header.msg_id = self.mutator.number(),
            2 => header.msg_id |= 1 + self.mutator.number() % 3,
            3 => header.msg_id ^= u64::from(self.mutator.word()) << 12,
            4 => header.msg_id = [0, 4, u64::MAX, u64::MAX - 3][self.mutator.below(4)],
            _ => {}
        }
        session.seal_with(&header, &body)
    }
}

fn query(session: &mut HandSession) -> Message {
    session.query(object(0x0e2e_0002, &[1, 2, 3]))
}

/// Whether an honest call still works.
async fn calls(session: &mut HandSession, peer: &mut Peer) -> bool {
    let query = object(0x0e2e_0003, &[4, 5, 6]);
    session.call(peer, query.clone()).await == Ok(query)
}

/// Counts the panics of every thread from now on.
fn count_panics() -> Arc<AtomicUsize> {
    let panics = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&panics);
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        count.fetch_add(1, Ordering::Relaxed);
        print(panic);
    }));
    panics
}

/// Memory that this process holds, as far as the system tells.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or_default() * 4096
}
