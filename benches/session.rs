//! A client's session: requests out and results in, a container of 20 in each packet, from the
//! query to the sealed packet and back. Against grammers-mtproto, and against a floor that writes
//! and walks the same bytes without keeping anything.

use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use grammers_crypto::DequeBuffer;
use grammers_mtproto::mtp::{Encrypted, Mtp};
use mtproto_benches::{Bench, Case, noise};
use mtproto_crypto::envelope::{
    Filler, Header, OpenJob, Opened, Padding, SealJob, lay_out, open, seal,
};
use mtproto_crypto::{AuthKey, Direction, OsRandom};
use mtproto_pack::{CONTAINER_ID, Message, RPC_RESULT_ID, read_container, write_container};
use mtproto_session::client::{
    ClientEvent, ClientOutput, ClientSession, ClientSessionConfig, RequestId, RequestOptions,
};
use mtproto_session::{LinkId, Outgoing, Salts, ServerClock};
use mtproto_tl::{Author, MsgId, Salt, Seqno, ServerTime, SessionId};

const PEER: &str = "grammers-mtproto";

/// Messages in a packet.
const MESSAGES: usize = 20;
/// Bytes of a query, and of a result.
const BODY_LEN: usize = 32;
/// Packets that a session sends and receives in one call, so that how it began is no part of it.
const PACKETS: usize = 40;

fn main() {
    let mut bench = Bench::from_args("session");
    let fixture = Fixture::new();
    out(&mut bench, &fixture);
    back(&mut bench, &fixture);
}

fn out(bench: &mut Bench, fixture: &Fixture) {
    let (mut random, mut asked, resting) = (OsRandom::new(), 0, Cell::new(None));
    let (mut theirs, mut buffer) = (peer(fixture), DequeBuffer::with_capacity(4096, 256));
    let mut floor = Floor::new();
    let cases = [
        Case::ours_with(
            "ours",
            || {
                // One session all along: what it asked before is not wanted any more.
                let mut session = resting.take().unwrap_or_else(|| fixture.session());
                fixture.give_up(&mut session, &mut asked);
                session
            },
            |mut session| {
                for _ in 0..PACKETS {
                    fixture.ask(&mut session, |outgoing| {
                        let mut packet = outgoing.lay_out(Padding::Least, &mut random);
                        let direction = Direction::ClientToServer;
                        seal(&mut [SealJob::new(&fixture.key, direction, &mut packet)]);
                        black_box(packet);
                    });
                }
                resting.set(Some(session));
            },
        )
        .of(PACKETS as u32),
        Case::peer(PEER, || {
            buffer.clear();
            for _ in 0..MESSAGES {
                assert!(theirs.push(&mut buffer, black_box(&fixture.query)).is_some());
            }
            theirs.finalize(&mut buffer)
        }),
        Case::limit("floor", || {
            floor.write(fixture);
        }),
    ];
    bench.compare("session out, 20 RPCs of 32 B", MESSAGES * BODY_LEN, cases);
}

fn back(bench: &mut Bench, fixture: &Fixture) {
    let answers = fixture.answers();
    let (mut theirs, mut buffer) = (peer(fixture), DequeBuffer::with_capacity(4096, 256));
    let their_answer = sealed(fixture, session_of(fixture, &mut theirs), &asked(0), 0);
    let (mut packet, mut floor_packet) = (their_answer.clone(), their_answer.clone());
    let mut count = 0;
    let cases = [
        Case::ours_with(
            "ours",
            || {
                let mut session = fixture.session();
                (0..PACKETS).for_each(|_| fixture.ask(&mut session, |_| {}));
                let packets = answers.iter().map(|packet| BytesMut::from(&packet[..]));
                (session, packets.collect::<Vec<_>>())
            },
            |(mut session, packets)| {
                let answered: usize =
                    packets.into_iter().map(|packet| fixture.take(&mut session, packet)).sum();
                assert_eq!(answered, PACKETS * MESSAGES);
                session
            },
        )
        .of(PACKETS as u32),
        Case::peer(PEER, || {
            packet.copy_from_slice(&their_answer);
            let results = theirs.deserialize(&mut packet).unwrap();
            assert_eq!(results.len(), MESSAGES);
            count += 1;
            // It has to acknowledge some time.
            if count % PACKETS == 0 {
                buffer.clear();
                theirs.push(&mut buffer, &fixture.query);
                theirs.finalize(&mut buffer);
            }
            results
        }),
        Case::limit("floor", || {
            floor_packet.copy_from_slice(&their_answer);
            floor_read(fixture, &mut floor_packet)
        }),
    ];
    bench.compare("session in, 20 results of 32 B", MESSAGES * BODY_LEN, cases);
}

