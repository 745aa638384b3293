//! Promise: a session outlives its connections. What is asked is carried out once and answered,
//! what is pushed arrives, and a server that stops lets its clients finish.

use std::num::NonZeroUsize;
use std::time::Duration;

use mtproto_kit::auth::KeyKind;
use mtproto_kit::pack::{Message, gzip, object_id};
use mtproto_kit::server::method_invalid;
use mtproto_kit::tl::functions::{GetFutureSalts, Ping, PingDelayDisconnect};
use mtproto_kit::tl::types::{
    BadMsgNotification, BadServerSalt, FutureSalts, MsgDetailedInfo, MsgsAck, NewSessionCreated,
    Pong,
};
use mtproto_kit::tl::wrappers::functions::InvokeWithLayer;
use mtproto_kit::tl::{Decode, Encode, MsgId, Raw, Salt};
use mtproto_tests::{
    COUNT, ECHO, HandSession, PANIC, PUSHED, Peer, Received, SLEEP_MS, World, answer_in, now,
    object, server,
};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

// req: S1, S2
#[tokio::test]
async fn a_call_is_answered_and_an_unknown_one_gets_an_error() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(1).await;
    for number in 0..100 {
        let query = object(ECHO, &[number]);
        assert_eq!(session.call(&mut peer, query.clone()).await, Ok(query));
    }
    assert_eq!(session.call(&mut peer, object(1, &[])).await, Err(method_invalid()));
}

// req: S33, S36
#[tokio::test]
async fn a_first_message_is_told_that_it_made_a_session() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(2).await;
    let query = session.query(object(ECHO, &[1]));
    session.send(&mut peer, &query).await;
    let created: NewSessionCreated = session.expect_object(&mut peer).await;
    assert_eq!(created.first_msg_id, query.id);
    assert_eq!(created.server_salt, session.salt);

    let mut other = session.beside(3);
    let query = other.query(object(ECHO, &[1]));
    other.send(&mut peer, &query).await;
    let again: NewSessionCreated = other.expect_object(&mut peer).await;
    assert_ne!(again.unique_id, created.unique_id);
}

#[tokio::test]
async fn answers_go_to_the_newest_connection_of_the_session() {
    let world = World::start().await;
    let (mut old, mut session) = world.join(4).await;
    session.call(&mut old, object(ECHO, &[1])).await.expect("an answer");
    let slow = session.query(object(SLEEP_MS, &[300]));
    session.send(&mut old, &slow).await;
    session.settle(&mut old).await;

    let mut new = world.connect(5).await;
    session.settle(&mut new).await;
    assert!(session.answer(&mut new, slow.id).await.is_ok());
    // The old connection is still good for whoever uses it.
    session.settle(&mut old).await;

    // Its end does not touch the session.
    old.finish().await;
    let query = object(ECHO, &[2]);
    assert_eq!(session.call(&mut new, query.clone()).await, Ok(query));
}

// req: S5, S94
#[tokio::test]
async fn an_answer_nobody_acknowledged_comes_again_after_a_reconnect() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(6).await;
    let query = session.query(object(COUNT, &[1]));
    session.send(&mut peer, &query).await;
    session.answer(&mut peer, query.id).await.expect("an answer");
    peer.reset();

    let mut peer = world.connect(7).await;
    let ping = session.service(&Ping { ping_id: 1 });
    session.send(&mut peer, &ping).await;
    let answer_id =
        session.expect(&mut peer, |message| answer_in(message, query.id).map(|_| message.id)).await;
    session.acknowledge(&mut peer, vec![answer_id]).await;
    session.settle(&mut peer).await;
    peer.reset();

    let mut peer = world.connect(8).await;
    assert!(!comes_before_settled(&mut session, &mut peer, query.id).await);
    assert_eq!(world.counted(), 1);
}

// req: S5, S94
#[tokio::test]
async fn an_answer_nobody_acknowledged_comes_again_beside_a_connection_that_seems_alive() {
    let world = World::start().await;
    let (mut old, mut session) = world.join(36).await;
    let query = session.query(object(COUNT, &[1]));
    session.send(&mut old, &query).await;
    session.answer(&mut old, query.id).await.expect("an answer");
    let mut new = world.connect(37).await;
    let ping = session.service(&Ping { ping_id: 1 });
    session.send(&mut new, &ping).await;
    session.answer(&mut new, query.id).await.expect("the same answer");
    assert_eq!(world.counted(), 1);
}

