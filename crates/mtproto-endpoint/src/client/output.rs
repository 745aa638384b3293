//! What the client endpoint wants done, and what it tells, as plain data.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_auth::Fault;
use mtproto_frame::TransportError;
use mtproto_pack::{GzipError, RpcError};
use mtproto_session::{BadMsg, LinkId};
use mtproto_store::DcRecord;
use mtproto_tl::AuthKeyId;

use super::Job;

/// What the endpoint wants next. `Wait` ends the drain.
#[derive(Debug)]
pub enum Output {
    /// Close this link. Later inputs that name it are ignored.
    Close {
        /// The link.
        link: LinkId,
        /// Why.
        reason: LinkEnd,
    },
    /// Run this off the loop and give the result to `computed`.
    Compute(Box<Job>),
    /// Open a link to the server, and say `link_opened` or `dial_failed`.
    Dial(LinkId),
    /// Tell the application.
    Event(Event),
    /// Keep this in place of what was kept before, or nothing, and say `saved`.
    Save(Option<Box<DcRecord>>),
    /// Write this packet to the link.
    Send {
        /// The link.
        link: LinkId,
        /// The packet. No two are alike, not even when a message is sent again.
        payload: Bytes,
        /// Whether the transport shall ask for a quick ack.
        quick_ack: bool,
    },
    /// Nothing more until input arrives or this moment passes.
    Wait(Option<Instant>),
}

/// Names a request of this endpoint.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(pub u64);

/// Names a ping of this endpoint.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PingId(pub u64);

/// How a request is to be treated.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RequestOptions {
    /// Ask the transport for a quick ack; when it comes, there is an [`Event::QuickAck`].
    pub quick_ack: bool,
    /// When its caller stops waiting: it then ends as [`RequestError::TimedOut`], and the server is
    /// told to drop the answer.
    pub deadline: Option<Instant>,
}

/// What the application gets to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A request has its outcome, the only one it will ever have.
    Answer {
        /// The request.
        request: RequestId,
        /// The result, one boxed object.
        outcome: Result<Bytes, RequestError>,
    },
    /// A key exchange came to nothing. Another is begun, unless the state says that it is closed.
    ExchangeFailed(Fault),
    /// Objects that the server pushed may be missing here.
    Gap(Gap),
    /// An auth key was made.
    KeyMade(KeyMade),
    /// An auth key is of no use any more.
    KeyLost {
        /// The key.
        key: AuthKeyId,
        /// How that is known.
        reason: KeyLoss,
    },
    /// A ping came back.
    Pong {
        /// The ping.
        ping: PingId,
        /// Time from the ping to its pong.
        round_trip: Duration,
    },
    /// The server sent an object of its own accord.
    Push(Bytes),
    /// The server has, early, taken note of a packet with this request.
    QuickAck {
        /// The request.
        request: RequestId,
    },
    /// The endpoint's state is another one.
    State(State),
}

/// Why objects that the server pushed may be missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Gap {
    /// The server was not heard for so long that what it had queued may have expired. It says
    /// nothing of that.
    // req: S99
    QueueExpired {
        /// For how long.
        silence: Duration,
    },
    /// The server did not know the session any more, and made it anew.
    SessionCreated,
    /// The session could not go on: its key or its clock was no good. Another has begun.
    SessionReplaced,
    /// The local clock ran ahead of the time that passed here: the machine slept, or its clock was
    /// set. The links are being tested.
    Slept {
        /// How far ahead.
        by: Duration,
    },
}

/// What there is to tell about a key that was just made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyMade {
    /// The key.
    pub key: AuthKeyId,
    /// Whether it is a temporary one.
    pub temporary: bool,
    /// Time from the first query of the exchange to its last answer.
    pub took: Duration,
}

/// How a key was found to be of no use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyLoss {
    /// The server refused to bind a temporary key to it.
    BindingRefused,
    /// The server did not say whether it is bound; temporary keys only.
    BindingTimedOut,
    /// Its time is over; temporary keys only.
    Expired,
    /// The server says that it is not bound; temporary keys only.
    Unbound,
    /// The server does not know it: once for a temporary key, on two connections in a row for a
    /// permanent one.
    Unknown,
}

/// Why a request has no result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RequestError {
    /// The endpoint has closed.
    Closed(Closed),
    /// The server dropped the answer, though it was not asked to.
    Dropped,
    /// The server refuses the message itself, also when it is repeated.
    Refused {
        /// The code of its `bad_msg_notification`.
        code: i32,
    },
    /// The server answered with `rpc_error`.
    Rpc(RpcError),
    /// The deadline passed.
    TimedOut,
    /// The result cannot be unpacked.
    Unreadable(GzipError),
}

/// Why the endpoint will do nothing more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Closed {
    /// The application wanted it.
    ByCaller,
    /// The permanent key is lost, and making another one is not allowed.
    KeyLost(AuthKeyId),
    /// The application logged out: the key is forgotten here.
    LoggedOut {
        /// Whether the server has none either. Else it did not say so in time.
        destroyed: bool,
    },
    /// The server offers none of the RSA keys that this endpoint trusts.
    ServerKeyUnknown,
    /// The server is of another data centre: transport error -444.
    WrongDc,
}