/// What every session here has in common.
struct Fixture {
    key: AuthKey,
    now: Instant,
    query: Bytes,
}

impl Fixture {
    #[allow(clippy::disallowed_methods, reason = "any moment does, if it stays the same")]
    fn new() -> Self {
        let key = AuthKey::new(key_bytes());
        Self { key, now: Instant::now(), query: Bytes::from(noise(BODY_LEN, 7)) }
    }

    /// A session that has sent nothing; each the same.
    fn session(&self) -> ClientSession {
        let (config, now) = (ClientSessionConfig::default(), self.now);
        let salts = Salts::new(Some(Salt(1)), Vec::new());
        let clock = ServerClock::new(now, time());
        let mut session = ClientSession::new(config, SESSION, salts, clock, now);
        session.link_attached(LINK, false, now);
        session
    }

    /// Makes a packet's worth of requests, and hands out what is sent.
    fn ask(&self, session: &mut ClientSession, mut send: impl FnMut(Outgoing)) {
        for _ in 0..MESSAGES {
            let query = black_box(&self.query).clone();
            session.request(query, RequestOptions::default(), self.now).unwrap();
        }
        loop {
            match session.poll_output() {
                ClientOutput::Send(outgoing) => send(outgoing),
                ClientOutput::Wait(_) => return,
                ClientOutput::Close { .. } | ClientOutput::Event(_) => {}
            }
        }
    }

    /// Cancels the requests of a session after the first `asked`, and counts them as asked.
    fn give_up(&self, session: &mut ClientSession, asked: &mut u64) {
        for _ in 0..session.pending_requests() {
            *asked += 1;
            session.cancel(RequestId(*asked), self.now);
        }
        assert_eq!(session.pending_requests(), 0);
        while !matches!(session.poll_output(), ClientOutput::Wait(_)) {}
    }

    /// Takes a packet in; returns how many requests it answers.
    fn take(&self, session: &mut ClientSession, mut packet: BytesMut) -> usize {
        let opened = open_one(&self.key, &mut packet);
        let Header { session_id, msg_id, seqno, .. } = opened.header;
        let body = packet.freeze().slice(opened.body);
        let message = Message { id: MsgId(msg_id), seqno: Seqno(seqno), body };
        session.handle_message(LINK, SessionId(session_id), message, self.now).unwrap();
        let mut answered = 0;
        loop {
            match session.poll_output() {
                ClientOutput::Event(ClientEvent::Answer { outcome, .. }) => {
                    answered += usize::from(black_box(outcome).is_ok());
                }
                ClientOutput::Wait(_) => return answered,
                output => drop(black_box(output)),
            }
        }
    }

    /// What a server answers to the requests of [`Fixture::ask`], packet by packet.
    fn answers(&self) -> Vec<Vec<u8>> {
        let mut session = self.session();
        let mut asked = Vec::new();
        for _ in 0..PACKETS {
            self.ask(&mut session, |outgoing| {
                let messages = read_container(&outgoing.message.to_message().body).unwrap();
                let is_query = |message: &Message| message.body == self.query;
                asked.extend(messages.into_iter().filter(is_query).map(|message| message.id.0));
            });
        }
        assert_eq!(asked.len(), PACKETS * MESSAGES);
        let packets = asked.chunks(MESSAGES).enumerate();
        packets.map(|(number, ids)| sealed(self, SESSION.0, ids, number as u64)).collect()
    }
}

/// Ids of requests as good as any.
fn asked(first: u64) -> [u64; MESSAGES] {
    std::array::from_fn(|n| first + n as u64 * 4)
}

