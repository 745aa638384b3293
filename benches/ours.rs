//! What [`floor`](crate::floor) does, done by ours: with types, and with every check.

use bytes::Bytes;
use mtproto_pack::{Container, ContainerError};
use mtproto_tl::{DecodeError, View, views};

/// Reads a boxed `msgs_ack` where it lies; returns the sum of its ids.
///
/// # Errors
/// Whatever is wrong with it.
pub fn sum_msgs_ack(object: &[u8]) -> Result<u64, DecodeError> {
    let acks = views::MsgsAck::of(object)?;
    Ok(acks.msg_ids.iter().fold(0, |sum, id| sum.wrapping_add(id.0)))
}

/// Walks a container where it lies, once all of it was looked at; returns the length of all bodies.
///
/// # Errors
/// Whatever is wrong with it.
pub fn container_bytes(container: &Bytes) -> Result<usize, ContainerError> {
    let container = Container::read(container)?;
    Ok(container.iter().map(|message| message.body.len()).sum())
}
