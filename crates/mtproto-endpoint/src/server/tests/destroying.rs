//! Keys and sessions are destroyed because their owner wants it.

use std::time::Duration;

use expect_test::expect;
use mtproto_frame::TransportError;
use mtproto_pack::Message;
use mtproto_store::KeyStore;
use mtproto_tl::functions::{DestroyAuthKey, DestroySession, Ping};
use mtproto_tl::types::DestroyAuthKeyFail;
use mtproto_tl::{Constructor, Salt, SessionId};

use super::talk::query;
use super::world::{World, check, ready};
use crate::server::{CloseReason, Event, PushError, StoreAction};

// req: S66
#[test]
fn a_destroyed_key_is_gone_for_everybody() {
    let script = |world: &mut World| {
        let (link, other, mut peer) = (world.open(1), world.open(2), world.peer());
        let mut second = peer.in_session(2);
        world.send(other, &mut second, &Ping { ping_id: 1 });
        world.wait(Duration::from_millis(10));
        world.send(link, &mut peer, &DestroyAuthKey);
        let link = world.open(3);
        world.send(link, &mut second, &Ping { ping_id: 2 });
    };
    check(
        script,
        &expect![[r#"
            0ms > [2] ping c1 seqno=1 ping_id=1
            0ms ! session opened
            0ms < [2] msg_container s3 seqno=2
            0ms < [2]   new_session_created s1 seqno=1 first=c1 salt=A
            0ms < [2]   pong s2 seqno=2 to=c1 ping_id=1
            10ms > [1] destroy_auth_key c2 seqno=1
            10ms ! session opened
            10ms < [1] msg_container s6 seqno=2
            10ms < [1]   new_session_created s4 seqno=1 first=c2 salt=A
            10ms < [1]   destroy_auth_key_ok s5 seqno=2
            10ms ! session closed
            10ms ! session closed
            10ms < [1] error -404
            10ms ! [1] closed: its key was destroyed
            10ms < [2] error -404
            10ms ! [2] closed: its key was destroyed
            10ms ! key destroyed
            10ms > [3] ping c2 seqno=3 ping_id=2
            10ms < [3] error -404
            10ms ! [3] closed: refused with transport error -404: auth key not found
        "#]],
    );
}

// req: S66
#[test]
fn a_bound_key_destroys_the_permanent_one_and_itself() {
    let mut world = World::new(2);
    let (link, other, mut permanent) = (world.open(1), world.open(2), world.peer());
    let mut temporary = world.temporary_peer(Duration::from_secs(3600));
    let keys = [permanent.key_id(), temporary.key_id()];
    let bound = world.memory.bind(keys[1], keys[0], world.time());
    ready(bound).map(drop).expect("it answers");
    world.send(other, &mut permanent, &query(1));
    world.send(link, &mut temporary, &DestroyAuthKey);
    for link in [link, other] {
        assert_eq!(world.link(link).closed, Some(CloseReason::KeyDestroyed));
    }
    for key in keys {
        assert!(!world.is_stored(key));
        assert!(world.events.contains(&Event::KeyDestroyed(key)));
    }
    assert_eq!(world.endpoint.session_count(), 0);
    for (number, peer) in (3..).zip([&mut permanent, &mut temporary]) {
        let link = world.open(number);
        world.send(link, peer, &query(2));
        assert!(world.is_refused(link, TransportError::NotFound));
    }
}

// req: S66
#[test]
fn a_key_that_the_store_cannot_destroy_stays() {
    let mut world = World::new(3);
    let (link, mut peer) = (world.open(1), world.peer());
    world.send(link, &mut peer, &query(1));
    world.holds.store_fails = true;
    world.send(link, &mut peer, &DestroyAuthKey);
    let said = world.link(link).messages.last().map(Message::object_id);
    assert_eq!(said, Some(DestroyAuthKeyFail::ID));
    assert_eq!(world.link(link).closed, None);
    world.holds.store_fails = false;
    world.send(link, &mut peer, &DestroyAuthKey);
    assert!(!world.is_stored(peer.key_id()));
}

// req: S66
#[test]
fn the_store_is_asked_once_to_destroy_a_key() {
    let mut world = World::new(4);
    let (link, mut peer) = (world.open(1), world.peer());
    world.send(link, &mut peer, &query(1));
    world.holds.store = true;
    for _ in 0..100 {
        world.put(link, &mut peer, &DestroyAuthKey);
    }
    world.drain();
    assert_eq!(world.asked.len(), 1);
    assert!(matches!(world.asked[0].action, StoreAction::Remove { .. }));
    world.run_store();
    assert_eq!(world.link(link).closed, Some(CloseReason::KeyDestroyed));
}

// req: S66
#[test]
fn what_another_shard_destroyed_is_forgotten_here() {
    let mut world = World::new(5);
    let (link, other) = (world.open(1), world.open(2));
    let (mut peer, mut neighbour) = (world.peer(), world.peer());
    world.send(link, &mut peer, &query(1));
    world.send(other, &mut neighbour, &query(1));
    world.endpoint.forget_key(peer.key_id(), world.now);
    world.drain();
    assert_eq!(world.link(link).closed, Some(CloseReason::KeyDestroyed));
    assert_eq!(world.link(other).closed, None);
    assert!(!world.events.contains(&Event::KeyDestroyed(peer.key_id())), "it is known already");
}

// req: S31, S32
#[test]
fn a_session_destroys_another_of_its_key() {
    let script = |world: &mut World| {
        let (link, mut peer) = (world.open(1), world.peer());
        let mut other = peer.in_session(2);
        world.send(link, &mut other, &Ping { ping_id: 1 });
        world.wait(Duration::from_millis(10));
        world.put(link, &mut peer, &DestroySession { session_id: SessionId(2) });
        world.put(link, &mut peer, &DestroySession { session_id: SessionId(2) });
        // What is refused makes no session that could be destroyed.
        let mut refused = peer.in_session(3);
        refused.salt = Some(Salt(1));
        world.put(link, &mut refused, &Ping { ping_id: 2 });
        world.put(link, &mut peer, &DestroySession { session_id: SessionId(3) });
        let session_id = peer.session;
        world.put(link, &mut peer, &DestroySession { session_id });
        world.drain();
        let pushed = world.endpoint.push(other.session_ref(), query(1).0, world.now);
        assert_eq!(pushed, Err(PushError::NoSession));
    };
    check(
        script,
        &expect![[r#"
            0ms > [1] ping c1 seqno=1 ping_id=1
            0ms ! session opened
            0ms < [1] msg_container s3 seqno=2
            0ms < [1]   new_session_created s1 seqno=1 first=c1 salt=A
            0ms < [1]   pong s2 seqno=2 to=c1 ping_id=1
            10ms > [1] destroy_session c2 seqno=1 0200000000000000
            10ms > [1] destroy_session c3 seqno=3 0200000000000000
            10ms > [1] ping c2 seqno=1 ping_id=2
            10ms > [1] destroy_session c4 seqno=5 0300000000000000
            10ms > [1] destroy_session c5 seqno=7 555e000000000000
            10ms ! session opened
            10ms ! session closed
            10ms < [1] msg_container s9 seqno=2
            10ms < [1]   new_session_created s4 seqno=1 first=c2 salt=A
            10ms < [1]   destroy_session_none s5 seqno=2 555e000000000000
            10ms < [1]   destroy_session_ok s6 seqno=2 0200000000000000
            10ms < [1]   destroy_session_none s7 seqno=2 0200000000000000
            10ms < [1]   destroy_session_none s8 seqno=2 0300000000000000
        "#]],
    );
}

// req: S31
#[test]
fn a_session_of_another_key_is_out_of_reach() {
    let mut world = World::new(6);
    let (link, mut peer, mut neighbour) = (world.open(1), world.peer(), world.peer());
    world.send(link, &mut neighbour, &query(1));
    peer.session = SessionId(1);
    world.send(link, &mut peer, &DestroySession { session_id: neighbour.session });
    world.push(neighbour.session_ref(), &query(2));
    assert_eq!(world.endpoint.session_count(), 2);
}

// req: S31
#[test]
fn a_destroyed_session_begins_anew() {
    let mut world = World::new(7);
    let (link, mut peer) = (world.open(1), world.peer());
    let mut other = peer.in_session(2);
    world.send(link, &mut other, &query(1));
    world.send(link, &mut peer, &DestroySession { session_id: SessionId(2) });
    world.send(link, &mut other, &query(2));
    let opened = Event::SessionOpened(other.session_ref());
    assert_eq!(world.events.iter().filter(|event| **event == opened).count(), 2);
}
