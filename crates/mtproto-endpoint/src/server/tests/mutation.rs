//! Noise: what a hostile peer sends changes nothing for others.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mtproto_auth::{KeyKind, PlainMessage};
use mtproto_crypto::{SecureRandom, SecureRandomExt, SeededRandom};
use mtproto_pack::Message;
use mtproto_tl::functions::{DestroyAuthKey, DestroySession, Ping, PingDelayDisconnect};
use mtproto_tl::types::MsgsStateReq;
use mtproto_tl::{MsgId, SessionId};

use super::peer::{Handshake, Peer};
use super::talk::query;
use super::world::World;

/// How many packets are changed.
const MUTATIONS: u64 = 20_000;

// req: S112, S114
#[test]
fn mutated_packets_harm_nobody() {
    let mut world = World::new(2024);
    let mut random = SeededRandom::new(2024);
    let (link, mut victim) = (world.open(0), world.peer());
    world.send(link, &mut victim, &query(0));
    let plain = exchange_queries(&mut world);
    for number in 1..=MUTATIONS {
        let hostile = world.open(number);
        let mut packet = match below(&mut random, 2) {
            0 => plain[below(&mut random, plain.len())].as_ref().into(),
            _ => {
                let message = victim.message(world.time(), &Ping { ping_id: 1 });
                world.seal(&victim, &message).0
            }
        };
        mutate(&mut packet, &mut random);
        let quick_ack = below(&mut random, 2) == 0;
        world.endpoint.handle_packet(hostile, packet, quick_ack, world.now);
        if below(&mut random, 16) == 0 {
            world.drain();
        }
        if below(&mut random, 2) == 0 {
            world.lose(hostile);
            world.links.remove(&hostile);
        }
    }
    world.drain();
    assert_eq!(world.link(link).closed, None);
    assert_eq!(world.requests.len(), 1);
    world.send(link, &mut victim, &query(1));
    let link = world.open(u64::MAX);
    let made = world.exchange(link, KeyKind::Permanent);
    world.send(link, &mut Peer::new(made.key, 1), &query(2));
    assert_eq!(world.requests.len(), 3);
}

/// The packets of an exchange, the last of which is not sent.
fn exchange_queries(world: &mut World) -> Vec<Bytes> {
    let link = world.open(u64::MAX);
    let packet = |body: &Bytes| PlainMessage { msg_id: MsgId(4), body: body.clone() }.to_packet();
    let mut handshake = Handshake::start(world, KeyKind::Permanent);
    let mut packets = vec![packet(&handshake.query)];
    for _ in 0..2 {
        handshake = handshake.go_on(world, link, 1);
        packets.push(packet(&handshake.query));
    }
    packets
}

/// Changes bytes of a packet, cuts it, or lengthens it.
fn mutate(packet: &mut BytesMut, random: &mut SeededRandom) {
    for _ in 0..=below(random, 3) {
        let at = below(random, packet.len().max(1));
        match below(random, 4) {
            0 => packet.truncate(at),
            1 => packet.extend_from_slice(&random.array::<16>()),
            _ => packet.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (at % 8)),
        }
    }
}

#[test]
fn whoever_has_a_key_may_send_anything_under_it() {
    let mut world = World::new(7);
    let mut random = SeededRandom::new(7);
    let (link, mut victim, mut hostile) = (world.open(0), world.peer(), world.peer());
    world.send(link, &mut victim, &query(0));
    for number in 1..=2000 {
        if number % 200 == 0 {
            hostile = world.peer();
        }
        let hostile_link = world.open(number);
        for _ in 0..=below(&mut random, 4) {
            let message = noise(&mut world, &mut hostile, &mut random);
            world.put_message(hostile_link, &hostile, &message, true);
        }
        world.drain();
        if below(&mut random, 3) == 0 {
            world.lose(hostile_link);
        }
        world.wait(Duration::from_millis(below(&mut random, 3000) as u64));
    }
    assert_eq!(world.link(link).closed, None);
    // The first tells the salt of the hour.
    world.send(link, &mut victim, &query(1));
    world.send(link, &mut victim, &query(2));
    let of_victim = |id: &crate::server::RequestRef| id.session == victim.session_ref();
    assert!(world.requests.iter().filter(|request| of_victim(&request.id)).count() >= 2);
}

/// A message that makes sense, or nearly.
fn noise(world: &mut World, peer: &mut Peer, random: &mut SeededRandom) -> Message {
    peer.session = SessionId(below(random, 100) as u64);
    let time = world.time();
    let session_id = SessionId(below(random, 100) as u64);
    let mut message = match below(random, 8) {
        0 => peer.message(time, &DestroySession { session_id }),
        1 => peer.message(time, &MsgsStateReq { msg_ids: vec![MsgId(random.u64())] }),
        2 => peer.message(time, &PingDelayDisconnect { ping_id: 1, disconnect_delay: 1 }),
        3 => {
            let inner = [peer.message(time, &query(1)), peer.message(time, &Ping { ping_id: 1 })];
            peer.container(time, &inner)
        }
        4 if below(random, 50) == 0 => peer.message(time, &DestroyAuthKey),
        _ => peer.message(time, &query(random.u32())),
    };
    if below(random, 3) == 0 {
        let mut body = message.body.to_vec();
        let at = below(random, body.len());
        body[at] ^= 1 << (at % 8);
        message.body = body.into();
    }
    if below(random, 5) == 0 {
        message.id = MsgId(random.u64());
    }
    message
}

fn below(random: &mut SeededRandom, end: usize) -> usize {
    random.u32() as usize % end
}
