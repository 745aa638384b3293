//! Promise: a server holds packets over HTTP for as long as their `http_wait` says, and answers
//! each with what it has to say by then, whichever connection of whichever session it comes over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mtproto_kit::auth::KeyKind;
use mtproto_kit::auth::client::{ClientConfig, Exchange, Step};
use mtproto_kit::crypto::{AuthKey, SeededRandom};
use mtproto_kit::frame::{Framing, Inbound, Outbound, WireConfig};
use mtproto_kit::pack::{Message, object_id};
use mtproto_kit::server::SessionHandle;
use mtproto_kit::tcp::TcpConnect;
use mtproto_kit::tl::functions::Ping;
use mtproto_kit::tl::types::{HttpWait, MsgsAck};
use mtproto_kit::tl::{Decode, MsgId};
use mtproto_kit::transport::{Dial, Link, LinkExt};
use mtproto_kit::ws::WsDial;
use mtproto_tests::{
    Act, ECHO, HandSession, HttpPeer, PATIENCE, PUSHED, SLEEP_MS, World, answer_in, now, object,
    play, public_key,
};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long we look whether something is held that ought to be, and is held for much longer.
const A_WHILE: Duration = Duration::from_millis(500);

/// Longer than any test.
const LONG_MS: i32 = 60_000;

/// Waits for whatever comes.
const ANYTHING: HttpWait = HttpWait { max_delay: 0, wait_after: 0, max_wait: LONG_MS };

/// Waits for nothing.
const NOTHING: HttpWait = HttpWait { max_delay: 0, wait_after: 0, max_wait: 0 };

/// Sends messages in one packet.
async fn post(http: &mut HttpPeer, session: &mut HandSession, messages: &[Message]) {
    http.post(session.packet(messages)).await;
}

/// Sends a long poll.
async fn poll(http: &mut HttpPeer, session: &mut HandSession, wait: HttpWait) {
    let wait = session.service(&wait);
    post(http, session, &[wait]).await;
}

/// The messages of the next answer.
async fn hear(http: &mut HttpPeer, session: &HandSession) -> Vec<Message> {
    session.open(http.packet().await)
}

/// Lets the server know the session, and leaves nothing in its queue.
async fn begin(http: &mut HttpPeer, session: &mut HandSession) {
    poll(http, session, NOTHING).await;
    let created = hear(http, session).await;
    acknowledge(http, session, &created).await;
}

async fn acknowledge(http: &mut HttpPeer, session: &mut HandSession, messages: &[Message]) {
    let msg_ids = messages.iter().map(|message| message.id).collect();
    let messages = [session.service(&MsgsAck { msg_ids }), session.service(&NOTHING)];
    post(http, session, &messages).await;
    assert_eq!(hear(http, session).await, [], "there is nothing to say");
}

/// A new session of a world's key, on an HTTP connection of its own.
async fn join(world: &World, key: &HandSession, seed: u64) -> (HttpPeer, HandSession) {
    let (mut http, mut session) = (HttpPeer::connect(world.address).await, key.beside(seed));
    begin(&mut http, &mut session).await;
    (http, session)
}

/// A world, and a key in it that was made over TCP.
async fn world(seed: u64) -> (World, HandSession) {
    let world = World::start().await;
    let (_, key) = world.join(seed).await;
    (world, key)
}

/// What the application has said.
#[derive(Debug, Eq, PartialEq)]
enum Said {
    Answer(MsgId),
    Push(u32),
}

/// What is in a packet beside acknowledgements, which may ride in any.
fn said(messages: &[Message], asked: &[MsgId]) -> Vec<Said> {
    let apart_from_acks = messages.iter().filter(|it| MsgsAck::from_bytes(&it.body).is_err());
    let said = apart_from_acks.map(|message| {
        if let Some(id) = asked.iter().find(|id| answer_in(message, **id).is_some()) {
            return Said::Answer(*id);
        }
        let number = (0..100).find(|number| message.body == object(PUSHED, &[*number]));
        Said::Push(number.unwrap_or_else(|| panic!("nobody has said {message:?}")))
    });
    said.collect()
}

/// The times of the `http_wait`, what waits in the queue, what is done after the packet has come,
/// and when it is answered, in milliseconds, with what. The acts have their numbers, and what waits
/// comes before them.
struct Row(Option<(i32, i32, i32)>, u32, &'static [Act], (u64, &'static [Expected]));

