//! Sessions: how many there may be, and when they are forgotten.

use std::time::Duration;

use mtproto_crypto::{SecureRandom, SeededRandom};
use mtproto_frame::TransportError;
use mtproto_session::LinkId;
use mtproto_tl::types::MsgsAck;
use mtproto_tl::{Encode, Raw};

use super::peer::Peer;
use super::talk::query;
use super::world::{MEMORY, World, ready};
use crate::server::keys::Keys;
use crate::server::{
    Event, PushError, SESSION_IDLE, SESSIONS_PER_KEY_MAX, SESSIONS_PER_LINK_MAX, SessionRef,
};

#[test]
fn a_push_finds_its_session_or_nobody() {
    let mut world = World::new(1);
    let (link, mut peer) = (world.open(1), world.peer());
    world.send(link, &mut peer, &query(1));
    world.push(peer.session_ref(), &query(2));
    assert!(world.link(link).has(&query(2)));
    let nobody = SessionRef { session: mtproto_tl::SessionId(99), ..peer.session_ref() };
    let refused = world.endpoint.push(nobody, query(3).to_bytes(), world.now);
    assert_eq!(refused, Err(PushError::NoSession));
}

// req: S5
#[test]
fn a_session_outlives_its_link() {
    let mut world = World::new(2);
    let (link, mut peer) = (world.open(1), world.peer());
    world.send(link, &mut peer, &query(1));
    world.lose(link);
    world.push(peer.session_ref(), &query(2));
    world.wait(Duration::from_secs(60));
    let link = world.open(2);
    world.send(link, &mut peer, &MsgsAck { msg_ids: vec![] });
    assert!(world.link(link).has(&query(2)), "what waited is sent");
    let opened = Event::SessionOpened(peer.session_ref());
    assert_eq!(world.events, [opened], "it is the same session");
}

/// An object of half a mebibyte that gzip cannot help.
fn large(number: u32) -> Raw {
    let mut noise = vec![0; 512 << 10];
    SeededRandom::new(number.into()).fill(&mut noise);
    Raw([query(number).0.to_vec(), noise].concat().into())
}

// req: S100
#[test]
fn when_memory_is_short_the_oldest_message_of_all_sessions_goes_first() {
    let mut world = World::new(12);
    let link = world.open(1);
    let mut peers = [1, 2].map(|_| world.peer());
    for peer in &mut peers {
        world.send(link, peer, &query(1));
    }
    let [old, young] = peers.map(|peer| peer.session_ref());
    let push = |world: &mut World, session, number| {
        world.wait(Duration::from_secs(1));
        world.push(session, &large(number));
        world.endpoint.usage().queued_bytes
    };
    world.lose(link);
    let bytes = large(0).to_bytes().len();
    push(&mut world, old, 1);
    let full = (MEMORY / bytes - 1) as u32;
    for number in 0..full {
        push(&mut world, young, 10 + number);
    }
    let shed = |world: &World| {
        let shed = |event: &Event| match event {
            Event::Shed { bytes } => Some(*bytes),
            _ => None,
        };
        world.events.iter().filter_map(shed).sum::<usize>()
    };
    assert_eq!(shed(&world), 0, "all of it fits");
    let queued = push(&mut world, old, 2);
    assert!(queued <= MEMORY);
    // The first to go are what told of the sessions, then the old session's message.
    assert!(shed(&world) >= bytes);
    let queued_of = |world: &mut World, session| {
        let machine = &world.endpoint.keys.session_mut(session).expect("it is known").machine;
        machine.queued_messages()
    };
    assert_eq!(queued_of(&mut world, old), 1, "the new message");
    assert_eq!(queued_of(&mut world, young), full as usize);
}

// req: L19
#[test]
fn the_end_of_an_old_link_does_not_end_the_session_on_the_new_one() {
    let mut world = World::new(11);
    let (old, new, mut peer) = (world.open(1), world.open(2), world.peer());
    world.send(old, &mut peer, &query(1));
    world.send(new, &mut peer, &query(2));
    world.push(peer.session_ref(), &query(3));
    world.lose(old);
    world.push(peer.session_ref(), &query(4));
    assert!([3, 4].iter().all(|number| world.link(new).has(&query(*number))));
    assert!(!world.link(old).has(&query(3)));
}

#[test]
fn an_idle_session_is_forgotten() {
    let mut world = World::new(3);
    let (link, mut peer) = (world.open(1), world.peer());
    world.send(link, &mut peer, &query(1));
    world.wait(Duration::from_secs(60));
    world.lose(link);
    world.wait(SESSION_IDLE - Duration::from_secs(1));
    assert_eq!(world.endpoint.session_count(), 1);
    world.wait(Duration::from_secs(1));
    assert_eq!(world.endpoint.session_count(), 0);
    assert_eq!(world.events.last(), Some(&Event::SessionClosed(peer.session_ref())));
    let pushed = world.endpoint.push(peer.session_ref(), query(2).to_bytes(), world.now);
    assert_eq!(pushed, Err(PushError::NoSession));
}

