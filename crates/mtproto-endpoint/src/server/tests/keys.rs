//! Keys: found, not found, not answered for, expired.

use std::time::Duration;

use mtproto_frame::TransportError;
use mtproto_store::KeyStore;

use super::peer::Peer;
use super::talk::query;
use super::world::{World, ready};
use crate::server::{
    CloseReason, LOADS_MAX, LOADS_PER_LINK_MAX, PACKETS_WAITING_MAX, StoreAction, StoreOutcome,
    WAITING_BYTES_MAX,
};

// req: L25, S114
#[test]
fn an_unknown_key_is_refused() {
    let mut world = World::new(1);
    let link = world.open(1);
    let mut stranger = Peer::new(world.random_key(), 1);
    world.send(link, &mut stranger, &query(1));
    assert!(world.is_refused(link, TransportError::NotFound));
}

// req: S114
#[test]
fn while_the_store_fails_nobody_is_told_that_a_key_is_unknown() {
    let mut world = World::new(2);
    let (link, mut peer) = (world.open(1), world.peer());
    world.holds.store_fails = true;
    world.send(link, &mut peer, &query(1));
    assert!(world.is_refused(link, TransportError::Flood));
    world.holds.store_fails = false;
    let link = world.open(2);
    world.send(link, &mut peer, &query(2));
    assert_eq!(world.requests.len(), 1);
}

#[test]
fn a_store_that_gives_another_key_is_not_believed() {
    let mut world = World::new(3);
    let (link, mut peer, other) = (world.open(1), world.peer(), world.peer());
    world.holds.store = true;
    world.send(link, &mut peer, &query(1));
    let record = ready(world.memory.get(other.key_id(), world.time())).expect("it answers");
    let StoreAction::Load(load) = world.asked[0].action else { panic!("not a load") };
    let result = Ok(record.map(Box::new));
    world.endpoint.stored(StoreOutcome::Loaded { load, result }, world.now);
    world.drain();
    assert!(world.is_refused(link, TransportError::Flood));
}

#[test]
fn packets_wait_for_their_key_in_order() {
    let mut world = World::new(4);
    let (link, mut peer) = (world.open(1), world.peer());
    world.holds.store = true;
    let ids = [1, 2, 3].map(|number| world.send(link, &mut peer, &query(number)));
    assert_eq!(world.asked.len(), 1);
    world.run_store();
    let asked: Vec<_> = world.requests.iter().map(|request| request.id.msg_id).collect();
    assert_eq!(asked, ids);
}

#[test]
fn whoever_waited_on_a_link_that_is_lost_is_not_heard() {
    let mut world = World::new(5);
    let (link, mut peer) = (world.open(1), world.peer());
    world.holds.store = true;
    world.send(link, &mut peer, &query(1));
    world.lose(link);
    world.run_store();
    assert!(world.requests.is_empty() && world.events.is_empty());
}

// req: S112
#[test]
fn garbage_under_a_key_does_not_cost_its_owner_the_key() {
    let mut world = World::new(6);
    let (forger, link, mut peer) = (world.open(1), world.open(2), world.peer());
    let mut garbage = peer.key.id().to_le_bytes().to_vec();
    garbage.resize(24 + 64, 7);
    // Together, with the key not at hand before.
    world.endpoint.handle_packet(forger, garbage.as_slice().into(), false, world.now);
    world.send(link, &mut peer, &query(1));
    assert!(world.is_refused(forger, TransportError::NotFound));
    assert_eq!((world.link(link).closed, world.requests.len()), (None, 1));
}

#[test]
fn only_so_many_packets_wait_for_one_key() {
    let mut world = World::new(7);
    let (link, late, mut peer) = (world.open(1), world.open(2), world.peer());
    world.holds.store = true;
    let message = peer.message(world.time(), &query(1));
    let (packet, _) = world.seal(&peer, &message);
    for _ in 0..PACKETS_WAITING_MAX {
        world.endpoint.handle_packet(link, packet.clone(), false, world.now);
    }
    world.send_bytes(late, &packet);
    assert!(world.is_refused(late, TransportError::Flood));
    world.holds.store = false;
    world.run_store();
    assert_eq!((world.link(link).closed, world.requests.len()), (None, 1));
}

