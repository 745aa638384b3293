//! What becomes of requests.

use std::time::Duration;

use expect_test::expect;
use mtproto_tl::Encode;

use super::world::{World, object};
use crate::client::{
    Closed, Event, Gap, Misuse, PingId, REQUEST_LEN_MAX, REQUESTS_MAX, RequestError,
    RequestOptions, State,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_request_made_before_there_is_a_key_is_answered() {
    let mut world = World::new(1);
    let request = world.request("one");
    assert_eq!(world.outcome(request), Ok(object("one")));
    expect![[r#"
        dial 1
        > plain ReqPqMulti
        state Exchanging
        < plain ResPq
        > plain ReqDhParams
        < plain ServerDhParamsOk
        > plain SetClientDhParams
        < plain DhGenOk
        key made
        > one, PingDelayDisconnect, GetFutureSalts
        state Ready
        < NewSessionCreated, Pong, FutureSalts, MsgsAck
        < rpc_result(one)
        gap: SessionCreated
        answer to 1
    "#]]
    .assert_eq(&world.conversation());
}

// req: S12
#[test]
fn a_new_session_takes_the_place_of_many_cancellations() {
    let mut world = World::new(30);
    let first = world.request("first");
    assert!(world.outcome(first).is_ok());
    let old = world.session.expect("the server has seen a request");
    let wanted = world.request("wanted");
    for number in 0..50 {
        let request = world.request(&format!("{number}"));
        world.client.cancel(request, world.client_now());
    }
    world.client.replace_session(world.client_now());
    assert_eq!(world.outcome(wanted), Ok(object("wanted")));
    world.run(SECOND);
    let new = world.session.expect("the server has seen a request");
    assert_ne!(new, old);
    assert_eq!(world.server.session_count(), 1, "the old session is destroyed");
    assert!(world.events.contains(&Event::Gap(Gap::SessionReplaced)));
}

// req: S45, S118
#[test]
fn requests_survive_links() {
    let mut world = World::new(2);
    let first = world.request("first");
    assert!(world.outcome(first).is_ok());
    let requests: Vec<_> = (0..20).map(|n| world.request(&format!("{n}"))).collect();
    world.run(Duration::from_millis(15));
    world.cut();
    world.run(Duration::from_millis(15));
    for request in requests {
        assert!(world.outcome(request).is_ok());
        assert_eq!(world.answers(request).count(), 1);
    }
    world.run(20 * SECOND);
    let mut handled = world.handled.clone();
    handled.sort();
    handled.dedup();
    assert_eq!(handled.len(), world.handled.len(), "a request was carried out twice");
}

#[test]
fn a_request_that_the_server_received_is_not_carried_out_twice() {
    let mut world = World::new(3);
    let first = world.request("first");
    assert!(world.outcome(first).is_ok());
    world.transcript();
    let request = world.request("once");
    // It arrives, and the answer is lost with the link.
    world.run(Duration::from_millis(35));
    world.cut();
    assert_eq!(world.outcome(request), Ok(object("once")));
    assert_eq!(world.handled.iter().filter(|query| **query == object("once")).count(), 1);
    expect![[r#"
        > once, MsgsAck
        < rpc_result(once)
        -- the links are cut
        state Waiting, 1 failures
        dial 2
        state Dialing, 1 failures
        > once, PingDelayDisconnect, MsgsAck
        state Resuming
        < rpc_result(once), Pong
        answer to 2
        state Ready
    "#]]
    .assert_eq(&world.conversation());
}

#[test]
fn an_answer_that_comes_with_the_end_of_its_link_counts() {
    let mut world = World::new(15);
    let first = world.request("first");
    assert!(world.outcome(first).is_ok());
    let request = world.request("last");
    let packet = world.next_packet_to_client();
    let link = world.link();
    world.client.handle_packet(link, packet, world.now);
    world.cut();
    world.run(Duration::ZERO);
    assert_eq!(world.answers(request).count(), 1);
}

// req: S6
#[test]
fn a_cancelled_request_has_no_outcome_and_the_server_is_told() {
    let mut world = World::new(4);
    let first = world.request("first");
    assert!(world.outcome(first).is_ok());
    world.transcript();
    world.network.stalls = true;
    let request = world.request("never");
    world.run(SECOND);
    world.client.cancel(request, world.now);
    world.run(SECOND);
    assert_eq!(world.answers(request).count(), 0);
    expect![[r#"
        > never, MsgsAck
        > RpcDropAnswer
        < rpc_result(0xcd78e586)
    "#]]
    .assert_eq(&world.conversation());
}

#[test]
fn a_deadline_ends_a_request_and_cancels_it() {
    let mut world = World::new(5);
    world.network.stalls = true;
    let options =
        RequestOptions { deadline: Some(world.now + 5 * SECOND), ..RequestOptions::default() };
    let request = world.request_with("late", options);
    assert_eq!(world.outcome(request), Err(RequestError::TimedOut));
    assert_eq!(world.now, world.start + 5 * SECOND);
    world.run(SECOND);
    assert!(world.transcript().contains("RpcDropAnswer"));
}

#[test]
fn what_is_no_request_is_refused_at_once() {
    let mut world = World::new(6);
    let now = world.now;
    let mut request = |bytes: Vec<u8>| {
        world.client.request(bytes.into(), RequestOptions::default(), now).map(|_| ())
    };
    assert_eq!(request(vec![]), Err(Misuse::NotAnObject { len: 0 }));
    assert_eq!(request(vec![1; 6]), Err(Misuse::NotAnObject { len: 6 }));
    let len = REQUEST_LEN_MAX + 4;
    assert_eq!(request(vec![1; len]), Err(Misuse::TooLarge { len }));
    assert_eq!(request(vec![1; REQUEST_LEN_MAX]), Ok(()));
}

#[test]
fn what_the_protocol_keeps_for_itself_is_no_query() {
    use mtproto_tl::functions::{DestroyAuthKey, GetFutureSalts, Ping};
    let mut world = World::new(14);
    let ping = (Ping { ping_id: 1 }.to_bytes(), "ping");
    let salts = (GetFutureSalts { num: 1 }.to_bytes(), "get_future_salts");
    let destroy = (DestroyAuthKey.to_bytes(), "destroy_auth_key");
    for (object, name) in [ping, salts, destroy] {
        let misuse = world.client.request(object, RequestOptions::default(), world.now);
        assert_eq!(misuse, Err(Misuse::NotAQuery { name }));
        assert!(misuse.unwrap_err().to_string().starts_with(name));
    }
}

#[test]
fn requests_without_an_outcome_are_bounded() {
    let mut world = World::new(7);
    for _ in 0..REQUESTS_MAX {
        world.request("one of many");
    }
    assert!(!world.client.has_room());
    let more = world.client.request(object("more"), RequestOptions::default(), world.now);
    assert_eq!(more, Err(Misuse::TooManyRequests));
}

#[test]
fn bytes_of_requests_are_bounded() {
    let mut world = World::new(8);
    let large = bytes::Bytes::from(vec![1; REQUEST_LEN_MAX]);
    let mut requests = Vec::new();
    while world.client.has_room() {
        let options = RequestOptions::default();
        requests.push(world.client.request(large.clone(), options, world.now).unwrap());
    }
    assert_eq!(requests.len() * REQUEST_LEN_MAX, crate::client::REQUEST_BYTES_MAX);
    let more = world.client.request(large.clone(), RequestOptions::default(), world.now);
    assert_eq!(more, Err(Misuse::TooManyRequests));
    world.client.cancel(requests[0], world.now);
    assert!(world.client.request(large, RequestOptions::default(), world.now).is_ok());
}

#[test]
fn closing_gives_every_request_its_outcome() {
    let mut world = World::new(9);
    world.network.stalls = true;
    let sent = world.request("sent");
    world.run(5 * SECOND);
    let queued = world.request("queued");
    world.client.close(world.now);
    world.run(SECOND);
    for request in [sent, queued] {
        let closed = Err(RequestError::Closed(Closed::ByCaller));
        assert_eq!(world.answers(request).collect::<Vec<_>>(), [&closed]);
    }
    assert_eq!(world.client.state(), State::Closed(Closed::ByCaller));
    let late = world.client.request(object("late"), RequestOptions::default(), world.now);
    assert_eq!(late, Err(Misuse::Closed(Closed::ByCaller)));
    let dials = world.dials.len();
    world.run(60 * SECOND);
    assert_eq!(world.dials.len(), dials);
}

// req: S26, S28
#[test]
fn a_ping_lost_with_its_link_goes_out_again() {
    let mut world = World::new(10);
    let first = world.request("first");
    assert!(world.outcome(first).is_ok());
    let ping = world.client.ping(world.now).unwrap();
    world.run(Duration::from_millis(5));
    world.cut();
    world.run(5 * SECOND);
    let pongs: Vec<_> = world
        .events
        .iter()
        .filter(|event| matches!(event, Event::Pong { ping: of, .. } if *of == ping))
        .collect();
    assert_eq!(pongs.len(), 1);
}

// req: S115
#[test]
fn a_quick_ack_comes_before_the_answer() {
    let mut world = World::new(12);
    let first = world.request("first");
    assert!(world.outcome(first).is_ok());
    let options = RequestOptions { quick_ack: true, ..RequestOptions::default() };
    let request = world.request_with("quick", options);
    world.run_until("a quick ack", |world| world.events.contains(&Event::QuickAck { request }));
    assert_eq!(world.answers(request).count(), 0);
    assert!(world.outcome(request).is_ok());
}

// req: S94
#[test]
fn pushes_arrive_once_although_links_break() {
    let mut world = World::new(13);
    let first = world.request("first");
    assert!(world.outcome(first).is_ok());
    let session = world.session.unwrap();
    for n in 0..10 {
        world.server.push(session, object(&format!("push {n}")), world.now).unwrap();
        world.run(Duration::from_millis(15));
        world.cut();
        world.run(Duration::from_secs(2));
    }
    world.run(Duration::from_secs(60));
    let pushes = world.events.iter().filter(|event| matches!(event, Event::Push(_)));
    assert_eq!(pushes.count(), 10);
}

#[test]
fn pings_are_bounded() {
    let mut world = World::new(11);
    for _ in 0..crate::client::PINGS_MAX {
        world.client.ping(world.now).unwrap();
    }
    assert_eq!(world.client.ping(world.now), Err(Misuse::TooManyPings));
    world.client.forget_ping(PingId(1));
    assert!(world.client.ping(world.now).is_ok());
}
