//! `gzip_packed`: one boxed object, compressed.

use std::fmt;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use mtproto_tl::{DecodeError, Reader, encode_byte_string};

use crate::inflate::inflate;
use crate::object_id;

/// `gzip_packed#3072cfa1`.
pub const GZIP_PACKED_ID: u32 = 0x3072_cfa1;

/// Why a `gzip_packed` cannot be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GzipError {
    /// The object around the compressed bytes is not whole.
    Malformed(DecodeError),
    /// What it holds is another `gzip_packed`, which nobody sends.
    Nested,
    /// More comes out than the reader allows.
    TooLarge {
        /// What the reader allows, in bytes.
        max: usize,
    },
    /// The compressed bytes are neither gzip nor zlib, damaged, or cut short.
    Undecodable,
}

impl fmt::Display for GzipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "gzip_packed is malformed: {error}"),
            Self::Nested => f.write_str("gzip_packed in a gzip_packed"),
            Self::TooLarge { max } => write!(f, "gzip_packed holds more than {max} bytes"),
            Self::Undecodable => f.write_str("gzip_packed holds neither gzip nor zlib data"),
        }
    }
}

impl std::error::Error for GzipError {}

impl From<DecodeError> for GzipError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// The object as a boxed `gzip_packed`; `None` unless that saves a tenth or more, as it seldom does
/// below some hundred bytes and never for what is compressed or encrypted already.
// req: S53, S54, S55
#[must_use]
pub fn pack(object: &[u8]) -> Option<Bytes> {
    if object.len() >= SAMPLED_LEN_MIN && !saves(sample(object)) {
        return None;
    }
    let packed = deflate(object)?;
    let mut out = Vec::with_capacity(packed.len() + 12);
    out.extend_from_slice(&GZIP_PACKED_ID.to_le_bytes());
    encode_byte_string(&packed, &mut out);
    (out.len() <= saved_len_max(object.len())).then(|| out.into())
}

/// Opens a boxed `gzip_packed` of at most `len_max` bytes, in gzip or in zlib format. Filler behind
/// it is ignored. The memory used grows with what goes in and comes out, never with what a length
/// claims.
///
/// # Errors
/// `TooLarge` as soon as more than `len_max` bytes have come out; `Nested`, `Malformed`,
/// `Undecodable`.
// req: L20, S53, S54, S55
pub fn unpack(object: &[u8], len_max: usize) -> Result<Bytes, GzipError> {
    let mut input = Reader::new(object);
    input.constructor(GZIP_PACKED_ID)?;
    let inflated = inflate(input.byte_slice()?, len_max)?;
    if object_id(&inflated) == GZIP_PACKED_ID {
        return Err(GzipError::Nested);
    }
    Ok(inflated.into())
}

// While one answer is packed, the other sessions of its thread wait. On schemas and source text
// this level takes about half the time of zlib's own middle, six, and leaves a twelfth more.
const LEVEL: Compression = Compression::new(3);

// From here on a piece of the middle is tried first, so that a photograph costs little.
const SAMPLED_LEN_MIN: usize = 16 << 10;
const SAMPLE_LEN: usize = 1 << 10;

fn sample(object: &[u8]) -> &[u8] {
    let start = (object.len() / 2).saturating_sub(SAMPLE_LEN / 2);
    object.get(start..start + SAMPLE_LEN).unwrap_or(object)
}

fn saves(object: &[u8]) -> bool {
    deflate(object).is_some_and(|packed| packed.len() <= saved_len_max(object.len()))
}

fn saved_len_max(len: usize) -> usize {
    len - len / 10
}

/// `None` if the compressor fails, which writing to memory does not.
fn deflate(object: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(object.len() / 2), LEVEL);
    encoder.write_all(object).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use flate2::write::ZlibEncoder;

    use super::*;

    fn packed(data: &[u8]) -> Vec<u8> {
        let mut out = GZIP_PACKED_ID.to_le_bytes().to_vec();
        encode_byte_string(data, &mut out);
        out
    }

    /// Both ways, as a result and as a query alike.
    // req: S53, S54, S55
    #[test]
    fn what_is_packed_comes_out_the_same() {
        for len in [400, 4_000, 40_000, 400_000] {
            let object = b"a word, and another; ".repeat(len / 20);
            let packed = pack(&object).expect("text is compressible");
            assert!(packed.len() <= object.len() * 9 / 10 && packed.len().is_multiple_of(4));
            assert_eq!(unpack(&packed, object.len()), Ok(object.into()));
        }
    }

    #[test]
    fn nothing_is_packed_for_nothing() {
        let noise: Vec<u8> = (0..100_000_u32)
            .flat_map(|n| (n ^ n << 13).wrapping_mul(0x9e37_79b9).to_le_bytes())
            .collect();
        assert_eq!(pack(b"short"), None);
        assert_eq!(pack(&[]), None);
        // Long enough for the sample, which already tells.
        assert_eq!(pack(&pack(&b"1234".repeat(100)).expect("packs").repeat(0)), None);
        let once = deflate(&noise).expect("deflates");
        assert_eq!(pack(&once), None);
    }

    // req: L20
    #[test]
    fn zlib_format_is_read_too() {
        let mut encoder = ZlibEncoder::new(Vec::new(), LEVEL);
        encoder.write_all(b"mtcute does this").expect("writes to memory");
        let object = packed(&encoder.finish().expect("writes to memory"));
        assert_eq!(unpack(&object, 100), Ok(Bytes::from_static(b"mtcute does this")));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = pack(&vec![0; 50 << 20]).expect("zeros are compressible");
        assert!(bomb.len() < 500_000);
        assert_eq!(unpack(&bomb, 1 << 20), Err(GzipError::TooLarge { max: 1 << 20 }));
        assert_eq!(unpack(&bomb, 50 << 20).map(|object| object.len()), Ok(50 << 20));
    }

    #[test]
    fn a_damaged_stream_is_refused() {
        let whole = deflate(&b"0123456789".repeat(50)).expect("deflates");
        for len in 0..whole.len() {
            assert_eq!(unpack(&packed(&whole[..len]), 1000), Err(GzipError::Undecodable), "{len}");
        }
        let mut flipped = whole.clone();
        flipped[20] ^= 1;
        assert_eq!(unpack(&packed(&flipped), 1000), Err(GzipError::Undecodable));
        let inside = packed(&deflate(&packed(&whole)).expect("deflates"));
        assert_eq!(unpack(&inside, 1000), Err(GzipError::Nested));
    }
}
