//! Promise: whoever looks after a server sees what sessions it has, and by which transports.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use mtproto_kit::auth::KeyKind;
use mtproto_kit::frame::{Framing, WireConfig};
use mtproto_kit::server::{SESSIONS_PAGE_MAX, SessionInfo};
use mtproto_kit::tl::functions::Ping;
use mtproto_kit::tl::{AuthKeyId, Encode, SessionId};
use mtproto_tests::{
    COUNT, ECHO, HandSession, PUSHED, Peer, SLEEP_MS, World, answer_in, object, server,
};

/// Every session of a server by its name.
async fn list(world: &World) -> BTreeMap<(AuthKeyId, SessionId), SessionInfo> {
    let mut all = BTreeMap::new();
    let mut sessions = world.server.sessions();
    while let Some(page) = sessions.next_page().await {
        assert!((1..=SESSIONS_PAGE_MAX).contains(&page.len()));
        for info in page {
            let name = (info.session.key(), info.session.id());
            assert!(all.insert(name, info).is_none(), "{name:?} is listed twice");
        }
    }
    all
}

fn name(session: &HandSession) -> (AuthKeyId, SessionId) {
    (AuthKeyId(session.key.id()), session.id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_all_shards_are_listed() {
    let shards = NonZeroUsize::new(3).expect("not zero");
    let world = World::start_with(server().shards(shards)).await;
    assert!(list(&world).await.is_empty());
    let (mut peers, mut names) = (Vec::new(), BTreeSet::new());
    for seed in 1..=8 {
        let (mut peer, mut session) = world.join(seed).await;
        let mut other = session.beside(100 + seed);
        for session in [&mut session, &mut other] {
            session.settle(&mut peer).await;
            names.insert(name(session));
        }
        peers.push(peer);
    }
    let listed = list(&world).await;
    assert_eq!(listed.keys().copied().collect::<BTreeSet<_>>(), names);

    // What a listing gives can be pushed to.
    let push = object(PUSHED, &[1]);
    for info in listed.values() {
        info.session.push_bytes(push.clone()).await.expect("the session is known");
    }
    assert!(list(&world).await.values().all(|info| info.queued_messages == 2));

    let mut sessions = world.server.sessions();
    assert!(sessions.next_page().await.is_some());
    world.server.shutdown(Duration::from_secs(1)).await;
    assert!(sessions.next_page().await.is_none(), "a server that has stopped has no sessions");
}

#[tokio::test]
async fn a_session_is_listed_with_its_connections_and_its_queue() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(20).await;
    let slow = session.query(object(SLEEP_MS, &[600_000]));
    session.send(&mut peer, &slow).await;
    session.call(&mut peer, object(ECHO, &[1])).await.expect("an answer");
    let info = list(&world).await.remove(&name(&session)).expect("it is listed");
    assert_eq!(info.identity, Some(name(&session).0));
    assert_eq!((info.running_requests, info.queued_messages), (1, 2));
    assert!(info.queued_bytes > 0 && info.created <= info.last_active);
    let address = peer.local_address();
    let peers: Vec<_> = info.peers.iter().map(ToString::to_string).collect();
    assert_eq!(peers, [format!("tcp://{address} intermediate")]);

    let temporary = peer.make_key(KeyKind::Temporary { expires_in: 3600 }).await;
    let mut bound = HandSession::new(&temporary, 21);
    bound.settle(&mut peer).await;
    assert_eq!(list(&world).await[&name(&bound)].identity, None);
    let bind = bound.binding(&session.key, temporary.server_time + 3000);
    bound.send(&mut peer, &bind).await;
    assert_eq!(bound.answer(&mut peer, bind.id).await, Ok(true.to_bytes()));
    assert_eq!(list(&world).await[&name(&bound)].identity, Some(name(&session).0));
}

// req: S5, S94
#[tokio::test]
async fn a_session_goes_on_over_another_transport() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(30).await;
    let query = session.query(object(COUNT, &[1]));
    session.send(&mut peer, &query).await;
    session.answer(&mut peer, query.id).await.expect("an answer");
    let before = list(&world).await.remove(&name(&session)).expect("it is listed");
    peer.finish().await;

    let config = WireConfig::obfuscated(Framing::Padded);
    let mut peer = Peer::connect(world.address, &config, 31).await;
    let ping = session.service(&Ping { ping_id: 1 });
    session.send(&mut peer, &ping).await;
    session.expect(&mut peer, |message| answer_in(message, query.id)).await.expect("the same");
    assert_eq!(world.counted(), 1);
    let after = list(&world).await.remove(&name(&session)).expect("it is listed");
    assert_eq!(after.created, before.created, "the session is the same");
    let address = peer.local_address();
    let peers: Vec<_> = after.peers.iter().map(ToString::to_string).collect();
    assert_eq!(peers, [format!("tcp://{address} padded+obfuscated")]);
}
