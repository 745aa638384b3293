//! The envelope of MTProto 2.0: `auth_key_id | msg_key | ciphertext`.
//!
//! <https://core.telegram.org/mtproto/description>. Messages are sealed and opened in lists, each
//! in the buffer it travels in; a single one is a list of one. Nothing of a plaintext is looked at
//! before its `msg_key` has vouched for every byte of it, and every reason to refuse a packet is
//! the same [`OpenError`].

mod batch;
mod unverified;
pub mod v1;

use std::fmt;
use std::ops::Range;

use crate::auth_key::AuthKey;
use crate::cpu::{Cpu, Ends, Lane};
use crate::ige::{BLOCK_LEN, IgeKey};
pub use crate::kdf::Direction;
use crate::kdf::{ack_token, message_keys, msg_key, msg_key_prefix, msg_keys_large};
use crate::part::join;
use crate::random::SecureRandom;
use batch::{BATCH_MAX, in_batches};
use unverified::{Unverified, Verified};

/// Bytes before the ciphertext: `auth_key_id` and `msg_key`.
pub const PREFIX_LEN: usize = 24;
/// Bytes of a plaintext before the body: the four fields of [`Header`] and the length of the body.
pub const HEADER_LEN: usize = 32;
/// Bytes of a packet before the body.
pub const ROOM_LEN: usize = PREFIX_LEN + HEADER_LEN;
/// The least padding that a message may have, in bytes.
pub const PADDING_MIN: usize = 12;
/// The most padding that a message may have, in bytes.
pub const PADDING_MAX: usize = 1024;

/// The most padding that [`Padding`] chooses, in bytes.
pub const PADDING_CHOSEN_MAX: usize = PADDING_MIN + BLOCK_LEN - 1 + 15 * BLOCK_LEN;

/// The fields that stand before a body, as they are on the wire (all little-endian).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// `server_salt`.
    pub salt: u64,
    /// `session_id`.
    pub session_id: u64,
    /// `msg_id`.
    pub msg_id: u64,
    /// `seqno`.
    pub seqno: u32,
}

/// How much padding to add; always at least [`PADDING_MIN`], up to a whole block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Padding {
    /// No more than that: 12..27 bytes.
    Least,
    /// Up to 15 blocks more, so that the length says less about the body.
    Random,
}

/// Appends a packet that [`seal`] can take: room for the prefix, then header, body and padding.
///
/// The body is a serialized object, so its length is divisible by 4.
pub fn lay_out(
    out: &mut Vec<u8>,
    header: &Header,
    body: &[u8],
    padding: Padding,
    random: &mut dyn SecureRandom,
) {
    let padding_len = padding_len(body.len(), padding, random);
    out.reserve(ROOM_LEN + body.len() + padding_len);
    out.extend_from_slice(&room(header, body.len()));
    out.extend_from_slice(body);
    pad(out, padding_len, random);
}

/// As [`lay_out`], for a body that stands in its packet already, behind [`ROOM_LEN`] bytes of any
/// kind.
pub fn lay_around(
    packet: &mut Vec<u8>,
    header: &Header,
    padding: Padding,
    random: &mut dyn SecureRandom,
) {
    debug_assert!(packet.len() >= ROOM_LEN, "there is room before the body");
    let body_len = packet.len().saturating_sub(ROOM_LEN);
    let padding_len = padding_len(body_len, padding, random);
    if let Some(start) = packet.first_chunk_mut() {
        *start = room(header, body_len);
    }
    pad(packet, padding_len, random);
}

/// How much padding a body gets.
fn padding_len(body_len: usize, padding: Padding, random: &mut dyn SecureRandom) -> usize {
    debug_assert!(body_len.is_multiple_of(4), "an object is made of 4-byte words");
    let least = HEADER_LEN + body_len + PADDING_MIN;
    let extra = match padding {
        Padding::Least => 0,
        Padding::Random => (random.u32() & 15) as usize * BLOCK_LEN,
    };
    PADDING_MIN + least.next_multiple_of(BLOCK_LEN) - least + extra
}

/// What stands before a body: room for the prefix, then the header and the length of the body.
fn room(header: &Header, body_len: usize) -> [u8; ROOM_LEN] {
    let Header { salt, session_id, msg_id, seqno } = header;
    let body_len = u32::try_from(body_len).unwrap_or(u32::MAX);
    debug_assert!(body_len < 1 << 31, "the length of a body is a positive int");
    join(&[
        &[0; PREFIX_LEN],
        &salt.to_le_bytes(),
        &session_id.to_le_bytes(),
        &msg_id.to_le_bytes(),
        &seqno.to_le_bytes(),
        &body_len.to_le_bytes(),
    ])
}

