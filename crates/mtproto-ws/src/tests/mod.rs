//! Conversations over WebSockets, with peers that are ours, tungstenite's, or hostile.

mod conformance;
mod frames;
mod handshakes;
mod hostile;
mod messages;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use mtproto_crypto::SeededRandom;
use mtproto_frame::{Address, Framing, Inbound, ServerWireConfig, WireConfig};
use mtproto_transport::{
    Connect, Connected, DialError, Link, LinkExt, Listen, Origin, Rewound, Stream,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;

use crate::frames::put_frame;
use crate::{WsLink, WsServerConfig, accept};
use tokio_tungstenite::tungstenite::protocol::frame::coding::OpCode;

/// How much may be on its way in one direction, in bytes.
const IN_FLIGHT_MAX: usize = 64 << 10;

fn random() -> SeededRandom {
    SeededRandom::new(1)
}

fn obfuscated() -> WireConfig {
    WireConfig::obfuscated(Framing::Intermediate)
}

fn open() -> WsServerConfig {
    WsServerConfig::new(&ServerWireConfig::open())
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

/// Both ends of a WebSocket after its handshake.
fn pair() -> (WsLink<DuplexStream>, WsLink<DuplexStream>) {
    let (near, far) = duplex(IN_FLIGHT_MAX);
    let client = WsLink::client(near, Origin::MEMORY, &obfuscated(), &mut random()).unwrap();
    (client, WsLink::server(far, Origin::MEMORY, &open(), &mut random()))
}

/// A server's link and the raw stream that leads to it, after the handshake.
fn raw_client() -> (DuplexStream, WsLink<DuplexStream>) {
    let (near, far) = duplex(IN_FLIGHT_MAX);
    (near, WsLink::server(far, Origin::MEMORY, &open(), &mut random()))
}

/// One frame as it goes over the wire; a client's has a mask.
fn frame(opcode: OpCode, is_final: bool, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, opcode, is_final, mask, payload);
    out
}

const MASK: Option<[u8; 4]> = Some([0x12, 0x34, 0x56, 0x78]);

/// Opens streams within the process, which read and write at most so many bytes at once.
struct MemoryConnect {
    step: usize,
    streams: mpsc::Sender<DuplexStream>,
}

#[async_trait]
impl Connect for MemoryConnect {
    async fn connect(&self, address: &Address) -> Result<Connected, DialError> {
        let (near, far) = duplex(IN_FLIGHT_MAX);
        self.streams.send(far).await.map_err(|_| DialError::Connect {
            target: address.to_string(),
            source: io::ErrorKind::ConnectionRefused.into(),
        })?;
        let stream = Box::new(Stepping { inner: near, step: self.step });
        Ok(Connected { stream, origin: Origin::MEMORY })
    }
}

/// Takes the streams of a [`MemoryConnect`].
struct MemoryListen {
    step: usize,
    streams: mpsc::Receiver<DuplexStream>,
    config: WsServerConfig,
}

#[async_trait]
impl Listen for MemoryListen {
    async fn accept(&mut self) -> io::Result<Box<dyn Link>> {
        let inner = self.streams.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
        let stream = Stepping { inner, step: self.step };
        let stream: Rewound<_> = accept(stream).await.map_err(io::Error::other)?;
        Ok(Box::new(WsLink::server(stream, Origin::MEMORY, &self.config, &mut random())))
    }
}

fn memory(step: usize, config: &ServerWireConfig) -> (Arc<MemoryConnect>, MemoryListen) {
    let (sender, streams) = mpsc::channel(1);
    let config = WsServerConfig::new(config);
    (Arc::new(MemoryConnect { step, streams: sender }), MemoryListen { step, streams, config })
}

/// A stream that takes and gives only so many bytes at once.
struct Stepping<S> {
    inner: S,
    step: usize,
}

impl<S: Stream> AsyncRead for Stepping<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = vec![0; self.step.min(into.remaining())];
        let mut piece = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut self.inner).poll_read(cx, &mut piece);
        into.put_slice(piece.filled());
        read
    }
}

impl<S: Stream> AsyncWrite for Stepping<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(self.step)];
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
