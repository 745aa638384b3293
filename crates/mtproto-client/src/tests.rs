//! The whole client against a server endpoint, over links in memory and on a clock that tests move.

mod ending;
mod reconnecting;
mod served;

use std::time::Duration;

use bytes::Bytes;
use mtproto_frame::Framing;
use mtproto_store::{ClientRecord, ClientStore, MemoryClientStore, StoreError};
use mtproto_tl::{DecodeError, Encode, Function, Raw};
use tokio::time::{sleep, timeout};

use crate::{
    CallError, CallOptions, Client, ClientBuilder, Closed, ConnectError, EVENTS_MAX, Event, Events,
    InvokeError, LinkEnd, Misuse, State,
};
use served::{Handle, Order, public_key, serve};

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> (ClientBuilder, Handle) {
    let (dial, handle) = serve();
    let wall_clock = reconnecting::wall_clock(&Default::default());
    let builder = Client::builder().dial(dial).server_key(public_key()).wall_clock(wall_clock);
    (builder, handle)
}

async fn connected() -> (Client, Handle) {
    let (builder, handle) = builder();
    (builder.connect().await.unwrap(), handle)
}

async fn event(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    let find = async {
        loop {
            let event = events.next().await.expect("the client runs");
            if wanted(&event) {
                return event;
            }
        }
    };
    timeout(60 * SECOND, find).await.expect("it happens")
}

