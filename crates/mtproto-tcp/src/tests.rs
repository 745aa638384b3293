//! Real sockets on the loopback interface.

mod fake_tls;
mod proxies;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mtproto_crypto::SeededRandom;
use mtproto_frame::{
    Address, Framing, Host, Inbound, Outbound, Secret, ServerWireConfig, WireConfig,
};
use mtproto_transport::{Dial, DialError, Link, LinkExt, conformance};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{TcpConnect, TcpDial, TcpLink, TcpListen, attach, detach};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn listen(config: ServerWireConfig) -> (TcpListen, Address) {
    let listen = TcpListen::bind(LOOPBACK, Arc::new(config)).unwrap();
    let address = Address::tcp(listen.local_address().unwrap());
    (listen, address)
}

async fn linked() -> (TcpLink, TcpLink) {
    let (mut listen, address) = listen(ServerWireConfig::open());
    let dial = TcpDial::new(address, WireConfig::obfuscated(Framing::Padded));
    let (client, server) = tokio::join!(dial.dial_link(), listen.accept_link());
    (client.unwrap(), server.unwrap())
}

fn dial_within(limit: Duration, address: &Address) -> TcpDial {
    TcpDial::new(address.clone(), WireConfig::plain(Framing::Full))
        .connect(Arc::new(TcpConnect::new().limit(limit)))
}

fn payload(blocks: usize) -> Bytes {
    vec![7; 24 + 16 * blocks].into()
}

async fn pass(from: &mut TcpLink, to: &mut TcpLink, blocks: usize) {
    from.send(Outbound::packet(payload(blocks))).await.unwrap();
    match to.recv().await {
        Ok(Inbound::Packet { payload: received, .. }) => assert_eq!(received, payload(blocks)),
        other => panic!("{other:?}"),
    }
}

async fn check(client: WireConfig, server: ServerWireConfig) {
    let (listen, address) = listen(server);
    let dial = TcpDial::new(address, client).random(SeededRandom::new(1));
    conformance::run(&dial, &mut listen.random(SeededRandom::new(2))).await;
}

// req: S71
#[tokio::test]
async fn every_framing_keeps_every_promise() {
    for framing in Framing::ALL {
        check(WireConfig::plain(framing), ServerWireConfig::open()).await;
    }
}

// req: S71
#[tokio::test]
async fn every_obfuscated_framing_keeps_every_promise() {
    for framing in [Framing::Abridged, Framing::Intermediate, Framing::Padded] {
        check(WireConfig::obfuscated(framing), ServerWireConfig::open()).await;
    }
}

// req: S116
#[tokio::test]
async fn streams_with_secrets_keep_every_promise() {
    let key = || (*b"sixteen letters!").into();
    let secrets = || ServerWireConfig::with_secrets(vec![Secret::Plain(key())]);
    for framing in [Framing::Abridged, Framing::Intermediate, Framing::Padded] {
        check(WireConfig::with_secret(framing, Secret::Plain(key())), secrets()).await;
    }
    let padded = ServerWireConfig::with_secrets(vec![Secret::Padded(key())]);
    check(WireConfig::with_secret(Framing::Padded, Secret::Padded(key())), padded).await;
}

#[tokio::test]
async fn a_link_moves_to_another_runtime() {
    let (mut client, mut server) = linked().await;
    for blocks in 1..=3 {
        client.send(Outbound::packet(payload(blocks))).await.unwrap();
    }
    assert!(server.recv().await.is_ok());
    let peer = peer_address(&server);
    let server = detach(server).unwrap();

    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut server = attach(server).unwrap();
            assert_eq!(peer_address(&server), peer);
            for _ in 2..=3 {
                assert!(server.recv().await.is_ok());
            }
            server.send(Outbound::packet(payload(9))).await.unwrap();
            server.close().await.unwrap();
        });
    });
    assert!(client.recv().await.is_ok());
    other.join().unwrap();
}

fn peer_address(link: &TcpLink) -> Option<SocketAddr> {
    link.peer().origin.address
}

#[tokio::test]
async fn connections_are_set_up() {
    let (client, server) = linked().await;
    for link in [&client, &server] {
        assert!(link.stream().nodelay().unwrap());
        assert!(SockRef::from(link.stream()).keepalive().unwrap());
    }
    assert_eq!(client.stream().local_addr().ok(), peer_address(&server));
}

#[tokio::test]
async fn a_name_is_resolved() {
    let (mut listen, address) = listen(ServerWireConfig::open());
    let address = Address { host: Host::Name("localhost".to_owned()), ..address };
    let dial = TcpDial::new(address, WireConfig::plain(Framing::Full));
    let (client, server) = tokio::join!(dial.dial_link(), listen.accept_link());
    pass(&mut client.unwrap(), &mut server.unwrap(), 3).await;
}

