//! Objects as a hostile peer would make them: right in form, or nearly.

use mtproto_pack::{CONTAINER_ID, GZIP_PACKED_ID, MSG_COPY_ID, Message, RPC_RESULT_ID, gzip};
use mtproto_tl::functions::{self, auth::BindTempAuthKey};
use mtproto_tl::wrappers::functions as wrappers;
use mtproto_tl::{
    AuthKeyId, Author, Constructor, Encode, MsgId, Raw, Seqno, ServerTime, SessionId, types,
};

use crate::choices::Choices;

/// What a peer knows of others, and of itself.
#[derive(Default)]
pub(crate) struct Known {
    /// Ids of messages that were seen, and their authors' sessions.
    pub(crate) msg_ids: Vec<MsgId>,
    pub(crate) sessions: Vec<SessionId>,
    pub(crate) keys: Vec<AuthKeyId>,
    pub(crate) time: ServerTime,
    /// The highest id that was made.
    pub(crate) last_id: MsgId,
}

impl Known {
    /// A boxed object, whole words of four bytes.
    pub(crate) fn object(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        self.object_at(choices, 0)
    }

    /// A message as it stands in an envelope or a container.
    pub(crate) fn message(&mut self, choices: &mut Choices<'_>) -> Message {
        self.message_at(choices, 0)
    }

    fn message_at(&mut self, choices: &mut Choices<'_>, depth: usize) -> Message {
        // What is inside has a lower id, as it should.
        let body = self.object_at(choices, depth).into();
        let id = match choices.below(8) {
            0 => self.msg_id(choices),
            _ => self.next_id(choices),
        };
        Message { id, seqno: Seqno(choices.below(64) as u32), body }
    }

    fn object_at(&mut self, choices: &mut Choices<'_>, depth: usize) -> Vec<u8> {
        if depth > DEPTH_MAX {
            return types::Null {}.to_bytes().to_vec();
        }
        let (id, fields) = SHAPES[choices.below(SHAPES.len())];
        let mut out = id.to_le_bytes().to_vec();
        for field in fields.chars() {
            self.field(field, &mut out, choices, depth + 1);
        }
        if id == GZIP_PACKED_ID {
            // Long enough to be packed at all.
            out = self.object_at(choices, depth + 1);
            out.resize(out.len() + (64 << choices.below(10)), 0);
            out = gzip::pack(&out).map_or(out, Vec::from);
        }
        if choices.once_in(16) {
            let at = choices.below(out.len());
            out[at] ^= 1 << choices.below(8);
        }
        out
    }

    fn field(&mut self, field: char, out: &mut Vec<u8>, choices: &mut Choices<'_>, depth: usize) {
        match field {
            'a' => choices.bytes(64).to_vec().chunks_exact(4).for_each(|word| out.extend(word)),
            'b' => mtproto_tl::encode_byte_string(choices.bytes(64), out),
            'c' => {
                let messages: Vec<_> =
                    (0..choices.below(6)).map(|_| self.message_at(choices, depth)).collect();
                let mut container = Vec::new();
                mtproto_pack::write_container(&messages, &mut container);
                out.extend_from_slice(&container[4..]);
            }
            'i' if choices.once_in(4) => choices.any::<i32>().encode(out),
            'i' => i32::from(choices.any::<u8>()).encode(out),
            'k' => choices.one_of(&self.keys).unwrap_or_default().encode(out),
            'l' => choices.any::<i64>().encode(out),
            'm' => self.msg_id(choices).encode(out),
            'n' => {
                let message = self.message_at(choices, depth);
                // As in a container, with a constructor number in place of the count.
                let mut container = Vec::new();
                mtproto_pack::write_container(&[message], &mut container);
                MESSAGE_ID.encode(out);
                out.extend_from_slice(&container[8..]);
            }
            'o' => out.extend(self.object_at(choices, depth)),
            's' => choices.one_of(&self.sessions).unwrap_or_default().encode(out),
            'v' => {
                let len = choices.below(8) << choices.below(2);
                let ids: Vec<_> = (0..len).map(|_| self.msg_id(choices)).collect();
                ids.encode(out);
            }
            _ => unreachable!("no field is written like this"),
        }
    }

