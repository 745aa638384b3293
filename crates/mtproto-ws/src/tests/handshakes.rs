//! Upgrades, good and bad, fast and slow.

use std::sync::Arc;
use std::time::Duration;

use mtproto_frame::{Address, Outbound, ServerWireConfig};
use mtproto_transport::{Dial, DialError, LinkExt, Listen};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::http::{Method, Request, StatusCode};

use super::{MemoryConnect, expect_packet, memory, obfuscated, payload};
use crate::{AcceptError, HANDSHAKE_LIMIT, HEAD_LEN_MAX, Refusal, WsDial, accept, answer};

const GOOD: &str = "GET /apiws HTTP/1.1\r\n\
    Host: example.com\r\n\
    Origin: https://elsewhere.example\r\n\
    Connection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: chat, binary\r\n\r\n";

/// The request above as a server of HTTP has it.
fn request() -> Request<()> {
    let mut request = Request::builder().uri("/apiws");
    for line in GOOD.lines().skip(1).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(()).unwrap()
}

/// What the server answers to `request` and how that ends.
async fn ask(request: &str) -> (String, Result<(), AcceptError>) {
    let (mut client, server) = duplex(1 << 16);
    client.write_all(request.as_bytes()).await.unwrap();
    let accepted = accept(server).await.map(|_| ());
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    (said, accepted)
}

// req: S74
#[tokio::test]
async fn an_upgrade_is_confirmed_with_its_subprotocol() {
    let (said, accepted) = ask(GOOD).await;
    accepted.unwrap();
    let mut lines: Vec<_> = said.trim_end().lines().collect();
    assert_eq!(lines.remove(0), "HTTP/1.1 101 Switching Protocols");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "connection: Upgrade",
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "sec-websocket-protocol: binary",
            "upgrade: websocket",
        ]
    );
    let response = answer(&request()).unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
}

// req: S74
#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let without = |line: &str| {
        let kept = GOOD.split_inclusive("\r\n").filter(|kept| !kept.starts_with(line));
        kept.collect::<String>()
    };
    for (request, status, refusal) in [
        (without("Sec-WebSocket-Protocol"), 400, Refusal::Subprotocol),
        (GOOD.replace("chat, binary", "chat"), 400, Refusal::Subprotocol),
        (GOOD.replace("chat, binary", "binary2"), 400, Refusal::Subprotocol),
        (GOOD.replace("/apiws", "/"), 404, Refusal::Path),
        (GOOD.replace("GET", "POST"), 405, Refusal::Method),
        (GOOD.replace("Version: 13", "Version: 8"), 426, Refusal::Version),
        (without("Upgrade"), 400, Refusal::Malformed),
        (without("Connection"), 400, Refusal::Malformed),
        (without("Sec-WebSocket-Key"), 400, Refusal::Malformed),
        (GOOD.replace("Key: dGhl", "Key: "), 400, Refusal::Malformed),
        ("GET\r\n\r\n".to_owned(), 400, Refusal::Malformed),
        (format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD_LEN_MAX)), 431, Refusal::TooLong),
    ] {
        let (said, accepted) = ask(&request).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {said}");
        assert!(said.ends_with(&format!("\r\n\r\n{refusal}\n")), "{said}");
        assert!(matches!(accepted, Err(AcceptError::Refused(why)) if why == refusal));
    }
    let mut post = request();
    *post.method_mut() = Method::POST;
    assert_eq!(answer(&post).map(|_| ()), Err(Refusal::Method));
}

#[tokio::test]
async fn a_head_has_a_limit() {
    let fill = HEAD_LEN_MAX - GOOD.len() - "X: \r\n".len();
    let padded = |len| GOOD.replace("Host", &format!("X: {}\r\nHost", "x".repeat(len)));
    assert_eq!(padded(fill).len(), HEAD_LEN_MAX);
    let (_, accepted) = ask(&padded(fill)).await;
    accepted.unwrap();
    let (_, accepted) = ask(&padded(fill + 1)).await;
    assert!(matches!(accepted, Err(AcceptError::Refused(Refusal::TooLong))));
}

#[tokio::test(start_paused = true)]
#[allow(clippy::disallowed_methods, reason = "time is virtual here")]
async fn a_slow_handshake_is_given_up() {
    // A byte every five seconds.
    let (mut client, server) = duplex(1 << 16);
    let begin = Instant::now();
    let slow = tokio::spawn(async move {
        for byte in GOOD.bytes() {
            if client.write_all(&[byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_secs(5)).await;
        }
    });
    let Err(AcceptError::Io(error)) = accept(server).await.map(|_| ()) else { panic!() };
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(begin.elapsed(), HANDSHAKE_LIMIT);
    slow.await.unwrap();

    // A server that says nothing.
    let (connect, _listen) = memory(1000, &ServerWireConfig::open());
    let error = dial(connect).dial().await.map(|_| ()).unwrap_err();
    assert!(matches!(error, DialError::Timeout { limit: HANDSHAKE_LIMIT, .. }), "{error}");
}

#[tokio::test]
async fn what_follows_the_handshake_at_once_is_not_lost() {
    for step in 1..300 {
        let (connect, mut listen) = memory(step, &ServerWireConfig::open());
        let dial = dial(connect);
        let talk = async {
            let mut link = dial.connect().await.unwrap();
            for blocks in 1..4 {
                link.send(Outbound::packet(payload(blocks))).await.unwrap();
            }
            link
        };
        let (mut client, server) = tokio::join!(talk, listen.accept());
        let mut server = server.unwrap();
        for blocks in 1..4 {
            expect_packet(&mut server, &payload(blocks)).await;
            server.start_send(Outbound::packet(payload(blocks))).unwrap();
        }
        server.flush().await.unwrap();
        for blocks in 1..4 {
            expect_packet(&mut client, &payload(blocks)).await;
        }
    }
}

fn dial(connect: Arc<MemoryConnect>) -> WsDial {
    let address: Address = "ws://example.com/apiws".parse().unwrap();
    WsDial::new(address, obfuscated(), connect)
}

/// The error of a dial that is answered with `head`, in which KEY stands for the right one.
async fn answered(head: &str) -> String {
    let (connect, mut listen) = memory(1000, &ServerWireConfig::open());
    let server = async {
        let mut stream = listen.streams.recv().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut asked).await.unwrap();
        }
        let asked = String::from_utf8(asked).unwrap();
        assert!(asked.starts_with("GET /apiws HTTP/1.1\r\nHost: example.com\r\n"), "{asked}");
        assert!(asked.contains("\r\nSec-WebSocket-Protocol: binary\r\n"), "{asked}");
        stream.write_all(head.as_bytes()).await.unwrap();
    };
    let dial = dial(connect);
    let (dialled, ()) = tokio::join!(dial.dial(), server);
    dialled.map(|_| ()).unwrap_err().to_string()
}

// req: S74
#[tokio::test]
async fn a_server_that_is_not_ours_is_named() {
    let upgraded = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    for (head, reason) in [
        (
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "the server has no WebSocket there, it answers 404 Not Found",
        ),
        (&format!("{upgraded}\r\n"), "the server's answer to the upgrade is not an answer to ours"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "what the server answers is no HTTP"),
        ("HTTP/1.1 200", "unexpected end of file"),
    ] {
        let error = answered(head).await;
        assert_eq!(error, format!("cannot connect to ws://example.com:80/apiws: {reason}"));
    }
}
