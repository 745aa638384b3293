//! Requests that a server answers, one way or another.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use mtproto_frame::{Inbound, Outbound, ServerWireConfig, TransportError};
use mtproto_transport::{Link, LinkError, LinkExt, Origin, Rewound, Stream, StreamLink};

use super::raw::{connect, echo, post};
use crate::{HEAD_LEN_MAX, HttpConfig, HttpServerLink, Page, Pages, URI_LEN_MAX, Upgrade};

// req: L30, S81, S82, S86
#[tokio::test(start_paused = true)]
async fn a_packet_is_the_body_of_a_post_and_its_answer_that_of_the_response() {
    let (mut client, _server) = echo(HttpConfig::default());
    for body in ["a packet", "another one."] {
        let response = client.ask(post("/api", body)).await;
        assert_eq!(response.text(), body);
        assert_eq!(
            response.head,
            format!(
                "HTTP/1.1 200 OK\r\n\
                 Connection: keep-alive\r\n\
                 Pragma: no-cache\r\n\
                 Cache-Control: no-store\r\n\
                 Content-Type: application/octet-stream\r\n\
                 Content-Length: {}",
                body.len()
            )
        );
    }
}

// req: L30, S86
#[tokio::test(start_paused = true)]
async fn packets_are_taken_at_every_path_in_use() {
    let (mut client, _server) = echo(HttpConfig::default());
    let paths = ["/api", "/apiw", "/apis", "/apiws", "/apiw1", "/apiw_test1", "/apiws_test"];
    for path in paths.into_iter().chain([
        "/api_test",
        "/api?query",
        "http://x/api",
        "HTTP://127.0.0.1:80/api",
    ]) {
        assert_eq!(client.ask(post(path, "packet!!")).await.status(), 200, "{path}");
    }
}

