//! What clients and server say to each other: a query says how it is to be handled.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

/// A query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Query {
    /// Names the call.
    pub(crate) number: u64,
    /// How long the handler takes.
    pub(crate) handling: Duration,
    /// Of the query, in bytes.
    pub(crate) len: usize,
    /// Of the answer, in bytes.
    pub(crate) answer_len: usize,
}

impl Query {
    /// As it goes over the wire.
    pub(crate) fn to_bytes(self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u32_le(QUERY);
        out.put_u64_le(self.number);
        out.put_u64_le(u64::try_from(self.handling.as_millis()).unwrap_or(u64::MAX));
        out.put_u64_le(self.answer_len as u64);
        fill(&mut out, self.number, self.len);
        out.freeze()
    }

    /// Reads one; `None` if it is none, or has been changed on the way.
    pub(crate) fn read(object: &[u8]) -> Option<Self> {
        let number = number_of(QUERY, object)?;
        let handling = Duration::from_millis(read_u64(object, 12)?);
        let answer_len = usize::try_from(read_u64(object, 20)?).ok()?;
        let query = Self { number, handling, len: object.len(), answer_len };
        (query.to_bytes() == object).then_some(query)
    }

    /// The answer to it.
    pub(crate) fn answer(self) -> Bytes {
        numbered(ANSWER, self.number, self.answer_len)
    }
}

/// The number of the call that an answer is to; `None` if it is none, or has been changed.
pub(crate) fn read_answer(object: &[u8]) -> Option<u64> {
    let number = number_of(ANSWER, object)?;
    (numbered(ANSWER, number, object.len()) == object).then_some(number)
}

/// An object of the server's own accord.
pub(crate) fn push(number: u64, len: usize) -> Bytes {
    numbered(PUSH, number, len)
}

/// The number of a push; `None` if it is none, or has been changed.
pub(crate) fn read_push(object: &[u8]) -> Option<u64> {
    let number = number_of(PUSH, object)?;
    (numbered(PUSH, number, object.len()) == object).then_some(number)
}

fn numbered(id: u32, number: u64, len: usize) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u32_le(id);
    out.put_u64_le(number);
    fill(&mut out, number, len);
    out.freeze()
}

/// Fills up to `len` bytes, whole words; every other object with what gzip cannot make shorter.
fn fill(out: &mut BytesMut, number: u64, len: usize) {
    let mut state = number;
    while out.len() < len {
        // The step of SplitMix64: cheap, and no pattern in it.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        out.put_u32_le(if number.is_multiple_of(2) { (mixed >> 32) as u32 } else { 7 });
    }
}

fn number_of(id: u32, object: &[u8]) -> Option<u64> {
    let found = u32::from_le_bytes(*object.first_chunk()?);
    if found == id { read_u64(object, 4) } else { None }
}

fn read_u64(object: &[u8], at: usize) -> Option<u64> {
    object.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

const QUERY: u32 = 0x5175_6572;
const ANSWER: u32 = 0x416e_7377;
const PUSH: u32 = 0x5075_7368;
