//! Clients that break the rules.

use std::task::{Context, Waker};

use bytes::Bytes;
use mtproto_frame::{FRAME_LEN_MAX_SERVER, Outbound};
use mtproto_transport::{Link, LinkError, LinkExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{MASK, expect_packet, frame, pair, payload, raw_client};
use crate::{MESSAGE_HEADROOM, UNWRITTEN_MAX};

const BINARY: OpCode = OpCode::Data(Data::Binary);
const TEXT: OpCode = OpCode::Data(Data::Text);
const PING: OpCode = OpCode::Control(Control::Ping);
const PONG: OpCode = OpCode::Control(Control::Pong);
const CLOSE: OpCode = OpCode::Control(Control::Close);

fn close(code: u16, text: &str) -> Vec<u8> {
    frame(CLOSE, true, None, &[&code.to_be_bytes(), text.as_bytes()].concat())
}

#[tokio::test]
async fn a_broken_rule_ends_the_link_with_its_code() {
    let longest = FRAME_LEN_MAX_SERVER + MESSAGE_HEADROOM;
    let too_long = u64::try_from(longest + 1).unwrap().to_be_bytes();
    let too_long = [b"\x82\xff", &too_long[..], b"mask"].concat();
    for (sent, code, text) in [
        (frame(BINARY, true, None, b"bare"), 1002, "a frame is not masked"),
        (
            frame(TEXT, true, MASK, b"text"),
            1003,
            "a message is text, and only binary ones are taken",
        ),
        (too_long, 1009, &*format!("a message is longer than {longest} bytes")),
        (b"\x83\x80mask".to_vec(), 1002, "a frame header is malformed"),
    ] {
        let (mut client, mut server) = raw_client();
        client.write_all(&sent).await.unwrap();
        let Err(LinkError::Io(error)) = server.recv().await else { panic!("{text}") };
        assert_eq!(error.to_string(), text);
        assert!(matches!(server.recv().await, Err(LinkError::Closed)), "later there is no more");
        server.close().await.unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, close(code, text));
    }
}

// req: S76
#[tokio::test]
async fn a_plain_framing_gets_no_answer() {
    for opening in [&b"\xef"[..], b"\xee\xee\xee\xee", b"\xdd\xdd\xdd\xdd"] {
        let (mut client, mut server) = raw_client();
        let packet = [opening, b"\x28\0\0\0", &payload(1)].concat();
        client.write_all(&frame(BINARY, true, MASK, &packet)).await.unwrap();
        let receiving = tokio::spawn(async move {
            let end = server.recv().await;
            (server, end)
        });
        for _ in 0..100 {
            client.write_all(&frame(BINARY, true, MASK, &[0xa5; 30_000])).await.unwrap();
        }
        assert!(!receiving.is_finished(), "all of it is taken, and nothing said");
        client.write_all(&frame(CLOSE, true, MASK, b"")).await.unwrap();
        let (mut server, end) = receiving.await.unwrap();
        assert!(matches!(end, Err(LinkError::Fault(_))), "{end:?}");
        server.close().await.unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, close(1000, ""));
    }
}

#[tokio::test]
async fn pings_are_answered_while_nobody_writes() {
    let (mut client, mut server) = raw_client();
    client.write_all(&frame(PING, true, MASK, b"there?")).await.unwrap();
    let receiving = tokio::spawn(async move { server.recv().await });
    let expected = frame(PONG, true, None, b"there?");
    let mut said = vec![0; expected.len()];
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(said, expected);
    client.write_all(&frame(CLOSE, true, MASK, b"")).await.unwrap();
    assert!(matches!(receiving.await.unwrap(), Err(LinkError::Closed)));
}

#[tokio::test]
async fn a_flood_of_pings_is_not_stored() {
    let (mut client, mut server) = raw_client();
    let ping = frame(PING, true, MASK, &[7; 125]);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..10_000 {
        // Answers are not read.
        client.write_all(&ping).await.unwrap();
        assert!(server.poll_recv(&mut cx).is_pending());
        assert!(server.unsent() < UNWRITTEN_MAX + ping.len());
    }
    assert!(server.unsent() > UNWRITTEN_MAX - ping.len(), "the limit was reached");
}

#[tokio::test]
async fn an_idle_link_holds_no_buffers() {
    let (mut client, mut server) = pair();
    let mut cx = Context::from_waker(Waker::noop());
    let large = payload(40_000);
    exchange(&mut client, &mut server, &large).await;
    exchange(&mut server, &mut client, &large).await;
    for link in [&mut client, &mut server] {
        assert!(link.poll_recv(&mut cx).is_pending());
        assert_eq!(link.buffered(), 0);
    }
}

async fn exchange(from: &mut impl Link, to: &mut impl Link, payload: &Bytes) {
    let (sent, ()) =
        tokio::join!(from.send(Outbound::packet(payload.clone())), expect_packet(to, payload));
    sent.unwrap();
}
