//! The least that a server can do for a ping: read, open, walk, answer, seal, write.
//!
//! A yardstick for `mtproto bench`, not a server: intermediate framing only, one thread, no
//! session, no check but `msg_key`, no limits. Keys are exchanged as the real server does it,
//! because whoever loads it wants one.
//!
//! ```text
//! floor --dir DIR
//! ```
//!
//! prints one line of JSON: where it listens, and where its public key is.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use bytes::Bytes;
use clap::Parser;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use mtproto_auth::server::{Exchange, ServerConfig, Step};
use mtproto_auth::{PlainMessage, Query};
use mtproto_crypto::envelope::{self, Filler, Header, OpenJob, Opened, Padding, SealJob, lay_out};
use mtproto_crypto::rsa::RsaPrivateKey;
use mtproto_crypto::{AuthKey, Direction, OsRandom};
use mtproto_pack::CONTAINER_ID;
use mtproto_tl::functions::Ping;
use mtproto_tl::types::Pong;
use mtproto_tl::{Author, Constructor, MsgId, ServerTime};

/// The least that a server can do for a ping.
#[derive(Parser)]
struct Arguments {
    /// Where public.pem goes.
    #[arg(long)]
    dir: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Arguments { dir } = Arguments::parse();
    let mut random = OsRandom::new();
    let private = RsaPrivateKey::generate(&mut random);
    let public_key = dir.join("public.pem");
    std::fs::write(&public_key, private.public().to_pem())
        .with_context(|| public_key.display().to_string())?;
    let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    let address = listener.local_addr()?;
    let line = serde_json::json!({ "addresses": [address], "public_key": public_key });
    println!("{line}");

    let config = ServerConfig { keys: Arc::new([private]), dc: None, accept_old_rsa: false };
    let mut floor = Floor {
        config,
        random,
        keys: HashMap::new(),
        last_id: MsgId(1 << 32),
        scratch: vec![0; READ_LEN_MAX],
        out: Vec::new(),
        body: Vec::new(),
        pings: Vec::new(),
    };
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let token = Token(connections.len());
                    poll.registry().register(&mut stream, token, Interest::READABLE)?;
                    connections.push(Some(Connection::new(stream)));
                }
            } else if let Some(slot) = connections.get_mut(event.token().0)
                && let Some(connection) = slot
                && floor.serve(connection).is_none()
            {
                *slot = None;
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// What is not a whole frame yet.
    input: Vec<u8>,
    is_greeted: bool,
    exchange: Option<Exchange>,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self { stream, input: Vec::new(), is_greeted: false, exchange: None }
    }
}

struct Floor {
    config: ServerConfig,
    random: OsRandom,
    keys: HashMap<u64, AuthKey>,
    last_id: MsgId,
    scratch: Vec<u8>,
    out: Vec<u8>,
    body: Vec<u8>,
    /// Message and number of each ping in a packet.
    pings: Vec<(u64, u64)>,
}

