//! Clients who know the secret, and everybody else.

use std::sync::Arc;

use bytes::Bytes;
use mtproto_crypto::SeededRandom;
use mtproto_frame::fake_tls::{Fault, HELLO_AHEAD_MAX, HelloShape};
use mtproto_frame::{
    Framing, Inbound, Outbound, Secret, SecretKey, ServerWireConfig, Wire, WireConfig, WireFault,
};
use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::{Carrier, Link, LinkError, LinkExt, Origin, StreamLink};

const DOMAIN: &str = "www.example.org";
const NOW: u32 = 1_763_000_000;
const ORIGIN: Origin = Origin { carrier: Carrier::FakeTls, address: None };

fn key() -> SecretKey {
    (*b"sixteen letters!").into()
}

fn secret() -> Secret {
    Secret::FakeTls { key: key(), domain: DOMAIN.to_owned() }
}

fn gate() -> Gate {
    Gate::new(&[secret()], SeededRandom::new(3)).unwrap()
}

fn start(seed: u64) -> (ClientHandshake, Vec<u8>) {
    let random = &mut SeededRandom::new(seed);
    ClientHandshake::start(&key(), DOMAIN, HelloShape::Modern, NOW, random)
}

async fn connect<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: S,
    seed: u64,
) -> io::Result<StreamLink<FakeTlsStream<S>>> {
    let (handshake, hello) = start(seed);
    let stream = FakeTlsStream::connect(stream, handshake, &hello).await?;
    let config = WireConfig::with_secret(Framing::Padded, secret());
    Ok(StreamLink::client(stream, ORIGIN, &config, &mut SeededRandom::new(seed)).unwrap())
}

async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    gate: &Gate,
) -> StreamLink<FakeTlsStream<S>> {
    match FakeTlsStream::accept(stream, BytesMut::new(), gate, NOW).await.unwrap() {
        Admission::Ours { stream, secret: index } => {
            let config = Arc::new(ServerWireConfig::with_secrets(vec![secret()]));
            let wire = Wire::inside_fake_tls(config, index, &mut SeededRandom::new(4));
            StreamLink::new(stream, ORIGIN, wire)
        }
        Admission::Foreign { refusal, .. } => panic!("{refusal}"),
    }
}

type FakeTlsLink = StreamLink<FakeTlsStream<DuplexStream>>;

async fn linked(in_flight: usize) -> (FakeTlsLink, FakeTlsLink) {
    let (near, far) = duplex(in_flight);
    let gate = gate();
    let (client, server) = tokio::join!(connect(near, 1), accept(far, &gate));
    (client.unwrap(), server)
}

async fn pass(from: &mut FakeTlsLink, to: &mut FakeTlsLink, blocks: usize) {
    let payload = Bytes::from(vec![7; 24 + 16 * blocks]);
    let (sent, received) = tokio::join!(from.send(Outbound::packet(payload.clone())), to.recv());
    sent.unwrap();
    match received {
        Ok(Inbound::Packet { payload: received, .. }) => assert!(received == payload),
        other => panic!("{other:?}"),
    }
}

#[cfg(feature = "conformance")]
mod promises {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tokio::sync::mpsc;

    use super::*;
    use crate::{Dial, DialError, Listen};

    struct FakeTlsDial {
        accepted: mpsc::Sender<DuplexStream>,
        seed: Mutex<u64>,
    }

    #[async_trait]
    impl Dial for FakeTlsDial {
        async fn dial(&self) -> Result<Box<dyn Link>, DialError> {
            let (near, far) = duplex(10_000);
            self.accepted.send(far).await.unwrap();
            let seed = {
                let mut seed = self.seed.lock().unwrap();
                *seed += 1;
                *seed
            };
            Ok(Box::new(connect(near, seed).await.unwrap()))
        }
    }

    struct FakeTlsListen {
        streams: mpsc::Receiver<DuplexStream>,
        gate: Gate,
    }

    #[async_trait]
    impl Listen for FakeTlsListen {
        async fn accept(&mut self) -> io::Result<Box<dyn Link>> {
            let stream = self.streams.recv().await.unwrap();
            Ok(Box::new(accept(stream, &self.gate).await))
        }
    }

    // req: S116
    #[tokio::test]
    async fn links_in_records_keep_every_promise() {
        let (accepted, streams) = mpsc::channel(1);
        let dial = FakeTlsDial { accepted, seed: Mutex::new(0) };
        crate::conformance::run(&dial, &mut FakeTlsListen { streams, gate: gate() }).await;
    }
}

// req: S116
#[tokio::test]
async fn a_stream_may_take_and_bring_a_byte_at_a_time() {
    let (mut client, mut server) = linked(1).await;
    for blocks in [0, 1, 500] {
        pass(&mut client, &mut server, blocks).await;
        pass(&mut server, &mut client, blocks).await;
    }
    assert_eq!(server.peer().to_string(), "fake-tls padded+secret0");
}

/// What becomes of `sent`, of which `early` bytes came before anybody thought of TLS.
async fn admit(gate: &Gate, sent: &[u8], early: usize) -> (Refusal, Vec<u8>, Vec<u8>) {
    let (mut client, server) = duplex(1 << 16);
    let (before, after) = sent.split_at(early);
    client.write_all(after).await.unwrap();
    client.shutdown().await.unwrap();
    match FakeTlsStream::accept(server, BytesMut::from(before), gate, NOW).await.unwrap() {
        Admission::Ours { .. } => panic!("{} bytes are taken for a hello", sent.len()),
        Admission::Foreign { mut stream, input, refusal } => {
            let mut all = input.to_vec();
            stream.read_to_end(&mut all).await.unwrap();
            drop(stream);
            let mut answered = Vec::new();
            client.read_to_end(&mut answered).await.unwrap();
            (refusal, all, answered)
        }
    }
}

