//! What a client's message asks of the server.

use bytes::Bytes;
use mtproto_pack::MessageView;
use mtproto_tl::functions::{
    DestroyAuthKey, DestroySession, GetFutureSalts, Ping, PingDelayDisconnect, RpcDropAnswer,
};
use mtproto_tl::types::{
    BadMsgNotification, BadServerSalt, HttpWait, MsgResendAnsReq, MsgResendReq, MsgsAck,
    MsgsAllInfo, MsgsStateInfo, MsgsStateReq, Pong,
};
use mtproto_tl::{Constructor, Decode, DecodeError, MsgId, Reader, SessionId, View, views};
use smallvec::SmallVec;

use crate::IDS_MAX;

/// A message of a client, understood. Ids of the client's own messages and ids of ours look alike:
/// what is not known is ignored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Inbound {
    /// `msgs_ack`. Nearly all have few.
    Acks(SmallVec<[MsgId; 2]>),
    /// `destroy_auth_key`.
    DestroyAuthKey,
    /// `destroy_session`.
    DestroySession(SessionId),
    /// `rpc_drop_answer`.
    DropAnswer(MsgId),
    /// `get_future_salts`.
    FutureSalts {
        /// How many.
        count: i32,
    },
    /// `http_wait`.
    HttpWait(HttpWait),
    /// `bad_msg_notification` and `pong`: a server of ours asks for none of them.
    Ignored,
    /// `ping` and `ping_delay_disconnect`.
    Ping {
        /// Its id.
        ping_id: i64,
        /// Seconds until the link is to be closed.
        disconnect_delay: Option<i32>,
    },
    /// Anything else is a query.
    Query(Bytes),
    /// `msg_resend_req`.
    Resend(Vec<MsgId>),
    /// `msg_resend_ans_req`: the ids are of queries.
    ResendAnswers(Vec<MsgId>),
    /// `msgs_state_info`: the question and the answer to it.
    StateInfo(Box<MsgsStateInfo>),
    /// `msgs_all_info`, boxed like the other rare ones: there are many messages in a packet.
    States(Box<MsgsAllInfo>),
    /// `msgs_state_req`.
    StateRequest(Vec<MsgId>),
}

impl Inbound {
    /// Reads a message. Filler behind a service message is ignored.
    ///
    /// # Errors
    /// When the rest of a service message is not what its number promises.
    pub(super) fn read(message: &MessageView<'_>) -> Result<Self, DecodeError> {
        let body = &message.body;
        Ok(match message.object_id() {
            MsgsAck::ID => Self::Acks(acks(body)?),
            MsgsStateReq::ID => Self::StateRequest(ids(read::<MsgsStateReq>(body)?.msg_ids)?),
            MsgResendReq::ID => Self::Resend(ids(read::<MsgResendReq>(body)?.msg_ids)?),
            MsgResendAnsReq::ID => {
                Self::ResendAnswers(ids(read::<MsgResendAnsReq>(body)?.msg_ids)?)
            }
            MsgsAllInfo::ID => {
                let MsgsAllInfo { msg_ids, info } = read(body)?;
                Self::States(Box::new(MsgsAllInfo { msg_ids: ids(msg_ids)?, info }))
            }
            Ping::ID => Self::Ping { ping_id: read::<Ping>(body)?.ping_id, disconnect_delay: None },
            PingDelayDisconnect::ID => {
                let ping = read::<PingDelayDisconnect>(body)?;
                Self::Ping { ping_id: ping.ping_id, disconnect_delay: Some(ping.disconnect_delay) }
            }
            GetFutureSalts::ID => Self::FutureSalts { count: read::<GetFutureSalts>(body)?.num },
            RpcDropAnswer::ID => Self::DropAnswer(read::<RpcDropAnswer>(body)?.req_msg_id),
            DestroySession::ID => Self::DestroySession(read::<DestroySession>(body)?.session_id),
            DestroyAuthKey::ID => Self::DestroyAuthKey,
            HttpWait::ID => Self::HttpWait(read(body)?),
            MsgsStateInfo::ID => Self::StateInfo(Box::new(read(body)?)),
            Pong::ID | BadMsgNotification::ID | BadServerSalt::ID => Self::Ignored,
            _ => Self::Query(message.body.to_bytes()),
        })
    }

    /// Whether there may be something to say to it.
    pub(super) fn is_question(&self) -> bool {
        match self {
            Self::Acks(_)
            | Self::HttpWait(_)
            | Self::Ignored
            | Self::StateInfo(_)
            | Self::States(_) => false,
            Self::DestroyAuthKey
            | Self::DestroySession(_)
            | Self::DropAnswer(_)
            | Self::FutureSalts { .. }
            | Self::Ping { .. }
            | Self::Query(_)
            | Self::Resend(_)
            | Self::ResendAnswers(_)
            | Self::StateRequest(_) => true,
        }
    }

    /// What is wrong with the parity of its seqno, if anything.
    pub(super) fn wants_content_related(&self) -> Option<bool> {
        match self {
            Self::Query(_) => Some(true),
            Self::Acks(_) => Some(false),
            Self::DestroyAuthKey
            | Self::DestroySession(_)
            | Self::DropAnswer(_)
            | Self::FutureSalts { .. }
            | Self::HttpWait(_)
            | Self::Ignored
            | Self::Ping { .. }
            | Self::Resend(_)
            | Self::ResendAnswers(_)
            | Self::StateInfo(_)
            | Self::States(_)
            | Self::StateRequest(_) => None,
        }
    }
}

fn read<T: Decode>(body: &[u8]) -> Result<T, DecodeError> {
    T::decode(&mut Reader::new(body))
}

fn acks(body: &[u8]) -> Result<SmallVec<[MsgId; 2]>, DecodeError> {
    let ids = views::MsgsAck::view(&mut Reader::new(body))?.msg_ids;
    check_count(ids.len())?;
    Ok(ids.iter().collect())
}

fn ids(ids: Vec<MsgId>) -> Result<Vec<MsgId>, DecodeError> {
    check_count(ids.len()).map(|()| ids)
}

// req: S13, S47
fn check_count(len: usize) -> Result<(), DecodeError> {
    let count = u32::try_from(len).unwrap_or(u32::MAX);
    if len > IDS_MAX { Err(DecodeError::BadCount { count }) } else { Ok(()) }
}
