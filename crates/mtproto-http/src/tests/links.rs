//! Links at both ends.

use std::sync::Arc;

use mtproto_transport::conformance::turns;
use tokio::net::TcpListener;

use super::{TcpAccept, TcpConnect, memory};
use crate::HttpDial;

// req: S81, S82, S83, S86
#[tokio::test]
async fn links_in_memory_keep_every_promise() {
    let (dial, mut listen) = memory();
    turns::run(&dial, &mut listen).await;
}

// req: S81, S82, S83, S86
#[tokio::test]
async fn links_over_tcp_keep_every_promise() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/api", listener.local_addr().unwrap());
    let dial = HttpDial::new(address.parse().unwrap(), Arc::new(TcpConnect));
    turns::run(&dial, &mut TcpAccept(listener)).await;
}
