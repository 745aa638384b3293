//! `rpc_result`, and what can be in it.

use std::fmt;

use bytes::Bytes;
use mtproto_tl::{DecodeError, Encode, MsgId, Reader, Seqno, encode_byte_string};

use crate::gzip::{self, GZIP_PACKED_ID, GzipError};
use crate::{PacketSlice, object_id};

/// `rpc_result#f35c6d01`.
pub const RPC_RESULT_ID: u32 = 0xf35c_6d01;

/// `rpc_error#2144ca19`.
pub const RPC_ERROR_ID: u32 = 0x2144_ca19;

/// Bytes of an `rpc_result` before what it holds.
const RPC_RESULT_HEADER_LEN: usize = 12;

const RPC_ANSWER_UNKNOWN_ID: u32 = 0x5e2a_d36e;
const RPC_ANSWER_DROPPED_RUNNING_ID: u32 = 0xcd78_e586;
const RPC_ANSWER_DROPPED_ID: u32 = 0xa43a_d8b7;

/// `rpc_result`: an answer, tied to its query.
// req: S1
#[derive(Clone, Eq, PartialEq)]
pub struct RpcResult {
    /// The message that carried the query.
    pub req_msg_id: MsgId,
    /// A boxed object: the answer, an error, the answer to `rpc_drop_answer`, or one of these
    /// packed.
    pub result: Bytes,
}

impl RpcResult {
    /// Reads a boxed `rpc_result`; the result shares its memory.
    ///
    /// # Errors
    /// `UnknownConstructor`, `Truncated`.
    pub fn read(object: &Bytes) -> Result<Self, DecodeError> {
        let RpcResultView { req_msg_id, result } = RpcResultView::read(PacketSlice::whole(object))?;
        Ok(Self { req_msg_id, result: result.to_bytes() })
    }
}

/// An `rpc_result` where it lies.
#[derive(Clone, Copy)]
pub struct RpcResultView<'a> {
    /// The message that carried the query.
    pub req_msg_id: MsgId,
    /// As [`RpcResult::result`].
    pub result: PacketSlice<'a>,
}

impl<'a> RpcResultView<'a> {
    /// Reads a boxed `rpc_result`.
    ///
    /// # Errors
    /// `UnknownConstructor`, `Truncated`.
    pub fn read(object: PacketSlice<'a>) -> Result<Self, DecodeError> {
        let mut input = Reader::new(object.bytes());
        match input.u32()? {
            RPC_RESULT_ID => Ok(Self {
                req_msg_id: MsgId(input.u64()?),
                result: object.after(RPC_RESULT_HEADER_LEN),
            }),
            id => Err(DecodeError::UnknownConstructor { id }),
        }
    }

    /// Whether the result is an object as it stands: no error, not packed, and nothing that the
    /// protocol itself answers. [`RpcAnswer`] tells what else it is.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !matches!(
            object_id(&self.result),
            GZIP_PACKED_ID
                | RPC_ERROR_ID
                | RPC_ANSWER_UNKNOWN_ID
                | RPC_ANSWER_DROPPED_RUNNING_ID
                | RPC_ANSWER_DROPPED_ID
        )
    }
}

impl Encode for RpcResult {
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(RPC_RESULT_HEADER_LEN + self.result.len());
        out.extend_from_slice(&RPC_RESULT_ID.to_le_bytes());
        out.extend_from_slice(&self.req_msg_id.0.to_le_bytes());
        out.extend_from_slice(&self.result);
    }

    /// It may wait for long to be acknowledged, so it takes as much memory as it needs.
    fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(RPC_RESULT_HEADER_LEN + self.result.len());
        self.encode(&mut out);
        out.into()
    }
}

impl fmt::Debug for RpcResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = object_id(&self.result);
        write!(f, "RpcResult({} {id:#010x} {} bytes)", self.req_msg_id, self.result.len())
    }
}

/// `rpc_error`: why a query has no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RpcError {
    /// As of HTTP where it is positive: 303, 400, 401, 403, 404, 406, 420, 500; also -503.
    pub code: i32,
    /// Upper-case words and maybe a number, such as `FLOOD_WAIT_3`.
    pub message: String,
}