/// How far the endpoint is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// A temporary key is being bound.
    Binding,
    /// It will do nothing more.
    Closed(Closed),
    /// A link is being opened.
    Dialing {
        /// How many failures came before, in a row.
        failures: u32,
        /// How the last link ended.
        last: Option<LinkEnd>,
    },
    /// A key is being made.
    Exchanging,
    /// The server is asked to destroy the key.
    LoggingOut,
    /// There is a key, a session, and a link over which the server has shown that it has the key.
    Ready,
    /// There is a key, a session and a link; the server has not spoken yet.
    Resuming,
    /// The next dial has to wait.
    Waiting {
        /// How many failures came before, in a row.
        failures: u32,
        /// How the last link ended.
        last: Option<LinkEnd>,
        /// Until when.
        until: Instant,
    },
}

/// How a link ended, or never began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LinkEnd {
    /// The server would not bind a temporary key.
    BindingRefused,
    /// A packet on it cannot be from the server that has our key.
    BadPacket,
    /// The application closed the endpoint.
    Closed,
    /// It could not be opened.
    DialFailed,
    /// The key exchange on it failed.
    ExchangeFailed,
    /// It closed from outside.
    Lost,
    /// The session wants it closed.
    Session,
    /// The server sent a transport error.
    Transport(TransportError),
    /// The server did not answer in time.
    Unresponsive,
}

/// A call that breaks this API's rules. Nothing has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Misuse {
    /// The endpoint has closed.
    Closed(Closed),
    /// The object is one of the protocol's own, to which there is no answer as to a query.
    NotAQuery {
        /// What it is called in the schema.
        name: &'static str,
    },
    /// A request must be whole words of four bytes, and at least one.
    NotAnObject {
        /// Its length in bytes.
        len: usize,
    },
    /// A request is longer than [`super::REQUEST_LEN_MAX`].
    TooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// [`super::PINGS_MAX`] pings have no pong yet.
    TooManyPings,
    /// [`super::REQUESTS_MAX`] requests, or [`super::REQUEST_BYTES_MAX`] bytes of them, have no
    /// outcome yet.
    TooManyRequests,
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BindingRefused => f.write_str("the server refused to bind the temporary key"),
            Self::BadPacket => f.write_str("a packet was not from the server"),
            Self::Closed => f.write_str("closed by the application"),
            Self::DialFailed => f.write_str("could not connect"),
            Self::ExchangeFailed => f.write_str("key exchange failed"),
            Self::Lost => f.write_str("connection lost"),
            Self::Session => f.write_str("session gave it up"),
            Self::Transport(error) => write!(f, "transport error {}", error.code()),
            Self::Unresponsive => f.write_str("no answer in time"),
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByCaller => f.write_str("closed by the application"),
            Self::KeyLost(key) => write!(f, "the server does not know auth key {key} any more"),
            Self::LoggedOut { destroyed: true } => f.write_str("logged out"),
            Self::LoggedOut { destroyed: false } => {
                f.write_str("logged out, though the server may still have the key")
            }
            Self::ServerKeyUnknown => f.write_str("the server has none of the trusted RSA keys"),
            Self::WrongDc => f.write_str("the server is of another data centre"),
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(reason) => write!(f, "client closed: {reason}"),
            Self::Dropped => f.write_str("the server dropped the answer"),
            Self::Refused { code } => match BadMsg::from_code(*code) {
                Some(reason) => write!(f, "the server refuses the message: {reason}"),
                None => write!(f, "the server refuses the message with code {code}"),
            },
            Self::Rpc(error) => write!(f, "{error}"),
            Self::TimedOut => f.write_str("no answer before the deadline"),
            Self::Unreadable(error) => write!(f, "answer is unreadable: {error}"),
        }
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(reason) => write!(f, "client closed: {reason}"),
            Self::NotAQuery { name } => {
                write!(f, "{name} is a service message, which the client sends itself")
            }
            Self::NotAnObject { len } => write!(f, "{len} bytes are no TL object"),
            Self::TooLarge { len } => write!(f, "request of {len} bytes is too large"),
            Self::TooManyPings => f.write_str("too many pings without a pong"),
            Self::TooManyRequests => f.write_str("too many requests without an answer"),
        }
    }
}

impl From<mtproto_session::RequestError> for RequestError {
    fn from(error: mtproto_session::RequestError) -> Self {
        use mtproto_session::RequestError as Session;
        match error {
            Session::Refused { code } => Self::Refused { code },
            Session::Rpc(error) => Self::Rpc(error),
            Session::Unreadable(error) => Self::Unreadable(error),
            // Also whatever a later session may find to say.
            Session::Dropped | _ => Self::Dropped,
        }
    }
}

impl std::error::Error for RequestError {}
impl std::error::Error for Misuse {}