#[tokio::test(start_paused = true)]
async fn a_call_has_its_answer() {
    let (client, _server) = connected().await;
    assert_eq!(client.call("echoed text.").await, Ok(Bytes::from("echoed text.")));
    let refused = CallError::Rpc { code: 400, message: "TEST_FAILED".to_owned() };
    assert_eq!(client.call("fail").await, Err(refused));
    assert_eq!(client.call("odd").await, Err(CallError::Misuse(Misuse::NotAnObject { len: 3 })));
    assert!(client.ping().await.unwrap() < SECOND);
    let info = client.connect_info();
    assert!(!info.key_reused && info.exchange.is_some() && info.connections == 1);
    client.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_type_is_an_error_of_its_own() {
    let (client, _server) = connected().await;
    assert_eq!(client.invoke(&Ask("an echo.")).await, Ok(Raw("an echo.".into())));
    let number = DecodeError::UnknownConstructor { id: u32::from_le_bytes(*b"an e") };
    let answer = client.invoke(&AskForPong(Ask("an echo."))).await;
    assert_eq!(answer, Err(InvokeError::Result(number)));
    let refused = client.invoke(&Ask("fail")).await;
    assert!(matches!(refused, Err(InvokeError::Call(CallError::Rpc { .. }))));
}

/// A function whose answer is what it says.
struct Ask(&'static str);

impl Encode for Ask {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
}

impl Function for Ask {
    type Response = Raw;
}

/// The same, with another idea of its answer.
struct AskForPong(Ask);

impl Encode for AskForPong {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Function for AskForPong {
    type Response = mtproto_tl::types::Pong;
}

// req: S115
#[tokio::test(start_paused = true)]
async fn a_quick_acknowledgement_comes_before_the_result_if_it_is_asked_for() {
    let (client, _server) = connected().await;
    let quick = CallOptions { quick_ack: true, ..CallOptions::default() };
    let mut call = client.begin("staLL!!!", quick).await.unwrap();
    assert!(timeout(SECOND, call.received()).await.unwrap());
    assert!(call.received().await);
    assert!(timeout(SECOND, call.result()).await.is_err());

    let mut call = client.begin("plain...", CallOptions::default()).await.unwrap();
    assert!(!call.received().await);
    assert_eq!(call.result().await, Ok(Bytes::from("plain...")));

    // A caller may look at nothing but the result.
    let call = client.begin("unasked.", quick).await.unwrap();
    assert_eq!(call.result().await, Ok(Bytes::from("unasked.")));

    let options = CallOptions { limit: Some(SECOND), quick_ack: true };
    let mut call = client.begin("odd", options).await.unwrap();
    assert!(!call.received().await);
    assert_eq!(call.result().await, Err(CallError::Misuse(Misuse::NotAnObject { len: 3 })));
}

// req: S6
#[tokio::test(start_paused = true)]
async fn a_call_that_is_waited_for_in_pieces_is_cancelled_when_it_is_dropped() {
    let (client, mut server) = connected().await;
    let quick = CallOptions { quick_ack: true, ..CallOptions::default() };
    let mut call = client.begin("staLL!!!", quick).await.unwrap();
    // Cancel-safe: a dropped wait takes nothing with it.
    assert!(timeout(Duration::ZERO, call.received()).await.is_err());
    assert!(call.received().await);
    server.queries.recv().await.unwrap();
    drop(call);
    assert!(client.call("still here..").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_protocols_own_functions_are_refused_by_name() {
    let (client, _server) = connected().await;
    let ping = client.invoke(&mtproto_tl::functions::Ping { ping_id: 1 }).await;
    let misuse = Misuse::NotAQuery { name: "ping" };
    assert_eq!(ping, Err(InvokeError::Call(CallError::Misuse(misuse))));
    assert!(client.ping().await.is_ok());
}

// req: S118
#[tokio::test(start_paused = true)]
async fn calls_survive_cut_links() {
    let (client, server) = connected().await;
    for n in 0..20 {
        let text = Bytes::from(format!("call {n:03}"));
        let call = client.call(text.clone());
        server.orders.send(Order::Cut).unwrap();
        assert_eq!(timeout(60 * SECOND, call).await.unwrap(), Ok(text));
    }
    assert!(client.connect_info().connections > 1);
}

// req: S6
#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_cancelled_and_the_client_goes_on() {
    let (client, mut server) = connected().await;
    let call = client.call("staLL!!!");
    assert!(timeout(SECOND, call).await.is_err());
    assert_eq!(server.queries.recv().await, Some(Bytes::from("staLL!!!")));
    let late = client.call_within("staLL!!!", SECOND).await;
    assert_eq!(late, Err(CallError::TimedOut));
    assert!(client.call("still here..").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_fit_wait_for_their_turn() {
    let (client, _server) = connected().await;
    let calls: Vec<_> = (0..10_007)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.call(format!("call {n:07}")).await })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn pushes_and_states_are_events() {
    let (client, server) = connected().await;
    let mut events = client.events().unwrap();
    assert!(client.events().is_none());
    event(&mut events, |event| matches!(event, Event::KeyMade(_))).await;
    server.orders.send(Order::Push("pushed..".into())).unwrap();
    event(&mut events, |event| *event == Event::Push("pushed..".into())).await;
    server.orders.send(Order::Cut).unwrap();
    event(&mut events, |event| matches!(event, Event::State(State::Waiting { .. }))).await;
    event(&mut events, |event| *event == Event::State(State::Ready)).await;
}

#[tokio::test(start_paused = true)]
async fn events_that_nobody_reads_stop_neither_calls_nor_memory() {
    let (client, server) = connected().await;
    let mut events = client.events().unwrap();
    for n in 0..2 * EVENTS_MAX {
        server.orders.send(Order::Push(format!("{n:08}").into())).unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    let answer = timeout(60 * SECOND, client.call("answered")).await;
    assert_eq!(answer.unwrap(), Ok(Bytes::from("answered")));
    let missed = event(&mut events, |event| matches!(event, Event::Missed { .. })).await;
    assert!(matches!(missed, Event::Missed { events } if events >= 1000));
    // Whoever reads again gets what comes from then on.
    server.orders.send(Order::Push("the next".into())).unwrap();
    event(&mut events, |event| *event == Event::Push("the next".into())).await;
}

// req: S22
#[tokio::test(start_paused = true)]
async fn a_stored_key_is_used_again() {
    let (dial, _server) = serve();
    let dial = std::sync::Arc::new(dial);
    let store = std::sync::Arc::new(MemoryClientStore::default());
    let connect = || {
        let builder = Client::builder().dial(Shared(dial.clone())).store(Kept(store.clone()));
        builder.server_key(public_key()).connect()
    };
    let first = connect().await.unwrap();
    let key = first.connect_info().key;
    first.shutdown().await;
    let second = connect().await.unwrap();
    let info = second.connect_info();
    assert!(info.key_reused && info.exchange.is_none() && info.key == key && key.is_some());
}

// req: S114
#[tokio::test(start_paused = true)]
async fn a_lost_key_ends_the_client_and_its_calls() {
    let (client, server) = connected().await;
    let key = client.connect_info().key.unwrap();
    server.orders.send(Order::ForgetKey(key)).unwrap();
    assert_eq!(client.call("too late").await, Err(CallError::Closed(Closed::KeyLost(key))));
    assert_eq!(client.call("later still.").await, Err(CallError::Closed(Closed::KeyLost(key))));
}

// req: S113
#[tokio::test(start_paused = true)]
async fn messages_go_under_a_temporary_key() {
    let (builder, _server) = builder();
    let client = builder.pfs(true).connect().await.unwrap();
    assert!(client.call("forward.secrecy.").await.is_ok());
    assert!(client.connect_info().temporary_exchange.is_some());
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_an_error_in_time() {
    let limit = 3 * SECOND;
    let failed = Client::builder()
        .address("tcp://127.0.0.1:1")
        .server_key(public_key())
        .connect_timeout(limit)
        .connect()
        .await;
    let Err(error) = failed else { panic!("nobody listens on port 1") };
    assert!(matches!(error, ConnectError::TimedOut { last: Some(LinkEnd::DialFailed), .. }));
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_work_is_said_at_once() {
    let failed = |builder: ClientBuilder| async { builder.connect().await.unwrap_err() };
    let key = || Client::builder().server_key(public_key());
    assert!(matches!(failed(key()).await, ConnectError::AddressMissing));
    assert!(matches!(failed(key().address("nonsense")).await, ConnectError::Address(_)));
    let full = key().address("tcp://127.0.0.1:1").framing(Framing::Full).obfuscated(true);
    assert!(matches!(failed(full).await, ConnectError::Layers(_)));
    let keyless = Client::builder().address("tcp://127.0.0.1:1");
    assert!(matches!(failed(keyless).await, ConnectError::ServerKeyMissing));
    let bad = Client::builder().server_keys("-----BEGIN RSA PUBLIC KEY-----\nAAAA\n");
    assert!(matches!(failed(bad).await, ConnectError::ServerKey { .. }));
    let (dial, _server) = serve();
    let corrupt = key().dial(dial).store(Corrupt);
    assert!(matches!(failed(corrupt).await, ConnectError::Store(_)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_trusted_is_refused() {
    let (dial, _server) = serve();
    let mut random = mtproto_crypto::SeededRandom::new(99);
    let other = mtproto_crypto::rsa::RsaPrivateKey::generate(&mut random).public().clone();
    let failed = Client::builder().dial(dial).server_key(other).connect().await;
    assert!(matches!(failed, Err(ConnectError::Closed(Closed::ServerKeyUnknown))));
}

#[tokio::test(start_paused = true)]
async fn a_client_ends_with_its_last_handle() {
    let (client, _server) = connected().await;
    let mut state = client.state();
    let mut events = client.events().unwrap();
    drop(client);
    let closed = State::Closed(Closed::ByCaller);
    timeout(SECOND, state.wait_for(|state| *state == closed)).await.unwrap().unwrap();
    let rest = async { while events.next().await.is_some() {} };
    timeout(SECOND, rest).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn shutting_down_ends_calls_and_takes_little_time() {
    let (client, mut server) = connected().await;
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.call("staLL!!!").await }
    });
    server.queries.recv().await.unwrap();
    timeout(crate::SHUTDOWN_MAX, client.shutdown()).await.unwrap();
    assert_eq!(call.await.unwrap(), Err(CallError::Closed(Closed::ByCaller)));
    assert_eq!(client.call("too late").await, Err(CallError::Stopped));
    client.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_full_can_be_stopped() {
    let (client, _server) = connected().await;
    let call = |client: Client| async move { client.call("staLL!!!").await };
    let calls: Vec<_> = (0..10_000).map(|_| tokio::spawn(call(client.clone()))).collect();
    sleep(SECOND).await;
    timeout(SECOND, client.shutdown()).await.unwrap();
    for call in calls {
        let outcome = call.await.unwrap();
        let stopped = [CallError::Closed(Closed::ByCaller), CallError::Stopped];
        assert!(outcome.is_err_and(|error| stopped.contains(&error)));
    }
}

/// One dialler of several clients.
struct Shared(std::sync::Arc<mtproto_transport::memory::MemoryDial>);

#[async_trait::async_trait]
impl mtproto_transport::Dial for Shared {
    async fn dial(&self) -> Result<Box<dyn mtproto_transport::Link>, mtproto_transport::DialError> {
        self.0.dial().await
    }
}

/// A store that outlives its client.
struct Kept(std::sync::Arc<MemoryClientStore>);

impl ClientStore for Kept {
    fn load(&self) -> Result<Option<ClientRecord>, StoreError> {
        self.0.load()
    }

    fn save(&self, record: &ClientRecord) -> Result<(), StoreError> {
        self.0.save(record)
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.0.clear()
    }
}

/// A store that cannot be read.
struct Corrupt;

impl ClientStore for Corrupt {
    fn load(&self) -> Result<Option<ClientRecord>, StoreError> {
        Err(StoreError::Corrupt { what: "test" })
    }

    fn save(&self, _: &ClientRecord) -> Result<(), StoreError> {
        Ok(())
    }

    fn clear(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