impl RpcError {
    /// An error with a text of our own.
    #[must_use]
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Reads a boxed `rpc_error`. A text that is not UTF-8 is read as well as it can be.
    ///
    /// # Errors
    /// `UnknownConstructor`, `Truncated`.
    pub fn read(object: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(object);
        match input.u32()? {
            RPC_ERROR_ID => (),
            id => return Err(DecodeError::UnknownConstructor { id }),
        }
        let code = i32::from_le_bytes(input.array()?);
        let message = String::from_utf8_lossy(input.byte_slice()?).into_owned();
        Ok(Self { code, message })
    }
}

impl Encode for RpcError {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&RPC_ERROR_ID.to_le_bytes());
        out.extend_from_slice(&self.code.to_le_bytes());
        encode_byte_string(self.message.as_bytes(), out);
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rpc error {} {}", self.code, self.message)
    }
}

impl std::error::Error for RpcError {}

/// What became of a query that `rpc_drop_answer` named.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DropAnswer {
    /// `rpc_answer_unknown`: nothing is remembered of it.
    Unknown,
    /// `rpc_answer_dropped_running`: it is still being carried out, and its answer is this object
    /// too.
    DroppedRunning,
    /// `rpc_answer_dropped`: its answer was waiting, and is thrown away.
    Dropped {
        /// The answer's message.
        msg_id: MsgId,
        /// The answer's seqno.
        seqno: Seqno,
        /// Length of the answer's `rpc_result`.
        bytes: u32,
    },
}

impl DropAnswer {
    fn read(object: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(object);
        match input.u32()? {
            RPC_ANSWER_UNKNOWN_ID => Ok(Self::Unknown),
            RPC_ANSWER_DROPPED_RUNNING_ID => Ok(Self::DroppedRunning),
            RPC_ANSWER_DROPPED_ID => Ok(Self::Dropped {
                msg_id: MsgId(input.u64()?),
                seqno: Seqno(input.u32()?),
                bytes: input.u32()?,
            }),
            id => Err(DecodeError::UnknownConstructor { id }),
        }
    }
}

impl Encode for DropAnswer {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unknown => RPC_ANSWER_UNKNOWN_ID.encode(out),
            Self::DroppedRunning => RPC_ANSWER_DROPPED_RUNNING_ID.encode(out),
            Self::Dropped { msg_id, seqno, bytes } => {
                RPC_ANSWER_DROPPED_ID.encode(out);
                msg_id.encode(out);
                seqno.encode(out);
                bytes.encode(out);
            }
        }
    }
}

/// The result of an `rpc_result`, understood as far as the protocol itself goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RpcAnswer {
    /// The answer to an `rpc_drop_answer`, or to a query that one cancelled.
    Drop(DropAnswer),
    /// `rpc_error`.
    Error(RpcError),
    /// Anything else: the boxed object, unpacked.
    Ok(Bytes),
}

impl RpcAnswer {
    /// Reads a result, looking through gzip of at most `inflated_max` bytes.
    ///
    /// # Errors
    /// What is wrong with the gzip, or with an error whose number promised one.
    // req: S4, S53
    pub fn read(result: &Bytes, inflated_max: usize) -> Result<Self, GzipError> {
        Self::read_from(PacketSlice::whole(result), inflated_max)
    }

    /// As [`RpcAnswer::read`], where the result lies in its packet.
    ///
    /// # Errors
    /// As [`RpcAnswer::read`].
    #[inline]
    pub fn read_from(result: PacketSlice<'_>, inflated_max: usize) -> Result<Self, GzipError> {
        match object_id(&result) {
            GZIP_PACKED_ID => {
                let object = gzip::unpack(&result, inflated_max)?;
                Self::plain(PacketSlice::whole(&object))
            }
            _ => Self::plain(result),
        }
    }

    #[inline]
    fn plain(object: PacketSlice<'_>) -> Result<Self, GzipError> {
        Ok(match object_id(&object) {
            RPC_ERROR_ID => Self::Error(RpcError::read(&object)?),
            RPC_ANSWER_UNKNOWN_ID | RPC_ANSWER_DROPPED_RUNNING_ID | RPC_ANSWER_DROPPED_ID => {
                Self::Drop(DropAnswer::read(&object)?)
            }
            _ => Self::Ok(object.to_bytes()),
        })
    }
}
