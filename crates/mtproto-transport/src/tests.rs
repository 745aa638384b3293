//! Stream links over streams that are slow, cut, silent or garbage.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use mtproto_crypto::SeededRandom;
use mtproto_frame::{
    Foreign, Framing, Inbound, Outbound, PeerFault, Secret, ServerWireConfig, TransportError,
    WireConfig, WireFault,
};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};

use crate::memory::{self, MemoryLink};
use crate::{Dial, DialError, Link, LinkError, LinkExt, Listen, Origin, StreamLink, UNSENT_MAX};

fn open() -> Arc<ServerWireConfig> {
    Arc::new(ServerWireConfig::open())
}

fn random() -> SeededRandom {
    SeededRandom::new(1)
}

fn pair(framing: Framing) -> (MemoryLink, MemoryLink) {
    memory::pair(&WireConfig::plain(framing), open(), &mut random()).unwrap()
}

/// A server's link and the raw stream that leads to it.
fn raw_client(config: ServerWireConfig) -> (DuplexStream, MemoryLink) {
    let (near, far) = duplex(1 << 16);
    (near, StreamLink::server(far, Origin::MEMORY, Arc::new(config), &mut random()))
}

fn payload(blocks: usize) -> Bytes {
    vec![7; 24 + 16 * blocks].into()
}

async fn expect_packet(link: &mut impl Link, payload: &Bytes) {
    match link.recv().await {
        Ok(Inbound::Packet { payload: received, .. }) => assert!(received == payload),
        other => panic!("{other:?}"),
    }
}

#[cfg(feature = "conformance")]
#[tokio::test]
async fn links_in_memory_keep_every_promise() {
    let secret = || Secret::Padded((*b"sixteen letters!").into());
    let with_secret = || ServerWireConfig::with_secrets(vec![secret()]);
    let mut settings: Vec<_> = Framing::ALL
        .into_iter()
        .map(|framing| (WireConfig::plain(framing), ServerWireConfig::open()))
        .collect();
    for framing in [Framing::Abridged, Framing::Intermediate, Framing::Padded] {
        settings.push((WireConfig::obfuscated(framing), ServerWireConfig::open()));
    }
    settings.push((WireConfig::with_secret(Framing::Padded, secret()), with_secret()));
    for (client, server) in settings {
        let (dial, mut listen) = memory::endpoints(client, Arc::new(server), random());
        crate::conformance::run(&dial, &mut listen).await;
    }
}

#[tokio::test]
async fn an_end_within_a_frame_is_told_from_a_close() {
    for (bytes, received) in [(&b"\xef\x0a1234"[..], 5), (b"\xee\xee", 2), (b"\xef\x7f", 1)] {
        let (mut stream, mut link) = raw_client(ServerWireConfig::open());
        stream.write_all(bytes).await.unwrap();
        drop(stream);
        match link.recv().await {
            Err(LinkError::Truncated { received: count }) => assert_eq!(count, received),
            other => panic!("{other:?}"),
        }
        assert!(matches!(link.recv().await, Err(LinkError::Closed)), "later there is no more");
    }
    let (stream, mut link) = raw_client(ServerWireConfig::open());
    drop(stream);
    assert!(matches!(link.recv().await, Err(LinkError::Closed)));
}

// req: S116
#[tokio::test]
async fn who_does_not_know_the_secret_learns_nothing() {
    let key = Secret::Plain((*b"sixteen letters!").into());
    for probe in [vec![0x55; 64], vec![0xef; 300], b"\xee\xee\xee\xee\x28\0\0\0".to_vec()] {
        let (mut stream, mut link) = raw_client(ServerWireConfig::with_secrets(vec![key.clone()]));
        stream.write_all(&probe).await.unwrap();
        let receiving = tokio::spawn(async move { link.recv().await });
        for _ in 0..100 {
            stream.write_all(&[0xa5; 30_000]).await.unwrap();
        }
        assert!(!receiving.is_finished(), "all of it is taken, and nothing said");
        stream.shutdown().await.unwrap();
        let end = receiving.await.unwrap();
        assert!(matches!(end, Err(LinkError::Fault(WireFault::Unrecognised))), "{end:?}");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty());
    }
}

#[tokio::test]
async fn a_stream_of_another_protocol_can_be_handed_on() {
    let request = b"GET / HTTP/1.1\r\n\r\n";
    let (mut stream, mut link) = raw_client(ServerWireConfig::open());
    stream.write_all(request).await.unwrap();
    let end = link.recv().await;
    assert!(matches!(end, Err(LinkError::Fault(WireFault::Foreign(Foreign::Http)))), "{end:?}");
    assert!(matches!(link.recv().await, Err(LinkError::Closed)));
    assert_eq!(link.peer().to_string(), "memory http");
    let (_stream, state) = link.into_parts();
    assert_eq!(state.into_input(), request[..]);
}

#[tokio::test]
async fn an_error_can_be_said_after_a_fault() {
    let (mut stream, mut link) = raw_client(ServerWireConfig::open());
    stream.write_all(b"\xee\xee\xee\xee\xff\xff\xff\x7f").await.unwrap();
    let end = link.recv().await;
    let fault = PeerFault::FrameTooLong { len: 0x7fff_ffff, max: (1 << 20) + (8 << 10) };
    assert!(matches!(end, Err(LinkError::Fault(WireFault::Peer(peer))) if peer == fault));
    link.send(Outbound::Error(TransportError::NotFound)).await.unwrap();
    link.close().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"\x04\0\0\0\x6c\xfe\xff\xff");
}

