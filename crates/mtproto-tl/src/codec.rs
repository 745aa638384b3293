//! The traits that every TL value shares, and their implementations for built-in types.

use std::fmt;

use bytes::Bytes;

use crate::{DecodeError, Reader};

/// The constructor number of a boxed `Vector`.
pub const VECTOR_ID: u32 = 0x1cb5_c415;
const BOOL_TRUE_ID: u32 = 0x9972_75b5;
const BOOL_FALSE_ID: u32 = 0xbc79_9737;

/// A value that can be written as TL: boxed where its type is, so that what is written stands
/// alone.
pub trait Encode {
    /// Appends the value.
    fn encode(&self, out: &mut Vec<u8>);

    /// Appends several values, one behind the other.
    fn encode_each(items: &[Self], out: &mut Vec<u8>)
    where
        Self: Sized,
    {
        for item in items {
            item.encode(out);
        }
    }

    /// The value as bytes of its own.
    fn to_bytes(&self) -> Bytes {
        // Most objects of the protocol's own are no longer than that.
        let mut out = Vec::with_capacity(64);
        self.encode(&mut out);
        out.into()
    }
}

/// A value that can be read from TL.
pub trait Decode: Sized {
    /// The least number of bytes a value takes; it bounds what a vector's count may claim.
    const LEN_MIN: usize = 4;

    /// Takes one value.
    ///
    /// # Errors
    /// Whatever is wrong with the bytes; the reader's position is then of no use.
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Takes `count` values, one behind the other.
    ///
    /// # Errors
    /// Whatever is wrong with the bytes.
    fn decode_each(input: &mut Reader<'_>, count: usize) -> Result<Vec<Self>, DecodeError> {
        input.each(count, Self::decode)
    }

    /// Reads a value that fills `bytes`; byte strings in it share their memory.
    ///
    /// # Errors
    /// Whatever is wrong with the bytes, `Trailing` included.
    fn from_bytes(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::shared(bytes);
        let value = Self::decode(&mut input)?;
        input.finish()?;
        Ok(value)
    }

    /// Reads a value that fills `bytes`; byte strings in it are copies.
    ///
    /// # Errors
    /// Whatever is wrong with the bytes, `Trailing` included.
    fn from_slice(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let value = Self::decode(&mut input)?;
        input.finish()?;
        Ok(value)
    }
}

/// A constructor of the schema: its number, and its fields without it. As [`Encode`] and [`Decode`]
/// it is boxed.
pub trait Constructor: Sized {
    /// The number in front of the boxed form.
    const ID: u32;

    /// The least number of bytes the fields take.
    const BARE_LEN_MIN: usize;

    /// Appends the fields without the number.
    fn encode_bare(&self, out: &mut Vec<u8>);

    /// Takes the fields without the number.
    ///
    /// # Errors
    /// Whatever is wrong with the bytes.
    fn decode_bare(input: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// A function of the schema.
pub trait Function: Encode {
    /// What its `rpc_result` holds when it went well.
    type Response: Decode;
}

impl<T: Constructor> Encode for T {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&T::ID.to_le_bytes());
        self.encode_bare(out);
    }
}

impl<T: Constructor> Decode for T {
    const LEN_MIN: usize = 4 + T::BARE_LEN_MIN;

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.constructor(T::ID)?;
        input.bare()
    }
}

/// Any boxed object, left as it is: a query that this side does not know, or a result that its
/// caller will read. It takes everything up to the end.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Raw(pub Bytes);

impl Encode for Raw {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl Decode for Raw {
    const LEN_MIN: usize = 0;

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(input.take_rest()))
    }
}

impl Function for Raw {
    type Response = Self;
}

// The body may be anybody's message: its number and its length are all that a log may hold.
impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = Reader::new(&self.0).u32().unwrap_or_default();
        write!(f, "Raw({id:#010x}, {} bytes)", self.0.len())
    }
}

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        (if *self { BOOL_TRUE_ID } else { BOOL_FALSE_ID }).encode(out);
    }
}

impl Decode for bool {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match input.u32()? {
            BOOL_TRUE_ID => Ok(true),
            BOOL_FALSE_ID => Ok(false),
            id => Err(DecodeError::UnknownConstructor { id }),
        }
    }
}

impl Encode for Bytes {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_byte_string(self, out);
    }
}

impl Decode for Bytes {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.bytes()
    }
}

impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_byte_string(self.as_bytes(), out);
    }
}

impl Decode for String {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.string()
    }
}

/// The boxed `Vector` of items in their own boxed form, where they have one.
impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        let header = [VECTOR_ID.to_le_bytes(), count_word(self.len())];
        out.extend_from_slice(header.as_flattened());
        T::encode_each(self, out);
    }
}

impl<T: Decode> Decode for Vec<T> {
    const LEN_MIN: usize = 8;

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.constructor(VECTOR_ID)?;
        let count = input.count(T::LEN_MIN)?;
        T::decode_each(input, count)
    }
}

/// Appends a `bytes` or `string` value in its shortest form, filler included.
pub fn encode_byte_string(value: &[u8], out: &mut Vec<u8>) {
    let len = (value.len() as u64).to_le_bytes();
    let [a, b, c, d, e, f, g, _] = len;
    let start = out.len();
    match value.len() {
        0..=253 => out.push(a),
        254..=0xff_ffff => out.extend_from_slice(&[254, a, b, c]),
        _ => out.extend_from_slice(&[255, a, b, c, d, e, f, g]),
    }
    out.extend_from_slice(value);
    let written = out.len() - start;
    out.resize(start + written.next_multiple_of(4), 0);
}

/// Appends a boxed vector whose items are written by `write`.
pub fn encode_vector<T>(items: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    VECTOR_ID.encode(out);
    encode_items(items, out, write);
}

/// Appends a bare vector, its count and its items, whose items are written by `write`.
pub fn encode_items<T>(items: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    out.extend_from_slice(&count_word(items.len()));
    for item in items {
        write(item, out);
    }
}

fn count_word(count: usize) -> [u8; 4] {
    // Nobody holds 2^32 items: the least one takes four bytes on the wire, and frames end far
    // below.
    debug_assert!(u32::try_from(count).is_ok(), "a vector's count is an `int`");
    (count as u32).to_le_bytes()
}