/// The answer, or the push with this number.
enum Expected {
    TheAnswer,
    ThePush(u32),
}

use Act::{Answer, Push};
use Expected::{TheAnswer, ThePush};

/// These rows are in the table of `LongPoll`, too. Between what must come in time and the moment
/// when it would be too late is enough for any machine.
#[rustfmt::skip]
const ROWS: [Row; 8] = [
    Row(Some((0, 0, 300)), 0, &[], (300, &[])),
    Row(Some((0, 0, 25_000)), 0, &[Push(200)], (200, &[ThePush(0)])),
    Row(Some((25_000, 700, 25_000)), 0, &[Push(100), Push(400)],
        (1100, &[ThePush(0), ThePush(1)])),
    Row(Some((900, 700, 25_000)), 0, &[Push(100), Push(400)], (1000, &[ThePush(0), ThePush(1)])),
    Row(Some((25_000, 25_000, 500)), 0, &[Push(100)], (500, &[ThePush(0)])),
    Row(Some((25_000, 25_000, 25_000)), 1, &[], (0, &[ThePush(99)])),
    Row(None, 0, &[Answer(300)], (300, &[TheAnswer])),
    Row(None, 0, &[Push(200)], (250, &[ThePush(0)])),
];

/// The packet of a row, and when and how it is answered.
async fn check(
    Row(wait, queued, acts, (due, expected)): Row,
    mut http: HttpPeer,
    mut session: HandSession,
    handle: SessionHandle,
) {
    for number in 0..queued {
        handle.push_bytes(object(PUSHED, &[99 - number])).await.expect("the session is known");
    }
    let query = session.query(play(acts));
    let mut messages = Vec::new();
    if !acts.is_empty() {
        messages.push(query.clone());
    }
    if let Some((max_delay, wait_after, max_wait)) = wait {
        messages.push(session.service(&HttpWait { max_delay, wait_after, max_wait }));
    }
    let sent = now();
    post(&mut http, &mut session, &messages).await;
    let heard = hear(&mut http, &session).await;
    let took = now() - sent;
    let expected = expected.iter().map(|expected| match expected {
        TheAnswer => Said::Answer(query.id),
        ThePush(number) => Said::Push(*number),
    });
    assert_eq!(said(&heard, &[query.id]), expected.collect::<Vec<_>>(), "{wait:?} {acts:?}");
    assert!(took >= Duration::from_millis(due), "{wait:?} {acts:?}: {took:?}");
}

// req: S57, S58, S59, S60, S61, S63, S88, S89, S90, S91, S92
#[tokio::test]
async fn packets_are_answered_when_their_times_say() {
    let (world, key) = world(1).await;
    let mut rows = JoinSet::new();
    for (seed, row) in (100..).zip(ROWS) {
        let (http, session) = join(&world, &key, seed).await;
        let handle = world.handle(&session);
        rows.spawn(check(row, http, session, handle));
    }
    rows.join_all().await;
}

// req: S62
#[tokio::test]
async fn the_last_http_wait_in_a_packet_governs() {
    let (world, key) = world(2).await;
    let (mut http, mut session) = join(&world, &key, 1).await;
    let short = HttpWait { max_wait: 300, ..ANYTHING };
    let messages = [session.service(&ANYTHING), session.service(&short)];
    let sent = now();
    post(&mut http, &mut session, &messages).await;
    assert_eq!(hear(&mut http, &session).await, []);
    assert!(now() - sent >= Duration::from_millis(300));
}

// req: S63
#[tokio::test]
async fn a_query_without_http_wait_is_held_as_well() {
    let (world, key) = world(3).await;
    let (mut http, mut session) = join(&world, &key, 1).await;
    let query = session.query(play(&[]));
    post(&mut http, &mut session, &[query]).await;
    assert!(http.response_within(A_WHILE).await.is_none(), "nothing has come");
    push(&world, &session, 7).await;
    assert_eq!(said(&hear(&mut http, &session).await, &[]), [Said::Push(7)]);
}

