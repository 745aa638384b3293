//! The traits that every TL value shares, and their implementations for built-in types.

use bytes::Bytes;

use crate::{DecodeError, Reader};

/// The constructor number of a boxed `Vector`.
pub const VECTOR_ID: u32 = 0x1cb5_c415;
const BOOL_TRUE_ID: u32 = 0x9972_75b5;
const BOOL_FALSE_ID: u32 = 0xbc79_9737;

/// A value that can be written as TL: boxed where its type is, so that what is written stands alone.
pub trait Encode {
    /// Appends the value.
    fn encode(&self, out: &mut Vec<u8>);

    /// The value as bytes of its own.
    fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
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

/// A constructor of the schema: its number, and its fields without it. As [`Encode`] and [`Decode`] it
/// is boxed.
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
        match input.u32()? {
            id if id == T::ID => input.nested(T::decode_bare),
            id => Err(DecodeError::UnknownConstructor { id }),
        }
    }
}

/// Any boxed object, left as it is: a query that this side does not know, or a result that its caller
/// will read. It takes everything up to the end.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Raw(pub Bytes);