/// Appends so many random bytes.
fn pad(out: &mut Vec<u8>, padding_len: usize, random: &mut dyn SecureRandom) {
    let padding_at = out.len();
    out.resize(padding_at + padding_len, 0);
    random.fill(out.split_at_mut(padding_at).1);
}

/// One message to seal.
#[derive(Debug)]
pub struct SealJob<'a> {
    key: &'a AuthKey,
    direction: Direction,
    packet: &'a mut [u8],
    /// After [`seal`]: the token with which the peer may answer that it has the message.
    pub ack_token: u32,
}

impl<'a> SealJob<'a> {
    /// Will seal `packet`, the bytes that one call of [`lay_out`] appended. Anything of another
    /// length is wiped instead, because a part of it would travel in the clear.
    pub fn new(key: &'a AuthKey, direction: Direction, packet: &'a mut [u8]) -> Self {
        Self { key, direction, packet, ack_token: 0 }
    }

    /// Passes on what can be sealed, and wipes what cannot.
    fn admit(&mut self) -> Option<&mut Self> {
        if has_possible_len(self.packet) {
            return Some(self);
        }
        self.packet.fill(0);
        None
    }

    /// Header, body and padding.
    fn text(&mut self) -> &mut [u8] {
        self.packet.split_at_mut(PREFIX_LEN).1
    }

    /// Writes what the hash of the plaintext decides.
    fn write_prefix(&mut self, large: &[u8; 32]) {
        self.ack_token = ack_token(large);
        if let Some(prefix) = self.packet.first_chunk_mut::<PREFIX_LEN>() {
            *prefix = join(&[&self.key.id().to_le_bytes(), msg_key(large)]);
        }
    }
}

/// Seals every packet in place.
// req: S112
pub fn seal(jobs: &mut [SealJob<'_>]) {
    let jobs = jobs.iter_mut().filter_map(SealJob::admit);
    in_batches(
        jobs,
        |job| job.packet.len(),
        |batch| match batch.len() {
            1 => seal_batch::<1>(batch),
            2..=4 => seal_batch::<4>(batch),
            _ => seal_batch::<BATCH_MAX>(batch),
        },
    );
}

/// Seals up to `N` packets side by side.
fn seal_batch<const N: usize>(batch: &mut [Option<&mut SealJob<'_>>]) {
    let mut ends = [const { Ends::new() }; N];
    let texts = batch.iter_mut().flatten().map(|job| (job.key, job.direction, &*job.text()));
    let mut large = [[0; 32]; N];
    msg_keys_large(&mut large, &mut ends, texts);
    let jobs = batch.iter().flatten().zip(&large);
    let msg_keys = jobs.map(|(job, large)| (job.key, job.direction, msg_key(large)));
    let mut keys = [const { IgeKey::NONE }; N];
    message_keys(&mut keys, &mut ends, msg_keys);
    for (job, large) in batch.iter_mut().flatten().zip(&large) {
        job.write_prefix(large);
    }
    let texts = batch.iter_mut().flatten().map(|job| job.text());
    let lanes = texts.zip(&keys).map(|(text, key)| Lane::new(key, text));
    Cpu::here().ige_encrypt(lanes);
}

/// Whether a transport may have added bytes of its own after the last block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Filler {
    /// It never does: the ciphertext is whole blocks, or the packet is refused.
    Never,
    /// The padded intermediate framing: up to 15 bytes are cut off unread.
    Cut,
}

/// One packet to open.
#[derive(Debug)]
pub struct OpenJob<'a> {
    key: &'a AuthKey,
    direction: Direction,
    packet: &'a mut [u8],
    /// After [`open`]: what the packet held.
    pub opened: Result<Opened, OpenError>,
}

/// What an opened packet holds. Only a packet that passed every check has one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    /// The fields before the body.
    pub header: Header,
    /// Where in the packet the body stands.
    pub body: Range<usize>,
    /// The token with which to say early that the message has arrived.
    pub ack_token: u32,
}

/// A packet that must be thrown away, and the connection with it. There is one reason only,
/// whatever it was: to tell reasons apart is to help whoever sends such packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpenError;

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the packet does not open under its key")
    }
}

impl std::error::Error for OpenError {}