/// A server's packet number so, with the results of these requests.
fn sealed(fixture: &Fixture, session_id: u64, requests: &[u64], number: u64) -> Vec<u8> {
    let mut id = MsgId::at(time().after(Duration::from_millis(number)), Author::ServerReply);
    let result = noise(BODY_LEN, 9);
    let messages = requests.iter().zip(0..).map(|(request, place)| {
        let mut body = RPC_RESULT_ID.to_le_bytes().to_vec();
        body.extend_from_slice(&request.to_le_bytes());
        body.extend_from_slice(&result);
        id = id.next(Author::ServerReply);
        let seqno = number as u32 * MESSAGES as u32 + place;
        Message { id, seqno: Seqno(seqno << 1 | 1), body: body.into() }
    });
    let mut body = Vec::new();
    write_container(&messages.collect::<Vec<_>>(), &mut body);
    let msg_id = id.next(Author::ServerReply).0;
    let header = Header { salt: 1, session_id, msg_id, seqno: (number as u32 + 1) << 8 };
    let mut packet = Vec::new();
    lay_out(&mut packet, &header, &body, Padding::Least, &mut OsRandom::new());
    seal(&mut [SealJob::new(&fixture.key, Direction::ServerToClient, &mut packet)]);
    packet
}

fn open_one(key: &AuthKey, packet: &mut [u8]) -> Opened {
    let mut jobs = [OpenJob::new(key, Direction::ServerToClient, Filler::Never, packet)];
    open(&mut jobs);
    let [job] = jobs;
    job.opened.unwrap()
}

fn peer(fixture: &Fixture) -> Encrypted {
    Encrypted::build().compression_threshold(None).finish(*fixture.key.as_bytes())
}

/// The session that the peer has drawn: its first packet shows it.
fn session_of(fixture: &Fixture, peer: &mut Encrypted) -> u64 {
    let mut buffer = DequeBuffer::with_capacity(4096, 256);
    peer.push(&mut buffer, &fixture.query);
    peer.finalize(&mut buffer);
    let mut packet = buffer[..].to_vec();
    let key = &fixture.key;
    let mut jobs = [OpenJob::new(key, Direction::ClientToServer, Filler::Never, &mut packet)];
    open(&mut jobs);
    let [job] = jobs;
    job.opened.unwrap().header.session_id
}

/// The least there is to do on the way out: no request is kept.
struct Floor {
    body: Vec<u8>,
    packet: Vec<u8>,
    id: u64,
    random: OsRandom,
}

impl Floor {
    fn new() -> Self {
        Self { body: Vec::new(), packet: Vec::new(), id: 0, random: OsRandom::new() }
    }

    fn write(&mut self, fixture: &Fixture) {
        let Self { body, packet, id, random } = self;
        body.clear();
        body.extend_from_slice(&CONTAINER_ID.to_le_bytes());
        body.extend_from_slice(&(MESSAGES as u32).to_le_bytes());
        for seqno in 0..MESSAGES as u32 {
            *id += 4;
            body.extend_from_slice(&id.to_le_bytes());
            body.extend_from_slice(&(seqno << 1 | 1).to_le_bytes());
            body.extend_from_slice(&(BODY_LEN as u32).to_le_bytes());
            body.extend_from_slice(black_box(&fixture.query));
        }
        *id += 4;
        packet.clear();
        let header = Header { salt: 1, session_id: SESSION.0, msg_id: *id, seqno: 0 };
        lay_out(packet, &header, body, Padding::Least, random);
        seal(&mut [SealJob::new(&fixture.key, Direction::ClientToServer, packet)]);
    }
}

/// The least there is to do on the way in: no result is matched to its request.
fn floor_read(fixture: &Fixture, packet: &mut [u8]) -> u64 {
    let opened = open_one(&fixture.key, packet);
    let mut rest = &packet[opened.body][8..];
    let mut sum = 0;
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let len = u32::from_le_bytes([header[12], header[13], header[14], header[15]]) as usize;
        let (body, others) = after.split_at(len);
        sum ^= u64::from_le_bytes(body[4..12].try_into().unwrap());
        rest = others;
    }
    sum
}

fn key_bytes() -> [u8; 256] {
    std::array::from_fn(|place| place as u8)
}

fn time() -> ServerTime {
    ServerTime::from_unix(Duration::from_secs(1_700_000_000))
}

const LINK: LinkId = LinkId(1);
const SESSION: SessionId = SessionId(0x5e55_1011);
