//! Key exchanges: repeats, other links, failures, limits.

use std::time::Duration;

use bytes::Bytes;
use expect_test::expect;
use mtproto_auth::{EXCHANGE_LIFETIME, KeyKind};
use mtproto_crypto::SecureRandomExt;
use mtproto_frame::TransportError;
use mtproto_store::{Inserted, KeyRecord, KeyStore};
use mtproto_tl::functions::{Ping, ReqPq, ReqPqMulti};
use mtproto_tl::types::{MsgsAck, Pong};
use mtproto_tl::{Constructor, Encode, MsgId};

use super::peer::{Handshake, Peer};
use super::world::{World, check, ready};
use crate::server::exchanges::{Exchanges, LINKS_WAITING_MAX};
use crate::server::{EXCHANGES_MAX, EXCHANGES_PER_LINK_MAX, Event};

const PERMANENT: KeyKind = KeyKind::Permanent;

// req: L15, L16, S111
#[test]
fn an_exchange_makes_a_key_that_works_at_once() {
    let script = |world: &mut World| {
        let link = world.open(1);
        let made = world.exchange(link, PERMANENT);
        let mut peer = Peer::new(made.key, 7);
        world.wait(Duration::from_millis(40));
        world.send(link, &mut peer, &Ping { ping_id: 1 });
    };
    check(
        script,
        &expect![[r#"
            0ms > [1] plain req_pq_multi
            0ms < [1] plain resPQ
            0ms > [1] plain req_DH_params
            0ms < [1] plain server_DH_params_ok
            0ms > [1] plain set_client_DH_params
            0ms ! key created
            0ms < [1] plain dh_gen_ok
            40ms > [1] ping c1 seqno=1 ping_id=1
            40ms ! session opened
            40ms < [1] msg_container s3 seqno=2
            40ms < [1]   new_session_created s1 seqno=1 first=c1 salt=A
            40ms < [1]   pong s2 seqno=2 to=c1 ping_id=1
        "#]],
    );
}

// req: S111
#[test]
fn the_key_is_stored_before_the_client_is_told() {
    let mut world = World::new(2);
    let link = world.open(1);
    let handshake = Handshake::start(&mut world, PERMANENT).go_on(&mut world, link, 2);
    world.holds.store = true;
    assert_eq!(world.ask(link, &handshake.query), None);
    assert_eq!(world.asked.len(), 1);
    world.run_store();
    let answer = world.link(link).plain.last().expect("dh_gen_ok").clone();
    let made = *handshake.take(&answer, &mut world).err().expect("a key");
    let key = mtproto_tl::AuthKeyId(made.key.id());
    assert!(world.is_stored(key));
    assert_eq!(world.events, [Event::KeyCreated(key)]);
}

// req: S111
#[test]
fn a_repeated_query_gets_the_identical_answer() {
    let mut world = World::new(3);
    let (first, second) = (world.open(1), world.open(2));
    let mut handshake = Handshake::start(&mut world, PERMANENT);
    let mut asked: Vec<(Bytes, Bytes)> = Vec::new();
    let made = loop {
        let answer = world.ask(first, &handshake.query).expect("an answer");
        asked.push((handshake.query.clone(), answer.clone()));
        for (query, answer) in &asked {
            for link in [first, second] {
                assert_eq!(world.ask(link, query).as_ref(), Some(answer));
            }
        }
        match handshake.take(&answer, &mut world) {
            Ok(next) => handshake = next,
            Err(key) => break key,
        }
    };
    assert_eq!(world.events.len(), 1, "one exchange makes one key");
    assert_eq!(asked.len(), 3);
    assert!(world.is_stored(mtproto_tl::AuthKeyId(made.key.id())));
}

// req: S111
#[test]
fn an_answer_is_repeated_while_the_next_one_is_made() {
    let mut world = World::new(4);
    let (first, second) = (world.open(1), world.open(2));
    let handshake = Handshake::start(&mut world, PERMANENT);
    let first_query = handshake.query.clone();
    let handshake = handshake.go_on(&mut world, first, 1);
    world.holds.jobs = true;
    let res_pq = world.link(first).plain[0].clone();
    assert_eq!(world.ask(first, &handshake.query), None);
    assert_eq!(world.ask(second, &first_query), Some(res_pq.clone()));
    assert_eq!(world.ask(second, &handshake.query), None, "it is being worked on");
    world.holds = Default::default();
    world.run_jobs();
    let answers: Vec<_> = [first, second].map(|link| world.link(link).plain[1].clone()).into();
    assert_eq!(answers[0], answers[1]);

    // The same while the store keeps the key.
    let handshake = handshake.take(&answers[0], &mut world).expect("not the last");
    world.holds.store = true;
    assert_eq!(world.ask(first, &handshake.query), None);
    assert_eq!(world.ask(second, &first_query), Some(res_pq));
    assert_eq!(world.ask(second, &handshake.query), None, "it is being worked on");
    world.run_store();
    assert_eq!(world.link(first).plain.last(), world.link(second).plain.last());
}

// req: S111
#[test]
fn a_changed_query_ends_the_exchange_on_every_link() {
    for answered in 1..=3 {
        let mut world = World::new(5);
        let links = [world.open(1), world.open(2), world.open(3)];
        let handshake = Handshake::start(&mut world, PERMANENT);
        let handshake = handshake.go_on(&mut world, links[0], answered.min(2));
        let good = handshake.query.clone();
        if answered == 3 {
            world.ask(links[0], &good).expect("dh_gen_ok");
        }
        let mut changed = good.to_vec();
        // A byte of the encrypted part.
        *changed.last_mut().expect("a byte") ^= 1;
        assert_eq!(world.ask(links[1], &changed.into()), None);
        assert!(world.is_refused(links[1], TransportError::NotFound), "after {answered}");
        for link in [links[0], links[2]] {
            assert_eq!(world.ask(link, &good), None);
            assert!(world.is_refused(link, TransportError::NotFound), "after {answered}");
        }
    }
}

// req: S111
#[test]
fn who_waits_for_an_exchange_that_ends_is_told() {
    let mut world = World::new(6);
    let links = [world.open(1), world.open(2)];
    let handshake = Handshake::start(&mut world, PERMANENT).go_on(&mut world, links[0], 1);
    world.holds.jobs = true;
    assert_eq!(world.ask(links[0], &handshake.query), None);
    let mut changed = handshake.query.to_vec();
    *changed.last_mut().expect("a byte") ^= 1;
    assert_eq!(world.ask(links[1], &changed.into()), None);
    for link in links {
        assert!(world.is_refused(link, TransportError::NotFound));
    }
    // What is computed meanwhile is of no use to anybody.
    world.run_jobs();
    assert_eq!(world.link(links[0]).plain.len(), 1);
}

// req: S111
#[test]
fn an_exchange_goes_on_over_another_link() {
    let mut world = World::new(7);
    let mut handshake = Handshake::start(&mut world, PERMANENT);
    for number in 1..=2 {
        let link = world.open(number);
        handshake = handshake.go_on(&mut world, link, 1);
        world.lose(link);
    }
    let link = world.open(3);
    let made = handshake.finish(&mut world, link);
    assert!(world.is_stored(mtproto_tl::AuthKeyId(made.key.id())));
}

// req: L7, L16
#[test]
fn an_exchange_disturbs_nothing_on_a_link_in_use() {
    let mut world = World::new(20);
    let (link, mut peer) = (world.open(1), world.peer());
    world.send(link, &mut peer, &Ping { ping_id: 1 });
    // A mere probe, never gone on with.
    Handshake::start(&mut world, PERMANENT).go_on(&mut world, link, 1);
    world.send(link, &mut peer, &Ping { ping_id: 2 });
    let kind = KeyKind::Temporary { expires_in: 60 };
    let handshake = Handshake::start(&mut world, kind).go_on(&mut world, link, 2);
    world.send(link, &mut peer, &Ping { ping_id: 3 });
    handshake.finish(&mut world, link);
    world.send(link, &mut peer, &Ping { ping_id: 4 });
    let pongs = world.link(link).unpacked();
    assert_eq!(pongs.iter().filter(|message| message.object_id() == Pong::ID).count(), 4);
}

// req: S111
#[test]
fn an_exchange_is_forgotten_after_its_time() {
    let mut world = World::new(8);
    let link = world.open(1);
    let first = Handshake::start(&mut world, PERMANENT);
    let query = first.query.clone();
    let first = first.go_on(&mut world, link, 1);
    let res_pq = world.link(link).plain[0].clone();
    world.wait(EXCHANGE_LIFETIME - Duration::from_millis(1));
    assert_eq!(world.ask(link, &query), Some(res_pq.clone()));
    world.wait(Duration::from_millis(1));
    assert_eq!(world.ask(link, &first.query), None);
    assert!(world.is_refused(link, TransportError::NotFound));
    let link = world.open(2);
    assert!(world.ask(link, &query).is_some_and(|other| other != res_pq), "another exchange");
}

// req: S111
#[test]
fn who_waits_when_the_time_of_an_exchange_is_over_is_told() {
    let mut world = World::new(9);
    let link = world.open(1);
    let handshake = Handshake::start(&mut world, PERMANENT).go_on(&mut world, link, 1);
    world.holds.jobs = true;
    assert_eq!(world.ask(link, &handshake.query), None);
    world.wait(EXCHANGE_LIFETIME);
    assert!(world.is_refused(link, TransportError::NotFound));
    world.run_jobs();
}

// req: S114
#[test]
fn a_step_that_nobody_has_time_for_may_be_asked_again() {
    let mut world = World::new(10);
    let link = world.open(1);
    let handshake = Handshake::start(&mut world, PERMANENT).go_on(&mut world, link, 1);
    world.holds.jobs = true;
    assert_eq!(world.ask(link, &handshake.query), None);
    let job = world.jobs.pop_front().expect("a job");
    world.endpoint.refused(job, world.now);
    world.drain();
    assert!(world.is_refused(link, TransportError::Flood));
    world.holds.jobs = false;
    let link = world.open(2);
    handshake.finish(&mut world, link);
}

// req: S111, S114
#[test]
fn only_the_wrong_data_centre_is_told_apart() {
    let mut world = World::with_dc(11, Some(2));
    for (dc, error) in [(1_i32, Some(TransportError::WrongDc)), (2, None), (-2, None)] {
        let link = world.open(u64::from(dc.cast_unsigned()));
        let handshake = Handshake::start_for(&mut world, PERMANENT, dc);
        let handshake = handshake.go_on(&mut world, link, 1);
        let answer = world.ask(link, &handshake.query);
        assert_eq!(answer.is_none(), error.is_some());
        assert!(error.is_none_or(|error| world.is_refused(link, error)));
    }
}

// req: S111
#[test]
fn a_key_id_that_is_taken_asks_for_another_try() {
    let mut world = World::new(12);
    let link = world.open(1);
    let handshake = Handshake::start(&mut world, PERMANENT).go_on(&mut world, link, 2);
    world.holds.store = true;
    assert_eq!(world.ask(link, &handshake.query), None);
    // Someone else has a key with that id by then.
    let record = match &world.asked[0].action {
        crate::server::StoreAction::Insert { record, .. } => KeyRecord::clone(record),
        other => panic!("not an insertion: {other:?}"),
    };
    let taken = ready(world.memory.insert_new(&record, world.time()));
    assert_eq!(taken, Ok(Inserted::Created));
    world.holds.store = false;
    world.run_store();
    assert!(world.events.is_empty());
    let retry = world.link(link).plain.last().expect("dh_gen_retry").clone();
    let handshake = handshake.take(&retry, &mut world).expect("another try");
    let made = handshake.finish(&mut world, link);
    assert_ne!(made.key.id(), record.key.id());
}

// req: S111
#[test]
fn a_key_that_cannot_be_stored_is_not_made() {
    let script = |world: &mut World| {
        let link = world.open(1);
        let handshake = Handshake::start(world, PERMANENT).go_on(world, link, 2);
        world.holds.store_fails = true;
        world.ask(link, &handshake.query);
    };
    check(
        script,
        &expect![[r#"
            0ms > [1] plain req_pq_multi
            0ms < [1] plain resPQ
            0ms > [1] plain req_DH_params
            0ms < [1] plain server_DH_params_ok
            0ms > [1] plain set_client_DH_params
            0ms < [1] plain dh_gen_fail
        "#]],
    );
}

#[test]
fn a_link_that_begins_too_many_ends_its_first() {
    let mut world = World::new(13);
    let (link, other) = (world.open(1), world.open(2));
    let begin = |world: &mut World| Handshake::start(world, PERMANENT).go_on(world, link, 1);
    let mut begun: Vec<_> = (0..EXCHANGES_PER_LINK_MAX).map(|_| begin(&mut world)).collect();
    begun.push(begin(&mut world));
    let mut begun = begun.into_iter();
    let first = begun.next().expect("the first");
    assert_eq!(world.ask(other, &first.query), None);
    assert!(world.is_refused(other, TransportError::NotFound));
    for handshake in begun {
        handshake.finish(&mut world, link);
    }
}

// req: S111
#[test]
fn a_finished_exchange_is_repeated_however_many_its_link_begins() {
    let mut world = World::new(19);
    let link = world.open(1);
    let handshake = Handshake::start(&mut world, PERMANENT).go_on(&mut world, link, 2);
    let (query, answer) = (handshake.query.clone(), world.ask(link, &handshake.query));
    for _ in 0..=EXCHANGES_PER_LINK_MAX {
        Handshake::start(&mut world, PERMANENT).go_on(&mut world, link, 1);
    }
    assert_eq!(world.ask(link, &query), answer);
}

#[test]
fn beyond_the_limit_the_oldest_exchange_makes_room() {
    let mut world = World::new(14);
    world.endpoint.exchanges = Exchanges::new(3);
    let mut begun = Vec::new();
    for number in 1..=4 {
        let link = world.open(number);
        begun.push(Handshake::start(&mut world, PERMANENT).go_on(&mut world, link, 1));
        world.wait(Duration::from_secs(1));
    }
    let link = world.open(5);
    for (number, handshake) in begun.into_iter().enumerate() {
        match number {
            0 => {
                let other = world.open(6);
                assert_eq!(world.ask(other, &handshake.query), None);
            }
            _ => drop(handshake.finish(&mut world, link)),
        }
    }
}

#[test]
fn a_shard_remembers_as_many_exchanges_as_it_says() {
    let mut exchanges = Exchanges::new(EXCHANGES_MAX);
    let world = World::new(15);
    let mut random = mtproto_crypto::SeededRandom::new(15);
    let body = ReqPqMulti { nonce: [0; 16] }.to_bytes();
    let query = mtproto_auth::Query::decode(&body).expect("a query").expect("no acknowledgement");
    let config = &world.endpoint.exchange_config;
    let mut first = None;
    for number in 0..=EXCHANGES_MAX as u128 {
        let (exchange, _) = mtproto_auth::server::Exchange::start(&query, config, &mut random)
            .expect("a first query");
        let (name, stranded) = exchanges.begin(number.to_le_bytes(), exchange, world.now);
        assert!(stranded.is_empty());
        first.get_or_insert(name);
    }
    assert_eq!(exchanges.repeated(&query), None, "the first has made room");
}

#[test]
fn only_so_many_links_wait_for_one_answer() {
    let mut world = World::new(16);
    let link = world.open(1);
    let handshake = Handshake::start(&mut world, PERMANENT).go_on(&mut world, link, 1);
    world.holds.jobs = true;
    for number in 2..=2 + LINKS_WAITING_MAX as u64 {
        let link = world.open(number);
        assert_eq!(world.ask(link, &handshake.query), None);
    }
    world.run_jobs();
    let answered = world.links.values().filter(|link| !link.plain.is_empty()).count();
    assert_eq!(answered, 1 + LINKS_WAITING_MAX);
}

#[test]
fn a_new_exchange_takes_the_place_of_one_with_the_same_nonce() {
    let mut world = World::new(17);
    let link = world.open(1);
    let nonce = world.random.array();
    let first = world.ask(link, &ReqPqMulti { nonce }.to_bytes()).expect("resPQ");
    let second = world.ask(link, &ReqPq { nonce }.to_bytes()).expect("resPQ");
    assert_ne!(first, second);
    assert_eq!(world.ask(link, &ReqPq { nonce }.to_bytes()), Some(second));
}

// req: L14, S111
#[test]
fn what_may_not_travel_unencrypted_is_refused() {
    let mut world = World::new(18);
    let link = world.open(1);
    let ack = MsgsAck { msg_ids: vec![MsgId(1)] }.to_bytes();
    assert_eq!(world.ask(link, &ack), None);
    assert_eq!(world.link(link).closed, None, "real clients send these");
    assert_eq!(world.ask(link, &Ping { ping_id: 1 }.to_bytes()), None);
    assert!(world.is_refused(link, TransportError::NotFound));
    let link = world.open(2);
    world.send_bytes(link, &[0; 19]);
    assert!(world.is_refused(link, TransportError::NotFound));
}
