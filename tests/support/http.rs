//! One HTTP connection, driven by hand.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mtproto_kit::auth::PlainMessage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{PATIENCE, plain_packet};

/// A client's side of an HTTP connection.
pub struct HttpPeer {
    stream: TcpStream,
    input: BytesMut,
}

/// What a server answers.
#[derive(Debug)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// What follows the head.
    pub body: BytesMut,
}

impl HttpPeer {
    /// Connects.
    ///
    /// # Panics
    /// If the server cannot be reached.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        Self { stream, input: BytesMut::new() }
    }

    /// Its own address, as the server sees it.
    ///
    /// # Panics
    /// If it is not connected.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a socket that is connected")
    }

    /// Sends a packet.
    ///
    /// # Panics
    /// If the connection is over.
    pub async fn post(&mut self, packet: impl AsRef<[u8]>) {
        let packet = packet.as_ref();
        let len = packet.len();
        let head = format!("POST /api HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n");
        let request = [head.as_bytes(), packet].concat();
        self.stream.write_all(&request).await.expect("a connection");
    }

    /// The next answer.
    ///
    /// # Panics
    /// If none comes for [`PATIENCE`].
    pub async fn response(&mut self) -> Response {
        self.response_within(PATIENCE).await.expect("an answer")
    }

    /// The next answer, if it comes within `limit`.
    ///
    /// # Panics
    /// If what comes is none.
    pub async fn response_within(&mut self, limit: Duration) -> Option<Response> {
        timeout(limit, self.read_response()).await.ok()
    }

    /// The next packet.
    ///
    /// # Panics
    /// If none comes for [`PATIENCE`].
    pub async fn packet(&mut self) -> BytesMut {
        let Response { status, body } = self.response().await;
        assert_eq!(status, 200, "in place of a packet");
        body
    }

    /// Sends an unencrypted query and waits for the answer's body.
    ///
    /// # Panics
    /// If none comes.
    pub async fn ask(&mut self, query: &Bytes) -> Bytes {
        self.post(plain_packet(query)).await;
        let message = PlainMessage::decode(&self.packet().await.freeze());
        message.expect("the answer is an unencrypted message").body
    }

    /// Whether the server has closed the connection, with nothing more to say.
    ///
    /// # Panics
    /// If it does neither for [`PATIENCE`].
    pub async fn is_closed(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await;
        read.expect("the server closes").is_ok_and(|read| read == 0) && self.input.is_empty()
    }

    /// Takes nothing out of the input before all of it is there.
    async fn read_response(&mut self) -> Response {
        let head_len = loop {
            if let Some(index) = self.input.windows(4).position(|end| end == b"\r\n\r\n") {
                break index + 4;
            }
            self.read_more().await;
        };
        let head = String::from_utf8_lossy(&self.input[..head_len]);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.expect("an answer has a status");
        let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let len: usize = len.and_then(|len| len.parse().ok()).expect("an answer has a length");
        while self.input.len() < head_len + len {
            self.read_more().await;
        }
        let _ = self.input.split_to(head_len);
        Response { status, body: self.input.split_to(len) }
    }

    async fn read_more(&mut self) {
        let read = self.stream.read_buf(&mut self.input).await;
        assert!(read.is_ok_and(|read| read > 0), "closed before the answer was whole");
    }
}