// req: S116
#[tokio::test]
async fn everybody_else_goes_on_with_every_byte() {
    let (_, hello) = start(1);
    let hello_at = |time, key: [u8; 16], domain| {
        let (shape, random) = (HelloShape::Classic, &mut SeededRandom::new(2));
        ClientHandshake::start(&key.into(), domain, shape, time, random).1
    };
    let known = *key().as_bytes();
    let late = NOW + HELLO_AHEAD_MAX + 1;
    let gate = gate();
    let (_client, server) = duplex(1 << 16);
    let first = FakeTlsStream::accept(server, hello.as_slice().into(), &gate, NOW);
    assert!(matches!(first.await, Ok(Admission::Ours { secret: 0, .. })));

    for (sent, expected) in [
        (hello.clone(), Refusal::Replayed),
        (b"\x16\x03\x01garbage that is no hello".to_vec(), Refusal::TooLong),
        (b"\x16\x03\x01\x00\x07garbage and more".to_vec(), Refusal::Malformed),
        (hello[..700].to_vec(), Refusal::Truncated),
        (hello[..4].to_vec(), Refusal::Truncated),
        (Vec::new(), Refusal::Truncated),
        (hello_at(late, known, DOMAIN), Refusal::Clock { client: late, server: NOW }),
        (hello_at(NOW, known, "other.example"), Refusal::Domain),
        (hello_at(NOW, [1; 16], DOMAIN), Refusal::Unproven),
        ([hello_at(NOW, known, DOMAIN), vec![0x17]].concat(), Refusal::Trailing),
    ] {
        for early in [0, 3.min(sent.len()), sent.len()] {
            // A record too many is seen only if it is there.
            if expected == Refusal::Trailing && early != sent.len() {
                continue;
            }
            let (refusal, all, answered) = admit(&gate, &sent, early).await;
            assert_eq!(refusal, expected);
            assert!(all == sent, "{refusal}: {} bytes of {}", all.len(), sent.len());
            assert!(answered.is_empty(), "{refusal}");
        }
    }
}

// req: S116
#[tokio::test]
async fn a_site_is_no_server() {
    let (client, mut site) = duplex(1 << 16);
    let answer = async {
        let mut hello = vec![0; start(1).1.len()];
        site.read_exact(&mut hello).await.unwrap();
        site.write_all(b"\x15\x03\x03\x00\x02\x02\x28").await.unwrap();
        site
    };
    let (connected, _site) = tokio::join!(connect(client, 1), answer);
    let error = connected.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(error.to_string(), Fault::AnswerMalformed { kind: 0x15, len: 2 }.to_string());

    let (client, site) = duplex(1 << 16);
    drop(site);
    assert!(connect(client, 1).await.is_err());
}

/// A server's link, and the stream of a client that has said hello.
async fn raw_client() -> (DuplexStream, FakeTlsLink) {
    let (mut near, far) = duplex(1 << 16);
    near.write_all(&start(1).1).await.unwrap();
    (near, accept(far, &gate()).await)
}

#[tokio::test]
async fn records_that_do_not_belong_end_a_link() {
    let (mut client, mut server) = raw_client().await;
    client.write_all(b"\x17\x03\x03\x00\x01a\x15\x03\x03\x00\x02\x01\x00").await.unwrap();
    match server.recv().await {
        Err(LinkError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::InvalidData),
        other => panic!("{other:?}"),
    }
    assert!(matches!(server.recv().await, Err(LinkError::Closed)));
}

#[tokio::test]
async fn an_end_within_a_record_is_told_from_a_close() {
    for (bytes, is_whole) in [
        (&b"\x14\x03\x03\x00\x01\x01"[..], true),
        (b"\x14\x03\x03\x00\x01", false),
        (b"\x17\x03\x03\x00\x00", true),
        (b"\x17\x03", false),
    ] {
        let (mut client, mut server) = raw_client().await;
        client.write_all(bytes).await.unwrap();
        drop(client);
        match server.recv().await {
            Err(LinkError::Closed) => assert!(is_whole, "{bytes:?}"),
            Err(LinkError::Io(error)) => {
                assert_eq!((error.kind(), is_whole), (io::ErrorKind::UnexpectedEof, false));
            }
            other => panic!("{other:?}"),
        }
    }
}

// req: S116
#[tokio::test]
async fn a_stranger_within_records_learns_nothing() {
    let (mut client, mut server) = raw_client().await;
    let record = [&[0x17, 3, 3, 0, 200][..], &[9; 200]].concat();
    client.write_all(&record).await.unwrap();
    client.shutdown().await.unwrap();
    let end = server.recv().await;
    assert!(matches!(end, Err(LinkError::Fault(WireFault::Unrecognised))), "{end:?}");
    drop(server);
    let mut answered = Vec::new();
    client.read_to_end(&mut answered).await.unwrap();
    assert_eq!((answered[0], answered[127]), (0x16, 0x14), "the hello is all it gets");
    let len = usize::from(u16::from_be_bytes([answered[136], answered[137]]));
    assert_eq!(answered.len(), 138 + len);
}

#[tokio::test]
async fn what_waits_is_bounded_and_idle_streams_hold_nothing() {
    let (mut client, mut server) = linked(64).await;
    client.start_send(Outbound::packet(vec![7; 400_008])).unwrap();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(client.poll_flush(&mut cx).is_pending());
    let held = client.stream().output.len();
    assert!((1..FAKE_TLS_WRITE_LEN_MAX + 200).contains(&held), "{held} bytes");
    let (flushed, received) = tokio::join!(client.flush(), server.recv());
    flushed.unwrap();
    assert!(received.is_ok());
    assert_eq!(client.stream().output.capacity(), 0);
}
