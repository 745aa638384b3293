//! Links that take turns, as over HTTP: each packet has exactly one answer. The world sees to it.

use std::time::Duration;

use expect_test::expect;
use mtproto_auth::KeyKind;
use mtproto_frame::TransportError;
use mtproto_session::LinkId;
use mtproto_session::server::TURNS_MAX;
use mtproto_tl::functions::{DestroyAuthKey, DestroySession, Ping};
use mtproto_tl::types::{HttpWait, MsgsAck};
use mtproto_tl::{Encode, MsgId, Salt};

use super::peer::{Handshake, Peer};
use super::talk::query;
use super::world::{World, check};
use crate::server::exchanges::LINKS_WAITING_MAX;
use crate::server::{CloseReason, RECEIVED_MAX};

const SECOND: Duration = Duration::from_secs(1);

/// A long poll.
fn poll(world: &mut World, link: LinkId, peer: &mut Peer) -> MsgId {
    let wait = HttpWait { max_delay: 0, wait_after: 0, max_wait: 25_000 };
    world.turn(link, peer, &wait)
}

/// Makes the session known, with nothing in its queue.
fn settle(world: &mut World, link: LinkId, peer: &mut Peer) {
    world.turn(link, peer, &Ping { ping_id: 1 });
    let msg_ids = world.link(link).unpacked().iter().map(|message| message.id).collect();
    let acks = peer.message(world.time(), &MsgsAck { msg_ids });
    let wait = HttpWait { max_delay: 0, wait_after: 0, max_wait: 0 };
    let wait = peer.message(world.time(), &wait);
    let packet = peer.container(world.time(), &[acks, wait]);
    world.turn_message(link, peer, &packet);
    world.hush();
}

