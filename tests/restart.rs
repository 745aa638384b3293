//! Promise: a server that is stopped and started again still knows its clients, and a client that
//! was connected goes on without a new key exchange.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mtproto_kit::auth::KeyKind;
use mtproto_kit::client::{Client, ClientBuilder, Event, Events, State};
use mtproto_kit::frame::{Address, Framing, TransportError, WireConfig};
use mtproto_kit::pack::{RpcError, object_id};
use mtproto_kit::server::{Request, Server, handler_fn};
use mtproto_kit::store::SessionFile;
use mtproto_kit::store_redb::RedbKeyStore;
use mtproto_kit::tl::Encode;
use mtproto_kit::tl::functions::{DestroyAuthKey, Ping};
use mtproto_kit::tl::types::DestroyAuthKeyOk;
use mtproto_tests::{
    HandSession, PATIENCE, Peer, Received, address, object, public_key, server_at,
};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

const ECHO: u32 = 0x0e2e_0020;
const SLOW: u32 = 0x0e2e_0021;

/// The life of one server: its directory and its port stay.
struct World {
    dir: TempDir,
    address: SocketAddr,
    server: Option<Server>,
}

impl World {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let server = serve(SocketAddr::from(([127, 0, 0, 1], 0)), dir.path()).await;
        Self { dir, address: address(&server), server: Some(server) }
    }

    /// Stops the server, and starts it again after a moment.
    async fn restart(&mut self, grace: Duration) {
        if let Some(server) = self.server.take() {
            server.shutdown(grace).await;
        }
        sleep(Duration::from_millis(200)).await;
        self.server = Some(serve(self.address, self.dir.path()).await);
    }

    /// A connection to drive by hand.
    async fn connect(&self) -> Peer {
        Peer::connect(self.address, &WireConfig::plain(Framing::Intermediate), 1).await
    }

    fn client(&self) -> ClientBuilder {
        Client::builder()
            .address(Address::tcp(self.address))
            .framing(Framing::Padded)
            .obfuscated(true)
            .server_key(public_key())
    }
}

async fn serve(at: SocketAddr, dir: &Path) -> Server {
    let store = RedbKeyStore::open(dir.join("server.redb")).expect("nobody else has it");
    let builder = server_at(at).store(Arc::new(store));
    builder.serve(handler_fn(answer)).await.expect("the port is free")
}

async fn answer(request: Request) -> Result<Bytes, RpcError> {
    if object_id(&request.query) == SLOW {
        sleep(Duration::from_millis(500)).await;
    }
    Ok(request.query)
}

async fn assert_echoes(client: &Client, number: u32) {
    let query = object(ECHO, &[number]);
    let answer = client.call_within(query.clone(), PATIENCE).await;
    assert_eq!(answer, Ok(query));
    // The answer may be what shows it that it is connected.
    let mut state = client.state();
    let ready = state.wait_for(|state| *state == State::Ready);
    assert!(timeout(PATIENCE, ready).await.is_ok());
}

// req: S118
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connected_client_goes_on_with_its_key() {
    let mut world = World::start().await;
    let client = world.client().connect().await.expect("the server is there");
    let events = client.events().expect("nobody else has asked");
    assert_echoes(&client, 1).await;
    let key = client.connect_info().key;
    assert!(key.is_some());
    for number in 2..4 {
        world.restart(Duration::from_secs(1)).await;
        assert_echoes(&client, number).await;
    }
    let info = client.connect_info();
    assert_eq!(info.key, key);
    assert!(info.connections >= 3, "{info:?}");
    client.shutdown().await;
    assert_eq!(keys_made(events).await, 1, "exchanges");
}

// req: S118
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_survives_a_server_that_breaks_off() {
    let mut world = World::start().await;
    let client = world.client().connect().await.expect("the server is there");
    let query = object(SLOW, &[1]);
    let call = {
        let (client, query) = (client.clone(), query.clone());
        tokio::spawn(async move { client.call_within(query, PATIENCE).await })
    };
    sleep(Duration::from_millis(100)).await;
    world.restart(Duration::ZERO).await;
    let answer = call.await.expect("no panic");
    assert_eq!(answer, Ok(query));
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_starts_again_goes_on_with_its_session_file() {
    let mut world = World::start().await;
    let path = world.dir.path().join("client.session");
    let open = || SessionFile::open(&path).expect("a file of its own");
    let client = world.client().store(open()).connect().await.expect("the server is there");
    assert!(!client.connect_info().key_reused);
    let key = client.connect_info().key;
    assert_echoes(&client, 1).await;
    client.shutdown().await;
    drop(client);

    world.restart(Duration::from_secs(1)).await;
    let client = world.client().store(open()).connect().await.expect("the server is there");
    let info = client.connect_info();
    assert!(info.key_reused && info.exchange.is_none(), "{info:?}");
    assert_eq!(info.key, key);
    assert_echoes(&client, 2).await;
    client.shutdown().await;
}

// req: S113
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_temporary_key_survives_too() {
    let mut world = World::start().await;
    let client = world.client().pfs(true).connect().await.expect("the server is there");
    assert_echoes(&client, 1).await;
    let info = client.connect_info();
    assert!(info.exchange.is_some() && info.temporary_exchange.is_some(), "{info:?}");
    let events = client.events().expect("nobody else has asked");
    world.restart(Duration::from_secs(1)).await;
    assert_echoes(&client, 2).await;
    assert_eq!(client.connect_info().key, info.key);
    client.shutdown().await;
    assert_eq!(keys_made(events).await, 2, "exchanges: a permanent key and a temporary one");
}

// req: S66
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroyed_key_stays_destroyed() {
    let mut world = World::start().await;
    let mut peer = world.connect().await;
    let permanent = peer.make_key(KeyKind::Permanent).await;
    let temporary = peer.make_key(KeyKind::Temporary { expires_in: 3600 }).await;
    let neighbour = peer.make_key(KeyKind::Permanent).await;
    let [mut owner, mut bound, mut neighbour] = [(&permanent, 1), (&temporary, 2), (&neighbour, 3)]
        .map(|(key, seed)| HandSession::new(key, seed));
    let bind = bound.binding(&owner.key, temporary.server_time + 3000);
    bound.send(&mut peer, &bind).await;
    assert_eq!(bound.answer(&mut peer, bind.id).await, Ok(true.to_bytes()));
    let destroy = owner.service(&DestroyAuthKey {});
    let mut peer = world.connect().await;
    owner.send(&mut peer, &destroy).await;
    owner.expect_object::<DestroyAuthKeyOk>(&mut peer).await;

    world.restart(Duration::from_secs(1)).await;
    for session in [&mut owner, &mut bound] {
        let mut peer = world.connect().await;
        let ping = session.service(&Ping { ping_id: 1 });
        session.send(&mut peer, &ping).await;
        assert_eq!(peer.receive().await, Received::Error(TransportError::NotFound));
    }
    neighbour.settle(&mut world.connect().await).await;
}

/// How many key exchanges a client that has stopped has been through.
async fn keys_made(mut events: Events) -> usize {
    let mut made = 0;
    let count = async {
        while let Some(event) = events.next().await {
            made += usize::from(matches!(event, Event::KeyMade(_)));
        }
    };
    timeout(PATIENCE, count).await.expect("a client that has stopped says nothing more");
    made
}
