//! Conversations as text, in one notation for tests, traces and the command line.
//!
//! Each message is a line: its name, its label, its seqno, what it says. Ids get labels in the
//! order in which they appear, `c1` for the client's first message and `s1` for the server's; salts
//! get letters. What a container holds follows it, indented.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use mtproto_pack::{
    CONTAINER_ID, DropAnswer, GZIP_PACKED_ID, INFLATED_MAX, Message, RPC_RESULT_ID, RpcAnswer,
    RpcResult, object_id, read_container,
};
use mtproto_tl::functions::{
    DestroyAuthKey, DestroySession, GetFutureSalts, Ping, PingDelayDisconnect, RpcDropAnswer,
};
use mtproto_tl::types::{
    BadMsgNotification, BadServerSalt, DestroyAuthKeyFail, DestroyAuthKeyNone, DestroyAuthKeyOk,
    DestroySessionNone, DestroySessionOk, FutureSalts, HttpWait, MsgDetailedInfo,
    MsgNewDetailedInfo, MsgResendAnsReq, MsgResendReq, MsgsAck, MsgsAllInfo, MsgsStateInfo,
    MsgsStateReq, NewSessionCreated, Pong,
};
use mtproto_tl::{Constructor, Decode, DecodeError, MsgId, Reader, Salt};

/// The labels given so far in one conversation.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    ids: BTreeMap<MsgId, String>,
    clients: usize,
    servers: usize,
    salts: Vec<Salt>,
}

impl Transcript {
    /// The lines of one packet.
    pub fn packet(&mut self, message: &Message) -> Vec<String> {
        // Content first: it was made before the container, so its labels come first too.
        let inside = match message.object_id() {
            CONTAINER_ID => read_container(&message.body).ok(),
            _ => None,
        };
        let Some(inside) = inside else { return vec![self.message(message)] };
        let mut lines: Vec<_> =
            inside.iter().map(|message| format!("  {}", self.message(message))).collect();
        let label = self.id(message.id);
        lines.insert(0, format!("msg_container {label} seqno={}", message.seqno));
        lines
    }

    /// The label of a message.
    pub fn id(&mut self, id: MsgId) -> String {
        let Self { ids, clients, servers, .. } = self;
        let label = ids.entry(id).or_insert_with(|| {
            let (letter, count) = if id.is_from_client() { ('c', clients) } else { ('s', servers) };
            *count += 1;
            format!("{letter}{count}")
        });
        label.clone()
    }

    /// The message that has this label.
    #[must_use]
    pub fn label(&self, label: &str) -> Option<MsgId> {
        self.ids.iter().find(|(_, known)| *known == label).map(|(id, _)| *id)
    }

    /// The letter of a salt; a number from the twenty-seventh on.
    pub fn salt(&mut self, salt: Salt) -> String {
        let known = self.salts.iter().position(|known| *known == salt);
        let index = known.unwrap_or_else(|| {
            self.salts.push(salt);
            self.salts.len() - 1
        });
        match u8::try_from(index) {
            Ok(letter) if letter < 26 => char::from(b'A' + letter).to_string(),
            Ok(_) | Err(_) => index.to_string(),
        }
    }

    fn message(&mut self, message: &Message) -> String {
        let label = self.id(message.id);
        let (name, says) = match self.describe(&message.body) {
            Ok(named) => named,
            Err(error) => ("malformed".to_owned(), error.to_string()),
        };
        let mut line = format!("{name} {label} seqno={}", message.seqno);
        if !says.is_empty() {
            line.push(' ');
            line.push_str(&says);
        }
        line
    }

    fn describe(&mut self, body: &Bytes) -> Result<(String, String), DecodeError> {
        let known = match self.describe_query(body)? {
            Some(known) => Some(known),
            None => match self.describe_answer(body)? {
                Some(known) => Some(known),
                None => self.describe_bookkeeping(body)?,
            },
        };
        Ok(match known {
            Some((name, says)) => (name.to_owned(), says),
            None => (format!("{:08x}", object_id(body)), format!("bytes={}", body.len())),
        })
    }

    /// What a client asks, apart from queries of an API.
    fn describe_query(
        &mut self,
        body: &Bytes,
    ) -> Result<Option<(&'static str, String)>, DecodeError> {
        let mut input = Reader::shared(body);
        let input = &mut input;
        Ok(Some(match object_id(body) {
            DestroyAuthKey::ID => ("destroy_auth_key", String::new()),
            DestroySession::ID => {
                ("destroy_session", DestroySession::decode(input)?.session_id.to_string())
            }
            GetFutureSalts::ID => {
                ("get_future_salts", format!("num={}", GetFutureSalts::decode(input)?.num))
            }
            HttpWait::ID => {
                let HttpWait { max_delay, wait_after, max_wait } = HttpWait::decode(input)?;
                ("http_wait", format!("{max_delay} {wait_after} {max_wait}"))
            }
            Ping::ID => ("ping", format!("ping_id={}", Ping::decode(input)?.ping_id)),
            PingDelayDisconnect::ID => {
                let ping = PingDelayDisconnect::decode(input)?;
                let (id, delay) = (ping.ping_id, ping.disconnect_delay);
                ("ping_delay_disconnect", format!("ping_id={id} delay={delay}"))
            }
            RpcDropAnswer::ID => {
                let request = RpcDropAnswer::decode(input)?.req_msg_id;
                ("rpc_drop_answer", self.id(request))
            }
            _ => return Ok(None),
        }))
    }