#[tokio::test]
async fn a_failed_dial_says_where_and_why() {
    let (listen, address) = listen(ServerWireConfig::open());
    drop(listen);
    let dial = |address: &Address| {
        let dial = dial_within(Duration::from_secs(5), address);
        async move { dial.dial().await.map(|_| ()) }
    };
    let error = dial(&address).await.unwrap_err();
    assert!(matches!(error, DialError::Connect { .. }));
    assert!(error.to_string().starts_with(&format!("cannot connect to {address}: ")), "{error}");

    let host = Host::Name("no-such-name.invalid".to_owned());
    let nowhere = Address { host, port: 1, ..address.clone() };
    let error = dial(&nowhere).await.unwrap_err();
    assert!(matches!(error, DialError::Resolve { .. } | DialError::Timeout { .. }), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_dial_gives_up_in_time() {
    // Without room for waiting connections the system answers nobody.
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    deaf.bind(&LOOPBACK.into()).unwrap();
    deaf.listen(0).unwrap();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let patience = Duration::from_millis(100);
    let connect = || std::net::TcpStream::connect_timeout(&address, patience);
    let waiting: Vec<_> = std::iter::from_fn(|| connect().ok()).collect();

    let dial = dial_within(patience, &Address::tcp(address));
    let error = dial.dial().await.map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot connect to tcp://{address}: no answer within 100ms")
    );
    drop(waiting);
}

#[tokio::test]
async fn a_refused_port_says_which_and_why() {
    let (_listen, address) = listen(ServerWireConfig::open());
    let Host::Ip(ip) = address.host else { panic!("an address of numbers") };
    let taken = SocketAddr::new(ip, address.port);
    let bind = |address| TcpListen::bind(address, Arc::new(ServerWireConfig::open()));
    let error = bind(taken).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {taken}: the port is in use: stop the program that has it, or \
             choose another port (0 takes a free one)"
        )
    );
    // An address for documentation, which no machine has.
    let foreign: SocketAddr = "192.0.2.1:0".parse().unwrap();
    let error = bind(foreign).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot listen on 192.0.2.1:0: this machine has no address 192.0.2.1: choose 0.0.0.0 or \
         [::]"
    );
}

#[tokio::test]
async fn a_port_comes_back_while_old_connections_linger() {
    let (mut listener, address) = listen(ServerWireConfig::open());
    let dial = TcpDial::new(address.clone(), WireConfig::plain(Framing::Abridged));
    let (client, server) = tokio::join!(dial.dial_link(), listener.accept_link());
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    // The server closes first, so its end lingers.
    server.close().await.unwrap();
    client.close().await.unwrap();
    let local = listener.local_address().unwrap();
    drop((listener, server, client));
    TcpListen::bind(local, Arc::new(ServerWireConfig::open())).unwrap();
}

/// In a process of its own, which may have few descriptors open. The parent is its client.
#[cfg(unix)]
#[test]
fn running_out_of_descriptors_only_pauses() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    if std::env::var_os(CHILD).is_some() {
        return accept_with_few_descriptors();
    }
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 40 && exec \"$0\" --exact --nocapture \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg("tests::running_out_of_descriptors_only_pauses")
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| {
        line.split(' ').find_map(|word| word.strip_prefix(LISTENING)?.parse().ok())
    });
    let address: SocketAddr = address.expect("the child says where it listens");
    let clients: Vec<_> =
        (0..CONNECTIONS).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let said: Vec<_> = lines.collect();
    assert!(child.wait().unwrap().success(), "{said:?}");
    drop(clients);
}

#[cfg(unix)]
const CHILD: &str = "MTPROTO_TCP_FEW_DESCRIPTORS";

#[cfg(unix)]
const LISTENING: &str = "listening=";

#[cfg(unix)]
const CONNECTIONS: usize = 100;

#[cfg(unix)]
#[tokio::main(flavor = "current_thread")]
async fn accept_with_few_descriptors() {
    let (mut listen, address) = listen(ServerWireConfig::open());
    println!(" {LISTENING}{}:{}", address.host, address.port);
    let (mut held, mut pauses) = (Vec::new(), 0);
    for _ in 0..CONNECTIONS {
        let accepted = loop {
            match timeout(Duration::from_millis(500), listen.accept_stream()).await {
                Ok(accepted) => break accepted.unwrap(),
                Err(_) => {
                    pauses += 1;
                    held.clear();
                }
            }
        };
        held.push(accepted);
    }
    assert!(pauses > 0, "the limit was reached");
}

#[tokio::test]
async fn a_half_open_client_holds_nobody_up() {
    let (mut listen, address) = listen(ServerWireConfig::open());
    let mut silent = TcpStream::connect(listen.local_address().unwrap()).await.unwrap();
    silent.write_all(b"\xee").await.unwrap();
    let mut first = listen.accept_link().await.unwrap();
    let dial = TcpDial::new(address, WireConfig::plain(Framing::Intermediate));
    let (client, server) = tokio::join!(dial.dial_link(), listen.accept_link());
    pass(&mut client.unwrap(), &mut server.unwrap(), 3).await;
    assert!(timeout(Duration::from_millis(20), first.recv()).await.is_err());
}