#[test]
fn a_session_that_has_a_link_again_is_kept() {
    let mut world = World::new(4);
    let (link, mut peer) = (world.open(1), world.peer());
    world.send(link, &mut peer, &query(1));
    world.lose(link);
    world.wait(SESSION_IDLE - Duration::from_secs(1));
    let link = world.open(2);
    // The salt of yesterday is refused, the one that the refusal names is not.
    world.send(link, &mut peer, &query(2));
    world.send(link, &mut peer, &query(3));
    world.wait(SESSION_IDLE * 2);
    assert_eq!(world.endpoint.session_count(), 1);
}

/// One session on each of `count` links of its own.
fn occupy(world: &mut World, peer: &Peer, count: usize) -> Vec<LinkId> {
    let open = |number: usize| {
        let link = world.open(number as u64);
        world.send(link, &mut peer.in_session(number as u64), &query(1));
        assert_eq!(world.link(link).closed, None);
        link
    };
    (1..=count).map(open).collect()
}

#[test]
fn one_key_has_so_many_sessions() {
    let mut world = World::new(5);
    let peer = world.peer();
    let links = occupy(&mut world, &peer, SESSIONS_PER_KEY_MAX);
    let late = world.open(1000);
    world.send(late, &mut peer.in_session(1000), &query(1));
    assert!(world.is_refused(late, TransportError::Flood), "not -404, which costs the key");

    // The one that is without a link for longest makes room.
    for index in [3, 1] {
        world.lose(links[index]);
        world.wait(Duration::from_secs(1));
    }
    let late = world.open(1001);
    world.send(late, &mut peer.in_session(1001), &query(1));
    assert_eq!(world.link(late).closed, None);
    assert_eq!(world.endpoint.session_count(), SESSIONS_PER_KEY_MAX);
    let closed = Event::SessionClosed(peer.in_session(4).session_ref());
    assert!(world.events.contains(&closed));
}

#[test]
fn one_shard_has_so_many_sessions() {
    let mut world = World::new(6);
    world.endpoint.keys = Keys::new(3);
    let mut peers: Vec<_> = (0..5).map(|_| world.peer()).collect();
    for (number, peer) in (1..).zip(&mut peers[..3]) {
        let link = world.open(number);
        world.send(link, peer, &query(1));
    }
    let late = world.open(4);
    world.send(late, &mut peers[3], &query(1));
    assert!(world.is_refused(late, TransportError::Flood));
    world.lose(LinkId(2));
    let late = world.open(5);
    world.send(late, &mut peers[4], &query(1));
    assert_eq!(world.link(late).closed, None);
    assert_eq!(world.endpoint.session_count(), 3);
    assert!(world.events.contains(&Event::SessionClosed(peers[1].session_ref())));
}

#[test]
fn a_key_survives_that_its_last_session_makes_room() {
    let mut world = World::new(7);
    world.endpoint.keys = Keys::new(2);
    let (mut peer, mut idle, mut other) = (world.peer(), world.peer(), world.peer());
    for (number, peer) in (1..).zip([&mut peer, &mut idle]) {
        let link = world.open(number);
        world.send(link, peer, &query(1));
        world.lose(link);
        world.wait(Duration::from_millis(1));
    }
    // Two packets arrive together: the first one's session takes the place of the only one of the
    // key that the second one needs.
    let (first, second) = (world.open(3), world.open(4));
    world.holds.store = true;
    world.send(first, &mut other, &query(1));
    world.holds.store = false;
    let load = world.asked.pop_front().expect("a load");
    let found = ready(load.carry_out(&world.memory));
    world.endpoint.stored(found, world.now);
    world.put(second, &mut peer.in_session(2), &query(1));
    world.drain();
    assert_eq!((world.link(first).closed, world.link(second).closed), (None, None));
    assert_eq!(world.requests.len(), 4);
}

#[test]
fn one_link_carries_so_many_sessions() {
    let mut world = World::new(9);
    let (link, peer) = (world.open(1), world.peer());
    let mut sessions: Vec<_> =
        (1..=1 + SESSIONS_PER_LINK_MAX as u64).map(|number| peer.in_session(number)).collect();
    for session in &mut sessions {
        world.send(link, session, &query(1));
    }
    for (number, session) in (100..).zip(&sessions) {
        world.push(session.session_ref(), &query(number));
    }
    assert!(!world.link(link).has(&query(100)), "the first waits for a link");
    let others = 101..=100 + SESSIONS_PER_LINK_MAX as u32;
    assert!(others.into_iter().all(|number| world.link(link).has(&query(number))));
    world.send(link, &mut sessions[0], &query(3));
    assert!(world.link(link).has(&query(100)), "it is carried again");
}

#[test]
fn a_recorded_packet_is_no_way_into_a_session() {
    let mut world = World::new(10);
    let (link, thief, mut peer) = (world.open(1), world.open(2), world.peer());
    let message = peer.message(world.time(), &query(1));
    let (packet, _) = world.seal(&peer, &message);
    world.send_bytes(link, &packet);
    world.send_bytes(thief, &packet);
    world.push(peer.session_ref(), &query(2));
    assert!(world.link(link).has(&query(2)) && !world.link(thief).has(&query(2)));
    world.lose(thief);
    world.push(peer.session_ref(), &query(3));
    assert!(world.link(link).has(&query(3)));
}
