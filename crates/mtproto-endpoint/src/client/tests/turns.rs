//! Both endpoints over HTTP: links that take turns, of several connections each.

use std::time::Duration;

use expect_test::expect;
use mtproto_session::client::{CLIENT_TURNS_MAX, POLL_INTERVAL_MIN, POLL_WAIT};

use super::world::{HANDLING, LATENCY, World, object};
use crate::client::{ClientConfig, Closed, Event, Gap, Pfs, State};

const SECOND: Duration = Duration::from_secs(1);

/// A world whose links take turns, from its beginning on.
fn world(seed: u64) -> World {
    with(seed, ClientConfig::default())
}

fn with(seed: u64, config: ClientConfig) -> World {
    let mut world = World::with(seed, config, None);
    world.network.turns = true;
    world
}

/// The same when all that a client does at its beginning is done, and one long poll is open.
fn settled(seed: u64) -> World {
    let mut world = world(seed);
    let request = world.request("hello");
    assert_eq!(world.outcome(request), Ok(object("hello")));
    world.run(12 * SECOND);
    world.transcript();
    world
}

/// The server pushes `text` to the session there is.
fn push(world: &mut World, text: &str) {
    let session = world.session.expect("the server has seen a request");
    world.server.push(session, object(text), world.now).expect("the session is there");
}

fn has_got(world: &World, text: &str) -> bool {
    world.events.contains(&Event::Push(object(text)))
}