/// Asks for `request` on a connection of its own; gives the status and whether the connection goes
/// on.
async fn outcome(request: &str) -> (u16, bool) {
    let (mut client, _server) = echo(HttpConfig::default());
    let response = client.ask(request).await;
    let goes_on = response.header("connection") == Some("keep-alive");
    if goes_on {
        assert_eq!(client.ask(post("/api", "packet!!")).await.status(), 200, "{request:?}");
    } else {
        assert_eq!(client.rest().await, "", "{request:?}");
    }
    assert!(response.status() == 200 || response.body.is_empty());
    (response.status(), goes_on)
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_served_is_refused() {
    let request =
        |line: &str, headers: &str| format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let with_body = "Content-Length: 4\r\n\r\nbody";
    let table = [
        // Other paths.
        (post("/", "packet!!"), 404, false),
        (post("/apix", "packet!!"), 404, false),
        (post("/api/more", "packet!!"), 404, false),
        (request("GET /", ""), 404, true),
        (request("GET /api", ""), 404, true),
        (request("GET /apiws", "Upgrade: websocket\r\nConnection: Upgrade\r\n"), 404, true),
        (request("OPTIONS /", ""), 404, true),
        (request("OPTIONS *", ""), 404, true),
        // No packets.
        (post("/api", ""), 404, true),
        (post("/api", "odd"), 404, false),
        (post("/api", "odder"), 404, false),
        // No length, or more than one.
        (request("POST /api", ""), 411, true),
        (
            request("POST /api", "Transfer-Encoding: chunked\r\n\r\n8\r\npacket!!\r\n0\r\n"),
            411,
            false,
        ),
        (
            request("POST /api", "Transfer-Encoding: chunked\r\nContent-Length: 8\r\n\r\npacket!!"),
            411,
            false,
        ),
        (request("POST /api", "Content-Length: 8\r\nContent-Length: 4\r\n"), 400, false),
        (request("POST /api", "Content-Length: -8\r\n"), 400, false),
        (request("POST /api", "Content-Length: 1056772\r\n"), 413, false),
        (request("POST /api", "Content-Length: 18446744073709551615\r\n"), 431, false),
        // Other methods.
        (request("HEAD /api", ""), 501, false),
        (request("PUT /api", with_body), 501, false),
        (request("DELETE /api", ""), 501, false),
        (request("BREW /api", ""), 501, false),
        (request("CONNECT x:80", ""), 501, false),
        (request("GET /", with_body), 501, false),
        (request("OPTIONS /apiw", with_body), 501, false),
        // No HTTP.
        ("POST /api HTTP/2.7\r\n\r\n".to_owned(), 400, false),
        ("POST  /api  HTTP/1.1\r\n\r\n".to_owned(), 400, false),
        (request("POST /api", "No header\r\n"), 400, false),
    ];
    for (request, status, goes_on) in table {
        assert_eq!(outcome(&request).await, (status, goes_on), "{request:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn lengths_are_limited() {
    let get = |len: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(len - 1));
    assert_eq!(outcome(&get(URI_LEN_MAX)).await, (404, true));
    assert_eq!(outcome(&get(URI_LEN_MAX + 1)).await, (414, true));
    assert_eq!(outcome(&get(HEAD_LEN_MAX)).await, (431, false));
    // All but the header's value are 28 bytes.
    let headers =
        |len: usize| format!("GET / HTTP/1.1\r\nHeader: {}\r\n\r\n", "x".repeat(len - 28));
    assert_eq!(headers(100).len(), 100);
    assert_eq!(outcome(&headers(HEAD_LEN_MAX)).await, (404, true));
    assert_eq!(outcome(&headers(HEAD_LEN_MAX + 1)).await, (431, false));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
    assert_eq!(outcome(&many).await, (431, false));

    let small = HttpConfig { packet_len_max: 8, ..HttpConfig::default() };
    let (mut client, _server) = echo(small);
    assert_eq!(client.ask(post("/api", "packet!!")).await.status(), 200);
    assert_eq!(client.ask(post("/api", "large packet")).await.status(), 413);
}

// req: S81
#[tokio::test(start_paused = true)]
async fn a_connection_goes_on_while_both_sides_want_it() {
    let old = |connection: &str| {
        format!("POST /api HTTP/1.0\r\n{connection}Content-Length: 8\r\n\r\npacket!!")
    };
    let new = |connection: &str| old(connection).replace("/1.0", "/1.1");
    for (request, goes_on) in [
        (new(""), true),
        (new("Connection: keep-alive\r\n"), true),
        (new("Connection: close\r\n"), false),
        (new("Connection: Upgrade, CLOSE\r\n"), false),
        (new("Connection: upgrade\r\nConnection: close\r\n"), false),
        (old(""), false),
        (old("Connection: Keep-Alive\r\n"), true),
    ] {
        assert_eq!(outcome(&request).await, (200, goes_on), "{request:?}");
    }
}

const CORS: [&str; 4] = [
    "Access-Control-Allow-Origin: *",
    "Access-Control-Allow-Methods: POST, OPTIONS",
    "Access-Control-Allow-Headers: origin, content-type",
    "Access-Control-Max-Age: 1728000",
];

// req: S104
#[tokio::test(start_paused = true)]
async fn a_page_from_elsewhere_may_read_what_it_asked_for_with_w() {
    let options = |path: &str| format!("OPTIONS {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    for (request, status, is_allowed) in [
        (post("/apiw", "packet!!"), 200, true),
        (post("/apiws_test1", "packet!!"), 200, true),
        (post("/apiw", "odd"), 404, true),
        (options("/apiw"), 200, true),
        (options("/apiw1"), 200, true),
        ("DELETE /apiw HTTP/1.1\r\n\r\n".to_owned(), 501, true),
        (options("/api"), 200, false),
        (post("/api", "packet!!"), 200, false),
        (post("/elsewhere", "packet!!"), 404, false),
    ] {
        let (mut client, _server) = echo(HttpConfig::default());
        let response = client.ask(&request).await;
        assert_eq!(response.status(), status, "{request:?}");
        for line in CORS {
            assert_eq!(response.head.contains(line), is_allowed, "{request:?} {line}");
        }
    }
}

// req: S83, S114
#[tokio::test(start_paused = true)]
async fn errors_are_statuses() {
    use TransportError::{Flood, Forbidden, NotFound, Other, WrongDc};
    for (error, status) in [
        (Forbidden, 403),
        (NotFound, 404),
        (Flood, 429),
        (WrongDc, 444),
        (Other(-503), 503),
        // What no status says.
        (Other(-1), 500),
        (Other(-1000), 500),
        (Other(i32::MIN), 500),
    ] {
        let (mut client, mut link) = connect(HttpConfig::default());
        client.write(post("/apiw", "packet!!")).await;
        link.recv().await.unwrap();
        link.send(Outbound::Error(error)).await.unwrap();
        let response = client.read().await;
        assert_eq!((response.status(), response.text()), (status, ""), "{error}");
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert_eq!(response.header("connection"), Some("keep-alive"));
    }
}

// req: L30
#[tokio::test(start_paused = true)]
async fn a_second_request_waits_for_its_turn() {
    let (mut client, mut link) = connect(HttpConfig::default());
    let requests: Vec<_> = (10..40).map(|at| post("/api", &format!("packet{at}"))).collect();
    client.write(requests.concat()).await;
    for at in 10..40 {
        let Ok(Inbound::Packet { payload, .. }) = link.recv().await else { panic!("no packet") };
        assert_eq!(payload, format!("packet{at}"));
        assert!(futures_pending(&mut link).await, "the next must wait");
        link.send(Outbound::packet(payload.freeze())).await.unwrap();
        assert_eq!(client.read().await.text(), format!("packet{at}"));
    }
}

/// Whether nothing comes out of `link` now.
async fn futures_pending(link: &mut impl Link) -> bool {
    tokio::select! {
        biased;
        _ = link.recv() => false,
        () = tokio::task::yield_now() => true,
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_come_byte_by_byte_and_ask_first() {
    let (mut client, _server) = echo(HttpConfig::default());
    for byte in post("/api", "packet!!").as_bytes() {
        client.write([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.read().await.text(), "packet!!");

    let head = "POST /api HTTP/1.1\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(client.ask(head).await.head, "HTTP/1.1 100 Continue");
    assert_eq!(client.ask("packet!!").await.text(), "packet!!");

    let large = head.replace('8', "80000000");
    assert_eq!(client.ask(large).await.status(), 413);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_says_so() {
    let (mut client, mut link) = connect(HttpConfig::default());
    client.write(post("/apiw", "packet!!")).await;
    link.recv().await.unwrap();
    link.close().await.unwrap();
    let response = client.read().await;
    assert_eq!((response.status(), response.header("connection")), (503, Some("close")));
    assert!(response.head.contains(CORS[0]));
    assert_eq!(client.rest().await, "");

    // One that is still writing is told, too.
    for part in ["POST /api HT", "POST /api HTTP/1.1\r\nContent-Length: 8\r\n\r\npack"] {
        let (mut client, mut link) = connect(HttpConfig::default());
        client.write(part).await;
        assert!(futures_pending(&mut link).await);
        link.close().await.unwrap();
        assert_eq!(client.read().await.status(), 503);
    }

    // One that has asked nothing is not.
    let (mut client, mut link) = connect(HttpConfig::default());
    link.close().await.unwrap();
    assert_eq!(client.rest().await, "");
}

struct Site;

impl Pages for Site {
    fn page(&self, path: &str) -> Option<Page> {
        let body = Bytes::from_static(b"<!doctype html>");
        (path == "/").then_some(Page { content_type: "text/html", body })
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_finds_pages() {
    let config = HttpConfig { pages: Some(Arc::new(Site)), ..HttpConfig::default() };
    let (mut client, _server) = echo(config);
    for _ in 0..3 {
        let response = client.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!((response.status(), response.text()), (200, "<!doctype html>"));
        assert_eq!(response.header("content-type"), Some("text/html"));
        let response = client.ask("GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(response.status(), 404);
        assert_eq!(client.ask(post("/api", "packet!!")).await.text(), "packet!!");
    }
}

/// Goes on with a plain stream of packets, for those who ask for it by its right name.
struct Plain;

impl Upgrade for Plain {
    fn answer(&self, request: &hyper::Request<()>) -> hyper::Response<()> {
        let is_known = request.headers()[UPGRADE] == "plain";
        let mut response = hyper::Response::new(());
        *response.status_mut() = if is_known {
            hyper::StatusCode::SWITCHING_PROTOCOLS
        } else {
            hyper::StatusCode::BAD_REQUEST
        };
        let value = HeaderValue::from_static("binary");
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, value);
        response
    }

    fn link(&self, stream: Box<dyn Stream>, origin: Origin) -> Box<dyn Link> {
        let mut random = mtproto_crypto::SeededRandom::new(1);
        let config = Arc::new(ServerWireConfig::open());
        Box::new(StreamLink::server(stream, origin, config, &mut random))
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_can_go_on_with_another_protocol() {
    let config = HttpConfig { upgrade: Some(Arc::new(Plain)), ..HttpConfig::default() };
    let (mut client, mut link) = connect(config);
    let ask =
        |what| format!("GET /apiws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: {what}\r\n\r\n");
    let receiving = tokio::spawn(async move {
        let received = link.recv().await;
        (received, link)
    });

    let refusal = client.ask(ask("unknown")).await;
    assert_eq!((refusal.status(), refusal.header("content-length")), (400, Some("0")));

    // A client that is in a hurry does not wait for the answer.
    client.write([ask("plain").as_bytes(), b"\xef\x02", b"packet!!"].concat()).await;
    let agreed = client.read().await;
    assert_eq!(agreed.head, "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-protocol: binary");
    let (received, mut link) = receiving.await.unwrap();
    let Ok(Inbound::Packet { payload, .. }) = received else { panic!("{received:?}") };
    assert_eq!(payload, "packet!!");
    assert!(!link.takes_turns());
    assert_eq!(link.peer().to_string(), "memory abridged");

    link.send(Outbound::packet("answer!!")).await.unwrap();
    link.send(Outbound::packet("and more")).await.unwrap();
    link.close().await.unwrap();
    assert_eq!(client.rest().await, "\x02answer!!\x02and more");
    drop(client);
    assert!(matches!(link.recv().await, Err(LinkError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_is_read_again() {
    let (mut client, _) = connect(HttpConfig::default());
    let (near, far) = tokio::io::duplex(1 << 10);
    client.stream = near;
    let request = post("/api", "packet!!");
    let stream = Rewound::new(Bytes::from(request), far);
    let config = Arc::new(HttpConfig::default());
    let mut link = HttpServerLink::new(stream, Origin::MEMORY, config);
    link.recv().await.unwrap();
    link.send(Outbound::packet("answer!!")).await.unwrap();
    assert_eq!(client.read().await.text(), "answer!!");
}
