//! Why a stream ends, and whose fault that is.

use std::fmt;

use crate::Foreign;

/// Why no more can be received from a stream. The receiving half is dead after one, and later calls
/// repeat it; what is still to be said (a transport error, for one) can be sent.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WireFault {
    /// The stream speaks another protocol of the same port. None of its bytes was consumed, so a
    /// driver may hand it on; one that cannot closes it.
    Foreign(Foreign),
    /// The peer broke a rule of the framing: close.
    Peer(PeerFault),
    /// The stream is none that this server is configured for: a wrong or missing secret, or no
    /// MTProto at all. Read and drop until the peer closes, and never answer, so that a probe
    /// learns nothing.
    Unrecognised,
}

impl fmt::Display for WireFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign(protocol) => write!(f, "the stream is {protocol}"),
            Self::Peer(fault) => fault.fmt(f),
            Self::Unrecognised => f.write_str("unrecognised stream, or a wrong secret"),
        }
    }
}

impl std::error::Error for WireFault {}

impl From<PeerFault> for WireFault {
    fn from(fault: PeerFault) -> Self {
        Self::Peer(fault)
    }
}

/// A rule of the framing that the peer broke.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerFault {
    /// A full frame whose checksum does not match.
    BadCrc {
        /// What its bytes give.
        computed: u32,
        /// What it says.
        received: u32,
    },
    /// A full frame out of sequence.
    BadSeqno {
        /// The next in order.
        expected: u32,
        /// What it says.
        received: u32,
    },
    /// A frame of no bytes.
    FrameEmpty,
    /// A length in abridged's long form that fits its short form.
    FrameLenOverlong {
        /// Length in bytes.
        len: usize,
    },
    /// A frame longer than this side takes.
    FrameTooLong {
        /// Length in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// A frame too short to mean anything.
    FrameTooShort {
        /// Length in bytes.
        len: usize,
    },
    /// A frame whose length is no multiple of four, in a framing without padding.
    FrameUnaligned {
        /// Length in bytes.
        len: usize,
    },
}

impl fmt::Display for PeerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCrc { computed, received } => {
                write!(f, "frame has crc32 {received:#010x} where {computed:#010x} is right")
            }
            Self::BadSeqno { expected, received } => {
                write!(f, "frame has seqno {received} where {expected} is next")
            }
            Self::FrameEmpty => f.write_str("frame is empty"),
            Self::FrameLenOverlong { len } => {
                write!(f, "frame length {len} is written in the long form")
            }
            Self::FrameTooLong { len, max } => write!(f, "frame length {len} is above {max}"),
            Self::FrameTooShort { len } => write!(f, "frame length {len} is too short"),
            Self::FrameUnaligned { len } => {
                write!(f, "frame length {len} is not divisible by 4")
            }
        }
    }
}

impl std::error::Error for PeerFault {}

/// The caller broke the rules of this crate; nothing was changed. Never caused by peer bytes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Misuse {
    /// Only a client asks for quick acks.
    ClientOnly,
    /// A secret for fake TLS goes with TCP only.
    FakeTlsElsewhere,
    /// The full framing has no tag, so it cannot be obfuscated.
    FullObfuscated,
    /// HTTP has neither framing nor obfuscation.
    HttpFraming,
    /// The full framing and HTTP have no quick acks.
    NoQuickAcks,
    /// Over HTTP a server sends nothing but the answer to a packet, and there is none that waits.
    NoTurn,
    /// A server sends nothing before it knows what the client speaks.
    NotRecognised,
    /// The caller of [`begin`](crate::Wire::begin) appended another number of bytes than it said.
    /// The stream cannot be sent on any more.
    PayloadLen {
        /// What it said.
        declared: usize,
        /// What it appended.
        appended: usize,
    },
    /// A WebSocket carries obfuscated streams only.
    PlainWebSocket,
    /// A payload of no bytes, or longer than [`FRAME_LEN_MAX_CLIENT`](crate::FRAME_LEN_MAX_CLIENT),
    /// or not a multiple of four.
    PayloadRefused {
        /// Its length in bytes.
        len: usize,
    },
    /// Secrets of the `dd` and `ee` kind go with the padded framing only.
    SecretNeedsPadded,
    /// Errors and quick acks are for servers to send.
    ServerOnly,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientOnly => f.write_str("only a client asks for quick acks"),
            Self::FakeTlsElsewhere => {
                f.write_str("a secret for fake TLS goes with TCP only: write tcp://HOST:PORT")
            }
            Self::FullObfuscated => {
                f.write_str("the full framing cannot be obfuscated: choose another framing")
            }
            Self::HttpFraming => f.write_str(
                "HTTP has neither framing, obfuscation nor secret: leave them away, or choose ws",
            ),
            Self::NoQuickAcks => {
                f.write_str("there are no quick acks in the full framing and HTTP")
            }
            Self::NoTurn => f.write_str("no packet waits for an answer"),
            Self::NotRecognised => f.write_str("nothing can be sent before the client is known"),
            Self::PayloadLen { declared, appended } => {
                write!(f, "{appended} bytes were appended to a frame begun for {declared}")
            }
            Self::PayloadRefused { len } => {
                write!(f, "a payload of {len} bytes cannot be framed")
            }
            Self::PlainWebSocket => {
                f.write_str("a WebSocket has to carry an obfuscated stream: choose obfuscation")
            }
            Self::SecretNeedsPadded => {
                f.write_str("a dd or ee secret needs the padded framing: choose padded")
            }
            Self::ServerOnly => f.write_str("only a server sends errors and quick acks"),
        }
    }
}

impl std::error::Error for Misuse {}
