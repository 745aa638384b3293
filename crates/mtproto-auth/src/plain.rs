//! The unencrypted message: what carries a key exchange before there is a key.
//!
//! It has no session, no sequence number and no acknowledgement. Filler is common and ignored:
//! after the object inside the counted length, and after the counted length.

use std::fmt;

use bytes::Bytes;
use mtproto_tl::{DecodeError, MsgId, Reader};

/// Bytes in front of the body: a key id of zero, the message id, the body's length.
pub const PLAIN_HEADER_LEN: usize = 20;

/// The longest body taken from a peer, in bytes, filler included. The longest object of an exchange
/// has 652 bytes; TDLib adds up to 255 bytes of filler.
pub const PLAIN_BODY_LEN_MAX: usize = 4096;

/// One unencrypted message.
// req: L14
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlainMessage {
    /// Who sent it when. A server does not judge it: the client has no clock yet.
    pub msg_id: MsgId,
    /// One boxed object, perhaps with filler behind it.
    pub body: Bytes,
}

/// Whether a packet is an unencrypted message: its key id is zero.
#[must_use]
pub fn is_plain(packet: &[u8]) -> bool {
    packet.first_chunk::<8>().is_some_and(|id| *id == [0; 8])
}

impl PlainMessage {
    /// Reads a packet; the body shares its memory. Bytes behind the counted length are ignored.
    // req: L6
    ///
    /// # Errors
    /// See [`PlainError`].
    pub fn decode(packet: &Bytes) -> Result<Self, PlainError> {
        let mut input = Reader::shared(packet);
        if input.u64()? != 0 {
            return Err(PlainError::Encrypted);
        }
        let msg_id = MsgId(input.u64()?);
        let len = usize::try_from(input.u32()?).unwrap_or(usize::MAX);
        if len > PLAIN_BODY_LEN_MAX {
            return Err(PlainError::TooLong { len });
        }
        let body = packet.slice_ref(input.slice(len)?);
        Ok(Self { msg_id, body })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // Ours are at most a few hundred bytes; a body beyond `u32` cannot be built here.
        debug_assert!(self.body.len() <= PLAIN_BODY_LEN_MAX);
        let len = u32::try_from(self.body.len()).unwrap_or(u32::MAX);
        out.reserve(PLAIN_HEADER_LEN + self.body.len());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&self.msg_id.0.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&self.body);
    }

    /// The packet as bytes of its own.
    #[must_use]
    pub fn to_packet(&self) -> Bytes {
        let mut out = Vec::new();
        self.encode(&mut out);
        out.into()
    }
}

/// Why a packet is not an unencrypted message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PlainError {
    /// The key id is not zero.
    Encrypted,
    /// The body is longer than [`PLAIN_BODY_LEN_MAX`].
    TooLong {
        /// The length it claims, in bytes.
        len: usize,
    },
    /// The packet ends before its header or body does.
    Truncated,
}

impl fmt::Display for PlainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encrypted => f.write_str("message is encrypted"),
            Self::TooLong { len } => {
                write!(f, "unencrypted body of {len} bytes exceeds {PLAIN_BODY_LEN_MAX}")
            }
            Self::Truncated => f.write_str("unencrypted message ends early"),
        }
    }
}

impl std::error::Error for PlainError {}

impl From<DecodeError> for PlainError {
    fn from(_: DecodeError) -> Self {
        // The header is fixed words and one slice: nothing but the end can go wrong.
        Self::Truncated
    }
}
