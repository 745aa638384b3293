//! The least there is to do for some works: the same bytes, written and read without types, checks
//! or memory of their own.

use mtproto_pack::CONTAINER_ID;
use mtproto_tl::types::MsgsAck;
use mtproto_tl::{Constructor, VECTOR_ID};

/// Appends a boxed `msgs_ack`.
pub fn write_msgs_ack(ids: &[u64], out: &mut Vec<u8>) {
    out.reserve(MSGS_ACK_HEADER_LEN + ids.len() * 8);
    out.extend_from_slice(&MsgsAck::ID.to_le_bytes());
    out.extend_from_slice(&VECTOR_ID.to_le_bytes());
    out.extend_from_slice(&(ids.len() as u32).to_le_bytes());
    // Where the processor's order is that of the wire, a piece is left out, and each is one copy.
    let mut piece = [[0; 8]; 128];
    for ids in ids.chunks(piece.len()) {
        piece.iter_mut().zip(ids).for_each(|(place, id)| *place = id.to_le_bytes());
        out.extend_from_slice(piece[..ids.len()].as_flattened());
    }
}

/// Reads a boxed `msgs_ack` where it lies; returns the sum of its ids.
#[must_use]
pub fn sum_msgs_ack(object: &[u8]) -> Option<u64> {
    let (header, ids) = object.split_first_chunk::<MSGS_ACK_HEADER_LEN>()?;
    let [id, vector, count] = words(header);
    if (id, vector) != (MsgsAck::ID, VECTOR_ID) {
        return None;
    }
    let (ids, _) = ids.get(..(count as usize).checked_mul(8)?)?.as_chunks();
    Some(ids.iter().fold(0, |sum, id| sum.wrapping_add(u64::from_le_bytes(*id))))
}

/// Walks a container where it lies; returns the length of all bodies.
#[must_use]
pub fn container_bytes(container: &[u8]) -> Option<usize> {
    let (header, mut rest) = container.split_first_chunk::<8>()?;
    let [id, count] = words(header);
    if id != CONTAINER_ID {
        return None;
    }
    let mut sum = 0;
    for _ in 0..count {
        let (header, after) = rest.split_first_chunk::<16>()?;
        let [_, _, _, len] = words::<16, 4>(header);
        let (body, others) = after.split_at_checked(len as usize)?;
        sum += body.len();
        rest = others;
    }
    Some(sum)
}

fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u32; WORDS] {
    std::array::from_fn(|place| {
        bytes[place * 4..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word))
    })
}

/// Constructor, vector, count.
const MSGS_ACK_HEADER_LEN: usize = 12;