// req: S5, S94
#[tokio::test]
async fn an_answer_that_had_no_connection_waits_for_one() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(9).await;
    let query = session.query(object(SLEEP_MS, &[200]));
    session.send(&mut peer, &query).await;
    session.settle(&mut peer).await;
    peer.reset();
    sleep(Duration::from_millis(400)).await;
    let mut peer = world.connect(10).await;
    let ping = session.service(&Ping { ping_id: 1 });
    session.send(&mut peer, &ping).await;
    assert!(session.answer(&mut peer, query.id).await.is_ok());
}

#[tokio::test]
async fn what_came_before_the_end_of_a_connection_counts() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(33).await;
    session.settle(&mut peer).await;
    for number in 1..=20 {
        let mut peer = world.connect(34).await;
        let query = session.query(object(COUNT, &[1]));
        session.send(&mut peer, &query).await;
        peer.finish().await;
        session.settle(&mut world.connect(35).await).await;
        assert_eq!(world.counted(), number);
    }
}

// req: S97
#[tokio::test]
async fn a_query_that_comes_twice_is_carried_out_once_and_answered_twice() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(11).await;
    let query = session.query(object(COUNT, &[1]));
    for _ in 0..3 {
        session.send(&mut peer, &query).await;
        session.answer(&mut peer, query.id).await.expect("an answer");
    }
    // In a container, and over another connection.
    let mut peer = world.connect(12).await;
    let container = session.container(std::slice::from_ref(&query));
    session.send(&mut peer, &container).await;
    session.answer(&mut peer, query.id).await.expect("an answer");
    assert_eq!(world.counted(), 1);
}

// req: S19
#[tokio::test]
async fn a_large_answer_is_not_sent_twice_but_described() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(13).await;
    // Noise, so that gzip does not make it small.
    let noise: Vec<u32> = (0..4000_u32).map(|number| number.wrapping_mul(2_654_435_761)).collect();
    let query = session.query(object(ECHO, &noise));
    session.send(&mut peer, &query).await;
    session.answer(&mut peer, query.id).await.expect("an answer");
    session.send(&mut peer, &query).await;
    let info: MsgDetailedInfo = session.expect_object(&mut peer).await;
    assert_eq!(info.msg_id, query.id);
}

#[tokio::test]
async fn a_push_arrives_and_comes_again_until_it_is_acknowledged() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(14).await;
    let handle = world.handle(&session);
    let push = object(PUSHED, &[1, 2]);
    assert!(handle.push_bytes(push.clone()).await.is_err(), "nobody knows the session yet");
    session.settle(&mut peer).await;
    handle.push_bytes(push.clone()).await.expect("the session is known");
    let is_push = |message: &Message| (message.body == push).then_some(message.id);
    let first_id = session.expect(&mut peer, is_push).await;
    peer.reset();

    // Queued while nobody is there.
    sleep(Duration::from_millis(50)).await;
    let later = object(PUSHED, &[3, 4]);
    handle.push_bytes(later.clone()).await.expect("a session outlives its connections");
    let mut peer = world.connect(15).await;
    let ping = session.service(&Ping { ping_id: 1 });
    session.send(&mut peer, &ping).await;
    let (mut again, mut new) = (None, None);
    while again.is_none() || new.is_none() {
        for message in session.receive(&mut peer).await {
            again = again.or(is_push(&message));
            new = new.or((message.body == later).then_some(message.id));
        }
    }
    assert_eq!(again, Some(first_id), "the same message comes again");
    session.acknowledge(&mut peer, again.into_iter().chain(new).collect()).await;
    session.settle(&mut peer).await;
    peer.reset();

    let mut peer = world.connect(16).await;
    let ping = session.service(&Ping { ping_id: 2 });
    session.send(&mut peer, &ping).await;
    session
        .expect(&mut peer, |message| {
            assert_ne!(object_id(&message.body), PUSHED, "it was acknowledged");
            Pong::from_bytes(&message.body).ok().filter(|pong| pong.ping_id == 2)
        })
        .await;
}

// req: S14, S15
#[tokio::test]
async fn a_bad_salt_is_answered_with_the_right_one_which_then_works() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(17).await;
    session.salt = Salt(0);
    let query = session.query(object(COUNT, &[1]));
    session.send(&mut peer, &query).await;
    let notice: BadServerSalt = session.expect_object(&mut peer).await;
    assert_eq!((notice.bad_msg_id, notice.error_code), (query.id, 48));
    assert_eq!(notice.bad_msg_seqno, query.seqno);
    assert_eq!(world.counted(), 0);
    session.salt = notice.new_server_salt;
    session.send(&mut peer, &query).await;
    session.answer(&mut peer, query.id).await.expect("an answer");
    assert_eq!(world.counted(), 1);
}

