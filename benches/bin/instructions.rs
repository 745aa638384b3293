//! Does one work so many times, for `cargo xtask bench --instructions` to count what it takes.
//!
//! ```text
//! instructions WORK TIMES
//! ```

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::Bytes;
use clap::Parser;
use mtproto_benches::{floor, noise, ours};
use mtproto_pack::{Message, RPC_RESULT_ID, read_container, write_container};
use mtproto_session::client::{ClientOutput, ClientSession, ClientSessionConfig, RequestOptions};
use mtproto_session::{LinkId, Salts, ServerClock};
use mtproto_tl::types::MsgsAck;
use mtproto_tl::{Author, Decode, Encode, MsgId, Salt, Seqno, ServerTime, SessionId};

#[derive(Parser)]
struct Arguments {
    /// What to do.
    work: String,
    /// How many times.
    times: u32,
}

fn main() -> anyhow::Result<()> {
    let Arguments { work, times } = Arguments::parse();
    let mut work = work_named(&work)?;
    (0..times).for_each(|_| work());
    Ok(())
}

fn work_named(name: &str) -> anyhow::Result<Box<dyn FnMut()>> {
    Ok(match name {
        "ack-out" => ack_out(),
        "ack-out-floor" => ack_out_floor(),
        "ack-in" => {
            let bytes = acks().to_bytes();
            Box::new(move || _ = black_box(ours::sum_msgs_ack(black_box(&bytes))))
        }
        "ack-in-owned" => {
            let bytes = acks().to_bytes();
            Box::new(move || _ = black_box(MsgsAck::from_slice(black_box(&bytes))))
        }
        "ack-in-floor" | "ack-in-owned-floor" => {
            let bytes = acks().to_bytes();
            Box::new(move || _ = black_box(floor::sum_msgs_ack(black_box(&bytes))))
        }
        "container-in" => {
            let bytes = container(&results(&asked()));
            Box::new(move || _ = black_box(ours::container_bytes(black_box(&bytes))))
        }
        "container-in-owned" => {
            let bytes = container(&results(&asked()));
            Box::new(move || _ = black_box(read_container(black_box(&bytes))))
        }
        "container-in-floor" | "container-in-owned-floor" => {
            let bytes = container(&results(&asked()));
            Box::new(move || _ = black_box(floor::container_bytes(black_box(&bytes))))
        }
        "session" => session(),
        "session-floor" => session_floor(),
        _ => bail!("{name}: no such work"),
    })
}

fn acks() -> MsgsAck {
    MsgsAck { msg_ids: (0..100).map(|n| MsgId(0x5f00_0000_0000_0001 + n * 4)).collect() }
}

fn ack_out() -> Box<dyn FnMut()> {
    let (acks, mut out) = (acks(), Vec::new());
    Box::new(move || {
        out.clear();
        black_box(&acks).encode(&mut out);
        black_box(&mut out);
    })
}

fn ack_out_floor() -> Box<dyn FnMut()> {
    let ids: Vec<_> = acks().msg_ids.into_iter().map(|id| id.0).collect();
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        floor::write_msgs_ack(black_box(&ids), &mut out);
        black_box(&mut out);
    })
}

/// Twenty requests out in a packet, and their results in.
#[allow(clippy::disallowed_methods, reason = "any moment does, if it stays the same")]
fn session() -> Box<dyn FnMut()> {
    let now = Instant::now();
    let clock = ServerClock::new(now, time());
    let salts = Salts::new(Some(Salt(1)), Vec::new());
    let (config, id) = (ClientSessionConfig::default(), SessionId(9));
    let mut session = ClientSession::new(config, id, salts, clock, now);
    session.link_attached(LINK, false, now);
    let query = Bytes::from(noise(BODY_LEN, 7));
    let mut answer_id = MsgId::at(time(), Author::ServerReply);
    Box::new(move || {
        for _ in 0..MESSAGES {
            let query = black_box(&query).clone();
            assert!(session.request(query, RequestOptions::default(), now).is_ok());
        }
        let mut asked = Vec::with_capacity(MESSAGES);
        loop {
            match session.poll_output() {
                ClientOutput::Send(outgoing) => {
                    let message = outgoing.message.to_message();
                    let messages = read_container(&message.body).unwrap_or_default();
                    let queries = messages.iter().filter(|message| message.body == query);
                    asked.extend(queries.map(|message| message.id));
                }
                ClientOutput::Wait(_) => break,
                ClientOutput::Close { .. } | ClientOutput::Event(_) => {}
            }
        }
        let messages = results_after(&mut answer_id, &asked);
        answer_id = answer_id.next(Author::ServerReply);
        let message = Message { id: answer_id, seqno: Seqno(0), body: container(&messages) };
        assert!(session.handle_message(LINK, id, message, now).is_ok());
        while !matches!(black_box(session.poll_output()), ClientOutput::Wait(_)) {}
    })
}

/// The same packets, written and walked, and nothing kept.
fn session_floor() -> Box<dyn FnMut()> {
    let query = Bytes::from(noise(BODY_LEN, 7));
    let mut id = MsgId::at(time(), Author::Client);
    Box::new(move || {
        let mut asked = Vec::with_capacity(MESSAGES);
        let mut queries = Vec::with_capacity(MESSAGES);
        for _ in 0..MESSAGES {
            id = id.next(Author::Client);
            queries.push(Message { id, seqno: Seqno(1), body: black_box(&query).clone() });
            asked.push(id);
        }
        black_box(floor::container_bytes(&container(&queries)));
        let mut answer_id = id.next(Author::ServerReply);
        let messages = results_after(&mut answer_id, &asked);
        black_box(floor::container_bytes(&container(&messages)));
    })
}

fn asked() -> Vec<MsgId> {
    (0..MESSAGES as u64).map(|n| MsgId(n * 4)).collect()
}

fn results(asked: &[MsgId]) -> Vec<Message> {
    results_after(&mut MsgId::at(time(), Author::ServerReply), asked)
}

/// A result for each request, with ids that follow `id`.
fn results_after(id: &mut MsgId, asked: &[MsgId]) -> Vec<Message> {
    let result = |request: &MsgId| {
        let mut body = Vec::with_capacity(RESULT_HEADER_LEN + BODY_LEN);
        body.extend_from_slice(&RPC_RESULT_ID.to_le_bytes());
        body.extend_from_slice(&request.0.to_le_bytes());
        body.resize(RESULT_HEADER_LEN + BODY_LEN, 1);
        *id = id.next(Author::ServerReply);
        Message { id: *id, seqno: Seqno(1), body: body.into() }
    };
    asked.iter().map(result).collect()
}

fn container(messages: &[Message]) -> Bytes {
    let mut out = Vec::new();
    write_container(messages, &mut out);
    out.into()
}

fn time() -> ServerTime {
    ServerTime::from_unix(Duration::from_secs(1_700_000_000))
}

const LINK: LinkId = LinkId(1);
const MESSAGES: usize = 20;
const BODY_LEN: usize = 32;
const RESULT_HEADER_LEN: usize = 12;