impl<'a> OpenJob<'a> {
    /// Will open `packet`, all that a transport delivered from `auth_key_id` on, which
    /// `direction`'s author sealed under `key`.
    pub fn new(
        key: &'a AuthKey,
        direction: Direction,
        filler: Filler,
        packet: &'a mut [u8],
    ) -> Self {
        let over = packet.len().saturating_sub(PREFIX_LEN) % BLOCK_LEN;
        let packet = match filler {
            Filler::Never => packet,
            Filler::Cut => packet.split_at_mut(packet.len() - over).0,
        };
        Self { key, direction, packet, opened: Err(OpenError) }
    }

    /// The packet, unless it cannot be one of this key.
    fn unverified(&mut self) -> Option<Unverified<'_>> {
        Unverified::new(self.packet, self.key, self.direction)
    }

    /// Passes on what may open, and refuses the rest.
    fn admit(&mut self) -> Option<&mut Self> {
        if self.unverified().is_some() {
            return Some(self);
        }
        self.refuse();
        None
    }

    /// Checks what the cipher gave, by the hash of it.
    fn conclude(&mut self, large: &[u8; 32]) {
        let unverified = self.unverified().ok_or(OpenError);
        let opened = unverified.and_then(|it| it.verify(large)).and_then(Verified::parse);
        match opened {
            Ok(opened) => self.opened = Ok(opened),
            Err(OpenError) => self.refuse(),
        }
    }

    /// Wipes the packet, so that nothing of it can be used.
    fn refuse(&mut self) {
        self.packet.fill(0);
        self.opened = Err(OpenError);
    }
}

/// Opens every packet in place: decrypts it, checks its `msg_key`, and only then its fields.
// req: S112
pub fn open(jobs: &mut [OpenJob<'_>]) {
    let jobs = jobs.iter_mut().filter_map(OpenJob::admit);
    in_batches(
        jobs,
        |job| job.packet.len(),
        |batch| match batch {
            [Some(job)] => open_one(job),
            batch if batch.len() <= 4 => open_batch::<4>(batch),
            batch => open_batch::<BATCH_MAX>(batch),
        },
    );
}

/// Opens one packet, whose hash is taken while it is decrypted.
fn open_one(job: &mut OpenJob<'_>) {
    let prefix = msg_key_prefix(job.key, job.direction);
    let msg_keys = job.unverified().map(Unverified::into_keyed).into_iter();
    let mut keys = [IgeKey::NONE];
    message_keys(&mut keys, &mut [Ends::new()], msg_keys);
    let [key] = &keys;
    let Some(packet) = job.unverified() else { return };
    let lane = Lane::new(key, packet.into_ciphertext());
    let large = Cpu::here().ige_decrypt_and_hash(lane, prefix);
    job.conclude(&large);
}

/// Opens up to `N` packets side by side.
fn open_batch<const N: usize>(batch: &mut [Option<&mut OpenJob<'_>>]) {
    let mut ends = [const { Ends::new() }; N];
    let packets = batch.iter_mut().flatten().filter_map(|job| job.unverified());
    let mut keys = [const { IgeKey::NONE }; N];
    message_keys(&mut keys, &mut ends, packets.map(Unverified::into_keyed));
    let packets = batch.iter_mut().flatten().filter_map(|job| job.unverified());
    let lanes = packets.zip(&keys).map(|(it, key)| Lane::new(key, it.into_ciphertext()));
    Cpu::here().ige_decrypt(lanes);

    let packets = batch.iter_mut().flatten().filter_map(|job| job.unverified());
    let mut large = [[0; 32]; N];
    msg_keys_large(&mut large, &mut ends, packets.map(Unverified::into_hashed));
    for (job, large) in batch.iter_mut().flatten().zip(&large) {
        job.conclude(large);
    }
}

/// The `auth_key_id` of a packet, by which its key is found. 0 means that it is not encrypted.
pub fn key_id(packet: &[u8]) -> Option<u64> {
    packet.first_chunk().map(|id| u64::from_le_bytes(*id))
}

/// Whether a packet has the length of a prefix, a header, the least padding, and whole blocks.
fn has_possible_len(packet: &[u8]) -> bool {
    packet.len() >= PACKET_LEN_MIN && (packet.len() - PREFIX_LEN).is_multiple_of(BLOCK_LEN)
}

/// The smallest packet: no body.
const PACKET_LEN_MIN: usize = PREFIX_LEN + HEADER_LEN + BLOCK_LEN;

#[cfg(test)]
mod tests;
