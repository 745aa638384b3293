//! A cursor over the bytes of one TL object.

use std::fmt;

use bytes::Bytes;

use crate::{Constructor, VECTOR_ID};

/// How deep one object may nest in another. The service schema needs 3; a page of rich text in
/// Telegram's API, the deepest schema in real use, stays below 30.
pub const DEPTH_MAX: u32 = 32;

/// Why bytes are not the TL value that was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A vector's count does not fit the bytes that are left, or is negative.
    BadCount {
        /// The count as read.
        count: u32,
    },
    /// A `string` is not UTF-8.
    BadUtf8,
    /// Objects nest deeper than [`DEPTH_MAX`].
    TooDeep,
    /// Bytes follow an object that should have been the last one.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// The value ends early.
    Truncated {
        /// How many more bytes were needed.
        missing: usize,
    },
    /// The constructor number is not one of the expected type.
    UnknownConstructor {
        /// The number as read.
        id: u32,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCount { count } => write!(f, "vector count {count} does not fit its bytes"),
            Self::BadUtf8 => f.write_str("string is not UTF-8"),
            Self::TooDeep => write!(f, "objects nest deeper than {DEPTH_MAX}"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes follow the object"),
            Self::Truncated { missing } => write!(f, "{missing} bytes are missing"),
            Self::UnknownConstructor { id } => write!(f, "unexpected constructor {id:#010x}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// A cursor over bytes. Made from [`Bytes`], the byte strings it yields share that memory; made
/// from a slice, they are copies.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    owner: Option<&'a Bytes>,
    depth: u32,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; byte strings are copied out.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, owner: None, depth: 0 }
    }

    /// Reads `bytes`; byte strings share their memory.
    #[must_use]
    pub fn shared(bytes: &'a Bytes) -> Self {
        Self { rest: bytes, owner: Some(bytes), depth: 0 }
    }

    /// Takes the next `N` bytes.
    ///
    /// # Errors
    /// `Truncated` when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(DecodeError::Truncated { missing: N - self.rest.len() });
        };
        self.rest = tail;
        Ok(*head)
    }

    /// Takes the next `len` bytes.
    ///
    /// # Errors
    /// `Truncated` when fewer are left.
    #[inline]
    pub fn slice(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, tail)) = self.rest.split_at_checked(len) else {
            return Err(DecodeError::Truncated { missing: len - self.rest.len() });
        };
        self.rest = tail;
        Ok(head)
    }

    /// Takes a 32-bit word without a sign: `#`, flags, counts, constructor numbers.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Takes a 64-bit word without a sign.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// The constructor number at the cursor, which stays where it is.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn peek_u32(&self) -> Result<u32, DecodeError> {
        self.clone().u32()
    }

    /// Takes the constructor number `expected`.
    ///
    /// # Errors
    /// `Truncated`, `UnknownConstructor`.
    #[inline]
    pub fn constructor(&mut self, expected: u32) -> Result<(), DecodeError> {
        match self.u32()? {
            id if id == expected => Ok(()),
            id => Err(DecodeError::UnknownConstructor { id }),
        }
    }

    /// Takes a `bytes` or `string` value as a borrowed slice, its filler included in what is
    /// consumed. Filler may hold anything; a long form for a short string is accepted, as TDLib
    /// does.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn byte_slice(&mut self) -> Result<&'a [u8], DecodeError> {
        let [first] = self.array()?;
        let (header, len) = match first {
            254 => {
                let [a, b, c] = self.array()?;
                (4, u64::from(u32::from_le_bytes([a, b, c, 0])))
            }
            255 => {
                let [a, b, c, d, e, f, g] = self.array()?;
                (8, u64::from_le_bytes([a, b, c, d, e, f, g, 0]))
            }
            short => (1, u64::from(short)),
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let value = self.slice(len)?;
        self.slice((4 - (header + len) % 4) % 4)?;
        Ok(value)
    }

    /// Takes a `bytes` value, sharing memory where it can.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let value = self.byte_slice()?;
        Ok(self.own(value))
    }

    /// Takes a `string` value.
    ///
    /// # Errors
    /// `Truncated`, `BadUtf8`.
    pub fn string(&mut self) -> Result<String, DecodeError> {
        self.text().map(str::to_owned)
    }

    /// Takes a `string` value as a borrowed text.
    ///
    /// # Errors
    /// `Truncated`, `BadUtf8`.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.byte_slice()?).map_err(|_| DecodeError::BadUtf8)
    }

    /// Takes everything that is left.
    #[must_use]
    pub fn take_rest(&mut self) -> Bytes {
        let rest = std::mem::take(&mut self.rest);
        self.own(rest)
    }

    /// Takes a vector's count and checks it against what is left, so that a peer cannot make its
    /// reader allocate more than it sent. `item_len_min` is the least an item takes, in bytes.
    ///
    /// # Errors
    /// `Truncated`, `BadCount`.
    pub fn count(&mut self, item_len_min: usize) -> Result<usize, DecodeError> {
        let count = self.u32()?;
        let bad = DecodeError::BadCount { count };
        let items = usize::try_from(count).map_err(|_| bad)?;
        if count > i32::MAX.unsigned_abs() || items > self.rest.len() / item_len_min.max(1) {
            return Err(bad);
        }
        Ok(items)
    }

    /// Takes a bare vector, its count and its items, each by `read`. `item_len_min` is the least an
    /// item takes, in bytes.
    ///
    /// # Errors
    /// `Truncated`, `BadCount`; whatever `read` returns.
    pub fn items<T>(
        &mut self,
        item_len_min: usize,
        read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(item_len_min)?;
        self.each(count, read)
    }

    /// Takes `count` values, each by `read`.
    ///
    /// # Errors
    /// Whatever `read` returns.
    pub fn each<T>(
        &mut self,
        count: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        // A value may be larger here than on the wire: room for more of them than the bytes that
        // are left would fill is made as they come.
        let mut values = Vec::with_capacity(count.min(self.rest.len() / size_of::<T>().max(1)));
        for _ in 0..count {
            values.push(read(self)?);
        }
        Ok(values)
    }

    /// Takes a boxed vector: its constructor number, then as [`Reader::items`].
    ///
    /// # Errors
    /// `UnknownConstructor`; those of [`Reader::items`].
    pub fn vector<T>(
        &mut self,
        item_len_min: usize,
        read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.constructor(VECTOR_ID)?;
        self.items(item_len_min, read)
    }

    /// Takes a field that is there only when bit `bit` of `flags` is set.
    ///
    /// # Errors
    /// Whatever `read` returns.
    pub fn optional<T>(
        &mut self,
        flags: u32,
        bit: u32,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if flags >> bit & 1 == 1 { read(self).map(Some) } else { Ok(None) }
    }

    /// Takes a constructor's fields without its number, one level deeper.
    ///
    /// # Errors
    /// `TooDeep`; whatever is wrong with the bytes.
    pub fn bare<T: Constructor>(&mut self) -> Result<T, DecodeError> {
        self.nested(T::decode_bare)
    }

    /// Takes the fields of one of a type's constructors, whose number has been read, and wraps them
    /// as that variant.
    ///
    /// # Errors
    /// Those of [`Reader::bare`].
    pub fn variant<T: Constructor, E>(&mut self, wrap: fn(T) -> E) -> Result<E, DecodeError> {
        self.bare().map(wrap)
    }

    /// Runs `read` one level deeper.
    ///
    /// # Errors
    /// `TooDeep` beyond [`DEPTH_MAX`]; whatever `read` returns.
    pub fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        if self.depth >= DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Fails unless everything was read.
    ///
    /// # Errors
    /// `Trailing`.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::Trailing { bytes }),
        }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// What is left, without taking it.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn own(&self, part: &'a [u8]) -> Bytes {
        match self.owner {
            // `slice_ref` of an empty part would keep the whole packet alive for nothing.
            Some(owner) if !part.is_empty() => owner.slice_ref(part),
            _ => Bytes::copy_from_slice(part),
        }
    }
}
