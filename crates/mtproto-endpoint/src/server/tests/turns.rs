//! Links that take turns, as over HTTP: each packet has exactly one answer. The world sees to it.

use std::time::Duration;

use expect_test::expect;
use mtproto_auth::KeyKind;
use mtproto_frame::TransportError;
use mtproto_pack::Message;
use mtproto_session::server::TURNS_MAX;
use mtproto_session::{LinkId, UNGOVERNED_WAIT};
use mtproto_tl::functions::{DestroyAuthKey, DestroySession, Ping};
use mtproto_tl::types::{HttpWait, MsgsAck};
use mtproto_tl::{Encode, MsgId, Salt};
use proptest::prelude::*;
use proptest::sample::Index;

use super::peer::{Handshake, Peer};
use super::talk::query;
use super::world::{Received, World, check};
use crate::server::exchanges::LINKS_WAITING_MAX;
use crate::server::{CloseReason, RECEIVED_MAX};

const SECOND: Duration = Duration::from_secs(1);

/// How many sessions there are in the crowd.
const SESSIONS: usize = 4;

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
            assert_eq!(world.endpoint.links[&link].sessions[..], [second.session_ref()]);
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
            poll(world, polls, &mut peer);
        },
        &expect![[r#"
            0ms > [1] http_wait c5 seqno=7 0 0 25000
            0ms > [2] 11111111 c6 seqno=9 bytes=8
            0ms < [1] msgs_ack s5 seqno=2 c5 c6
            0ms < [2] rpc_result s6 seqno=3 to=c6 11111111 bytes=8
            0ms > [1] http_wait c7 seqno=11 0 0 25000
            0ms < [1] msgs_ack s7 seqno=4 c7
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

// req: S14
#[test]
fn a_packet_that_came_before_its_time_is_answered_each_time() {
    check(
        |world| {
            let (link, mut peer) = (world.open(1), world.peer());
            settle(world, link, &mut peer);
            let early = peer.message(world.time().after(60 * SECOND), &query(1));
            world.turn_message(link, &peer, &early);
            world.wait(60 * SECOND);
            world.turn_message(link, &peer, &early);
        },
        &expect![[r#"
            0ms > [1] 11111111 c5 seqno=7 bytes=8
            0ms < [1] bad_msg_notification s5 seqno=2 to=c5 code=17
            60000ms > [1] 11111111 c5 seqno=7 bytes=8
            60000ms < [1] bad_msg_notification s6 seqno=2 to=c5 code=17
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

/// What may happen to a server whose clients talk in turns.
#[derive(Clone, Debug)]
enum Op {
    /// All that was asked is answered.
    Answer,
    /// The server forgets a session.
    Discard(usize),
    /// A connection breaks.
    Lose(Index),
    Push(usize),
    Release,
    /// A session says something over a connection that waits for no answer, or over a new one.
    Say(usize, Index, Saying),
    Wait(u64),
}

#[derive(Clone, Debug)]
enum Saying {
    Acks,
    BadSalt,
    DestroyKey,
    DestroySession,
    Garbage,
    Ping,
    Poll(i32, i32, i32),
    Query,
    /// What was said before is said again, by whoever recorded it.
    Recorded(Index),
}

fn op() -> impl Strategy<Value = Op> {
    let session = || 0..SESSIONS;
    let times = (0..200_i32, 0..100_i32, 0..30_000_i32);
    let saying = prop_oneof![
        2 => Just(Saying::Acks),
        1 => Just(Saying::BadSalt),
        1 => Just(Saying::DestroyKey),
        1 => Just(Saying::DestroySession),
        1 => Just(Saying::Garbage),
        3 => Just(Saying::Ping),
        8 => times.prop_map(|(delay, after, wait)| Saying::Poll(delay, after, wait)),
        8 => Just(Saying::Query),
        3 => any::<Index>().prop_map(Saying::Recorded),
    ];
    prop_oneof![
        4 => Just(Op::Answer),
        1 => session().prop_map(Op::Discard),
        3 => any::<Index>().prop_map(Op::Lose),
        5 => session().prop_map(Op::Push),
        1 => Just(Op::Release),
        20 => (session(), any::<Index>(), saying).prop_map(|(who, on, it)| Op::Say(who, on, it)),
        6 => (0..5000_u64).prop_map(Op::Wait),
    ]
}

/// Clients of one key, and of another one.
struct Crowd {
    world: World,
    peers: Vec<Peer>,
    opened: u64,
    recorded: Vec<(usize, Message)>,
}

impl Crowd {
    fn new() -> Self {
        let mut world = World::new(99);
        let first = world.peer();
        let mut peers = vec![first.clone(), first.in_session(2), first.in_session(3)];
        peers.push(world.peer());
        world.holds.requests = true;
        Self { world, peers, opened: 0, recorded: Vec::new() }
    }

    /// A connection that waits for no answer: one of those there are, or a new one.
    fn connection(&mut self, index: Index) -> LinkId {
        let is_free = |link: &Received| link.closed.is_none() && link.is_asking != Some(true);
        let free = self.world.links.iter().filter(|(_, link)| is_free(link));
        let mut free: Vec<_> = free.map(|(id, _)| *id).collect();
        if free.is_empty() || index.index(4) == 0 {
            self.opened += 1;
            free = vec![self.world.open(self.opened)];
        }
        free[index.index(free.len())]
    }

    fn carry_out(&mut self, op: Op) {
        let world = &mut self.world;
        match op {
            Op::Answer => self.answer(),
            Op::Discard(session) => {
                world.endpoint.discard_session(self.peers[session].session_ref(), world.now);
                world.drain();
            }
            Op::Lose(index) => {
                let open = world.links.iter().filter(|(_, link)| link.closed.is_none());
                let open: Vec<_> = open.map(|(id, _)| *id).collect();
                if !open.is_empty() {
                    let link = open[index.index(open.len())];
                    world.links.remove(&link);
                    world.lose(link);
                }
            }
            Op::Push(session) => {
                // It may not be there.
                let name = self.peers[session].session_ref();
                let _ = world.endpoint.push(name, query(9).to_bytes(), world.now);
                world.drain();
            }
            Op::Release => {
                world.endpoint.release_turns(world.now);
                world.drain();
            }
            Op::Say(session, index, saying) => {
                let link = self.connection(index);
                self.say(session, link, &saying);
            }
            Op::Wait(ms) => world.wait(Duration::from_millis(ms)),
        }
    }

    fn answer(&mut self) {
        let world = &mut self.world;
        for request in std::mem::take(&mut world.requests) {
            world.endpoint.answer(request.id, Ok(request.content.query), world.now);
        }
        world.drain();
    }

    fn say(&mut self, session: usize, link: LinkId, saying: &Saying) {
        let time = self.world.time();
        let world = &mut self.world;
        let destroyed = self.peers[(session + 1) % SESSIONS].session;
        let peer = &mut self.peers[session];
        let message = match *saying {
            Saying::Acks => peer.message(time, &MsgsAck { msg_ids: vec![MsgId(1)] }),
            Saying::BadSalt => {
                let mut liar = peer.clone();
                liar.salt = Some(Salt(1));
                world.turn(link, &mut liar, &query(1));
                return;
            }
            Saying::DestroyKey => peer.message(time, &DestroyAuthKey),
            Saying::DestroySession => peer.message(time, &DestroySession { session_id: destroyed }),
            Saying::Garbage => return world.turn_plain(link, &query(1).to_bytes()),
            Saying::Ping => peer.message(time, &Ping { ping_id: 1 }),
            Saying::Poll(max_delay, wait_after, max_wait) => {
                peer.message(time, &HttpWait { max_delay, wait_after, max_wait })
            }
            Saying::Query => peer.message(time, &query(1)),
            Saying::Recorded(index) => {
                if !self.recorded.is_empty() {
                    let (peer, message) = &self.recorded[index.index(self.recorded.len())];
                    world.turn_message(link, &self.peers[*peer], message);
                }
                return;
            }
        };
        world.turn_message(link, &self.peers[session], &message);
        self.recorded.push((session, message));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    // That there is no second answer, and one before a link closes, the world sees to.
    // req: S85, S87, S90
    #[test]
    fn whatever_happens_every_packet_is_answered_in_time(
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let mut crowd = Crowd::new();
        ops.into_iter().for_each(|op| crowd.carry_out(op));
        crowd.world.wait(UNGOVERNED_WAIT + SECOND * 6);
        let waiting = crowd.world.links.iter().find(|(_, link)| link.is_asking == Some(true));
        prop_assert_eq!(waiting.map(|(id, _)| *id), None);
    }
}