// req: S84, S85, S91, S93
#[test]
fn a_link_belongs_to_the_session_that_it_showed_last() {
    check(
        |world| {
            let (link, mut first) = (world.open(1), world.peer());
            let mut second = first.in_session(2);
            settle(world, link, &mut first);
            settle(world, link, &mut second);
            poll(world, link, &mut second);
            world.push(first.session_ref(), &query(1));
            world.push(second.session_ref(), &query(2));
            assert_eq!(world.endpoint.links[&link].sessions, [second.session_ref()]);
            poll(world, link, &mut first);
        },
        &expect![[r#"
            0ms > [1] http_wait c5 seqno=7 0 0 25000
            0ms < [1] msg_container s7 seqno=4
            0ms < [1]   11111111 s5 seqno=3 bytes=8
            0ms < [1]   msgs_ack s6 seqno=4 c5
            0ms > [1] http_wait c5 seqno=7 0 0 25000
            0ms < [1] msg_container s7 seqno=4
            0ms < [1]   11111111 s5 seqno=3 bytes=8
            0ms < [1]   msgs_ack s6 seqno=4 c5
        "#]],
    );
}

// req: S61, S87, S88, S89, S90
#[test]
fn each_packet_has_one_answer_over_many_links() {
    check(
        |world| {
            let [polls, calls] = [world.open(1), world.open(2)];
            let mut peer = world.peer();
            settle(world, polls, &mut peer);
            poll(world, polls, &mut peer);
            world.turn(calls, &mut peer, &query(1));
            world.push(peer.session_ref(), &query(9));
            world.push(peer.session_ref(), &query(10));
            poll(world, polls, &mut peer);
            poll(world, polls, &mut peer);
            world.wait(26 * SECOND);
        },
        &expect![[r#"
            0ms > [1] http_wait c5 seqno=7 0 0 25000
            0ms > [2] 11111111 c6 seqno=9 bytes=8
            0ms < [2] msg_container s7 seqno=4
            0ms < [2]   rpc_result s5 seqno=3 to=c6 11111111 bytes=8
            0ms < [2]   msgs_ack s6 seqno=4 c5
            0ms < [1] 11111111 s8 seqno=5 bytes=8
            0ms > [1] http_wait c7 seqno=11 0 0 25000
            0ms < [1] msg_container s11 seqno=8
            0ms < [1]   11111111 s9 seqno=7 bytes=8
            0ms < [1]   msgs_ack s10 seqno=8 c7
            0ms > [1] http_wait c8 seqno=13 0 0 25000
            25000ms < [1] msgs_ack s12 seqno=8 c8
        "#]],
    );
}

// req: S115
#[test]
fn a_second_packet_before_the_answer_costs_the_link() {
    check(
        |world| {
            let (link, mut peer) = (world.open(1), world.peer());
            settle(world, link, &mut peer);
            poll(world, link, &mut peer);
            poll(world, link, &mut peer);
        },
        &expect![[r#"
            0ms > [1] http_wait c5 seqno=7 0 0 25000
            0ms > [1] http_wait c6 seqno=9 0 0 25000
            0ms < [1] error -404
            0ms ! [1] closed: refused with transport error -404: auth key not found
        "#]],
    );
}

// req: S66, S114
#[test]
fn a_destroyed_key_answers_every_packet_that_waits() {
    check(
        |world| {
            let [polls, calls, others] = [world.open(1), world.open(2), world.open(3)];
            let mut peer = world.peer();
            let mut other = peer.in_session(2);
            settle(world, polls, &mut peer);
            settle(world, others, &mut other);
            poll(world, polls, &mut peer);
            poll(world, others, &mut other);
            world.turn(calls, &mut peer, &DestroyAuthKey);
            let again = world.open(4);
            world.turn(again, &mut peer, &query(1));
        },
        &expect![[r#"
            0ms > [1] http_wait c5 seqno=7 0 0 25000
            0ms > [3] http_wait c5 seqno=7 0 0 25000
            0ms > [2] destroy_auth_key c6 seqno=9
            0ms < [1] msgs_ack s5 seqno=2 c5
            0ms < [2] destroy_auth_key_ok s6 seqno=2
            0ms ! session closed
            0ms ! session closed
            0ms ! [1] closed: its key was destroyed
            0ms ! [2] closed: its key was destroyed
            0ms < [3] error -404
            0ms ! [3] closed: its key was destroyed
            0ms ! key destroyed
            0ms > [4] 11111111 c7 seqno=11 bytes=8
            0ms < [4] error -404
            0ms ! [4] closed: refused with transport error -404: auth key not found
        "#]],
    );
}

#[test]
fn another_shard_saw_the_key_destroyed() {
    let mut world = World::new(1);
    let (link, mut peer) = (world.open(1), world.peer());
    settle(&mut world, link, &mut peer);
    poll(&mut world, link, &mut peer);
    world.endpoint.forget_key(peer.key_id(), world.now);
    world.drain();
    assert_eq!(world.link(link).error, Some(TransportError::NotFound));
    assert_eq!(world.link(link).closed, Some(CloseReason::KeyDestroyed));
}

// req: S113
#[test]
fn an_expired_key_answers_every_packet_that_waits() {
    let mut world = World::new(1);
    let (link, mut peer) = (world.open(1), world.temporary_peer(10 * SECOND));
    settle(&mut world, link, &mut peer);
    poll(&mut world, link, &mut peer);
    world.wait(11 * SECOND);
    assert_eq!(world.link(link).error, Some(TransportError::NotFound));
    assert_eq!(world.link(link).closed, Some(CloseReason::KeyExpired));
}

// The link goes on: it may show another session.
// req: S31, S39
#[test]
fn a_forgotten_session_answers_every_packet_that_waits() {
    check(
        |world| {
            let [first, second] = [world.open(1), world.open(2)];
            let mut peer = world.peer();
            let mut other = peer.in_session(2);
            settle(world, first, &mut peer);
            settle(world, second, &mut other);
            poll(world, first, &mut peer);
            let destroy = DestroySession { session_id: peer.session };
            world.turn(second, &mut other, &destroy);
            poll(world, second, &mut other);
            world.endpoint.discard_session(other.session_ref(), world.now);
            world.drain();
            world.turn(first, &mut other, &Ping { ping_id: 5 });
        },
        &expect![[r#"
            0ms > [1] http_wait c5 seqno=7 0 0 25000
            0ms > [2] destroy_session c5 seqno=7 555e000000000000
            0ms ! session closed
            0ms < [1] msgs_ack s5 seqno=2 c5
            0ms < [2] destroy_session_ok s6 seqno=2 555e000000000000
            0ms > [2] http_wait c6 seqno=9 0 0 25000
            0ms ! session closed
            0ms < [2] msgs_ack s7 seqno=2 c6
            0ms > [1] ping c7 seqno=11 ping_id=5
            0ms ! session opened
            0ms < [1] msg_container s3 seqno=2
            0ms < [1]   pong s1 seqno=2 to=c7 ping_id=5
            0ms < [1]   new_session_created s2 seqno=1 first=c7 salt=A
        "#]],
    );
}

// req: S90
#[test]
fn a_server_that_is_about_to_stop_answers_what_it_holds() {
    check(
        |world| {
            let [polls, calls] = [world.open(1), world.open(2)];
            let mut peer = world.peer();
            settle(world, polls, &mut peer);
            world.holds.requests = true;
            poll(world, polls, &mut peer);
            world.turn(calls, &mut peer, &query(1));
            world.endpoint.release_turns(world.now);
            world.drain();
            let request = world.requests.remove(0);
            world.endpoint.answer(request.id, Ok(request.content.query), world.now);
            world.drain();
        },
        &expect![[r#"
            0ms > [1] http_wait c5 seqno=7 0 0 25000
            0ms > [2] 11111111 c6 seqno=9 bytes=8
            0ms < [1] msgs_ack s5 seqno=2 c5 c6
            0ms < [2] rpc_result s6 seqno=3 to=c6 11111111 bytes=8
        "#]],
    );
}

#[test]
fn whatever_is_wrong_with_a_packet_it_is_answered() {
    check(
        |world| {
            let mut peer = world.peer();
            let bad_salt = world.open(1);
            peer.salt = Some(Salt(1));
            world.turn(bad_salt, &mut peer, &query(1));
            let stranger = world.random_key();
            world.know(&stranger, Salt(0));
            let unknown = world.open(2);
            world.turn(unknown, &mut Peer::new(stranger, 1), &query(1));
            let nobody = world.open(3);
            world.turn(nobody, &mut peer.in_session(0), &query(1));
            let garbage = world.open(4);
            world.turn_plain(garbage, &query(1).to_bytes());
            world.holds.store_fails = true;
            let later = world.open(5);
            let mut other = world.peer();
            world.turn(later, &mut other, &query(1));
        },
        &expect![[r#"
            0ms > [1] 11111111 c1 seqno=1 bytes=8
            0ms < [1] bad_server_salt s1 seqno=0 to=c1 code=48 new=A
            0ms > [2] 11111111 c1 seqno=1 bytes=8
            0ms < [2] error -404
            0ms ! [2] closed: refused with transport error -404: auth key not found
            0ms > [3] 11111111 c1 seqno=1 bytes=8
            0ms < [3] error -404
            0ms ! [3] closed: refused with transport error -404: auth key not found
            0ms > [4] plain something else
            0ms < [4] error -404
            0ms ! [4] closed: refused with transport error -404: auth key not found
            0ms > [5] 11111111 c1 seqno=1 bytes=8
            0ms < [5] error -429
            0ms ! [5] closed: refused with transport error -429: transport flood
        "#]],
    );
}

// req: L14
#[test]
fn an_unencrypted_acknowledgement_is_answered_with_nothing() {
    check(
        |world| {
            let link = world.open(1);
            world.turn_plain(link, &MsgsAck { msg_ids: vec![MsgId(1)] }.to_bytes());
        },
        &expect![[r#"
            0ms > [1] plain msgs_ack
            0ms < [1] plain msg_container
        "#]],
    );
}

// req: S111
#[test]
fn a_key_is_made_in_turns() {
    check(
        |world| {
            let mut handshake = Handshake::start(world, KeyKind::Permanent);
            for number in 1..=3 {
                // A connection for each, as proxies do.
                let link = world.open(number);
                world.turn_plain(link, &handshake.query);
                let answer = world.link(link).plain[0].clone();
                match handshake.take(&answer, world) {
                    Ok(next) => handshake = next,
                    Err(_) => return,
                }
            }
            panic!("there is no fourth query");
        },
        &expect![[r#"
            0ms > [1] plain req_pq_multi
            0ms < [1] plain resPQ
            0ms > [2] plain req_DH_params
            0ms < [2] plain server_DH_params_ok
            0ms > [3] plain set_client_DH_params
            0ms ! key created
            0ms < [3] plain dh_gen_ok
        "#]],
    );
}

// req: S111
#[test]
fn who_cannot_wait_for_a_step_of_an_exchange_is_told_so() {
    let mut world = World::new(16);
    let link = world.open(1);
    let handshake = Handshake::start(&mut world, KeyKind::Permanent).go_on(&mut world, link, 1);
    world.holds.jobs = true;
    for number in 2..=2 + LINKS_WAITING_MAX as u64 {
        let link = world.open(number);
        world.turn_plain(link, &handshake.query);
    }
    let refused = |world: &World, number| world.is_refused(LinkId(number), TransportError::Flood);
    let count = (2..=2 + LINKS_WAITING_MAX as u64).filter(|number| refused(&world, *number));
    assert_eq!(count.count(), 1);
    world.run_jobs();
    assert!(world.links.values().all(|link| link.is_asking != Some(true)));
}

#[test]
fn a_packet_too_many_is_answered_with_an_error() {
    let mut world = World::new(17);
    let mut peer = world.peer();
    let first = world.open(1);
    settle(&mut world, first, &mut peer);
    // None of them is looked at before all are there.
    let packets = (0..=TURNS_MAX as u64).map(|number| {
        let link = world.open(100 + number);
        world.links.get_mut(&link).expect("it is open").is_asking = Some(true);
        let message = peer.message(world.time(), &query(1));
        (link, world.seal(&peer, &message).0)
    });
    for (link, packet) in packets.collect::<Vec<_>>() {
        world.endpoint.handle_turn(link, packet, world.now);
    }
    world.holds.requests = true;
    world.drain();
    let last = LinkId(100 + TURNS_MAX as u64);
    assert!(world.is_refused(last, TransportError::Flood));
    assert!(world.link(LinkId(100 + TURNS_MAX as u64 - 1)).error.is_none());

    let link = world.open(5000);
    for number in 0..=RECEIVED_MAX as u64 {
        let link = world.open(10_000 + number);
        world.links.get_mut(&link).expect("it is open").is_asking = Some(true);
        world.endpoint.handle_turn(link, bytes::BytesMut::from(&[7; 40][..]), world.now);
    }
    world.drain();
    assert!(world.is_refused(LinkId(10_000 + RECEIVED_MAX as u64), TransportError::Flood));
    assert!(world.links.values().all(|link| link.is_asking != Some(true) || link.closed.is_none()));
    assert_eq!(world.link(link).is_asking, None);
}
