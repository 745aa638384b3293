//! Packets, messages and closes, with tungstenite as the other end.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use bytes::BytesMut;
use mtproto_frame::{Inbound, Outbound, ServerWireConfig, TransportError, Wire};
use mtproto_transport::{Link, LinkError, LinkExt, Origin};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, protocol};

use super::{MASK, expect_packet, frame, obfuscated, open, pair, payload, random, raw_client};
use crate::{FRAME_PAYLOAD_MAX, WsLink};

/// One end by tungstenite, in a thread of its own, the other a link of ours.
fn with_tungstenite(
    role: protocol::Role,
    talk: impl FnOnce(&mut WebSocket<TcpStream>) + Send + 'static,
) -> (thread::JoinHandle<()>, WsLink<tokio::net::TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, peer) = listener.accept().unwrap();
    let thread = thread::spawn(move || {
        talk(&mut WebSocket::from_raw_socket(theirs, role, None));
    });
    ours.set_nonblocking(true).unwrap();
    let ours = tokio::net::TcpStream::from_std(ours).unwrap();
    let origin = Origin::tcp(peer);
    let link = match role {
        protocol::Role::Client => WsLink::server(ours, origin, &open(), &mut random()),
        protocol::Role::Server => {
            WsLink::client(ours, origin, &obfuscated(), &mut random()).unwrap()
        }
    };
    (thread, link)
}

/// The next message that carries something.
fn read(socket: &mut WebSocket<impl Read + Write>) -> Result<Message, Error> {
    loop {
        let message = socket.read()?;
        if !message.is_ping() && !message.is_pong() {
            return Ok(message);
        }
    }
}

/// What one message says on `wire`: exactly one item.
fn open_message(wire: &mut Wire, message: Message) -> Inbound {
    let Message::Binary(bytes) = message else { panic!("{message:?}") };
    let mut input = BytesMut::from(&bytes[..]);
    let item = wire.receive(&mut input).unwrap().expect("a whole item");
    assert!(input.is_empty(), "nothing but one item");
    item
}

fn client_wire() -> Wire {
    Wire::client(&obfuscated(), &mut random()).unwrap()
}

fn framed(wire: &mut Wire, item: &Outbound) -> Vec<u8> {
    let mut out = Vec::new();
    wire.send(item, &mut out).unwrap();
    out
}

/// What browsers' clients rely on, long packets and several in one flush included.
// req: L29, S75
#[tokio::test]
async fn each_packet_of_a_server_is_one_message() {
    let blocks = [1, 2, FRAME_PAYLOAD_MAX / 16 - 1, FRAME_PAYLOAD_MAX / 16, 30_000, 3];
    let (theirs, mut server) = with_tungstenite(protocol::Role::Client, move |socket| {
        let mut wire = client_wire();
        socket.send(framed(&mut wire, &Outbound::packet(payload(1))).into()).unwrap();
        for blocks in blocks {
            match open_message(&mut wire, read(socket).unwrap()) {
                Inbound::Packet { payload: received, .. } => {
                    assert!(received == payload(blocks), "{blocks}");
                }
                other => panic!("{other:?}"),
            }
        }
    });
    expect_packet(&mut server, &payload(1)).await;
    for blocks in blocks {
        server.start_send(Outbound::packet(payload(blocks))).unwrap();
    }
    server.flush().await.unwrap();
    theirs.join().unwrap();
}

// req: S75
#[tokio::test]
async fn a_stream_may_be_cut_into_messages_anywhere() {
    let (theirs, mut server) = with_tungstenite(protocol::Role::Client, |socket| {
        let mut wire = client_wire();
        let mut stream = Vec::new();
        for blocks in 1..20 {
            wire.send(&Outbound::packet(payload(blocks)), &mut stream).unwrap();
        }
        let (bytewise, rest) = stream.split_at(300);
        for piece in bytewise.chunks(1).chain(rest.chunks(97)) {
            socket.write(piece.to_vec().into()).unwrap();
        }
        socket.flush().unwrap();
        assert!(matches!(read(socket), Ok(Message::Close(_))));
    });
    for blocks in 1..20 {
        expect_packet(&mut server, &payload(blocks)).await;
    }
    server.close().await.unwrap();
    theirs.join().unwrap();
}