    /// What a server answers and announces.
    fn describe_answer(
        &mut self,
        body: &Bytes,
    ) -> Result<Option<(&'static str, String)>, DecodeError> {
        let mut input = Reader::shared(body);
        let input = &mut input;
        Ok(Some(match object_id(body) {
            BadMsgNotification::ID => {
                let bad = BadMsgNotification::decode(input)?;
                let id = self.id(bad.bad_msg_id);
                ("bad_msg_notification", format!("to={id} code={}", bad.error_code))
            }
            BadServerSalt::ID => {
                let bad = BadServerSalt::decode(input)?;
                let (id, salt) = (self.id(bad.bad_msg_id), self.salt(bad.new_server_salt));
                ("bad_server_salt", format!("to={id} code={} new={salt}", bad.error_code))
            }
            DestroyAuthKeyFail::ID => ("destroy_auth_key_fail", String::new()),
            DestroyAuthKeyNone::ID => ("destroy_auth_key_none", String::new()),
            DestroyAuthKeyOk::ID => ("destroy_auth_key_ok", String::new()),
            DestroySessionNone::ID => {
                ("destroy_session_none", DestroySessionNone::decode(input)?.session_id.to_string())
            }
            DestroySessionOk::ID => {
                ("destroy_session_ok", DestroySessionOk::decode(input)?.session_id.to_string())
            }
            FutureSalts::ID => {
                let salts = FutureSalts::decode(input)?;
                let id = self.id(salts.req_msg_id);
                ("future_salts", format!("to={id} count={}", salts.salts.len()))
            }
            NewSessionCreated::ID => {
                let created = NewSessionCreated::decode(input)?;
                let (id, salt) = (self.id(created.first_msg_id), self.salt(created.server_salt));
                ("new_session_created", format!("first={id} salt={salt}"))
            }
            Pong::ID => {
                let pong = Pong::decode(input)?;
                ("pong", format!("to={} ping_id={}", self.id(pong.msg_id), pong.ping_id))
            }
            RPC_RESULT_ID => {
                let result = RpcResult::read(body)?;
                let id = self.id(result.req_msg_id);
                ("rpc_result", format!("to={id} {}", self.result(&result)))
            }
            _ => return Ok(None),
        }))
    }

    /// What either says about messages.
    fn describe_bookkeeping(
        &mut self,
        body: &Bytes,
    ) -> Result<Option<(&'static str, String)>, DecodeError> {
        let mut input = Reader::shared(body);
        let input = &mut input;
        Ok(Some(match object_id(body) {
            GZIP_PACKED_ID => ("gzip_packed", format!("bytes={}", body.len())),
            MsgDetailedInfo::ID => {
                let info = MsgDetailedInfo::decode(input)?;
                let (id, answer) = (self.id(info.msg_id), self.id(info.answer_msg_id));
                ("msg_detailed_info", format!("to={id} answer={answer} bytes={}", info.bytes))
            }
            MsgNewDetailedInfo::ID => {
                let info = MsgNewDetailedInfo::decode(input)?;
                let id = self.id(info.answer_msg_id);
                ("msg_new_detailed_info", format!("{id} bytes={}", info.bytes))
            }
            MsgResendAnsReq::ID => {
                ("msg_resend_ans_req", self.ids(&MsgResendAnsReq::decode(input)?.msg_ids))
            }
            MsgResendReq::ID => ("msg_resend_req", self.ids(&MsgResendReq::decode(input)?.msg_ids)),
            MsgsAck::ID => ("msgs_ack", self.ids(&MsgsAck::decode(input)?.msg_ids)),
            MsgsAllInfo::ID => {
                let states = MsgsAllInfo::decode(input)?;
                ("msgs_all_info", format!("{} {}", self.ids(&states.msg_ids), hex(&states.info)))
            }
            MsgsStateInfo::ID => {
                let states = MsgsStateInfo::decode(input)?;
                let id = self.id(states.req_msg_id);
                ("msgs_state_info", format!("to={id} states={}", hex(&states.info)))
            }
            MsgsStateReq::ID => ("msgs_state_req", self.ids(&MsgsStateReq::decode(input)?.msg_ids)),
            _ => return Ok(None),
        }))
    }

    fn result(&mut self, result: &RpcResult) -> String {
        let packed = if object_id(&result.result) == GZIP_PACKED_ID { "gzip " } else { "" };
        let bytes = result.result.len();
        let answer = match RpcAnswer::read(&result.result, INFLATED_MAX) {
            Ok(RpcAnswer::Drop(DropAnswer::Unknown)) => "rpc_answer_unknown".to_owned(),
            Ok(RpcAnswer::Drop(DropAnswer::DroppedRunning)) => {
                "rpc_answer_dropped_running".to_owned()
            }
            Ok(RpcAnswer::Drop(DropAnswer::Dropped { msg_id, seqno, bytes })) => {
                let id = self.id(msg_id);
                format!("rpc_answer_dropped {id} seqno={seqno} bytes={bytes}")
            }
            Ok(RpcAnswer::Error(error)) => format!("error={} {}", error.code, error.message),
            Ok(RpcAnswer::Ok(object)) => format!("{:08x} bytes={bytes}", object_id(&object)),
            Err(error) => error.to_string(),
        };
        packed.to_owned() + &answer
    }

    fn ids(&mut self, ids: &[MsgId]) -> String {
        let labels: Vec<_> = ids.iter().map(|id| self.id(*id)).collect();
        labels.join(" ")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let separator = if text.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = write!(text, "{separator}{byte:02x}");
        text
    })
}