#[test]
fn only_so_many_bytes_wait_for_keys() {
    let mut world = World::new(8);
    world.holds.store = true;
    let size = 1 << 20;
    let packets = WAITING_BYTES_MAX / size;
    let mut packet = vec![7; size];
    for number in 0..packets as u64 {
        let link = world.open(number);
        packet[..8].copy_from_slice(&(number / 4 + 1).to_le_bytes());
        world.send_bytes(link, &packet);
        assert_eq!(world.link(link).closed, None);
    }
    let (late, mut peer) = (world.open(1000), world.peer());
    world.send(late, &mut peer, &query(1));
    assert!(world.is_refused(late, TransportError::Flood));
    world.holds.store = false;
    world.run_store();
    let link = world.open(1001);
    world.send(link, &mut peer, &query(2));
    assert_eq!(world.requests.len(), 1);
}

#[test]
fn one_link_makes_the_store_look_for_few_keys_at_a_time() {
    let mut world = World::new(9);
    let (link, other) = (world.open(1), world.open(2));
    world.holds.store = true;
    let mut packet = [7; 88];
    for key in 1..=1 + LOADS_PER_LINK_MAX as u64 {
        packet[..8].copy_from_slice(&key.to_le_bytes());
        world.send_bytes(link, &packet);
    }
    assert!(world.is_refused(link, TransportError::Flood));
    world.send_bytes(other, &packet);
    assert_eq!(world.link(other).closed, None);
    assert_eq!(world.asked.len(), LOADS_PER_LINK_MAX + 1);
}

#[test]
fn the_store_looks_for_so_many_keys_at_a_time() {
    let mut world = World::new(10);
    world.holds.store = true;
    let mut packet = [7; 88];
    for key in 1..=1 + LOADS_MAX as u64 {
        let link = world.open(key);
        packet[..8].copy_from_slice(&key.to_le_bytes());
        world.send_bytes(link, &packet);
        let is_last = key > LOADS_MAX as u64;
        assert_eq!(world.link(link).closed.is_some(), is_last);
    }
    assert_eq!(world.asked.len(), LOADS_MAX);
}

// req: S66
#[test]
fn a_key_that_is_destroyed_while_the_store_looks_is_not_found() {
    let mut world = World::new(11);
    let (link, mut peer) = (world.open(1), world.peer());
    world.holds.store = true;
    world.send(link, &mut peer, &query(1));
    let request = world.asked.pop_front().expect("a load");
    let late = ready(request.carry_out(&world.memory));
    // Another shard destroys it, and only then does the answer arrive.
    assert_eq!(ready(world.memory.remove(peer.key_id())), Ok(vec![peer.key_id()]));
    world.endpoint.forget_key(peer.key_id(), world.now);
    world.endpoint.stored(late, world.now);
    world.drain();
    assert!(world.requests.is_empty());
    world.run_store();
    assert!(world.is_refused(link, TransportError::NotFound));
}

// req: S113
#[test]
fn a_temporary_key_expires() {
    let mut world = World::new(12);
    let mut peer = world.temporary_peer(Duration::from_secs(60));
    let mut other = world.peer();
    let (link, shared) = (world.open(1), world.open(2));
    world.send(link, &mut peer, &query(1));
    world.send(shared, &mut peer, &query(2));
    world.send(shared, &mut other, &query(3));
    world.wait(Duration::from_secs(59));
    assert_eq!(world.link(link).closed, None);
    world.wait(Duration::from_secs(1));
    assert_eq!(world.link(link).closed, Some(CloseReason::KeyExpired));
    assert_eq!(world.link(shared).closed, None, "it goes on with another key");
    assert_eq!(world.endpoint.session_count(), 1);
    let link = world.open(3);
    world.send(link, &mut peer, &query(4));
    assert!(world.is_refused(link, TransportError::NotFound));
}

// req: S113
#[test]
fn an_expired_key_is_refused_before_its_timer_goes_off() {
    let mut world = World::new(13);
    let mut peer = world.temporary_peer(Duration::from_secs(60));
    let (link, other) = (world.open(1), world.open(2));
    world.send(link, &mut peer, &query(1));
    world.send(other, &mut peer, &query(2));
    world.now += Duration::from_secs(61);
    world.put(link, &mut peer, &query(3));
    world.put(link, &mut peer, &query(4));
    world.drain();
    assert!(world.is_refused(link, TransportError::NotFound));
    assert_eq!(world.link(other).closed, Some(CloseReason::KeyExpired));
    assert_eq!(world.endpoint.session_count(), 0);
}
