//! Every promise of a transport, over memory, TCP and TLS.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mtproto_crypto::SeededRandom;
use mtproto_frame::{
    Address, Framing, Host, Outbound, Scheme, Secret, ServerWireConfig, WireConfig,
};
use mtproto_tls::{TlsClient, TlsConnect, TlsServer, Trust};
use mtproto_transport::{
    Carrier, Connect, Connected, Dial, DialError, Link, LinkExt, Origin, conformance,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{expect_packet, memory, obfuscated, payload};
use crate::{HANDSHAKES_MAX, WsDial, WsListen};

const FRAMINGS: [Framing; 3] = [Framing::Abridged, Framing::Intermediate, Framing::Padded];

/// What a client and a server speak that understand each other.
fn settings() -> Vec<(WireConfig, ServerWireConfig)> {
    let key = || (*b"sixteen letters!").into();
    let mut settings = Vec::new();
    for framing in FRAMINGS {
        settings.push((WireConfig::obfuscated(framing), ServerWireConfig::open()));
        let secret = || Secret::Plain(key());
        let server = ServerWireConfig::with_secrets(vec![secret()]);
        settings.push((WireConfig::with_secret(framing, secret()), server));
    }
    let secret = || Secret::Padded(key());
    let server = ServerWireConfig::with_secrets(vec![secret()]);
    settings.push((WireConfig::with_secret(Framing::Padded, secret()), server));
    settings
}

/// TCP without the care that mtproto-tcp takes.
struct PlainConnect;

#[async_trait]
impl Connect for PlainConnect {
    async fn connect(&self, address: &Address) -> Result<Connected, DialError> {
        let Host::Ip(ip) = address.host else { panic!("an address of numbers") };
        let stream = TcpStream::connect((ip, address.port)).await;
        let stream =
            stream.map_err(|source| DialError::Connect { target: address.to_string(), source })?;
        let origin = Origin::tcp(stream.peer_addr().unwrap());
        Ok(Connected { stream: Box::new(stream), origin })
    }
}

async fn listen(scheme: Scheme, config: &ServerWireConfig) -> (WsListen, Address) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = Address::new(scheme, listener.local_addr().unwrap());
    (WsListen::new(listener, config).random(SeededRandom::new(2)), address)
}

// req: S75
#[tokio::test]
async fn websockets_in_memory_keep_every_promise() {
    let address: Address = "ws://example.com/apiws".parse().unwrap();
    for (client, server) in settings() {
        let (connect, mut listen) = memory(4093, &server);
        let dial = WsDial::new(address.clone(), client, connect);
        conformance::run(&dial.random(SeededRandom::new(1)), &mut listen).await;
    }
}

// req: S73
#[tokio::test]
async fn websockets_over_tcp_keep_every_promise() {
    for framing in FRAMINGS {
        let (mut listen, address) = listen(Scheme::Ws, &ServerWireConfig::open()).await;
        let client = WireConfig::obfuscated(framing);
        let dial = WsDial::new(address, client, Arc::new(PlainConnect));
        conformance::run(&dial.random(SeededRandom::new(1)), &mut listen).await;
    }
}

// req: S79
#[tokio::test]
async fn websockets_over_tls_keep_every_promise() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["127.0.0.1".to_owned()];
    let (tls, _) = TlsServer::self_signed(dir.path(), &names).unwrap();
    let client = TlsClient::new(&Trust::Pin(tls.fingerprint())).unwrap();
    let connect: Arc<dyn Connect> = Arc::new(TlsConnect::new(Arc::new(PlainConnect), client));
    for framing in FRAMINGS {
        let (listen, address) = listen(Scheme::Wss, &ServerWireConfig::open()).await;
        let mut listen = listen.tls(tls.clone());
        let dial = WsDial::new(address, WireConfig::obfuscated(framing), Arc::clone(&connect));
        conformance::run(&dial.random(SeededRandom::new(1)), &mut listen).await;
    }
}

#[tokio::test]
async fn a_link_says_what_carries_it() {
    for (scheme, carrier) in [(Scheme::Ws, Carrier::Ws), (Scheme::Wss, Carrier::Wss)] {
        let dir = tempfile::tempdir().unwrap();
        let (tls, _) = TlsServer::self_signed(dir.path(), &["127.0.0.1".to_owned()]).unwrap();
        let client = TlsClient::new(&Trust::Roots(tls.path().to_owned())).unwrap();
        let connect = Arc::new(TlsConnect::new(Arc::new(PlainConnect), client));
        let (mut listen, address) = listen(scheme, &ServerWireConfig::open()).await;
        if scheme.is_tls() {
            listen = listen.tls(tls);
        }
        let dial = WsDial::new(address.clone(), obfuscated(), connect);
        let (client, server) = tokio::join!(dial.connect(), listen.accept_link());
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        assert_eq!(client.peer().origin.carrier, carrier);
        assert_eq!(server.peer().origin.carrier, carrier);
        assert_eq!(client.peer().origin.address.map(|at| at.port()), Some(address.port));
        client.send(Outbound::packet(payload(1))).await.unwrap();
        expect_packet(&mut server, &payload(1)).await;
    }
}

#[tokio::test]
async fn a_listener_has_so_many_handshakes_at_once() {
    let (mut listen, address) = listen(Scheme::Ws, &ServerWireConfig::open()).await;
    let mut silent = Vec::new();
    for _ in 0..HANDSHAKES_MAX {
        silent.push(PlainConnect.connect(&address).await.unwrap());
        // Accepts it and has nothing to give.
        while listen.handshakes() < silent.len() {
            assert!(timeout(Duration::from_millis(1), listen.accept_link()).await.is_err());
        }
    }
    let dial = WsDial::new(address, obfuscated(), Arc::new(PlainConnect));
    let (client, server) = tokio::join!(dial.connect(), async {
        assert!(timeout(Duration::from_millis(20), listen.accept_link()).await.is_err());
        assert_eq!(listen.handshakes(), HANDSHAKES_MAX);
        silent.pop();
        listen.accept_link().await
    });
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    client.send(Outbound::packet(payload(1))).await.unwrap();
    expect_packet(&mut server, &payload(1)).await;
}

// req: S76
#[tokio::test]
async fn a_plain_stream_is_not_dialled() {
    let (connect, _listen) = memory(1, &ServerWireConfig::open());
    let address: Address = "ws://example.com/apiws".parse().unwrap();
    let dial = WsDial::new(address, WireConfig::plain(Framing::Intermediate), connect);
    let error = dial.dial().await.map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot connect to ws://example.com:80/apiws: a WebSocket has to carry an obfuscated \
         stream: choose obfuscation"
    );
}
