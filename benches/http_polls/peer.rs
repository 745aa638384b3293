//! A client's side of a connection: it blocks, and knows just enough.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use mtproto_kit::pack::Message;
use mtproto_kit::tl::types::{HttpWait, MsgsAck};
use mtproto_tests::{HandSession, PATIENCE, PUSHED};

use crate::server::{key, unix_time};

/// How a connection carries packets.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// One a request, and one an answer.
    Http,
    /// In intermediate framing.
    Tcp,
}

/// A connection and the one session on it.
pub(crate) struct Peer {
    way: Way,
    stream: TcpStream,
    pub(crate) session: HandSession,
}

impl Peer {
    /// Connects, and says hello in a session of the key of this number.
    pub(crate) fn connect(address: SocketAddr, way: Way, number: u32) -> Self {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a connection");
        if let Way::Tcp = way {
            stream.write_all(&[0xee; 4]).expect("a connection");
        }
        let session = HandSession::new(&key(number), number.into());
        let mut peer = Self { way, stream, session };
        let hello = peer.session.service(&http_wait(Duration::ZERO));
        peer.send(&[hello]);
        peer
    }

    /// Acknowledges messages and waits for others; over HTTP that is a long poll.
    pub(crate) fn poll(&mut self, received: &[Message]) {
        let msg_ids = received.iter().map(|message| message.id).collect();
        let mut messages = vec![self.session.service(&MsgsAck { msg_ids })];
        if let Way::Http = self.way {
            messages.push(self.session.service(&http_wait(POLL)));
        }
        self.send(&messages);
    }

    /// The next packet, and when it was here.
    pub(crate) fn receive(&mut self) -> (Vec<Message>, Duration) {
        let packet = match self.way {
            Way::Http => self.receive_response(),
            Way::Tcp => self.receive_frame(),
        };
        let received = unix_time();
        (self.session.open(packet), received)
    }

    /// Whether the server has said nothing that was not received.
    pub(crate) fn is_held(&self) -> bool {
        self.stream.set_nonblocking(true).expect("a connection");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("a connection");
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    fn send(&mut self, messages: &[Message]) {
        let packet = self.session.packet(messages);
        let head = match self.way {
            Way::Http => format!("{POST}{}\r\n\r\n", packet.len()).into_bytes(),
            Way::Tcp => (packet.len() as u32).to_le_bytes().to_vec(),
        };
        self.stream.write_all(&[&head[..], &packet].concat()).expect("a connection");
    }

    fn receive_response(&mut self) -> BytesMut {
        let mut input = BytesMut::new();
        loop {
            let mut part = [0; 2048];
            let read = self.stream.read(&mut part).expect("an answer");
            input.extend_from_slice(&part[..read]);
            assert!(read > 0, "closed in place of an answer");
            if let Some(head) = input.windows(4).position(|end| end == b"\r\n\r\n") {
                let text = std::str::from_utf8(&input[..head]).expect("a head");
                assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
                let len = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                let len: usize = len.expect("a length").parse().expect("a number");
                if input.len() == head + 4 + len {
                    return input.split_off(head + 4);
                }
            }
        }
    }

    fn receive_frame(&mut self) -> BytesMut {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).expect("a frame");
        let mut packet = BytesMut::zeroed(u32::from_le_bytes(len) as usize);
        self.stream.read_exact(&mut packet).expect("a frame");
        packet
    }
}

/// When what was pushed set out, if this is it.
pub(crate) fn pushed_at(message: &Message) -> Option<Duration> {
    let nanos = message.body.strip_prefix(&PUSHED.to_le_bytes())?;
    Some(Duration::from_nanos(u64::from_le_bytes(nanos.try_into().ok()?)))
}

/// Is answered as soon as there is anything to say, and after `max_wait` in any case.
fn http_wait(max_wait: Duration) -> HttpWait {
    HttpWait { max_delay: 0, wait_after: 0, max_wait: max_wait.as_millis() as i32 }
}

/// As long as a server holds anything.
pub(crate) const POLL: Duration = mtproto_kit::session::HTTP_WAIT_MAX;

const POST: &str = "POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Length: ";
