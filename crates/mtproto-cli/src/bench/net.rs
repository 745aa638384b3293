//! Sockets by the thousand on one thread, each with its framing.
//!
//! No task and no future: whoever measures a server must cost less than the server does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use mtproto_kit::crypto::OsRandom;
use mtproto_kit::frame::{Inbound, Misuse, Wire, WireConfig};

/// Connections to one server, by number.
pub(super) struct Net {
    poll: Poll,
    events: Events,
    server: SocketAddr,
    config: WireConfig,
    random: OsRandom,
    connections: Vec<Connection>,
    /// Where every socket is read into.
    scratch: Box<[u8]>,
}

/// What came since the last time, each with the number of its connection.
#[derive(Default)]
pub(super) struct Arrivals {
    /// In the order in which they came.
    pub(super) packets: Vec<(usize, BytesMut)>,
    /// Connections that are no more, and why.
    pub(super) lost: Vec<(usize, String)>,
}

struct Connection {
    stream: TcpStream,
    wire: Wire,
    /// What is not a whole frame yet.
    input: BytesMut,
    output: Vec<u8>,
    /// How much of `output` the socket has taken.
    taken: usize,
    state: State,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Connecting,
    Lost,
    Open,
}

impl Net {
    pub(super) fn new(server: SocketAddr, config: &WireConfig) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            server,
            config: config.clone(),
            random: OsRandom::new(),
            connections: Vec::new(),
            scratch: vec![0; READ_LEN_MAX].into(),
        })
    }

    /// Begins another connection, and returns its number. What is sent before it is there waits.
    pub(super) fn connect(&mut self) -> io::Result<usize> {
        let index = self.connections.len();
        let connection = self.dial(index)?;
        self.connections.push(connection);
        Ok(index)
    }

    /// Drops a connection, and begins another in its place.
    pub(super) fn replace(&mut self, index: usize) -> io::Result<()> {
        self.connections[index] = self.dial(index)?;
        Ok(())
    }

    /// Frames a packet and sends what the socket takes of it; the rest follows when it can.
    pub(super) fn send(&mut self, index: usize, packet: &[u8]) -> Result<(), Misuse> {
        self.queue(index, packet)?;
        self.flush(index);
        Ok(())
    }

    /// Frames a packet, to be sent with those that follow it by [`flush`](Self::flush).
    pub(super) fn queue(&mut self, index: usize, packet: &[u8]) -> Result<(), Misuse> {
        let Connection { wire, output, .. } = &mut self.connections[index];
        wire.begin(packet.len(), false, output)?;
        output.extend_from_slice(packet);
        wire.finish(output)
    }

    /// Sends what the socket takes. A failure shows at the next [`wait`](Self::wait).
    pub(super) fn flush(&mut self, index: usize) {
        self.connections[index].flush();
    }

    /// Waits until something happens, for `timeout` at most, and adds what it was.
    pub(super) fn wait(&mut self, timeout: Duration, arrivals: &mut Arrivals) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        for event in &self.events {
            let index = event.token().0;
            let Some(connection) = self.connections.get_mut(index) else { continue };
            if connection.state == State::Lost {
                continue;
            }
            let take = |packet| arrivals.packets.push((index, packet));
            if let Err(why) = connection.advance(event.is_writable(), &mut self.scratch, take) {
                connection.state = State::Lost;
                arrivals.lost.push((index, why));
            }
        }
        Ok(())
    }

    fn dial(&mut self, index: usize) -> io::Result<Connection> {
        let mut stream = TcpStream::connect(self.server)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest)?;
        let wire = Wire::client(&self.config, &mut self.random).map_err(io::Error::other)?;
        let (input, output) = (BytesMut::new(), Vec::new());
        Ok(Connection { stream, wire, input, output, taken: 0, state: State::Connecting })
    }
}

impl Connection {
    /// Does all that the socket is ready for; fails with what to tell of a connection that is lost.
    fn advance(
        &mut self,
        is_writable: bool,
        scratch: &mut [u8],
        take: impl FnMut(BytesMut),
    ) -> Result<(), String> {
        let explain = |error: io::Error| error.to_string();
        if self.state == State::Connecting {
            if let Some(error) = self.stream.take_error().map_err(explain)? {
                return Err(error.to_string());
            }
            if !is_writable {
                return Ok(());
            }
            self.stream.set_nodelay(true).map_err(explain)?;
            self.state = State::Open;
        }
        if is_writable {
            self.flush();
        }
        self.read(scratch, take)
    }

    /// Reads all there is, and hands out whole packets.
    fn read(&mut self, scratch: &mut [u8], mut take: impl FnMut(BytesMut)) -> Result<(), String> {
        loop {
            let len = match self.stream.read(scratch) {
                Ok(0) => return Err("closed by the server".to_owned()),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.to_string()),
            };
            self.input.extend_from_slice(&scratch[..len]);
            while let Some(item) =
                self.wire.receive(&mut self.input).map_err(|error| error.to_string())?
            {
                match item {
                    Inbound::Error(error) => return Err(error.to_string()),
                    Inbound::Packet { payload, .. } => take(payload),
                    Inbound::QuickAck(_) => {}
                }
            }
            // A socket that gave less than was asked for has no more: no need to ask again.
            if len < scratch.len() {
                return Ok(());
            }
        }
    }

    fn flush(&mut self) {
        if self.state != State::Open {
            return;
        }
        while self.taken < self.output.len() {
            match self.stream.write(&self.output[self.taken..]) {
                Ok(len) => self.taken += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Either there is room later, or reading will tell what is wrong.
                Err(_) => return,
            }
        }
        self.output.clear();
        self.taken = 0;
    }
}

/// How many sockets one look at them tells of.
const EVENTS_MAX: usize = 1024;

/// Bytes that one read asks for.
const READ_LEN_MAX: usize = 128 << 10;