#[tokio::test]
async fn a_cut_anywhere_is_an_end() {
    let mut wire = client_wire();
    let mut sent = Vec::new();
    let mut ends = Vec::new();
    for blocks in 1..4 {
        let packet = framed(&mut wire, &Outbound::packet(payload(blocks)));
        let (first, second) = packet.split_at(7);
        sent.extend(frame(OpCode::Data(Data::Binary), false, MASK, first));
        sent.extend(frame(OpCode::Data(Data::Continue), true, MASK, second));
        ends.push(sent.len());
    }
    for cut in 0..sent.len() {
        let (mut client, mut server) = raw_client();
        client.write_all(&sent[..cut]).await.unwrap();
        drop(client);
        for (blocks, _) in (1..).zip(ends.iter().take_while(|end| **end <= cut)) {
            expect_packet(&mut server, &payload(blocks)).await;
        }
        let end = server.recv().await;
        assert!(matches!(end, Err(LinkError::Closed | LinkError::Truncated { .. })), "{end:?}");
        assert!(matches!(server.recv().await, Err(LinkError::Closed)));
    }
}

// req: S77, S78
#[tokio::test]
async fn an_error_comes_in_the_stream_and_in_the_close() {
    let (theirs, mut server) = with_tungstenite(protocol::Role::Client, |socket| {
        let mut wire = client_wire();
        socket.send(framed(&mut wire, &Outbound::packet(payload(1))).into()).unwrap();
        let error = open_message(&mut wire, read(socket).unwrap());
        assert_eq!(error, Inbound::Error(TransportError::NotFound));
        let closed = read(socket).unwrap();
        let Message::Close(Some(CloseFrame { code, reason })) = closed else {
            panic!("{closed:?}")
        };
        assert_eq!((code, reason.as_str()), (CloseCode::Normal, "       404"));
    });
    expect_packet(&mut server, &payload(1)).await;
    server.send(Outbound::Error(TransportError::NotFound)).await.unwrap();
    server.close().await.unwrap();
    theirs.join().unwrap();
}

// req: S78
#[tokio::test]
async fn an_error_that_was_overcome_is_not_in_the_close() {
    let (mut client, mut server) = pair();
    client.send(Outbound::packet(payload(1))).await.unwrap();
    expect_packet(&mut server, &payload(1)).await;
    server.send(Outbound::Error(TransportError::Flood)).await.unwrap();
    server.send(Outbound::packet(payload(2))).await.unwrap();
    server.close().await.unwrap();
    assert_eq!(client.recv().await.unwrap(), Inbound::Error(TransportError::Flood));
    expect_packet(&mut client, &payload(2)).await;
    assert!(matches!(client.recv().await, Err(LinkError::Closed)));
}

// req: S78
#[tokio::test]
async fn an_error_in_the_close_is_told_once() {
    for is_in_stream in [false, true] {
        let (theirs, mut client) = with_tungstenite(protocol::Role::Server, move |socket| {
            let Message::Binary(asked) = read(socket).unwrap() else { panic!() };
            let mut wire = Wire::server(Arc::new(ServerWireConfig::open()), &mut random());
            wire.receive(&mut BytesMut::from(&asked[..])).unwrap().unwrap();
            if is_in_stream {
                let error = Outbound::Error(TransportError::WrongDc);
                socket.send(framed(&mut wire, &error).into()).unwrap();
            }
            let reason = "       444".into();
            socket.close(Some(CloseFrame { code: CloseCode::Normal, reason })).unwrap();
            while socket.read().is_ok() {}
        });
        client.send(Outbound::packet(payload(1))).await.unwrap();
        let received = client.recv().await.unwrap();
        assert_eq!(received, Inbound::Error(TransportError::WrongDc));
        assert!(matches!(client.recv().await, Err(LinkError::Closed)));
        client.close().await.unwrap();
        theirs.join().unwrap();
    }
}

#[tokio::test]
async fn tungstenite_pings_and_is_answered() {
    let (theirs, mut client) = with_tungstenite(protocol::Role::Server, |socket| {
        socket.send(Message::Ping("there?".into())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong("there?".into()));
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    });
    assert!(matches!(client.recv().await, Err(LinkError::Closed)));
    client.close().await.unwrap();
    theirs.join().unwrap();
}
