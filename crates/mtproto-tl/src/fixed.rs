//! Values that always take the same number of bytes: numbers, identifiers, `int128`, `int256`.
//!
//! Many of them in a row are one piece of memory on the wire, and they are read and written as one.

use crate::{AuthKeyId, Decode, DecodeError, Encode, Items, MsgId, Reader, Salt, Seqno, SessionId};

/// A value that takes the same number of bytes whatever it is, so that a vector of them can be
/// looked into where it lies.
pub trait Fixed: Copy + Decode + Encode {
    /// Its bytes as they stand on the wire.
    type Wire: Wire;

    /// The value as bytes.
    fn to_wire(self) -> Self::Wire;

    /// The value that these bytes are; there is always one.
    fn from_wire(wire: Self::Wire) -> Self;
}

/// An array of bytes.
pub trait Wire: Copy + sealed::Sealed {
    /// How many there are.
    const LEN: usize;

    /// Zeros.
    const ZERO: Self;

    /// As many arrays as `bytes` has room for.
    fn cut(bytes: &[u8]) -> &[Self];

    /// The bytes of all these.
    fn join(wires: &[Self]) -> &[u8];
}

impl<const N: usize> Wire for [u8; N] {
    const LEN: usize = N;
    const ZERO: Self = [0; N];

    #[inline]
    fn cut(bytes: &[u8]) -> &[Self] {
        bytes.as_chunks().0
    }

    #[inline]
    fn join(wires: &[Self]) -> &[u8] {
        wires.as_flattened()
    }
}

mod sealed {
    pub trait Sealed {}

    impl<const N: usize> Sealed for [u8; N] {}
}

/// Appends values by the piece. Where the processor's order is that of the wire, the compiler sees
/// that a piece is a copy of the values, and copies them to where they belong at once.
fn encode_fixed<T: Fixed>(values: &[T], out: &mut Vec<u8>) {
    out.reserve(values.len() * T::Wire::LEN);
    let mut piece = [T::Wire::ZERO; PIECE_VALUES];
    for values in values.chunks(PIECE_VALUES) {
        for (place, value) in piece.iter_mut().zip(values) {
            *place = value.to_wire();
        }
        out.extend_from_slice(Wire::join(piece.get(..values.len()).unwrap_or_default()));
    }
}

const PIECE_VALUES: usize = 128;

macro_rules! fixed {
    ($($name:ty, $len:literal, $to_wire:expr, $from_wire:expr;)*) => {$(
        impl Fixed for $name {
            type Wire = [u8; $len];

            #[inline]
            fn to_wire(self) -> [u8; $len] {
                $to_wire(self)
            }

            #[inline]
            fn from_wire(wire: [u8; $len]) -> Self {
                $from_wire(wire)
            }
        }

        impl Encode for $name {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_wire());
            }

            fn encode_each(items: &[Self], out: &mut Vec<u8>) {
                encode_fixed(items, out);
            }
        }

        impl Decode for $name {
            const LEN_MIN: usize = $len;

            #[inline]
            fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                input.array().map(Self::from_wire)
            }

            fn decode_each(input: &mut Reader<'_>, count: usize) -> Result<Vec<Self>, DecodeError> {
                Ok(Items::take(input, count)?.to_vec())
            }
        }
    )*};
}

macro_rules! numbers {
    ($($name:ty, $len:literal;)*) => {
        fixed! { $($name, $len, Self::to_le_bytes, Self::from_le_bytes;)* }
    };
}

numbers! {
    i32, 4;
    i64, 8;
    u32, 4;
    u64, 8;
    f64, 8;
}

macro_rules! ids {
    ($($name:ident, $len:literal, $number:ident;)*) => {
        fixed! {
            $(
                $name, $len,
                |id: Self| id.0.to_le_bytes(),
                |wire| Self($number::from_le_bytes(wire));
            )*
        }
    };
}

ids! {
    AuthKeyId, 8, u64;
    MsgId, 8, u64;
    Salt, 8, u64;
    Seqno, 4, u32;
    SessionId, 8, u64;
}

fixed! {
    [u8; 16], 16, std::convert::identity, std::convert::identity;
    [u8; 32], 32, std::convert::identity, std::convert::identity;
}
