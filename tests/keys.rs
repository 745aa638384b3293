//! Promise: a key is good for as long as it was made for, on every connection, and not a moment
//! longer on any.

use std::time::Duration;

use bytes::Bytes;
use mtproto_kit::auth::KeyKind;
use mtproto_kit::frame::TransportError;
use mtproto_kit::pack::RpcError;
use mtproto_kit::server::method_invalid;
use mtproto_kit::tl::Encode;
use mtproto_kit::tl::functions::{DestroyAuthKey, Ping};
use mtproto_kit::tl::types::DestroyAuthKeyOk;
use mtproto_kit::tl::wrappers::functions::help::GetConfig;
use mtproto_tests::{COUNT, ECHO, HandSession, Received, World, object};
use tokio::time::sleep;

// req: S113
#[tokio::test]
async fn a_temporary_key_works_once_it_is_bound() {
    let world = World::start().await;
    let (mut peer, permanent) = world.join(24).await;
    let temporary = peer.make_key(KeyKind::Temporary { expires_in: 3600 }).await;
    let mut session = HandSession::new(&temporary, 25);

    let empty = Err(RpcError::new(401, "AUTH_KEY_PERM_EMPTY"));
    assert_eq!(session.call(&mut peer, object(COUNT, &[1])).await, empty);
    // This much is allowed; that the application does not know it is another matter.
    let allowed = session.call(&mut peer, GetConfig {}.to_bytes()).await;
    assert_eq!(allowed, Err(method_invalid()));

    let query = session.binding(&permanent.key, temporary.server_time + 3000);
    let bind = query.body.clone();
    session.send(&mut peer, &query).await;
    assert_eq!(session.answer(&mut peer, query.id).await, Ok(true.to_bytes()));
    assert_eq!(session.call(&mut peer, object(COUNT, &[1])).await, Ok(object(COUNT, &[1])));
    assert_eq!(world.counted(), 1);

    // The same words in another message prove nothing.
    let stolen = session.call(&mut peer, bind).await;
    assert_eq!(stolen, Err(RpcError::new(400, "ENCRYPTED_MESSAGE_INVALID")));

    // The next temporary key takes its place.
    let next = peer.make_key(KeyKind::Temporary { expires_in: 3600 }).await;
    let mut renewed = HandSession::new(&next, 26);
    let query = renewed.binding(&permanent.key, next.server_time + 3000);
    renewed.send(&mut peer, &query).await;
    assert_eq!(renewed.answer(&mut peer, query.id).await, Ok(true.to_bytes()));
    assert!(renewed.call(&mut peer, object(COUNT, &[2])).await.is_ok());
    let mut last = Ok(Bytes::new());
    for _ in 0..50 {
        last = session.call(&mut peer, object(ECHO, &[3])).await;
        if last.is_err() {
            break;
        }
        // The other key's shard may still have to hear of it.
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(last, empty);
}

// req: S113
#[tokio::test]
async fn a_temporary_key_that_has_expired_is_not_known() {
    let world = World::start().await;
    let mut peer = world.connect(27).await;
    let temporary = peer.make_key(KeyKind::Temporary { expires_in: 2 }).await;
    let mut session = HandSession::new(&temporary, 27);
    session.settle(&mut peer).await;
    sleep(Duration::from_millis(2500)).await;
    while let Received::Packet(_) | Received::Error(_) = peer.receive().await {}
    assert_eq!(refusal(&world, &mut session).await, TransportError::NotFound);
}

// req: S66
#[tokio::test]
async fn a_destroyed_key_is_gone_for_all_its_connections() {
    let world = World::start().await;
    let (mut peer, mut session) = world.join(28).await;
    let mut other_peer = world.connect(29).await;
    let mut other = session.beside(29);
    other.settle(&mut other_peer).await;
    let destroy = session.service(&DestroyAuthKey {});
    session.send(&mut peer, &destroy).await;
    session.expect_object::<DestroyAuthKeyOk>(&mut peer).await;
    for peer in [&mut peer, &mut other_peer] {
        assert_eq!(peer.receive().await, Received::Error(TransportError::NotFound));
        assert_eq!(peer.receive().await, Received::Closed);
    }
    for session in [&mut session, &mut other] {
        assert_eq!(refusal(&world, session).await, TransportError::NotFound);
    }
}

/// What a session's next message gets over a new connection.
async fn refusal(world: &World, session: &mut HandSession) -> TransportError {
    let mut peer = world.connect(30).await;
    let ping = session.service(&Ping { ping_id: 1 });
    session.send(&mut peer, &ping).await;
    match peer.receive().await {
        Received::Error(error) => error,
        other => panic!("in place of a refusal came {other:?}"),
    }
}
