//! As much of a session as pings need: ids, the salt, what has to be acknowledged.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use mtproto_kit::crypto::AuthKey;
use mtproto_kit::crypto::envelope::{Header, Opened};
use mtproto_kit::pack::{CONTAINER_ID, RPC_RESULT_ID};
use mtproto_kit::session::{MsgIds, Seqnos};
use mtproto_kit::tl::functions::Ping;
use mtproto_kit::tl::types::{BadMsgNotification, BadServerSalt, MsgsAck, NewSessionCreated, Pong};
use mtproto_kit::tl::{
    Author, Constructor, Decode, DecodeError, Encode, MsgId, Reader, Salt, Seqno, ServerTime,
};

/// A key that the server knows, and what came with it.
pub(super) struct Key {
    pub(super) auth: AuthKey,
    pub(super) salt: Salt,
    /// What the server's clock said when.
    pub(super) clock: (Instant, ServerTime),
}

pub(super) struct Session {
    pub(super) key: Arc<Key>,
    id: u64,
    salt: Salt,
    ids: MsgIds,
    seqnos: Seqnos,
    to_ack: Vec<MsgId>,
}

/// What a packet of the server meant.
#[derive(Default)]
pub(super) struct Seen {
    /// The numbers of pings that were answered.
    pub(super) pongs: Vec<i64>,
    /// How many packets were refused for their salt, and have to be made again.
    pub(super) refused: usize,
}

/// Why a session cannot go on.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server refused a message with this code.
    BadMsg(i32),
    /// The server's bytes are no messages.
    Malformed,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadMsg(code) => write!(f, "the server refused a message with code {code}"),
            Self::Malformed => f.write_str("the server sent what is no message"),
        }
    }
}

impl From<DecodeError> for Trouble {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

impl Session {
    pub(super) fn new(key: Arc<Key>, id: u64) -> Self {
        let (salt, ids, seqnos) = (key.salt, MsgIds::default(), Seqnos::default());
        Self { key, id, salt, ids, seqnos, to_ack: Vec::new() }
    }

    /// Writes `count` pings with the number `ping_id` into `body`, and what has to be acknowledged;
    /// returns the header of a packet with that body.
    pub(super) fn pings(
        &mut self,
        count: usize,
        ping_id: i64,
        now: Instant,
        body: &mut Vec<u8>,
    ) -> Header {
        let time = self.time(now);
        body.clear();
        let ping = Ping { ping_id };
        if count == 1 && self.to_ack.is_empty() {
            ping.encode(body);
            let (id, seqno) = (self.issue(time), self.seqnos.content_related());
            return self.header(id, seqno);
        }
        let messages = count + usize::from(!self.to_ack.is_empty());
        CONTAINER_ID.encode(body);
        (messages as u32).encode(body);
        for _ in 0..count {
            let (id, seqno) = (self.issue(time), self.seqnos.content_related());
            write_message(id, seqno, &ping, body);
        }
        if !self.to_ack.is_empty() {
            let ack = MsgsAck { msg_ids: std::mem::take(&mut self.to_ack) };
            write_message(self.issue(time), self.seqnos.service(), &ack, body);
        }
        let id = self.issue(time);
        self.header(id, self.seqnos.service())
    }

    /// Takes what a packet holds: a message, or one container of messages.
    pub(super) fn receive(
        &mut self,
        packet: &[u8],
        opened: &Opened,
        seen: &mut Seen,
    ) -> Result<(), Trouble> {
        let body = packet.get(opened.body.clone()).ok_or(Trouble::Malformed)?;
        let mut input = Reader::new(body);
        if input.peek_u32()? != CONTAINER_ID {
            return self.take(MsgId(opened.header.msg_id), Seqno(opened.header.seqno), body, seen);
        }
        input.u32()?;
        for _ in 0..input.count(MESSAGE_LEN_MIN)? {
            let (id, seqno) = (MsgId(input.u64()?), Seqno(input.u32()?));
            let len = input.u32()?;
            self.take(id, seqno, input.slice(len as usize)?, seen)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        id: MsgId,
        seqno: Seqno,
        body: &[u8],
        seen: &mut Seen,
    ) -> Result<(), Trouble> {
        if seqno.is_content_related() && self.to_ack.len() < TO_ACK_MAX {
            self.to_ack.push(id);
        }
        let mut input = Reader::new(body);
        // Some servers answer a ping as they answer a request.
        if input.peek_u32()? == RPC_RESULT_ID {
            input.array::<RESULT_HEADER_LEN>()?;
        }
        match input.peek_u32()? {
            Pong::ID => seen.pongs.push(Pong::decode(&mut input)?.ping_id),
            NewSessionCreated::ID => {
                self.salt = NewSessionCreated::decode(&mut input)?.server_salt;
            }
            BadServerSalt::ID => {
                self.salt = BadServerSalt::decode(&mut input)?.new_server_salt;
                seen.refused += 1;
            }
            BadMsgNotification::ID => {
                let code = BadMsgNotification::decode(&mut input)?.error_code;
                return Err(Trouble::BadMsg(code));
            }
            _ => {}
        }
        Ok(())
    }

    fn time(&self, now: Instant) -> ServerTime {
        let (at, time) = self.key.clock;
        time.after(now.saturating_duration_since(at))
    }

    fn issue(&mut self, time: ServerTime) -> MsgId {
        self.ids.issue(time, Author::Client)
    }

    fn header(&self, id: MsgId, seqno: Seqno) -> Header {
        Header { salt: self.salt.0, session_id: self.id, msg_id: id.0, seqno: seqno.0 }
    }
}

/// Appends one message of a container.
fn write_message(id: MsgId, seqno: Seqno, object: &impl Encode, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.0.to_le_bytes());
    out.extend_from_slice(&seqno.0.to_le_bytes());
    let len_at = out.len();
    out.extend_from_slice(&[0; 4]);
    object.encode(out);
    let len = (out.len() - len_at - 4) as u32;
    out[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
}

/// Ids that one packet acknowledges; a server repeats the rest.
const TO_ACK_MAX: usize = 1024;

/// Bytes of a container's message before its object, and of the shortest object.
const MESSAGE_LEN_MIN: usize = 16 + 4;

/// Bytes of an `rpc_result` before the result.
const RESULT_HEADER_LEN: usize = 12;