impl Floor {
    /// Answers all that has arrived; `None` ends the connection.
    fn serve(&mut self, connection: &mut Connection) -> Option<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let outcome = self.serve_with(connection, &mut scratch);
        self.scratch = scratch;
        outcome
    }

    fn serve_with(&mut self, connection: &mut Connection, scratch: &mut [u8]) -> Option<()> {
        loop {
            let len = match connection.stream.read(scratch) {
                Ok(0) => return None,
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(()),
                Err(_) => return None,
            };
            self.out.clear();
            // Whole frames are answered where they were read; only a part of one is kept.
            if connection.input.is_empty() {
                let used = self.frames(connection, scratch.get_mut(..len)?)?;
                connection.input.extend_from_slice(scratch.get(used..len)?);
            } else {
                let mut input = std::mem::take(&mut connection.input);
                input.extend_from_slice(scratch.get(..len)?);
                let used = self.frames(connection, &mut input)?;
                input.drain(..used);
                connection.input = input;
            }
            // A client that does not read what it asked for is none of ours.
            connection.stream.write_all(&self.out).ok()?;
            if len < scratch.len() {
                return Some(());
            }
        }
    }

    /// Answers each whole frame; returns the length of all of them.
    fn frames(&mut self, connection: &mut Connection, input: &mut [u8]) -> Option<usize> {
        let mut at = 0;
        if !connection.is_greeted {
            connection.is_greeted = true;
            at = GREETING_LEN;
        }
        while let Some(len) = input.get(at..).and_then(<[u8]>::first_chunk) {
            let start = at + 4;
            let end = start + u32::from_le_bytes(*len) as usize;
            let Some(packet) = input.get_mut(start..end) else { break };
            match envelope::key_id(packet)? {
                0 => self.exchange(connection, packet)?,
                id => self.answer(id, packet)?,
            }
            at = end;
        }
        Some(at)
    }

    fn answer(&mut self, key_id: u64, packet: &mut [u8]) -> Option<()> {
        let key = self.keys.get(&key_id)?;
        let mut jobs = [OpenJob::new(key, Direction::ClientToServer, Filler::Never, packet)];
        envelope::open(&mut jobs);
        let [job] = jobs;
        let opened = job.opened.ok()?;
        self.pings.clear();
        find_pings(packet, &opened, &mut self.pings)?;
        if self.pings.is_empty() {
            return Some(());
        }

        self.body.clear();
        if self.pings.len() > 1 {
            self.body.extend_from_slice(&CONTAINER_ID.to_le_bytes());
            self.body.extend_from_slice(&(self.pings.len() as u32).to_le_bytes());
        }
        for (msg_id, ping_id) in &self.pings {
            self.last_id = self.last_id.next(Author::ServerReply);
            if self.pings.len() > 1 {
                self.body.extend_from_slice(&self.last_id.0.to_le_bytes());
                self.body.extend_from_slice(&[0; 4]);
                self.body.extend_from_slice(&PONG_LEN.to_le_bytes());
            }
            self.body.extend_from_slice(&Pong::ID.to_le_bytes());
            self.body.extend_from_slice(&msg_id.to_le_bytes());
            self.body.extend_from_slice(&ping_id.to_le_bytes());
        }
        self.last_id = self.last_id.next(Author::ServerReply);
        let header = Header { msg_id: self.last_id.0, seqno: 0, ..opened.header };
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        lay_out(&mut self.out, &header, &self.body, Padding::Least, &mut self.random);
        let (len, packet) = self.out.get_mut(start..)?.split_first_chunk_mut()?;
        *len = (packet.len() as u32).to_le_bytes();
        envelope::seal(&mut [SealJob::new(key, Direction::ServerToClient, packet)]);
        Some(())
    }

    fn exchange(&mut self, connection: &mut Connection, packet: &[u8]) -> Option<()> {
        let message = PlainMessage::decode(&Bytes::copy_from_slice(packet)).ok()?;
        let query = Query::decode(&message.body).ok()??;
        let (config, random) = (&self.config, &mut self.random);
        let time = now();
        let body = match connection.exchange.take() {
            None => {
                let (exchange, body) = Exchange::start(&query, config, random).ok()?;
                connection.exchange = Some(exchange);
                body
            }
            Some(exchange) => match exchange.handle(&query, config, time.unix_seconds(), random) {
                Ok(Step::Answer(exchange, body)) => {
                    connection.exchange = Some(exchange);
                    body
                }
                Ok(Step::Candidate(candidate)) => {
                    let key = candidate.key().key.clone();
                    self.keys.insert(key.id(), key);
                    candidate.ok().1
                }
                Err(_) => return None,
            },
        };
        self.last_id =
            MsgId::at(time, Author::ServerReply).max(self.last_id.next(Author::ServerReply));
        let answer = PlainMessage { msg_id: self.last_id, body }.to_packet();
        self.out.extend_from_slice(&(answer.len() as u32).to_le_bytes());
        self.out.extend_from_slice(&answer);
        Some(())
    }
}

/// Adds message and number of every ping in a packet.
fn find_pings(packet: &[u8], opened: &Opened, pings: &mut Vec<(u64, u64)>) -> Option<()> {
    let body = packet.get(opened.body.clone())?;
    let word = |at: usize| Some(u32::from_le_bytes(*body.get(at..)?.first_chunk()?));
    let long = |at: usize| Some(u64::from_le_bytes(*body.get(at..)?.first_chunk()?));
    match word(0)? {
        Ping::ID => pings.push((opened.header.msg_id, long(4)?)),
        CONTAINER_ID => {
            let mut at = 8;
            for _ in 0..word(4)? {
                if word(at + 16)? == Ping::ID {
                    pings.push((long(at)?, long(at + 20)?));
                }
                at += 16 + word(at + 12)? as usize;
            }
        }
        _ => {}
    }
    Some(())
}

#[allow(clippy::disallowed_methods, reason = "a server is where the time comes from")]
fn now() -> ServerTime {
    ServerTime::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

const LISTENER: Token = Token(usize::MAX);
const READ_LEN_MAX: usize = 128 << 10;
/// Four bytes that say what framing follows; nothing else is understood.
const GREETING_LEN: usize = 4;
/// Bytes of a pong.
const PONG_LEN: u32 = 20;
