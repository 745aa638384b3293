//! What goes back and forth under a key.

use std::time::Duration;

use expect_test::expect;
use mtproto_frame::TransportError;
use mtproto_pack::RPC_RESULT_ID;
use mtproto_tl::functions::{Ping, PingDelayDisconnect};
use mtproto_tl::{Raw, Salt};

use super::world::{World, check};
use crate::server::{CloseReason, RequestRef};

/// A query that no schema knows.
pub(super) fn query(number: u32) -> Raw {
    let words = [0x1111_1111_u32.to_le_bytes(), number.to_le_bytes()];
    Raw(words.concat().into())
}

#[test]
fn what_came_together_is_answered_together() {
    let script = |world: &mut World| {
        let (link, mut peer) = (world.open(1), world.peer());
        for number in 1..=3 {
            world.put(link, &mut peer, &query(number));
        }
        world.drain();
    };
    check(
        script,
        &expect![[r#"
            0ms > [1] 11111111 c1 seqno=1 bytes=8
            0ms > [1] 11111111 c2 seqno=3 bytes=8
            0ms > [1] 11111111 c3 seqno=5 bytes=8
            0ms ! session opened
            0ms < [1] msg_container s5 seqno=8
            0ms < [1]   new_session_created s1 seqno=1 first=c1 salt=A
            0ms < [1]   rpc_result s2 seqno=3 to=c1 11111111 bytes=8
            0ms < [1]   rpc_result s3 seqno=5 to=c2 11111111 bytes=8
            0ms < [1]   rpc_result s4 seqno=7 to=c3 11111111 bytes=8
        "#]],
    );
}

#[test]
fn an_answer_that_takes_longer_goes_alone() {
    let script = |world: &mut World| {
        let (link, mut peer) = (world.open(1), world.peer());
        world.holds.requests = true;
        for number in 1..=2 {
            world.put(link, &mut peer, &query(number));
        }
        world.drain();
        world.wait(Duration::from_millis(300));
        for request in std::mem::take(&mut world.requests) {
            world.endpoint.answer(request.id, Ok(request.content.query), world.now);
        }
        world.drain();
    };
    check(
        script,
        &expect![[r#"
            0ms > [1] 11111111 c1 seqno=1 bytes=8
            0ms > [1] 11111111 c2 seqno=3 bytes=8
            0ms ! session opened
            0ms < [1] msg_container s3 seqno=2
            0ms < [1]   new_session_created s1 seqno=1 first=c1 salt=A
            0ms < [1]   msgs_ack s2 seqno=2 c1 c2
            300ms < [1] msg_container s6 seqno=6
            300ms < [1]   rpc_result s4 seqno=3 to=c1 11111111 bytes=8
            300ms < [1]   rpc_result s5 seqno=5 to=c2 11111111 bytes=8
        "#]],
    );
}

// req: S115
#[test]
fn only_what_is_accepted_is_acknowledged_early() {
    let mut world = World::new(3);
    let (link, mut peer) = (world.open(1), world.peer());
    let good = peer.message(world.time(), &query(1));
    let token = world.put_message(link, &peer, &good, true);
    world.drain();
    assert_eq!(world.link(link).quick_acks, [token]);

    // A repeat asks because it has missed the first.
    let repeat = world.put_message(link, &peer, &good, true);
    world.drain();
    assert_eq!(world.link(link).quick_acks, [token, repeat]);

    peer.salt = Some(Salt(1));
    let refused = peer.message(world.time(), &query(2));
    world.put_message(link, &peer, &refused, true);
    world.drain();
    assert_eq!(world.link(link).quick_acks.len(), 2);
}

// req: L5, L15
#[test]
fn a_message_that_is_refused_makes_no_session() {
    let script = |world: &mut World| {
        let (link, mut peer) = (world.open(1), world.peer());
        peer.salt = Some(Salt(1));
        let message = peer.message(world.time(), &query(1));
        world.put_message(link, &peer, &message, false);
        world.drain();
        assert_eq!(world.endpoint.session_count(), 0);
        peer.salt = None;
        world.put_message(link, &peer, &message, false);
    };
    check(
        script,
        &expect![[r#"
            0ms > [1] 11111111 c1 seqno=1 bytes=8
            0ms < [1] bad_server_salt s1 seqno=0 to=c1 code=48 new=A
            0ms > [1] 11111111 c1 seqno=1 bytes=8
            0ms ! session opened
            0ms < [1] msg_container s4 seqno=4
            0ms < [1]   new_session_created s2 seqno=1 first=c1 salt=A
            0ms < [1]   rpc_result s3 seqno=3 to=c1 11111111 bytes=8
        "#]],
    );
}

// A client whose clock was ahead begins another session. Somebody has recorded what it sent before,
// and delivers it when its time has come.
// req: S14, S97
#[test]
fn a_packet_that_came_before_its_time_is_never_carried_out() {
    let script = |world: &mut World| {
        let (link, mut peer) = (world.open(1), world.peer());
        let message = peer.message(world.time().after(Duration::from_secs(60)), &query(1));
        world.put_message(link, &peer, &message, false);
        world.drain();
        peer.salt = Some(Salt(1));
        let unsalted = peer.message(world.time().after(Duration::from_secs(61)), &query(1));
        world.put_message(link, &peer, &unsalted, false);
        world.drain();
        let mut again = peer.in_session(2);
        world.send(link, &mut again, &query(1));

        world.wait(Duration::from_secs(60));
        let thief = world.open(2);
        peer.salt = None;
        for recorded in [message, unsalted] {
            world.put_message(thief, &peer, &recorded, false);
            world.drain();
        }
        assert_eq!(world.endpoint.session_count(), 1);
    };
    check(
        script,
        &expect![[r#"
        0ms > [1] 11111111 c1 seqno=1 bytes=8
        0ms < [1] bad_msg_notification s1 seqno=0 to=c1 code=17
        0ms > [1] 11111111 c2 seqno=3 bytes=8
        0ms < [1] bad_server_salt s1 seqno=0 to=c2 code=48 new=A
        0ms > [1] 11111111 c3 seqno=1 bytes=8
        0ms ! session opened
        0ms < [1] msg_container s4 seqno=4
        0ms < [1]   new_session_created s2 seqno=1 first=c3 salt=A
        0ms < [1]   rpc_result s3 seqno=3 to=c3 11111111 bytes=8
        60000ms > [2] 11111111 c1 seqno=1 bytes=8
        60000ms < [2] bad_msg_notification s5 seqno=0 to=c1 code=17
        60000ms > [2] 11111111 c2 seqno=3 bytes=8
        60000ms < [2] bad_msg_notification s5 seqno=0 to=c2 code=17
    "#]],
    );
}

// req: S112
#[test]
fn a_forged_packet_costs_its_link_alone() {
    let mut world = World::new(4);
    let (link, forger, mut peer) = (world.open(1), world.open(2), world.peer());
    world.send(link, &mut peer, &query(1));
    let message = peer.message(world.time(), &query(2));
    let (packet, _) = world.seal(&peer, &message);
    for index in 8..packet.len() {
        let mut forged = packet.clone();
        forged[index] ^= 0x40;
        world.open(2);
        world.send_bytes(forger, &forged);
        assert!(world.is_refused(forger, TransportError::NotFound), "byte {index}");
        for len in [index, 0] {
            world.open(2);
            world.send_bytes(forger, &packet[..len]);
            assert!(world.is_refused(forger, TransportError::NotFound), "length {len}");
        }
    }
    assert_eq!(world.requests.len(), 1);
    world.send_bytes(link, &packet);
    assert_eq!(world.requests.len(), 2);
}

// req: L9
#[test]
fn session_zero_is_refused() {
    let mut world = World::new(5);
    let (link, peer) = (world.open(1), world.peer());
    world.send(link, &mut peer.in_session(0), &query(1));
    assert!(world.is_refused(link, TransportError::NotFound));
    assert!(world.events.is_empty());
}

// req: S112
#[test]
fn nothing_that_follows_a_refused_packet_counts() {
    let mut world = World::new(6);
    let (link, mut peer) = (world.open(1), world.peer());
    world.send(link, &mut peer, &query(1));
    let message = peer.message(world.time(), &query(2));
    let (mut forged, _) = world.seal(&peer, &message);
    forged[30] ^= 1;
    world.put(link, &mut peer, &query(3));
    world.endpoint.handle_packet(link, forged, false, world.now);
    world.put(link, &mut peer, &query(4));
    world.drain();
    assert!(world.is_refused(link, TransportError::NotFound));
    let asked: Vec<_> = world.requests.iter().map(|request| request.content.query[4]).collect();
    assert_eq!(asked, [1, 3]);
    // The answer to what came before waits for another link.
    let link = world.open(2);
    world.send(link, &mut peer, &query(5));
    let results = world.link(link).unpacked().into_iter();
    assert_eq!(results.filter(|message| message.object_id() == RPC_RESULT_ID).count(), 3);
}

// req: S29
#[test]
fn ping_delay_disconnect_closes_only_its_link() {
    let mut world = World::new(7);
    let (link, other, mut peer) = (world.open(1), world.open(2), world.peer());
    world.send(other, &mut peer, &Ping { ping_id: 1 });
    world.send(link, &mut peer, &PingDelayDisconnect { ping_id: 2, disconnect_delay: 5 });
    world.wait(Duration::from_millis(4999));
    assert_eq!(world.link(link).closed, None);
    world.wait(Duration::from_millis(1));
    assert!(matches!(world.link(link).closed, Some(CloseReason::PingDelay)));
    assert_eq!(world.link(other).closed, None);
    world.push(peer.session_ref(), &query(3));
    assert!(world.link(other).has(&query(3)), "the session goes on");
}

// req: S29
#[test]
fn ping_delay_disconnect_of_any_session_resets_that_of_its_link() {
    let mut world = World::new(7);
    let (link, other, mut peer) = (world.open(1), world.open(2), world.peer());
    let (mut second, mut neighbour) = (peer.in_session(2), world.peer());
    let ping = |disconnect_delay| PingDelayDisconnect { ping_id: 1, disconnect_delay };
    world.send(link, &mut peer, &ping(5));
    for session in [&mut peer, &mut second, &mut neighbour] {
        world.wait(Duration::from_secs(4));
        world.send(link, session, &ping(5));
        // One of the same session over another link changes nothing for this one.
        world.send(other, session, &ping(1000));
    }
    world.wait(Duration::from_millis(4999));
    assert_eq!(world.link(link).closed, None);
    // The end of the session that asked does not take back what it asked.
    world.endpoint.discard_session(neighbour.session_ref(), world.now);
    world.wait(Duration::from_millis(1));
    assert_eq!(world.link(link).closed, Some(CloseReason::PingDelay));
    assert_eq!(world.link(other).closed, None);

    // A later one may also come sooner, and ends with its link.
    world.send(other, &mut peer, &ping(2));
    world.wait(Duration::from_secs(1));
    world.lose(other);
    world.wait(Duration::from_secs(5));
    assert_eq!(world.link(other).closed, None);
}

#[test]
fn an_answer_to_what_is_forgotten_is_dropped() {
    let mut world = World::new(8);
    let (link, mut peer) = (world.open(1), world.peer());
    world.holds.requests = true;
    let id = world.send(link, &mut peer, &query(1));
    let request = world.requests.pop().expect("a request");
    assert_eq!(request.id, RequestRef { session: peer.session_ref(), msg_id: id });
    assert_eq!(request.identity, Some(peer.key_id()));
    world.endpoint.forget_key(peer.key_id(), world.now);
    world.endpoint.answer(request.id, Ok(request.content.query), world.now);
    world.drain();
    assert_eq!(world.link(link).closed, Some(CloseReason::KeyDestroyed));
}

// req: S114
#[test]
fn more_than_can_be_held_between_two_drains_is_refused() {
    let mut world = World::new(9);
    let (link, late, mut peer) = (world.open(1), world.open(2), world.peer());
    for _ in 0..crate::server::RECEIVED_MAX {
        world.endpoint.handle_packet(late, bytes::BytesMut::new(), false, world.now);
    }
    world.put(link, &mut peer, &query(1));
    world.drain();
    assert!(world.is_refused(link, TransportError::Flood));
    let link = world.open(3);
    world.send(link, &mut peer, &query(2));
    assert_eq!(world.requests.len(), 1);
}
