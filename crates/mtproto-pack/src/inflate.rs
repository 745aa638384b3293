//! Out of gzip and zlib, with a bound on what comes out.
//!
//! All of the input is there, and all of the output stays in one piece. So the decompressor writes
//! to where the object will be, and is never short of room when it was told how much it needs.

use flate2::{Decompress, FlushDecompress, Status};
use mtproto_tl::Reader;

use crate::gzip::GzipError;

/// What comes out of `packed`, a member of gzip (RFC 1952) or a stream of zlib (RFC 1950), at most
/// `len_max` bytes. What follows it is ignored.
///
/// # Errors
/// `TooLarge`, `Undecodable`.
pub(crate) fn inflate(packed: &[u8], len_max: usize) -> Result<Vec<u8>, GzipError> {
    let mut inflated = match packed {
        // What lacks the two magic bytes of gzip can only be zlib, which mtcute sends. It does not
        // tell its length.
        [0x1f, 0x8b, ..] => gunzip(packed, len_max)?,
        _ => decompress(Decompress::new(true), packed, usize::MAX, len_max)?.0,
    };
    inflated.shrink_to_fit();
    Ok(inflated)
}

fn gunzip(member: &[u8], len_max: usize) -> Result<Vec<u8>, GzipError> {
    let stream = after_header(member).ok_or(GzipError::Undecodable)?;
    // A member ends with its length, so most likely this is it. Only time is lost if it is not.
    let claimed = stream.last_chunk().map_or(0, |len| u32::from_le_bytes(*len));
    let claimed = usize::try_from(claimed).unwrap_or(usize::MAX);
    let (inflated, rest) = match decompress_at_once(stream, claimed, len_max) {
        Some(whole) => whole,
        None => decompress(Decompress::new(false), stream, claimed, len_max)?,
    };
    let trailer = [crc32fast::hash(&inflated).to_le_bytes(), low_word(inflated.len())];
    if !rest.starts_with(trailer.as_flattened()) {
        return Err(GzipError::Undecodable);
    }
    Ok(inflated)
}

/// As [`decompress`], of a stream that makes as many bytes as is claimed and ends before the last
/// eight; `None` if it does not. So a peer that lies has its bytes looked at twice, and no more.
#[cfg(feature = "libdeflate")]
fn decompress_at_once(stream: &[u8], claimed: usize, len_max: usize) -> Option<(Vec<u8>, &[u8])> {
    // It wants room for all of it, so a claim has to be one that these bytes could keep.
    if claimed > len_max || claimed / RATIO_MAX > stream.len() {
        return None;
    }
    let (stream, rest) = stream.split_at_checked(stream.len().checked_sub(TRAILER_LEN)?)?;
    let mut inflated = vec![0; claimed];
    let len = libdeflater::Decompressor::new().deflate_decompress(stream, &mut inflated).ok()?;
    (len == claimed).then_some((inflated, rest))
}

/// Without libdeflate there is nothing faster.
#[cfg(not(feature = "libdeflate"))]
fn decompress_at_once(_: &[u8], _: usize, _: usize) -> Option<(Vec<u8>, &[u8])> {
    None
}

/// What follows the header of a gzip member; `None` if that is not whole or not right.
fn after_header(member: &[u8]) -> Option<&[u8]> {
    let mut input = Reader::new(member);
    let [_, _, method, flags, ..] = input.array::<10>().ok()?;
    if method != DEFLATE || flags & RESERVED != 0 {
        return None;
    }
    if flags & EXTRA != 0 {
        let len = u16::from_le_bytes(input.array().ok()?);
        input.slice(len.into()).ok()?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let len = input.rest().iter().position(|byte| *byte == 0)?;
            input.slice(len + 1).ok()?;
        }
    }
    if flags & HEADER_CHECKSUM != 0 {
        let header = member.get(..member.len() - input.remaining())?;
        let [a, b, ..] = crc32fast::hash(header).to_le_bytes();
        if input.array().ok()? != [a, b] {
            return None;
        }
    }
    Some(input.rest())
}

/// What comes out of `stream`, and what follows it. `likely` is how many bytes that will be, most
/// likely. No more memory is taken than eight times what came in, or twice what came out.
fn decompress(
    mut decompressor: Decompress,
    stream: &[u8],
    likely: usize,
    len_max: usize,
) -> Result<(Vec<u8>, &[u8]), GzipError> {
    let mut inflated = Vec::new();
    let mut rest = stream;
    let mut room = likely.min(stream.len().saturating_mul(RATIO_LIKELY));
    loop {
        inflated.reserve_exact(room.min(len_max - inflated.len()).saturating_add(ROOM_TO_RUN));
        let status = decompressor.decompress_vec(rest, &mut inflated, FlushDecompress::Finish);
        let taken = usize::try_from(decompressor.total_in()).unwrap_or(usize::MAX);
        rest = stream.get(taken..).unwrap_or_default();
        if inflated.len() > len_max {
            return Err(GzipError::TooLarge { max: len_max });
        }
        match status {
            Ok(Status::StreamEnd) => return Ok((inflated, rest)),
            Ok(Status::BufError | Status::Ok) if inflated.len() == inflated.capacity() => {
                room = inflated.len();
            }
            // There is room for more, so it is the stream that ends early.
            Ok(Status::BufError | Status::Ok) | Err(_) => return Err(GzipError::Undecodable),
        }
    }
}