    /// An id that means something to somebody, most often.
    fn msg_id(&mut self, choices: &mut Choices<'_>) -> MsgId {
        match choices.below(8) {
            0 => MsgId(choices.any()),
            1 => self.next_id(choices),
            _ => choices.one_of(&self.msg_ids).unwrap_or_default(),
        }
    }

    /// A new id that is higher than the last one, and most often about right.
    fn next_id(&mut self, choices: &mut Choices<'_>) -> MsgId {
        let author = [Author::Client, Author::ServerReply, Author::ServerNotice][choices.below(3)];
        let id = MsgId::at(self.time, author);
        self.last_id = if id > self.last_id { id } else { self.last_id.next(author) };
        let skew = if choices.once_in(16) { 1 << (24 + choices.below(20)) } else { 0 };
        MsgId(self.last_id.0.wrapping_add(skew))
    }
}

/// How deep objects hold objects.
const DEPTH_MAX: usize = 4;

/// `message#5bb8e511`, which only `msg_copy` writes.
const MESSAGE_ID: u32 = 0x5bb8_e511;

/// Constructor numbers, and what stands behind each. The letters are those of [`Known::field`].
const SHAPES: &[(u32, &str)] = &[
    // Some query, and some answer or push.
    (0x5175_6572, "a"),
    (0x416e_7377, "a"),
    (CONTAINER_ID, "c"),
    (GZIP_PACKED_ID, ""),
    (MSG_COPY_ID, "n"),
    (RPC_RESULT_ID, "mo"),
    (types::RpcError::ID, "ib"),
    (types::RpcAnswerUnknown::ID, ""),
    (types::RpcAnswerDroppedRunning::ID, ""),
    (types::RpcAnswerDropped::ID, "mii"),
    // Valid from, valid until, the salt; the salts of a vector are bare.
    (types::FutureSalts::ID, "miiiil"),
    (types::Pong::ID, "ml"),
    (types::DestroySessionOk::ID, "s"),
    (types::DestroySessionNone::ID, "s"),
    (types::NewSessionCreated::ID, "mll"),
    (types::MsgsAck::ID, "v"),
    (types::BadMsgNotification::ID, "mii"),
    (types::BadServerSalt::ID, "miil"),
    (types::MsgResendReq::ID, "v"),
    (types::MsgResendAnsReq::ID, "v"),
    (types::MsgsStateReq::ID, "v"),
    (types::MsgsStateInfo::ID, "mb"),
    (types::MsgsAllInfo::ID, "vb"),
    (types::MsgDetailedInfo::ID, "mmii"),
    (types::MsgNewDetailedInfo::ID, "mii"),
    (types::DestroyAuthKeyOk::ID, ""),
    (types::DestroyAuthKeyNone::ID, ""),
    (types::DestroyAuthKeyFail::ID, ""),
    (types::HttpWait::ID, "iii"),
    (functions::RpcDropAnswer::ID, "m"),
    (functions::GetFutureSalts::ID, "i"),
    (functions::Ping::ID, "l"),
    (functions::PingDelayDisconnect::ID, "li"),
    (functions::DestroySession::ID, "s"),
    (functions::DestroyAuthKey::ID, ""),
    // A nonce is two longs.
    (functions::ReqPqMulti::ID, "ll"),
    (functions::ReqDhParams::ID, "llllbblb"),
    (functions::SetClientDhParams::ID, "llllb"),
    (types::ResPq::ID, "llllbv"),
    (BindTempAuthKey::ID, "klib"),
    (functions::InvokeAfterMsg::<Raw>::ID, "mo"),
    (functions::InvokeAfterMsgs::<Raw>::ID, "vo"),
    (wrappers::InvokeWithLayer::<Raw>::ID, "io"),
    (wrappers::InvokeWithoutUpdates::<Raw>::ID, "o"),
    (wrappers::InitConnection::<Raw>::ID, "iibbbbbbo"),
    (wrappers::help::GetConfig::ID, ""),
];
