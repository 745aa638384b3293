//! Clients that reach a server through a relay, and some that do not.

use std::net::SocketAddr;
use std::time::Duration;

use mtproto_kit::client::{Client, ClientBuilder};
use mtproto_kit::frame::{Framing, Secret, TransportError, WireConfig};
use mtproto_kit::server::{Server, handler_fn};
use mtproto_tests::{Peer, Received, address, echo, object, public_key, server};
use tokio::task::JoinSet;

use crate::relay::{DataCenter, Relay};
use crate::secret;

const PLAIN: &str = "000102030405060708090a0b0c0d0e0f";
const PADDED: &str = "dd100102030405060708090a0b0c0d0e0f";
const FAKE_TLS: &str = "ee200102030405060708090a0b0c0d0e0f7777772e6578616d706c652e6f7267";

/// A relay to data center 2, which is `server`.
async fn relay_to(server: &Server) -> SocketAddr {
    let center = format!("2=tcp://{}", address(server)).parse::<DataCenter>().unwrap();
    let secrets = [PLAIN, PADDED].map(|text| text.parse::<Secret>().unwrap());
    let relay = Relay::bind("127.0.0.1:0".parse().unwrap(), secrets.to_vec(), vec![center]);
    let relay = relay.unwrap();
    let address = relay.address();
    tokio::spawn(relay.run());
    address
}

fn client(relay: SocketAddr, secret: &str) -> ClientBuilder {
    let secret = secret.parse().unwrap();
    let client = Client::builder().server_key(public_key()).address(format!("tcp://{relay}"));
    client.secret(secret).dc(2)
}

/// Long and short queries, many at a time.
async fn talk(client: ClientBuilder) {
    let client = client.connect().await.unwrap();
    let mut calls = JoinSet::new();
    for number in 0..200_u32 {
        let client = client.clone();
        calls.spawn(async move {
            let query = object(0x1234_5678, &vec![number; (number as usize % 7) * 1000]);
            assert_eq!(client.call(query.clone()).await, Ok(query));
        });
    }
    calls.join_all().await;
    client.shutdown().await;
}

#[tokio::test]
async fn every_framing_and_secret_reaches_the_data_center() {
    let server = server().serve(handler_fn(echo)).await.unwrap();
    let relay = relay_to(&server).await;
    for framing in [Framing::Abridged, Framing::Intermediate, Framing::Padded] {
        talk(client(relay, PLAIN).framing(framing)).await;
    }
    talk(client(relay, PADDED)).await;
}

#[tokio::test]
async fn an_error_of_the_server_reaches_the_client() {
    let server = server().serve(handler_fn(echo)).await.unwrap();
    let relay = relay_to(&server).await;
    let config = WireConfig::with_secret(Framing::Intermediate, PLAIN.parse().unwrap());
    let mut peer = Peer::connect(relay, &config, 1).await;
    // A key that no server knows.
    peer.send(vec![7; 64]).await;
    let received = peer.receive().await;
    assert!(matches!(received, Received::Error(TransportError::NotFound)), "{received:?}");
}

#[tokio::test]
async fn whoever_knows_no_secret_or_names_no_data_center_is_turned_away() {
    let server = server().serve(handler_fn(echo)).await.unwrap();
    let relay = relay_to(&server).await;
    let stranger = client(relay, "ffffffffffffffffffffffffffffffff");
    for client in [stranger, client(relay, PLAIN).dc(3)] {
        let outcome = client.connect_timeout(Duration::from_millis(500)).connect().await;
        assert!(outcome.is_err());
    }
}

#[test]
fn what_cannot_be_used_is_told_at_once() {
    let refused = |text: &str| text.parse::<DataCenter>().unwrap_err();
    assert_eq!(refused("tcp://localhost:1"), "give NUMBER=ADDRESS, as 2=tcp://HOST:PORT");
    assert_eq!(refused("0=tcp://localhost:1"), "0: give a number from 1 on");
    assert!(refused("2=ws://localhost:1").contains("tcp://HOST:PORT"));
    assert!(secret(FAKE_TLS).unwrap_err().contains("dd"));
    assert!(secret("12").is_err());
}

#[test]
fn a_number_leads_to_its_data_center() {
    let centers = ["2=tcp://localhost:2", "4=tcp://localhost:4"];
    let centers = centers.map(|text| text.parse::<DataCenter>().unwrap());
    let centers = centers.into_iter().map(|center| (center.number, center.address)).collect();
    let port = |dc: i16| crate::relay::center(&centers, dc).map(|address| address.port);
    assert_eq!([port(2), port(-2), port(10_002)], [Some(2); 3]);
    assert_eq!([port(-10_004), port(3), port(0), port(i16::MIN)], [Some(4), None, None, None]);
}
