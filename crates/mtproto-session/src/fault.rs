//! Whose fault it is.

use std::fmt;

use mtproto_pack::PackError;
use mtproto_tl::{DecodeError, MsgId};

/// Why a link cannot be trusted any more and must close. The session itself goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A service message is not what its number promises.
    Malformed {
        /// The message.
        id: MsgId,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// The server's message has the id of a client.
    NotFromServer {
        /// The id.
        id: MsgId,
    },
    /// A packet cannot be opened.
    Packet {
        /// The outermost message.
        id: MsgId,
        /// What is wrong with it.
        error: PackError,
    },
    /// The session id is zero, which names no session.
    SessionIdZero,
    /// Too many packets of the session wait for an answer.
    TooManyTurns,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { id, error } => write!(f, "message {id} is malformed: {error}"),
            Self::NotFromServer { id } => write!(f, "message {id} is not a server's"),
            Self::Packet { id, error } => write!(f, "packet {id} cannot be opened: {error}"),
            Self::SessionIdZero => f.write_str("session id is zero"),
            Self::TooManyTurns => f.write_str("too many packets wait for an answer"),
        }
    }
}

impl std::error::Error for Fault {}

/// The caller broke a rule of this API. Nothing has changed; no peer can cause it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Misuse {
    /// An object is not made of whole words, or is empty.
    BadObject {
        /// Its length in bytes.
        len: usize,
    },
    /// The queue takes no more.
    QueueFull,
    /// The object is longer than a packet may be.
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// What is allowed, in bytes.
        max: usize,
    },
    /// No such request is waiting.
    UnknownRequest,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadObject { len } => write!(f, "object of {len} bytes is not TL"),
            Self::QueueFull => f.write_str("queue is full"),
            Self::TooLong { len, max } => write!(f, "object of {len} bytes exceeds {max}"),
            Self::UnknownRequest => f.write_str("no such request is waiting"),
        }
    }
}

impl std::error::Error for Misuse {}
