//! Fake TLS over sockets, on a port that takes other streams too.

use std::io;

use async_trait::async_trait;
use mtproto_frame::fake_tls::{Fault, Gate, HelloShape};
use mtproto_frame::{Foreign, Wire, WireFault};
use mtproto_transport::{Admission, Carrier, FakeTlsStream, LinkError, Listen, Origin, StreamLink};
use tokio::io::AsyncReadExt;

use super::*;

fn secret() -> Secret {
    Secret::FakeTls { key: (*b"sixteen letters!").into(), domain: "www.example.org".to_owned() }
}

fn dial(address: &Address) -> TcpDial {
    let config = WireConfig::with_secret(Framing::Padded, secret());
    TcpDial::new(address.clone(), config).random(SeededRandom::new(1))
}

/// Does with a stream what a server does.
struct FakeTlsListen {
    listen: TcpListen,
    config: Arc<ServerWireConfig>,
    gate: Gate,
}

impl FakeTlsListen {
    fn bind() -> (Self, Address) {
        let config = ServerWireConfig::with_secrets(vec![Secret::Plain([1; 16].into()), secret()]);
        let gate = Gate::new(&config.secrets, SeededRandom::new(2)).unwrap();
        let (listen, address) = listen(config.clone());
        (Self { listen, config: Arc::new(config), gate }, address)
    }
}

#[async_trait]
impl Listen for FakeTlsListen {
    async fn accept(&mut self) -> io::Result<Box<dyn Link>> {
        let mut link = self.listen.accept_link().await?;
        match link.recv().await {
            Err(LinkError::Fault(WireFault::Foreign(Foreign::Tls))) => {}
            other => panic!("{other:?}"),
        }
        let origin = Origin { carrier: Carrier::FakeTls, ..link.peer().origin };
        let (stream, state) = link.into_parts();
        let now = crate::dial::unix_time();
        match FakeTlsStream::accept(stream, state.into_input(), &self.gate, now).await? {
            Admission::Ours { stream, secret: 1 } => {
                let random = &mut SeededRandom::new(3);
                // As the client numbers its one secret.
                let config = ServerWireConfig::with_secrets(self.config.secrets[1..].to_vec());
                let wire = Wire::inside_fake_tls(Arc::new(config), 0, random);
                Ok(Box::new(StreamLink::new(stream, origin, wire)))
            }
            other => panic!("{other:?}"),
        }
    }
}

// req: S116
#[tokio::test]
async fn fake_tls_keeps_every_promise() {
    let (mut listen, address) = FakeTlsListen::bind();
    conformance::run(&dial(&address), &mut listen).await;
}

// req: S116
#[tokio::test]
async fn both_hellos_are_answered() {
    let (mut listen, address) = FakeTlsListen::bind();
    for shape in [HelloShape::Classic, HelloShape::Modern] {
        let dial = dial(&address).hello_shape(shape).random(SeededRandom::new(shape as u64));
        let (client, server) = tokio::join!(dial.dial(), listen.accept());
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        client.send(Outbound::packet(payload(3))).await.unwrap();
        assert!(server.recv().await.is_ok());
        let peer = client.peer().to_string();
        assert!(peer.starts_with("fake-tls://127.0.0.1:"), "{peer}");
    }
}

// req: S116
#[tokio::test]
async fn a_site_is_told_from_a_proxy() {
    let site = tokio::net::TcpListener::bind(LOOPBACK).await.unwrap();
    let address = Address::tcp(site.local_addr().unwrap());
    let serve = async {
        let (mut stream, _) = site.accept().await.unwrap();
        let mut hello = [0; 500];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(b"\x15\x03\x03\x00\x02\x02\x28").await.unwrap();
        stream
    };
    let dial = dial(&address);
    let (link, _site) = tokio::join!(dial.dial(), serve);
    let error = link.map(|_| ()).unwrap_err();
    let fault = Fault::AnswerMalformed { kind: 0x15, len: 2 };
    assert_eq!(error.to_string(), format!("cannot connect to {address}: {fault}"));
}