/// A stream that counts writes and takes only so many bytes of each.
struct Reluctant {
    inner: DuplexStream,
    write_max: usize,
    writes: usize,
}

impl AsyncRead for Reluctant {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl AsyncWrite for Reluctant {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(self.write_max)];
        self.writes += 1;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

fn reluctant(write_max: usize) -> (StreamLink<Reluctant>, MemoryLink) {
    let (near, far) = duplex(1 << 16);
    let near = Reluctant { inner: near, write_max, writes: 0 };
    let config = WireConfig::obfuscated(Framing::Padded);
    (
        StreamLink::client(near, Origin::MEMORY, &config, &mut random()).unwrap(),
        StreamLink::server(far, Origin::MEMORY, open(), &mut random()),
    )
}

#[tokio::test]
async fn a_flush_is_one_write_where_the_stream_takes_it() {
    let (mut client, mut server) = reluctant(usize::MAX);
    for blocks in 1..=30 {
        client.start_send(Outbound::packet(payload(blocks))).unwrap();
    }
    client.flush().await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(client.stream().writes, 1);
    for blocks in 1..=30 {
        expect_packet(&mut server, &payload(blocks)).await;
    }
}

#[tokio::test]
async fn a_stream_may_take_a_byte_at_a_time() {
    let (mut client, mut server) = reluctant(1);
    for blocks in 1..=10 {
        client.start_send(Outbound::packet(payload(blocks))).unwrap();
        client.send(Outbound::packet(payload(blocks))).await.unwrap();
        expect_packet(&mut server, &payload(blocks)).await;
        expect_packet(&mut server, &payload(blocks)).await;
    }
    assert_eq!(client.unsent(), 0);
}

#[tokio::test]
async fn a_link_moves_with_all_it_holds() {
    let (mut client, mut server) = pair(Framing::Abridged);
    for blocks in 1..=3 {
        client.send(Outbound::packet(payload(blocks))).await.unwrap();
    }
    expect_packet(&mut server, &payload(1)).await;
    server.start_send(Outbound::packet(payload(9))).unwrap();

    let (stream, state) = server.into_parts();
    let mut server = StreamLink::from_parts(stream, state);
    expect_packet(&mut server, &payload(2)).await;
    expect_packet(&mut server, &payload(3)).await;
    server.flush().await.unwrap();
    expect_packet(&mut client, &payload(9)).await;
}

#[tokio::test]
async fn packets_can_be_made_in_the_output() {
    let (mut client, mut server) = pair(Framing::Full);
    for blocks in 1..=5 {
        let payload = payload(blocks);
        let (wire, out) = client.output();
        wire.begin(payload.len(), false, out).unwrap();
        out.extend_from_slice(&payload);
    }
    assert!(client.unsent() > 0);
    client.flush().await.unwrap();
    for blocks in 1..=5 {
        expect_packet(&mut server, &payload(blocks)).await;
    }
}

#[test]
fn what_waits_is_bounded() {
    let (mut client, _server) = pair(Framing::Intermediate);
    let mut cx = Context::from_waker(Waker::noop());
    let large = payload(4000);
    let full = loop {
        match client.start_send(Outbound::packet(large.clone())) {
            Ok(()) => assert!(client.unsent() < UNSENT_MAX + large.len() + 8),
            Err(error) => break error,
        }
        // The other side takes nothing.
        let _ = client.poll_flush(&mut cx);
    };
    assert!(matches!(full, LinkError::Full { max: UNSENT_MAX, .. }), "{full}");
}

#[tokio::test]
async fn idle_links_hold_no_buffers() {
    let (mut client, mut server) = pair(Framing::Intermediate);
    client.send(Outbound::packet(payload(2))).await.unwrap();
    expect_packet(&mut server, &payload(2)).await;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(server.poll_recv(&mut cx).is_pending());
    let (_, state) = server.into_parts();
    assert_eq!(state.into_input().capacity(), 0);
    assert_eq!(client.output().1.capacity(), 0);
}

#[tokio::test]
async fn a_dial_without_a_listener_is_refused() {
    let config = WireConfig::plain(Framing::Full);
    let (dial, mut listen) = memory::endpoints(config, open(), random());
    let (client, _server) = tokio::join!(dial.dial(), listen.accept());
    client.unwrap();
    drop(listen);
    assert!(matches!(dial.dial().await, Err(DialError::Connect { .. })));

    let impossible = WireConfig::obfuscated(Framing::Full);
    let (dial, mut listen) = memory::endpoints(impossible, open(), random());
    let error = dial.dial().await.map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot connect to memory: the full framing cannot be obfuscated: choose another framing"
    );
    drop(dial);
    assert!(listen.accept().await.is_err());
}

#[test]
fn a_peer_is_described() {
    let origin = Origin::tcp("[::1]:443".parse().unwrap());
    assert_eq!(origin.to_string(), "tcp://[::1]:443");
    let config = WireConfig::obfuscated(Framing::Abridged);
    let (client, server) = memory::pair(&config, open(), &mut random()).unwrap();
    assert_eq!(client.peer().to_string(), "memory abridged+obfuscated");
    assert_eq!(server.peer().to_string(), "memory");
}
