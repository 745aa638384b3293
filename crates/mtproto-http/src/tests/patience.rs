//! Clients that are slow, silent or gone, in virtual time.

use std::time::Duration;

use bytes::Bytes;
use mtproto_frame::Outbound;
use mtproto_transport::{Link, LinkError, LinkExt};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use super::raw::{connect, echo, post};
use crate::{BODY_LIMIT, HEAD_LIMIT, HttpConfig, IDLE_LIMIT, LEAVE_LEN_MAX, LEAVE_LIMIT};

const HEAD: &str = "POST /apiw HTTP/1.1\r\nContent-Length: 80\r\n\r\n";

#[allow(clippy::disallowed_methods, reason = "time is virtual here")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_head_must_come_in_time_however_busy_the_client_looks() {
    let (mut client, server) = echo(HttpConfig::default());
    client.ask(post("/api", "packet!!")).await;
    sleep(IDLE_LIMIT / 2).await;
    let begun = now();
    for byte in HEAD.as_bytes().iter().take(29) {
        client.write([*byte]).await;
        sleep(Duration::from_secs(1)).await;
    }
    let response = client.read().await;
    assert_eq!((response.status(), response.header("connection")), (408, Some("close")));
    assert_eq!(begun.elapsed(), HEAD_LIMIT);
    assert_eq!(client.rest().await, "");
    drop(client);
    assert!(matches!(server.await.unwrap(), LinkError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_body_must_come_in_time_however_busy_the_client_looks() {
    let (mut client, server) = echo(HttpConfig::default());
    sleep(IDLE_LIMIT / 2).await;
    client.write(HEAD).await;
    let begun = now();
    for _ in 0..59 {
        client.write(b"x").await;
        sleep(Duration::from_secs(1)).await;
    }
    let response = client.read().await;
    assert_eq!((response.status(), response.header("connection")), (408, Some("close")));
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert_eq!(begun.elapsed(), BODY_LIMIT);
    drop(client);
    assert!(matches!(server.await.unwrap(), LinkError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_ends_without_a_word() {
    for requests in 0..3 {
        let (mut client, server) = echo(HttpConfig::default());
        let begun = now();
        for _ in 0..requests {
            sleep(IDLE_LIMIT - Duration::from_secs(1)).await;
            client.ask(post("/api", "packet!!")).await;
        }
        let idle = now();
        assert_eq!(client.rest().await, "");
        assert_eq!(idle.elapsed(), IDLE_LIMIT, "after {:?}", begun.elapsed());
        assert!(matches!(server.await.unwrap(), LinkError::Closed));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_must_be_taken_in_time() {
    let (mut client, mut link) = connect(HttpConfig::default());
    client.write(post("/api", "packet!!")).await;
    link.recv().await.unwrap();
    let large = Bytes::from(vec![7; 1 << 20]);
    link.start_send(Outbound::packet(large)).unwrap();
    let begun = now();
    assert!(matches!(link.recv().await, Err(LinkError::Closed)));
    assert_eq!(begun.elapsed(), IDLE_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_turn_may_be_held_for_ever() {
    let (mut client, mut link) = connect(HttpConfig::default());
    client.write(post("/api", "packet!!")).await;
    link.recv().await.unwrap();
    tokio::select! {
        end = link.recv() => panic!("{end:?}"),
        () = sleep(Duration::from_secs(86_400)) => {}
    }
    link.send(Outbound::packet("answer!!")).await.unwrap();
    assert_eq!(client.read().await.text(), "answer!!");
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_may_finish_and_no_more() {
    // The refusal comes through although the whole body was written first.
    let (client, server) = echo(HttpConfig::default());
    let body = "x".repeat(LEAVE_LEN_MAX - 10_000);
    let request = post("/elsewhere", &body);
    let (mut reading, mut writing) = tokio::io::split(client.stream);
    writing.write_all(request.as_bytes()).await.unwrap();
    writing.shutdown().await.unwrap();
    let response = super::raw::Response::read(&mut reading).await;
    assert_eq!(response.status(), 404);
    assert!(matches!(server.await.unwrap(), LinkError::Closed));

    // Who goes on writing is cut off.
    let (mut client, server) = echo(HttpConfig::default());
    client.write(post("/elsewhere", "x")).await;
    let mut written = 0;
    while client.stream.write_all(&[b'x'; 1024]).await.is_ok() {
        written += 1024;
    }
    assert!((LEAVE_LEN_MAX..LEAVE_LEN_MAX + (32 << 10)).contains(&written), "{written}");
    assert!(matches!(server.await.unwrap(), LinkError::Closed));

    // Who does not leave is left.
    let (mut client, server) = echo(HttpConfig::default());
    let begun = now();
    assert_eq!(client.ask(post("/elsewhere", "odd")).await.status(), 404);
    assert!(matches!(server.await.unwrap(), LinkError::Closed));
    assert_eq!(begun.elapsed(), LEAVE_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_is_noticed_wherever_it_was() {
    let request = post("/api", "packet!!");
    for cut in 0..=request.len() {
        let (mut client, mut link) = connect(HttpConfig::default());
        client.write(&request[..cut]).await;
        drop(client);
        let begun = now();
        let end = loop {
            match link.recv().await {
                Ok(_) => assert_eq!(cut, request.len(), "a cut request is no packet"),
                Err(end) => break end,
            }
        };
        match end {
            LinkError::Closed => assert!(cut == 0 || cut == request.len(), "cut at {cut}"),
            LinkError::Truncated { received } => assert!(received <= cut),
            other => panic!("cut at {cut}: {other}"),
        }
        assert!(begun.elapsed().is_zero());
        assert!(matches!(link.recv().await, Err(LinkError::Closed)));
        assert!(matches!(link.flush().await, Err(LinkError::Closed)));
        assert!(link.close().await.is_ok());
    }

    // Empty lines are nothing.
    let (mut client, mut link) = connect(HttpConfig::default());
    client.write("\r\n\r\n").await;
    drop(client);
    assert!(matches!(link.recv().await, Err(LinkError::Closed)));
}