// req: S85, S87, S91
#[tokio::test]
async fn an_answer_goes_where_it_was_asked_for_and_a_push_to_the_long_poll() {
    let (world, key) = world(4).await;
    let (mut polling, mut session) = join(&world, &key, 1).await;
    let mut asking = HttpPeer::connect(world.address).await;
    poll(&mut polling, &mut session, ANYTHING).await;
    let query = session.query(object(ECHO, &[1]));
    post(&mut asking, &mut session, std::slice::from_ref(&query)).await;
    let heard = hear(&mut asking, &session).await;
    assert_eq!(said(&heard, &[query.id]), [Said::Answer(query.id)]);
    assert!(polling.response_within(A_WHILE).await.is_none(), "nothing has come for it");
    push(&world, &session, 7).await;
    assert_eq!(said(&hear(&mut polling, &session).await, &[]), [Said::Push(7)]);
}

// req: S84, S85
#[tokio::test]
async fn two_sessions_take_turns_on_one_connection() {
    let (world, key) = world(5).await;
    let (_, other_key) = world.join(6).await;
    let mut http = HttpPeer::connect(world.address).await;
    for (mut one, mut two) in [(key.beside(1), key.beside(2)), (key.beside(3), other_key)] {
        begin(&mut http, &mut one).await;
        begin(&mut http, &mut two).await;
        for number in 0..2 {
            poll(&mut http, &mut two, ANYTHING).await;
            push(&world, &one, number).await;
            assert!(http.response_within(A_WHILE).await.is_none(), "it is the other's");
            for (session, number) in [(&mut two, 10 + number), (&mut one, number)] {
                if number >= 10 {
                    push(&world, session, number).await;
                } else {
                    poll(&mut http, session, ANYTHING).await;
                }
                let heard = hear(&mut http, session).await;
                assert_eq!(said(&heard, &[]), [Said::Push(number)]);
                acknowledge(&mut http, session, &heard).await;
            }
        }
    }
}

// req: S84, S86
#[tokio::test]
async fn any_connection_serves_any_session_of_a_key() {
    let (world, key) = world(7).await;
    let mut connections = Vec::new();
    for _ in 0..3 {
        connections.push(HttpPeer::connect(world.address).await);
    }
    for seed in 0..5 {
        let mut session = key.beside(seed);
        for http in &mut connections {
            let query = session.query(object(ECHO, &[1]));
            post(http, &mut session, std::slice::from_ref(&query)).await;
            let heard = hear(http, &session).await;
            let answer = heard.iter().find_map(|message| answer_in(message, query.id));
            assert_eq!(answer, Some(Ok(query.body)));
        }
    }
}

// req: S5, S93
#[tokio::test]
async fn a_session_takes_its_queue_from_tcp_to_http_to_a_websocket_and_back() {
    let world = World::start().await;
    let (mut tcp, mut session) = world.join(8).await;
    session.settle(&mut tcp).await;
    push(&world, &session, 1).await;
    pushes(&[1], async || session.receive(&mut tcp).await).await;
    tcp.reset();
    push(&world, &session, 2).await;

    let mut http = HttpPeer::connect(world.address).await;
    let poll = async || {
        poll(&mut http, &mut session, ANYTHING).await;
        hear(&mut http, &session).await
    };
    pushes(&[1, 2], poll).await;
    drop(http);
    push(&world, &session, 3).await;

    let mut websocket = dial_websocket(&world).await;
    let ping = session.service(&Ping { ping_id: 1 });
    send_over(&mut *websocket, session.packet(&[ping])).await;
    let msg_ids = pushes(&[1, 2, 3], async || hear_over(&mut *websocket, &session).await).await;
    let ack = session.service(&MsgsAck { msg_ids });
    send_over(&mut *websocket, session.packet(&[ack])).await;
    push(&world, &session, 4).await;
    pushes(&[4], async || hear_over(&mut *websocket, &session).await).await;
    drop(websocket);
    push(&world, &session, 5).await;

    let mut tcp = world.connect(9).await;
    let ping = session.service(&Ping { ping_id: 2 });
    session.send(&mut tcp, &ping).await;
    pushes(&[4, 5], async || session.receive(&mut tcp).await).await;
}

