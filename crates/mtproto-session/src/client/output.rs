//! What a client session wants done, and what it tells, as plain data.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_pack::{GzipError, RpcError};
use mtproto_tl::{MsgId, SessionId};

use crate::{BadMsg, KeyDestroyed, LinkId, Outgoing};

/// What the session wants next. `Wait` ends the drain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientOutput {
    /// Close this link, then say `link_detached`.
    Close {
        /// The link.
        link: LinkId,
        /// Why.
        reason: ClientCloseReason,
    },
    /// Tell the application.
    Event(ClientEvent),
    /// Seal this and write it to its link.
    Send(Outgoing),
    /// Nothing more until input arrives or this moment passes.
    Wait(Option<Instant>),
}

/// Names a request of this session.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(pub u64);

/// Names a ping of this session.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PingId(pub u64);

/// How a request is to be treated.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RequestOptions {
    /// Ask the transport for a quick acknowledgement, and tell when it comes.
    // req: S115
    pub quick_ack: bool,
}

/// Something worth knowing.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// A request has its outcome, the only one it will have.
    Answer {
        /// The request.
        request: RequestId,
        /// The result, one boxed object.
        outcome: Result<Bytes, RequestError>,
    },
    /// The auth key was to be destroyed.
    // req: S67
    AuthKeyDestroyed(KeyDestroyed),
    /// Pushed objects may be missing here.
    // req: S38
    Gap(Gap),
    /// A ping came back.
    Pong {
        /// The ping, one of [`super::ClientSession::ping`] or of the keepalive.
        ping: PingId,
        /// The link it went over.
        link: LinkId,
        /// Time from writing the ping to reading the pong.
        round_trip: Duration,
    },
    /// The server sent an object that answers nothing, such as an update.
    Push(Bytes),
    /// The server has received a packet with this request. It comes before the answer, if at all.
    QuickAck {
        /// The request.
        request: RequestId,
    },
    /// The salts are other ones; a store may want them.
    // req: S22
    SaltsChanged,
    /// Another session of the auth key was to be destroyed.
    SessionDestroyed {
        /// The session.
        session_id: SessionId,
        /// Whether there was one.
        existed: bool,
    },
    /// The server's clock was found to differ by a second or more from what was believed.
    TimeCorrected,
}

/// Why pushed objects may be missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Gap {
    /// `new_session_created`: the server did not know the session, and made it anew.
    SessionCreated {
        /// The first message that it received in it.
        first_msg_id: MsgId,
        /// New for every creation.
        unique_id: i64,
    },
    /// Our clock or count was so wrong that the session could not go on; another has begun.
    SessionReplaced {
        /// The session there is now.
        session_id: SessionId,
    },
}

/// Why a request has no result.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RequestError {
    /// The server dropped the answer, though it was not asked to.
    Dropped,
    /// The server refuses the message itself, also when it is repeated.
    Refused {
        /// The code of `bad_msg_notification`.
        code: i32,
    },
    /// `rpc_error`.
    Rpc(RpcError),
    /// The result cannot be unpacked.
    Unreadable(GzipError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped => f.write_str("server dropped the answer"),
            Self::Refused { code } => match BadMsg::from_code(*code) {
                Some(reason) => write!(f, "server refused the message: {reason}"),
                None => write!(f, "server refused the message with code {code}"),
            },
            Self::Rpc(error) => error.fmt(f),
            Self::Unreadable(error) => write!(f, "answer is unreadable: {error}"),
        }
    }
}

impl std::error::Error for RequestError {}

/// Why a link is to be closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClientCloseReason {
    /// A ping got no pong in time, nor did anything else come.
    PongTimeout,
    /// The server refused the same request [`super::REFUSALS_MAX`] times. The request is not given
    /// up.
    Refusals,
}
