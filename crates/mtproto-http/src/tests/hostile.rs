//! Peers that do not speak HTTP, or almost.

use mtproto_crypto::{SecureRandom, SeededRandom};
use mtproto_transport::LinkError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::raw::{echo, post};
use crate::HttpConfig;

/// Writes `bytes` and closes; gives what the server says and how the link ends.
async fn offer(bytes: &[u8]) -> (Vec<u8>, LinkError) {
    let (client, server) = echo(HttpConfig::default());
    let (mut reading, mut writing) = tokio::io::split(client.stream);
    let write = async {
        // The server may have closed before.
        let _ = writing.write_all(bytes).await;
        let _ = writing.shutdown().await;
    };
    let mut said = Vec::new();
    let (_, read) = tokio::join!(write, reading.read_to_end(&mut said));
    read.unwrap();
    (said, server.await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn garbage_is_refused_or_ignored() {
    let mut random = SeededRandom::new(7);
    for len in 0..300 {
        let mut garbage = vec![0; len * len / 4];
        random.fill(&mut garbage);
        let (said, _) = offer(&garbage).await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 4"), "{said:?}");
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for foreign in [&preface[..], tls, b"\0\0\0\0", b"\r\n\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"] {
        let (said, _) = offer(foreign).await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 400"), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn changed_requests_end_somehow() {
    let request = [post("/apiw", "packet!!"), post("/api", "another one.")].concat();
    let mut random = SeededRandom::new(8);
    for _ in 0..2000 {
        let mut bytes = request.clone().into_bytes();
        for _ in 0..1 + random.u32() % 3 {
            let at = random.u32() as usize % bytes.len();
            match random.u32() % 3 {
                0 => bytes[at] = random.u32() as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, random.u32() as u8),
            }
        }
        let (said, _) = offer(&bytes).await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 "), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_cannot_be_hidden_in_another() {
    let hidden = post("/api", "hidden packet...");
    let chunked = "Transfer-Encoding: chunked\r\n";
    for trick in [
        // Which length counts?
        format!("POST /api HTTP/1.1\r\nContent-Length: 4\r\n{chunked}\r\n0\r\n\r\n{hidden}"),
        format!("POST /api HTTP/1.1\r\n{chunked}Content-Length: 4\r\n\r\n0\r\n\r\n{hidden}"),
        format!("POST /api HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 8\r\n\r\nbody{hidden}"),
        format!("POST /api HTTP/1.1\r\nContent-Length : 4\r\n\r\nbody{hidden}"),
        format!("POST /api HTTP/1.1\r\nContent-Length: +4\r\n\r\nbody{hidden}"),
        format!("GET / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody{hidden}"),
        format!("PUT /api HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody{hidden}"),
        format!("POST /else HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody{hidden}"),
    ] {
        let (said, _) = offer(trick.as_bytes()).await;
        let said = String::from_utf8(said).unwrap();
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{trick:?} {said}");
        assert!(!said.contains("hidden packet"), "{trick:?}");
    }
}
