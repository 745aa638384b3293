//! One connection, driven by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mtproto_crypto::SeededRandom;
use mtproto_kit::auth::client::{ClientConfig, Exchange, Step};
use mtproto_kit::auth::{KeyKind, NewKey, PlainMessage};
use mtproto_kit::frame::{Inbound, Outbound, TransportError, Wire, WireConfig};
use mtproto_kit::tl::MsgId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::public_key;

/// How long a peer waits for anything that must come.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A client's side of a TCP connection.
pub struct Peer {
    stream: TcpStream,
    wire: Wire,
    input: BytesMut,
    random: SeededRandom,
}

/// What came from the server.
#[derive(Debug, Eq, PartialEq)]
pub enum Received {
    /// The server has closed.
    Closed,
    /// A transport error.
    Error(TransportError),
    /// A packet.
    Packet(BytesMut),
    /// A quick ack.
    QuickAck(u32),
}

impl Peer {
    /// Connects. `seed` decides all that is random here.
    ///
    /// # Panics
    /// If the server cannot be reached.
    pub async fn connect(address: SocketAddr, config: &WireConfig, seed: u64) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket that is connected");
        let mut random = SeededRandom::new(seed);
        let wire = Wire::client(config, &mut random).expect("layers that go together");
        Self { stream, wire, input: BytesMut::new(), random }
    }

    /// Its own address, as the server sees it.
    ///
    /// # Panics
    /// If it is not connected.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a socket that is connected")
    }

    /// The bytes that a packet becomes on this stream, as the next ones that go out.
    ///
    /// # Panics
    /// If it is no payload of a frame.
    pub fn frame(&mut self, payload: impl Into<Bytes>, quick_ack: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let item = Outbound::Packet { payload: payload.into().into(), quick_ack };
        self.wire.send(&item, &mut out).expect("a payload that can be framed");
        out
    }

    /// Writes bytes as they are. Whether the server still reads them is not known.
    pub async fn write(&mut self, bytes: &[u8]) {
        // A server that has closed already is no failure of the test: the next read tells.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends a packet.
    pub async fn send(&mut self, payload: impl Into<Bytes>) {
        let bytes = self.frame(payload, false);
        self.write(&bytes).await;
    }

    /// Sends a packet and asks for a quick ack.
    pub async fn send_with_quick_ack(&mut self, payload: impl Into<Bytes>) {
        let bytes = self.frame(payload, true);
        self.write(&bytes).await;
    }

    /// The next thing that comes.
    ///
    /// # Panics
    /// If nothing comes for [`PATIENCE`], or what comes is no MTProto.
    pub async fn receive(&mut self) -> Received {
        self.receive_within(PATIENCE).await.expect("the server answers or closes")
    }

    /// The next thing that comes within `limit`.
    ///
    /// # Panics
    /// If what comes is no MTProto.
    pub async fn receive_within(&mut self, limit: Duration) -> Option<Received> {
        timeout(limit, self.next()).await.ok()
    }

    /// Says that nothing more is written, and reads to the end.
    pub async fn finish(mut self) {
        let _ = self.stream.shutdown().await;
        self.read_to_end().await;
    }

    /// Reads whatever comes until the server closes.
    ///
    /// # Panics
    /// If it does not close within [`PATIENCE`].
    pub async fn read_to_end(&mut self) -> usize {
        let end = async {
            let mut buffer = vec![0; 64 << 10];
            let mut total = 0;
            while let Ok(read @ 1..) = self.stream.read(&mut buffer).await {
                total += read;
            }
            total
        };
        timeout(PATIENCE, end).await.expect("the server closes")
    }

    /// Breaks the connection off, so that nothing of it is left in either system.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Sends an unencrypted query and waits for the answer's body.
    ///
    /// # Errors
    /// The transport error that came in its place; the server has closed then.
    ///
    /// # Panics
    /// If neither comes.
    pub async fn ask(&mut self, query: &Bytes) -> Result<Bytes, TransportError> {
        self.send(plain_packet(query)).await;
        match self.receive().await {
            Received::Packet(packet) => {
                let message = PlainMessage::decode(&packet.freeze());
                Ok(message.expect("the answer is an unencrypted message").body)
            }
            Received::Error(error) => Err(error),
            other => panic!("in place of an answer came {other:?}"),
        }
    }

    /// Begins a key exchange: its state, and the query to send.
    pub fn begin_exchange(&mut self, kind: KeyKind, dc: i32) -> (Exchange, Bytes) {
        let keys = Arc::new([public_key()]);
        Exchange::start(ClientConfig { keys, dc, kind }, &mut self.random)
    }

    /// Takes an exchange one step on with an answer.
    ///
    /// # Panics
    /// If the answer is wrong.
    pub fn advance(&mut self, exchange: Exchange, answer: &Bytes) -> Step {
        exchange.handle(answer, &mut self.random).expect("the server keeps the rules")
    }

    /// Makes a key.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn make_key(&mut self, kind: KeyKind) -> NewKey {
        let (mut exchange, mut query) = self.begin_exchange(kind, 2);
        loop {
            let answer = self.ask(&query).await.expect("the server makes a key");
            match self.advance(exchange, &answer) {
                Step::Query(next, next_query) => (exchange, query) = (next, next_query),
                Step::Done(key) => return key,
            }
        }
    }

    async fn next(&mut self) -> Received {
        loop {
            match self.wire.receive(&mut self.input).expect("the server speaks MTProto") {
                Some(Inbound::Error(error)) => return Received::Error(error),
                Some(Inbound::Packet { payload, .. }) => return Received::Packet(payload),
                Some(Inbound::QuickAck(token)) => return Received::QuickAck(token),
                None => {}
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(1..) => {}
                // A reset is an end too: the server closed with bytes of ours unread.
                Ok(_) | Err(_) => return Received::Closed,
            }
        }
    }
}

/// An unencrypted packet. The server does not judge its message id.
#[must_use]
pub fn plain_packet(body: &Bytes) -> Bytes {
    PlainMessage { msg_id: MsgId(4), body: body.clone() }.to_packet()
}