// req: S90
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_answers_what_it_holds() {
    let (world, mut clients) = (World::start().await, Vec::new());
    // So many that keys and connections meet on every pair of shards.
    for seed in 20..36 {
        let (_, key) = world.join(seed).await;
        let (_, session) = join(&world, &key, seed).await;
        clients.push((HttpPeer::connect(world.address).await, session));
    }
    let (mut asking, mut session) = clients.pop().expect("there are some");
    let query = session.query(object(SLEEP_MS, &[1500]));
    post(&mut asking, &mut session, std::slice::from_ref(&query)).await;
    for (http, session) in &mut clients {
        poll(http, session, ANYTHING).await;
    }
    let connections = clients.iter().map(|(http, _)| http).chain([&asking]);
    known(&world, connections.map(HttpPeer::local_address).collect()).await;

    let stopping = tokio::spawn(world.server.shutdown(Duration::from_secs(60)));
    for (http, session) in &mut clients {
        assert_eq!(hear(http, session).await, []);
    }
    let heard = hear(&mut asking, &session).await;
    assert_eq!(said(&heard, &[query.id]), [Said::Answer(query.id)]);
    for (http, _) in &mut clients {
        assert!(http.is_closed().await, "it has nothing more to say");
    }
    timeout(PATIENCE, stopping).await.expect("nothing is left to be done").expect("it stops");
}

// req: S83
#[tokio::test]
async fn a_key_that_nobody_knows_is_answered_404() {
    let (world, key) = world(10).await;
    let mut stranger = key.beside(1);
    stranger.key = AuthKey::new([7; 256]);
    let mut http = HttpPeer::connect(world.address).await;
    poll(&mut http, &mut stranger, ANYTHING).await;
    let response = http.response().await;
    assert_eq!((response.status, &response.body[..]), (404, &[][..]));
    join(&world, &key, 2).await;
}

// req: S84
#[tokio::test]
async fn the_queries_of_an_exchange_may_come_over_a_connection_each() {
    let world = World::start().await;
    let random = &mut SeededRandom::new(11);
    let keys = Arc::new([public_key()]);
    let config = ClientConfig { keys, dc: 2, kind: KeyKind::Permanent };
    let (mut exchange, mut query) = Exchange::start(config, random);
    let mut connections = Vec::new();
    let key = loop {
        let mut http = HttpPeer::connect(world.address).await;
        let answer = http.ask(&query).await;
        connections.push(http);
        match exchange.handle(&answer, random).expect("the server keeps the rules") {
            Step::Query(next, next_query) => (exchange, query) = (next, next_query),
            Step::Done(key) => break key,
        }
    };
    assert!(connections.len() >= 3, "one for each query");
    let mut session = HandSession::new(&key, 12);
    for http in &mut connections {
        begin(http, &mut session).await;
    }
}

/// Pushes from outside.
async fn push(world: &World, session: &HandSession, number: u32) {
    let pushed = world.handle(session).push_bytes(object(PUSHED, &[number])).await;
    pushed.expect("the session is known");
}

/// Receives until these pushes have come, and no others; returns the ids of their messages.
async fn pushes(wanted: &[u32], mut receive: impl AsyncFnMut() -> Vec<Message>) -> Vec<MsgId> {
    let mut missing = wanted.to_vec();
    let mut ids = Vec::new();
    while !missing.is_empty() {
        for message in receive().await {
            if object_id(&message.body) == PUSHED {
                let is_it = |number: &u32| message.body == object(PUSHED, &[*number]);
                assert!(wanted.iter().any(is_it), "{message:?} was acknowledged");
                missing.retain(|number| !is_it(number));
                ids.push(message.id);
            }
        }
    }
    ids
}

async fn dial_websocket(world: &World) -> Box<dyn Link> {
    let address = format!("ws://{}", world.address).parse().expect("an address");
    let config = WireConfig::obfuscated(Framing::Intermediate);
    let dial = WsDial::new(address, config, Arc::new(TcpConnect::default()));
    dial.dial().await.expect("a WebSocket")
}

async fn send_over(link: &mut dyn Link, packet: Bytes) {
    link.send(Outbound::packet(packet)).await.expect("a connection");
}

async fn hear_over(link: &mut dyn Link, session: &HandSession) -> Vec<Message> {
    match timeout(PATIENCE, link.recv()).await.expect("something comes") {
        Ok(Inbound::Packet { payload, .. }) => session.open(payload),
        other => panic!("in place of a packet came {other:?}"),
    }
}

/// Waits until each of these connections has shown a session.
async fn known(world: &World, connections: Vec<SocketAddr>) {
    let wait = async {
        loop {
            let mut missing = connections.clone();
            let mut sessions = world.server.sessions();
            while let Some(page) = sessions.next_page().await {
                let peers = page.iter().flat_map(|info| &info.peers);
                let seen: Vec<_> = peers.filter_map(|peer| peer.origin.address).collect();
                missing.retain(|address| !seen.contains(address));
            }
            if missing.is_empty() {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the server reads");
}
