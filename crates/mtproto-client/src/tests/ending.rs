//! Logging out.

use std::sync::Arc;
use std::time::Duration;

use mtproto_store::{ClientRecord, ClientStore, MemoryClientStore, StoreError};
use tokio::time::{sleep, timeout};

use super::served::{Order, public_key, serve};
use super::{Kept, SECOND, Shared, builder, connected};
use crate::clock::now;
use crate::{CallError, Client, Closed, LOG_OUT_MAX, LogOutError, SHUTDOWN_MAX};

const LOGGED_OUT: Closed = Closed::LoggedOut { destroyed: true };

// req: S67
#[tokio::test(start_paused = true)]
async fn logging_out_forgets_the_key_on_both_sides() {
    let (dial, mut server) = serve();
    let (dial, store) = (Arc::new(dial), Arc::new(MemoryClientStore::default()));
    let connect = || {
        let builder = Client::builder().dial(Shared(dial.clone())).store(Kept(store.clone()));
        builder.server_key(public_key()).connect()
    };
    let client = connect().await.unwrap();
    sleep(SECOND).await;
    let record = store.load().unwrap().unwrap();
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.call("staLL!!!").await }
    });
    server.queries.recv().await.unwrap();
    client.log_out().await.unwrap();
    assert_eq!(call.await.unwrap(), Err(CallError::Closed(Closed::ByCaller)));
    assert_eq!(client.call("too late").await, Err(CallError::Closed(LOGGED_OUT)));
    assert_eq!(store.load().unwrap(), None);
    assert!(client.log_out().await.is_ok(), "it is logged out");
    client.shutdown().await;

    // What somebody else kept of it is of no use.
    store.save(&record).unwrap();
    let thief = connect().await;
    assert!(matches!(thief, Err(crate::ConnectError::Closed(Closed::KeyLost(_)))), "{thief:?}");
    store.clear().unwrap();
    assert!(connect().await.is_ok());
}

// req: S67
#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_confirm_is_not_waited_for_without_end() {
    let (client, server) = connected().await;
    for _ in 0..4 {
        server.orders.send(Order::Fade).unwrap();
    }
    drop(server);
    let from = now();
    let fading = tokio::spawn({
        let client = client.clone();
        async move { client.log_out().await }
    });
    let outcome = timeout(LOG_OUT_MAX + SHUTDOWN_MAX, fading).await.unwrap().unwrap();
    // The server serves the links that come after; so it may have been in time.
    assert!(matches!(outcome, Ok(()) | Err(LogOutError::Unconfirmed)), "{outcome:?}");
    assert!(now() - from <= LOG_OUT_MAX + SHUTDOWN_MAX);
}

// req: S67
#[tokio::test(start_paused = true)]
async fn a_store_that_keeps_the_key_is_told_of() {
    let (builder, _server) = builder();
    let client = builder.store(Stubborn).connect().await.unwrap();
    let outcome = client.log_out().await;
    assert!(matches!(outcome, Err(LogOutError::Store(_))), "{outcome:?}");
}

// req: S67
#[tokio::test(start_paused = true)]
async fn a_client_that_was_shut_down_cannot_log_out() {
    let (client, _server) = connected().await;
    client.shutdown().await;
    let outcome = client.log_out().await;
    assert!(matches!(outcome, Err(LogOutError::Closed(Closed::ByCaller))), "{outcome:?}");
}

// req: S67
#[tokio::test(start_paused = true)]
async fn a_dropped_future_does_not_call_logging_out_off() {
    let (client, _server) = connected().await;
    assert!(timeout(Duration::ZERO, client.log_out()).await.is_err());
    sleep(SECOND).await;
    assert_eq!(client.call("too late").await, Err(CallError::Closed(LOGGED_OUT)));
}

// req: S95
#[tokio::test(start_paused = true)]
async fn what_is_owed_is_acknowledged_on_shutdown() {
    let (dial, server) = serve();
    let dial = Arc::new(dial);
    let client = Client::builder().dial(Shared(dial.clone())).server_key(public_key());
    let client = client.connect().await.unwrap();
    server.orders.send(Order::Push("pushed..".into())).unwrap();
    sleep(SECOND).await;
    client.shutdown().await;
    sleep(SECOND).await;
    let (answer, queued) = tokio::sync::oneshot::channel();
    server.orders.send(Order::Queued(answer)).unwrap();
    assert_eq!(queued.await, Ok(0));
}

/// A store that cannot be cleared.
struct Stubborn;

impl ClientStore for Stubborn {
    fn load(&self) -> Result<Option<ClientRecord>, StoreError> {
        Ok(None)
    }

    fn save(&self, _: &ClientRecord) -> Result<(), StoreError> {
        Ok(())
    }

    fn clear(&self) -> Result<(), StoreError> {
        Err(StoreError::Corrupt { what: "test" })
    }
}