// req: S56, S61, S87, S88, S90, S91
#[test]
fn a_client_calls_listens_and_waits() {
    let mut world = world(1);
    let request = world.request("one");
    assert_eq!(world.outcome(request), Ok(object("one")));
    world.run(SECOND);
    push(&mut world, "news");
    world.run(SECOND);
    let request = world.request("two");
    assert_eq!(world.outcome(request), Ok(object("two")));
    world.run(POLL_WAIT + SECOND);
    expect![[r#"
        0ms      dial 1
        20ms     > plain ReqPqMulti
        20ms     state Exchanging
        40ms     < plain ResPq
        65ms     > plain ReqDhParams
        90ms     < plain ServerDhParamsOk
        115ms    > plain SetClientDhParams
        141ms    < plain DhGenOk
        166ms    key made
        166ms    > one
        166ms    > Ping, GetFutureSalts
        166ms    state Ready
        187ms    < MsgsAllInfo, Pong, FutureSalts, NewSessionCreated, MsgsAck
        197ms    < rpc_result(one)
        207ms    gap: SessionCreated
        217ms    answer to 1
        217ms    > HttpWait, MsgsAck
        1230ms   < news
        1250ms   push news
        1250ms   > HttpWait, MsgsAck
        2217ms   > two
        2247ms   < rpc_result(two)
        2267ms   answer to 2
        12267ms  > HttpWait, MsgsAck
        12287ms  < nothing
        26270ms  < nothing
        26290ms  > HttpWait
    "#]]
    .assert_eq(&world.transcript());
}

#[test]
fn an_idle_client_asks_for_little_and_keeps_its_link() {
    let mut world = settled(2);
    world.run(600 * SECOND);
    assert_eq!((world.links(), world.dials.len()), (1, 1));
    let transcript = world.transcript();
    let count = |what: &str| transcript.lines().filter(|line| line.contains(what)).count();
    assert_eq!((count("> HttpWait"), count("> Ping")), (24, 10));
    assert_eq!(count("> "), 34);
}

// req: S91
#[test]
fn a_push_arrives_within_the_times_of_the_long_poll() {
    let mut world = settled(3);
    for number in 0..20 {
        world.run(number * 1700 * SECOND / 1000);
        let (text, pushed) = (number.to_string(), world.now);
        push(&mut world, &text);
        world.run_until("the push", |world| has_got(world, &text));
        let took = world.now - pushed;
        // At the worst the next long poll has to come first.
        assert!(took <= 3 * LATENCY + Duration::from_millis(30), "{took:?}");
    }
}

// Each of them for longer than a packet is held open.
#[test]
fn many_slow_calls_are_all_answered() {
    let mut world = settled(4);
    world.network.slowness = 40 * SECOND;
    let mut requests = Vec::new();
    for number in 0..5 * CLIENT_TURNS_MAX {
        requests.push((world.request(&number.to_string()), number));
        world.run(SECOND / 10);
    }
    world.run(3 * SECOND);
    assert_eq!(world.handled.len(), 1 + requests.len(), "all of them have reached the server");
    push(&mut world, "meanwhile");
    world.run(SECOND);
    assert!(has_got(&world, "meanwhile"));
    world.run(40 * SECOND + HANDLING);
    for (request, number) in requests {
        let answers: Vec<_> = world.answers(request).cloned().collect();
        assert_eq!(answers, [Ok(object(&number.to_string()))]);
    }
    assert_eq!(world.dials.len(), 1);
}

// req: S113
#[test]
fn a_temporary_key_is_bound_in_turns() {
    let config = ClientConfig { pfs: Some(Pfs::default()), ..ClientConfig::default() };
    let mut world = with(5, config);
    let request = world.request("one");
    assert_eq!(world.outcome(request), Ok(object("one")));
    assert_eq!(world.client.state(), State::Ready);
    // Its successor takes over while long polls of both sessions are open.
    world.run(Pfs::default().lifetime);
    let request = world.request("two");
    assert_eq!(world.outcome(request), Ok(object("two")));
    push(&mut world, "news");
    world.run(SECOND);
    assert!(has_got(&world, "news"));
    assert_eq!(world.dials.len(), 1);
}

// req: S5, S118
#[test]
fn links_that_break_lose_nothing() {
    let mut world = settled(6);
    let mut requests = Vec::new();
    for number in 0..20 {
        requests.push((world.request(&format!("call {number}")), number));
        push(&mut world, &format!("push {number}"));
        world.run(Duration::from_millis(37 * (number % 3)));
        world.cut();
        world.run(30 * SECOND);
    }
    for (request, number) in requests {
        assert_eq!(world.answers(request).count(), 1);
        let text = format!("call {number}");
        assert_eq!(world.handled.iter().filter(|query| **query == object(&text)).count(), 1);
        assert!(has_got(&world, &format!("push {number}")), "push {number}");
    }
    assert_eq!(world.events.iter().filter(|event| matches!(event, Event::Push(_))).count(), 20);
}

// req: S5, S93
#[test]
fn a_session_goes_on_over_another_kind_of_link_and_gets_its_queue() {
    let mut world = settled(7);
    let session = world.session;
    for number in 0..6 {
        let request = world.request(&format!("call {number}"));
        world.run(LATENCY + HANDLING / 2);
        world.cut();
        push(&mut world, &format!("push {number}"));
        world.network.turns = number % 2 == 1;
        assert_eq!(world.outcome(request), Ok(object(&format!("call {number}"))));
        world.run(SECOND);
        assert!(has_got(&world, &format!("push {number}")));
    }
    assert_eq!(world.session, session, "it is the same all the time");
}

// req: S66, S67
#[test]
fn a_client_logs_out_in_turns() {
    let mut world = settled(8);
    let key = world.client.key().expect("a key");
    world.client.log_out(world.client_now());
    world.run(SECOND);
    assert_eq!(world.client.state(), State::Closed(Closed::LoggedOut { destroyed: true }));
    assert!(!world.server_has(key));
    assert_eq!(world.server.usage().links, 0);
}

// req: S66, S114
#[test]
fn a_key_that_is_destroyed_ends_the_long_poll() {
    let mut world = settled(9);
    let key = world.client.key().expect("a key");
    world.forget_key(key);
    world.run(SECOND);
    expect![[r#"
        -- the server loses a key
        < transport error -404: auth key not found
        close 1: transport error -404
        state Waiting, 0 failures
        dial 2
        state Dialing, 0 failures
        > sealed under a key that is unknown
        state Resuming
        < transport error -404: auth key not found
        close 2: transport error -404
        key lost: Unknown
        closed: the server does not know auth key f8611455e96f5c76 any more
    "#]]
    .assert_eq(&world.conversation());
}

// req: S90
#[test]
fn a_server_that_is_about_to_stop_is_not_asked_without_a_pause() {
    let mut world = settled(10);
    world.server.release_turns(world.now);
    world.run(10 * POLL_INTERVAL_MIN);
    let transcript = world.transcript();
    let polls = transcript.lines().filter(|line| line.contains("> HttpWait")).count();
    assert!((9..=11).contains(&polls), "{polls} long polls in ten seconds");
    let request = world.request("last");
    assert_eq!(world.outcome(request), Ok(object("last")));
    assert_eq!(world.links(), 1);
}

// req: S12, S38
#[test]
fn a_session_that_is_replaced_or_forgotten_goes_on_in_turns() {
    let mut world = settled(11);
    world.client.replace_session(world.client_now());
    world.run(SECOND);
    let request = world.request("one");
    assert_eq!(world.outcome(request), Ok(object("one")));
    assert_eq!(world.server.session_count(), 1);
    let session = world.session.expect("the server has seen a request");
    assert!(world.server.discard_session(session, world.now));
    world.run(SECOND);
    let request = world.request("two");
    assert_eq!(world.outcome(request), Ok(object("two")));
    assert!(world.events.contains(&Event::Gap(Gap::SessionCreated)));
}
