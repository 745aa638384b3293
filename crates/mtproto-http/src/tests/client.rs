//! A client's link to servers that are written by hand.

use std::time::Duration;

use bytes::Bytes;
use mtproto_frame::{
    FRAME_LEN_MAX_CLIENT, Inbound, Outbound, PeerFault, TransportError, WireFault,
};
use mtproto_transport::{Dial, DialError, Link, LinkError, LinkExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use super::raw::Response as Request;
use super::{MemoryListen, memory, memory_at};
use crate::{ANSWER_LIMIT, CONNECTIONS_MAX, HttpClientLink};

/// A link, its first connection, and where others come.
async fn connect() -> (HttpClientLink, DuplexStream, MemoryListen) {
    let (dial, mut listen) = memory();
    let link = dial.link().await.unwrap();
    let stream = listen.stream().await;
    (link, stream, listen)
}

fn packet(text: &str) -> Outbound {
    Outbound::packet(text.to_owned())
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads a request and writes `answer`.
async fn answer(stream: &mut DuplexStream, answer: impl AsRef<[u8]>) -> Request {
    let request = Request::read(stream).await;
    stream.write_all(answer.as_ref()).await.unwrap();
    request
}

async fn expect_packet(link: &mut HttpClientLink, text: &str) {
    match link.recv().await {
        Ok(Inbound::Packet { payload, quick_ack: false }) => assert_eq!(payload, text),
        other => panic!("not {text:?}: {other:?}"),
    }
}

// req: S81, S86
#[tokio::test(start_paused = true)]
async fn a_request_is_as_servers_want_it() {
    for (address, line, host) in [
        ("http://10.0.0.1:80/api", "/api", "10.0.0.1"),
        ("http://10.0.0.1:8080/apiw", "/apiw", "10.0.0.1:8080"),
        ("http://[::1]:80/api", "/api", "[::1]"),
        ("https://venus.web.telegram.org/api_test", "/api_test", "venus.web.telegram.org"),
        ("tcp://example.org:443", "/api", "example.org:443"),
    ] {
        let (dial, mut listen) = memory_at(address);
        let mut link = dial.link().await.unwrap();
        let mut stream = listen.stream().await;
        link.start_send(packet("packet!!")).unwrap();
        let (request, flushed) = tokio::join!(answer(&mut stream, ok("answer!!")), link.flush());
        flushed.unwrap();
        assert_eq!(
            request.head,
            format!(
                "POST {line} HTTP/1.1\r\n\
                 host: {host}\r\n\
                 connection: keep-alive\r\n\
                 content-length: 8"
            )
        );
        assert_eq!(request.text(), "packet!!");
        expect_packet(&mut link, "answer!!").await;
        let tls = address.starts_with("https");
        assert_eq!(link.peer().to_string(), if tls { "https" } else { "http" });
    }
}

// req: S82, S83, S114
#[tokio::test(start_paused = true)]
async fn answers_are_understood_in_all_the_ways_they_are_written() {
    use TransportError::{Flood, Forbidden, NotFound, Other, WrongDc};
    let status = |code: u16| format!("HTTP/1.1 {code} Because\r\nContent-Length: 3\r\n\r\nwhy");
    let error = |code: i32| {
        [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", &code.to_le_bytes()[..]].concat()
    };
    let packet_of = |text: &'static str| Inbound::Packet { payload: text.into(), quick_ack: false };
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nin p\r\n4\r\narts\r\n0\r\n\r\n";
    let (mut link, mut stream, _listen) = connect().await;
    for (written, item) in [
        (ok("a packet").into_bytes(), packet_of("a packet")),
        (ok("").into_bytes(), packet_of("")),
        (chunked.as_bytes().to_vec(), packet_of("in parts")),
        (b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), packet_of("")),
        (format!("HTTP/1.1 100 Continue\r\n\r\n{}", ok("go on..!")).into(), packet_of("go on..!")),
        (status(403).into(), Inbound::Error(Forbidden)),
        (status(404).into(), Inbound::Error(NotFound)),
        (status(429).into(), Inbound::Error(Flood)),
        (status(444).into(), Inbound::Error(WrongDc)),
        (status(302).into(), Inbound::Error(Other(-302))),
        (status(503).into(), Inbound::Error(Other(-503))),
        (error(-404), Inbound::Error(NotFound)),
        (error(-1000), Inbound::Error(Other(-1000))),
    ] {
        link.start_send(packet("packet!!")).unwrap();
        // All over the same connection.
        let (_, received) = tokio::join!(answer(&mut stream, &written), link.recv());
        assert_eq!(received.unwrap(), item, "{:?}", String::from_utf8_lossy(&written));
    }
}

/// As [`connect`], after a first turn.
async fn connect_and_talk() -> (HttpClientLink, DuplexStream, MemoryListen) {
    let (mut link, mut stream, listen) = connect().await;
    link.start_send(packet("packet!!")).unwrap();
    tokio::join!(answer(&mut stream, ok("answer!!")), expect_packet(&mut link, "answer!!"));
    (link, stream, listen)
}

/// Expects the next packet at a new connection.
async fn expect_replacement(mut link: HttpClientLink, mut listen: MemoryListen) {
    link.start_send(packet("packet!!")).unwrap();
    let serve = async { answer(&mut listen.stream().await, ok("answer!!")).await };
    tokio::join!(serve, expect_packet(&mut link, "answer!!"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_server_closed_is_replaced() {
    let (link, stream, listen) = connect_and_talk().await;
    drop(stream);
    expect_replacement(link, listen).await;

    // With a word that is no answer, as some servers do.
    let (link, mut stream, listen) = connect_and_talk().await;
    stream.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
    drop(stream);
    expect_replacement(link, listen).await;

    // When the next request was under way.
    let (mut link, mut stream, mut listen) = connect_and_talk().await;
    link.start_send(packet("packet!!")).unwrap();
    let lose = async {
        Request::read(&mut stream).await;
        drop(stream);
        answer(&mut listen.stream().await, ok("answer!!")).await
    };
    tokio::join!(lose, expect_packet(&mut link, "answer!!"));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_repeated_once() {
    let (mut link, mut stream, mut listen) = connect().await;
    link.start_send(packet("packet!!")).unwrap();
    let lose = async {
        for _ in 0..2 {
            Request::read(&mut stream).await;
            stream.shutdown().await.unwrap();
            let next = listen.stream().await;
            drop(std::mem::replace(&mut stream, next));
        }
    };
    tokio::select! {
        () = lose => panic!("a third time"),
        end = link.recv() => assert!(matches!(end, Err(LinkError::Io(_))), "{end:?}"),
    }
    assert!(matches!(link.recv().await, Err(LinkError::Closed)));
    assert!(matches!(link.start_send(packet("packet!!")), Err(LinkError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn half_an_answer_ends_the_link() {
    for part in
        ["HTTP/1.1 20", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf", "garbage\r\n\r\n"]
    {
        let (mut link, mut stream, mut listen) = connect().await;
        link.start_send(packet("packet!!")).unwrap();
        let serve = async {
            answer(&mut stream, part).await;
            drop(stream);
            listen.stream().await;
        };
        tokio::select! {
            () = serve => panic!("{part:?} was repeated"),
            end = link.recv() => assert!(matches!(end, Err(LinkError::Io(_))), "{end:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_limited_in_length_and_time() {
    let (mut link, mut stream, _listen) = connect().await;
    link.start_send(packet("packet!!")).unwrap();
    let len = FRAME_LEN_MAX_CLIENT + 4;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n");
    let (_, end) = tokio::join!(answer(&mut stream, head), link.recv());
    let fault = PeerFault::FrameTooLong { len, max: FRAME_LEN_MAX_CLIENT };
    assert!(matches!(end, Err(LinkError::Fault(WireFault::Peer(peer))) if peer == fault));

    // One that does not say how long it is.
    let (mut link, mut stream, _listen) = connect().await;
    link.start_send(packet("packet!!")).unwrap();
    let flood = async {
        answer(&mut stream, "HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[7; 8 << 10]).await.is_ok() {}
    };
    let (end, ()) = tokio::join!(link.recv(), flood);
    assert!(matches!(end, Err(LinkError::Fault(WireFault::Peer(PeerFault::FrameTooLong { .. })))));

    let patient = Duration::from_secs(90);
    for limit in [ANSWER_LIMIT, patient] {
        let (dial, mut listen) = memory();
        let mut link = dial.answer_limit(limit).link().await.unwrap();
        link.start_send(packet("packet!!")).unwrap();
        let begun = now();
        let mut stream = listen.stream().await;
        let (_, end) = tokio::join!(answer(&mut stream, "HTTP/1.1 200 OK\r\n"), link.recv());
        assert_eq!(begun.elapsed(), limit);
        match end {
            Err(LinkError::Io(error)) => {
                assert_eq!(error.to_string(), format!("no answer within {limit:?}"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "time is virtual here")]
fn now() -> Instant {
    Instant::now()
}

// req: S86
#[tokio::test(start_paused = true)]
async fn packets_share_a_few_connections() {
    let (mut link, first, mut listen) = connect().await;
    for at in 10..30 {
        link.start_send(packet(&format!("packet{at}"))).unwrap();
    }
    assert_eq!(link.unsent(), 20 * 8);
    let mut streams = vec![first];
    let gather = async {
        while streams.len() < CONNECTIONS_MAX {
            streams.push(listen.stream().await);
        }
    };
    tokio::select! {
        item = link.recv() => panic!("nothing was answered: {item:?}"),
        () = gather => {}
    }
    // The others wait till one of these is answered.
    let early = tokio::time::timeout(Duration::from_secs(1), link.flush()).await;
    assert!(early.is_err());
    assert_eq!(link.unsent(), (20 - CONNECTIONS_MAX) * 8);

    let serve = |mut stream: DuplexStream| async move {
        let mut served = 0;
        // The first letter of a request, or the end.
        while stream.read_u8().await.is_ok() {
            let request = Request::read(&mut stream).await;
            stream.write_all(ok(request.text()).as_bytes()).await.unwrap();
            served += 1;
        }
        served
    };
    let servers: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(serve(stream))).collect();
    let mut answers = Vec::new();
    for _ in 10..30 {
        match link.recv().await.unwrap() {
            Inbound::Packet { payload, .. } => answers.push(payload),
            other => panic!("{other:?}"),
        }
    }
    answers.sort();
    assert!(answers.into_iter().eq((10..30).map(|at| format!("packet{at}"))));
    link.close().await.unwrap();
    let mut served = 0;
    for server in servers {
        served += server.await.unwrap();
    }
    assert_eq!(served, 20);
    assert!(listen.is_empty(), "no further connection was made");
}

#[tokio::test(start_paused = true)]
async fn a_flush_has_handed_all_of_a_packet_on() {
    let (mut link, mut stream, _listen) = connect().await;
    let large = Bytes::from(vec![7; 900_000]);
    link.start_send(Outbound::packet(large.clone())).unwrap();
    let early = tokio::time::timeout(Duration::from_secs(1), link.flush()).await;
    assert!(early.is_err(), "nobody has read it");
    assert_eq!(link.unsent(), large.len());
    let (flushed, request) = tokio::join!(link.flush(), Request::read(&mut stream));
    flushed.unwrap();
    assert_eq!(link.unsent(), 0);
    assert_eq!(request.body, large);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_cannot_be_dialled() {
    let (dial, listen) = memory();
    drop(listen);
    assert!(matches!(dial.dial().await, Err(DialError::Connect { .. })));

    // And one that is gone ends the link at the next packet.
    let (mut link, stream, listen) = connect().await;
    drop((stream, listen));
    match link.send(packet("packet!!")).await {
        Err(LinkError::Io(error)) => {
            let reason = "cannot connect to http://server:80/api: connection refused";
            assert_eq!(error.to_string(), reason);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(link.recv().await, Err(LinkError::Closed)));
}