fn low_word(len: usize) -> [u8; 4] {
    let [a, b, c, d, ..] = (len as u64).to_le_bytes();
    [a, b, c, d]
}

/// How many times as many bytes may come out as go in before it is wise to look first. Texts make
/// three to five.
const RATIO_LIKELY: usize = 8;

/// The checksum and the length behind a stream.
#[cfg(feature = "libdeflate")]
const TRAILER_LEN: usize = 8;

/// How many times as many bytes the method can make of what goes in.
#[cfg(feature = "libdeflate")]
const RATIO_MAX: usize = 1032;

/// Near the end of its room a decompressor looks before each byte it writes; with so many bytes
/// behind what it will need, it never gets near.
const ROOM_TO_RUN: usize = 320;

/// The one method of RFC 1952, and its flags.
const DEFLATE: u8 = 8;
const HEADER_CHECKSUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder};

    use super::*;

    fn packed(builder: GzBuilder, object: &[u8]) -> Vec<u8> {
        let mut encoder = builder.write(Vec::new(), Compression::fast());
        encoder.write_all(object).expect("writes to memory");
        encoder.finish().expect("writes to memory")
    }

    fn plain(object: &[u8]) -> Vec<u8> {
        packed(GzBuilder::new(), object)
    }

    #[test]
    fn a_header_may_say_more() {
        let builder = GzBuilder::new().extra(vec![0, 1, 2]).filename("name").comment("");
        let mut whole = packed(builder, b"object");
        assert_eq!(inflate(&whole, 6).as_deref(), Ok(&b"object"[..]));
        // Its own checksum stands behind the rest of it.
        let header_len = 10 + 2 + 3 + 5 + 1;
        whole[3] |= HEADER_CHECKSUM;
        let [a, b, ..] = crc32fast::hash(&whole[..header_len]).to_le_bytes();
        whole.splice(header_len..header_len, [a, b]);
        assert_eq!(inflate(&whole, 6).as_deref(), Ok(&b"object"[..]));
        for len in 0..whole.len() {
            assert_eq!(inflate(&whole[..len], 6), Err(GzipError::Undecodable), "{len}");
        }
        for at in [2, 3, header_len - 2, header_len] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x80;
            assert_eq!(inflate(&damaged, 6), Err(GzipError::Undecodable), "{at}");
        }
    }

    #[test]
    fn what_follows_is_ignored_and_a_claimed_length_is_not_believed() {
        let object: Vec<u8> =
            (0..100_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        for behind in [0_u32, 1, 1000, u32::MAX] {
            let mut whole = plain(&object);
            whole.extend(behind.to_le_bytes());
            let inflated = inflate(&whole, object.len()).expect("all of it is there");
            assert!(inflated == object && inflated.capacity() == object.len(), "{behind}");
            // The claim itself, not what follows it.
            let mut whole = plain(&object);
            let len = whole.len();
            whole[len - 4..].copy_from_slice(&behind.to_le_bytes());
            assert_eq!(inflate(&whole, object.len()), Err(GzipError::Undecodable), "{behind}");
        }
    }

    #[test]
    fn a_claim_takes_no_memory() {
        let mut whole = plain(b"few");
        whole.extend(u32::MAX.to_le_bytes());
        let (_, stream) = whole.split_at(10);
        let (inflated, _) = decompress(Decompress::new(false), stream, usize::MAX, usize::MAX)
            .expect("all of it is there");
        assert_eq!(inflated, b"few");
        assert!(inflated.capacity() <= stream.len() * RATIO_LIKELY + ROOM_TO_RUN);
    }

    #[test]
    fn the_limit_is_exact() {
        for len in [0, 1, 319, 320, 321, 5_000, 70_000, 1_000_000] {
            let object = vec![7; len];
            let whole = plain(&object);
            assert_eq!(inflate(&whole, len).as_deref(), Ok(&object[..]), "{len}");
            if let Some(max) = len.checked_sub(1) {
                assert_eq!(inflate(&whole, max), Err(GzipError::TooLarge { max }), "{len}");
            }
        }
    }
}