// req: S14
#[tokio::test]
async fn a_message_id_that_cannot_be_is_refused_with_its_code() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(18).await;
    let seconds = |seconds: i64| (seconds << 32).cast_unsigned();
    for (change, code) in [(1, 18), (seconds(-400), 16), (seconds(60), 17)] {
        let mut query = session.query(object(COUNT, &[1]));
        query.id = MsgId(query.id.0.wrapping_add(change));
        session.send(&mut peer, &query).await;
        let notice: BadMsgNotification = session.expect_object(&mut peer).await;
        assert_eq!((notice.bad_msg_id, notice.error_code), (query.id, code));
    }
    session.settle(&mut peer).await;
    assert_eq!(world.counted(), 0);
}

// req: S21
#[tokio::test]
async fn future_salts_work() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(19).await;
    let ask = session.service(&GetFutureSalts { num: 4 });
    session.send(&mut peer, &ask).await;
    let salts: FutureSalts = session.expect_object(&mut peer).await;
    assert_eq!(salts.req_msg_id, ask.id);
    let current = salts.salts.iter().find(|salt| {
        let lifetime = salt.valid_since..salt.valid_until;
        lifetime.contains(&salts.now)
    });
    session.salt = current.expect("one is valid now").salt;
    session.call(&mut peer, object(ECHO, &[1])).await.expect("an answer");
}

// req: S40, S53
#[tokio::test]
async fn containers_and_gzip_go_both_ways() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(20).await;
    let large = object(ECHO, &[9; 5000]);
    let packed = gzip::pack(&large).expect("a row of nines can be packed");
    let queries = [
        session.query(object(ECHO, &[1])),
        session.query(packed),
        session.query(InvokeWithLayer { layer: 1, query: Raw(object(ECHO, &[3])) }.to_bytes()),
    ];
    let container = session.container(&queries);
    session.send(&mut peer, &container).await;
    let expected = [object(ECHO, &[1]), large, object(ECHO, &[3])];
    let mut answers = [None, None, None];
    let mut received = 0;
    while answers.iter().any(Option::is_none) {
        let Received::Packet(packet) = peer.receive().await else { panic!("no packet") };
        received += packet.len();
        for message in session.open(packet) {
            for (answer, query) in answers.iter_mut().zip(&queries) {
                *answer = answer.take().or(answer_in(&message, query.id));
            }
        }
    }
    assert_eq!(answers, expected.map(|answer| Some(Ok(answer))));
    assert!(received < 5000, "{received} bytes: nothing was packed");
}

// req: S13, S95
#[tokio::test]
async fn a_query_that_takes_long_is_acknowledged_before_it_is_answered() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(21).await;
    // Afterwards the server has nothing else to say that the acknowledgement could ride with.
    session.call(&mut peer, object(ECHO, &[1])).await.expect("an answer");
    let query = session.query(object(SLEEP_MS, &[3000]));
    session.send(&mut peer, &query).await;
    session
        .expect(&mut peer, |message| {
            assert!(answer_in(message, query.id).is_none(), "the answer comes first");
            let ack = MsgsAck::from_bytes(&message.body).ok()?;
            ack.msg_ids.contains(&query.id).then_some(())
        })
        .await;
}

// req: S29
#[tokio::test]
async fn a_ping_closes_its_connection_after_the_delay_it_asked_for() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(22).await;
    let mut other = world.connect(23).await;
    session.settle(&mut other).await;
    let ping = session.service(&PingDelayDisconnect { ping_id: 5, disconnect_delay: 1 });
    session.send(&mut peer, &ping).await;
    let started = now();
    while let Received::Packet(_) = peer.receive().await {}
    let elapsed = now() - started;
    assert!(elapsed > Duration::from_millis(900), "closed after {elapsed:?}");
    assert!(elapsed < Duration::from_secs(4), "closed after {elapsed:?}");
    session.settle(&mut other).await;
}

