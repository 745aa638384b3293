//! What a server's message tells the client.

use mtproto_pack::{MessageView, PacketSlice};
use mtproto_tl::functions::{Ping, PingDelayDisconnect};
use mtproto_tl::types::{
    BadMsgNotification, BadServerSalt, DestroyAuthKeyFail, DestroyAuthKeyNone, DestroyAuthKeyOk,
    DestroySessionNone, DestroySessionOk, FutureSalts, MsgDetailedInfo, MsgNewDetailedInfo,
    MsgResendReq, MsgsAck, MsgsAllInfo, MsgsStateInfo, MsgsStateReq, NewSessionCreated, Pong,
};
use mtproto_tl::{Constructor, Decode, DecodeError, MsgId, Reader, Salt, SessionId};

use crate::KeyDestroyed;

/// A message of a server that is no answer, understood. What is for the application lies in its
/// packet still.
pub(super) enum Inbound<'a> {
    /// `msgs_ack`.
    Acks(Vec<MsgId>),
    /// `bad_msg_notification`.
    BadMsg {
        /// The message or container that is refused.
        id: MsgId,
        /// Why.
        code: i32,
    },
    /// `bad_server_salt`.
    BadSalt {
        /// The message or container that is refused.
        id: MsgId,
        /// The right salt.
        salt: Salt,
    },
    /// `msg_detailed_info` and `msg_new_detailed_info`.
    Detailed {
        /// The query that is answered.
        request: Option<MsgId>,
        /// The server's message that exists.
        message: MsgId,
    },
    /// `destroy_auth_key_…`.
    KeyDestroyed(KeyDestroyed),
    /// `new_session_created`.
    NewSession(NewSessionCreated),
    /// `ping`.
    Ping(i64),
    /// `pong`.
    Pong(Pong),
    /// Anything else is for the application.
    Push(PacketSlice<'a>),
    /// `msg_resend_req`.
    Resend(Vec<MsgId>),
    /// `future_salts`.
    Salts(FutureSalts),
    /// `destroy_session_ok` and `destroy_session_none`.
    SessionDestroyed {
        /// The session.
        session_id: SessionId,
        /// Whether there was one.
        existed: bool,
    },
    /// `msgs_state_info`.
    StateInfo(MsgsStateInfo),
    /// `msgs_state_req`.
    StateRequest(Vec<MsgId>),
    /// `msgs_all_info`.
    States(MsgsAllInfo),
}

impl<'a> Inbound<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// When the rest of a service message is not what its number promises.
    pub(super) fn read(message: &MessageView<'a>) -> Result<Self, DecodeError> {
        let body = &message.body;
        Ok(match message.object_id() {
            MsgsAck::ID => Self::Acks(read::<MsgsAck>(body)?.msg_ids),
            BadMsgNotification::ID => {
                let refusal = read::<BadMsgNotification>(body)?;
                Self::BadMsg { id: refusal.bad_msg_id, code: refusal.error_code }
            }
            BadServerSalt::ID => {
                let refusal = read::<BadServerSalt>(body)?;
                Self::BadSalt { id: refusal.bad_msg_id, salt: refusal.new_server_salt }
            }
            MsgDetailedInfo::ID => {
                let info = read::<MsgDetailedInfo>(body)?;
                Self::Detailed { request: Some(info.msg_id), message: info.answer_msg_id }
            }
            MsgNewDetailedInfo::ID => {
                let info = read::<MsgNewDetailedInfo>(body)?;
                Self::Detailed { request: None, message: info.answer_msg_id }
            }
            DestroyAuthKeyFail::ID => Self::KeyDestroyed(KeyDestroyed::Fail),
            DestroyAuthKeyNone::ID => Self::KeyDestroyed(KeyDestroyed::None),
            DestroyAuthKeyOk::ID => Self::KeyDestroyed(KeyDestroyed::Ok),
            NewSessionCreated::ID => Self::NewSession(read(body)?),
            Ping::ID => Self::Ping(read::<Ping>(body)?.ping_id),
            PingDelayDisconnect::ID => Self::Ping(read::<PingDelayDisconnect>(body)?.ping_id),
            Pong::ID => Self::Pong(read(body)?),
            MsgResendReq::ID => Self::Resend(read::<MsgResendReq>(body)?.msg_ids),
            FutureSalts::ID => Self::Salts(read(body)?),
            DestroySessionOk::ID => {
                let session_id = read::<DestroySessionOk>(body)?.session_id;
                Self::SessionDestroyed { session_id, existed: true }
            }
            DestroySessionNone::ID => {
                let session_id = read::<DestroySessionNone>(body)?.session_id;
                Self::SessionDestroyed { session_id, existed: false }
            }
            MsgsStateInfo::ID => Self::StateInfo(read(body)?),
            MsgsStateReq::ID => Self::StateRequest(read::<MsgsStateReq>(body)?.msg_ids),
            MsgsAllInfo::ID => Self::States(read(body)?),
            _ => Self::Push(message.body),
        })
    }

    /// Whether the message may be believed whatever its time: it is what puts a wrong clock right.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::BadMsg { .. } | Self::BadSalt { .. })
    }
}

fn read<T: Decode>(body: &[u8]) -> Result<T, DecodeError> {
    T::decode(&mut Reader::new(body))
}
