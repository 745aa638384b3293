//! The API's wrappers around a query, which even a server that knows no API has to look through.

use std::fmt;

use bytes::Bytes;
use mtproto_tl::functions::{InvokeAfterMsg, InvokeAfterMsgs};
use mtproto_tl::wrappers::functions::{InitConnection, InvokeWithLayer, InvokeWithoutUpdates};
use mtproto_tl::{Constructor, Decode, DecodeError, MsgId, Raw};

use crate::gzip::{self, GZIP_PACKED_ID, GzipError};
use crate::object_id;

/// How many wrappers may stand around one query. TDLib needs four: `invokeWithLayer`,
/// `initConnection`, `invokeAfterMsg`, and gzip.
pub const WRAPPERS_MAX: usize = 8;

/// How many queries one query may wait for.
pub const AFTER_IDS_MAX: usize = 1024;

/// A query without its wrappers, and what they said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Unwrapped {
    /// The innermost query, unpacked.
    pub query: Bytes,
    /// The messages named by `invokeAfterMsg` and `invokeAfterMsgs`: their queries come first.
    pub after: Vec<MsgId>,
    /// The layer named by `invokeWithLayer`, the innermost if there are several.
    pub layer: Option<i32>,
    /// Whether `invokeWithoutUpdates` was among them.
    pub without_updates: bool,
}

/// Why the wrappers of a query cannot be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WrapperError {
    /// Packed, but not well.
    Gzip(GzipError),
    /// A wrapper is not whole.
    Malformed(DecodeError),
    /// More than [`WRAPPERS_MAX`] of them.
    TooDeep,
    /// More than [`AFTER_IDS_MAX`] queries to wait for.
    TooManyAfter,
}

impl fmt::Display for WrapperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gzip(error) => error.fmt(f),
            Self::Malformed(error) => write!(f, "wrapper is malformed: {error}"),
            Self::TooDeep => write!(f, "more than {WRAPPERS_MAX} wrappers"),
            Self::TooManyAfter => write!(f, "query waits for more than {AFTER_IDS_MAX} others"),
        }
    }
}

impl std::error::Error for WrapperError {}

impl From<DecodeError> for WrapperError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl From<GzipError> for WrapperError {
    fn from(error: GzipError) -> Self {
        Self::Gzip(error)
    }
}

/// Takes off `invokeWithLayer`, `initConnection`, `invokeWithoutUpdates`, `invokeAfterMsg(s)` and
/// gzip, in whatever order they come. A query without any is shared, not copied.
///
/// # Errors
/// The first fault found. `inflated_max` bounds what comes out of gzip, in bytes.
// req: L20, L21, S113, S119
pub fn strip(query: &Bytes, inflated_max: usize) -> Result<Unwrapped, WrapperError> {
    let mut unwrapped = Unwrapped { query: query.clone(), ..Unwrapped::default() };
    for _ in 0..=WRAPPERS_MAX {
        let Unwrapped { query, after, layer, without_updates } = &mut unwrapped;
        let inner = match object_id(query) {
            GZIP_PACKED_ID => gzip::unpack(query, inflated_max)?,
            InvokeWithLayer::<Raw>::ID => {
                let wrapper = InvokeWithLayer::<Raw>::from_bytes(query)?;
                *layer = Some(wrapper.layer);
                wrapper.query.0
            }
            InitConnection::<Raw>::ID => InitConnection::<Raw>::from_bytes(query)?.query.0,
            InvokeWithoutUpdates::<Raw>::ID => {
                *without_updates = true;
                InvokeWithoutUpdates::<Raw>::from_bytes(query)?.query.0
            }
            InvokeAfterMsg::<Raw>::ID => {
                let wrapper = InvokeAfterMsg::<Raw>::from_bytes(query)?;
                after.push(wrapper.msg_id);
                wrapper.query.0
            }
            InvokeAfterMsgs::<Raw>::ID => {
                let wrapper = InvokeAfterMsgs::<Raw>::from_bytes(query)?;
                after.extend(wrapper.msg_ids);
                wrapper.query.0
            }
            _ => return Ok(unwrapped),
        };
        if after.len() > AFTER_IDS_MAX {
            return Err(WrapperError::TooManyAfter);
        }
        *query = inner;
    }
    Err(WrapperError::TooDeep)
}