// req: S29
#[tokio::test]
async fn a_ping_with_another_key_keeps_its_connection_open() {
    let shards = NonZeroUsize::new(2).expect("not zero");
    let world = World::start_with(server().shards(shards)).await;
    let (mut peer, mut session) = world.join(38).await;
    let shard_of = |session: &HandSession| session.key.id() % 2;
    // Of a key that another shard owns.
    let mut other = loop {
        let key = peer.make_key(KeyKind::Permanent).await;
        let other = HandSession::new(&key, 39);
        if shard_of(&other) != shard_of(&session) {
            break other;
        }
    };
    for (session, disconnect_delay) in [(&mut session, 1), (&mut other, 60)] {
        session.settle(&mut peer).await;
        let ping = session.service(&PingDelayDisconnect { ping_id: 1, disconnect_delay });
        session.send(&mut peer, &ping).await;
        session.expect_object::<Pong>(&mut peer).await;
    }
    sleep(Duration::from_millis(1500)).await;
    for session in [&mut session, &mut other] {
        session.settle(&mut peer).await;
    }
    // What it says last counts, on whichever shard.
    let ping = session.service(&PingDelayDisconnect { ping_id: 2, disconnect_delay: 0 });
    session.send(&mut peer, &ping).await;
    session.expect_object::<Pong>(&mut peer).await;
    assert_eq!(peer.receive().await, Received::Closed);
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_query_only() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(31).await;
    let slow = session.query(object(SLEEP_MS, &[200]));
    session.send(&mut peer, &slow).await;
    let failed = session.call(&mut peer, object(PANIC, &[])).await;
    assert_eq!(failed.map_err(|error| error.code), Err(500));
    session.answer(&mut peer, slow.id).await.expect("an answer");
    session.call(&mut peer, object(ECHO, &[1])).await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_answers_what_is_under_way() {
    let world = World::start().await;
    let mut clients = Vec::new();
    // So many that keys and exchanges meet on every pair of shards; each takes another time.
    for (seed, delay_ms) in (100..116).zip((200..).step_by(100)) {
        let (mut peer, mut session) = world.join(seed).await;
        let query = session.query(object(SLEEP_MS, &[delay_ms]));
        session.send(&mut peer, &query).await;
        session.settle(&mut peer).await;
        clients.push((peer, session, query.id));
    }
    let (address, started) = (world.address, now());
    let stopping = tokio::spawn(world.server.shutdown(Duration::from_secs(8)));
    for (peer, session, query) in &mut clients {
        assert!(session.answer(peer, *query).await.is_ok());
    }
    for (peer, _, _) in &mut clients {
        while let Received::Packet(_) = peer.receive().await {}
    }
    stopping.await.expect("it stops");
    let elapsed = now() - started;
    assert!(elapsed < Duration::from_secs(4), "it took {elapsed:?}");
    assert!(TcpStream::connect(address).await.is_err(), "the port is still open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_idle_connections_stops_at_once() {
    let world = World::start().await;
    let mut peers = Vec::new();
    for seed in 120..136 {
        let (peer, _) = world.join(seed).await;
        peers.push(peer);
    }
    for seed in 136..144 {
        peers.push(world.connect(seed).await);
    }
    let started = now();
    world.server.shutdown(Duration::from_secs(8)).await;
    let elapsed = now() - started;
    assert!(elapsed < Duration::from_secs(2), "it took {elapsed:?}");
    for peer in &mut peers {
        assert_eq!(peer.receive().await, Received::Closed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_does_not_wait_for_ever() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(140).await;
    let query = session.query(object(SLEEP_MS, &[600_000]));
    session.send(&mut peer, &query).await;
    session.settle(&mut peer).await;
    let started = now();
    timeout(Duration::from_secs(5), world.server.shutdown(Duration::from_millis(500)))
        .await
        .expect("the grace is half a second");
    let elapsed = now() - started;
    assert!(elapsed >= Duration::from_millis(400), "it took {elapsed:?}");
    while let Received::Packet(_) = peer.receive().await {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_dropped_stops_at_once() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(141).await;
    let query = session.query(object(SLEEP_MS, &[600_000]));
    session.send(&mut peer, &query).await;
    session.settle(&mut peer).await;
    drop(world);
    while let Received::Packet(_) = peer.receive().await {}
}

/// Whether the answer to `request` comes before the server has dealt with everything else.
async fn comes_before_settled(session: &mut HandSession, peer: &mut Peer, request: MsgId) -> bool {
    let ping = session.service(&Ping { ping_id: 99 });
    session.send(peer, &ping).await;
    let mut came = false;
    session
        .expect(peer, |message| {
            came |= answer_in(message, request).is_some();
            Pong::from_bytes(&message.body).ok().filter(|pong| pong.ping_id == 99)
        })
        .await;
    came
}
