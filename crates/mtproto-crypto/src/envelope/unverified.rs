//! The wall between decryption and reading.
//!
//! [`Unverified`] can be decrypted and verified, not read; [`Verified`] can be read, and only
//! [`Unverified::verify`] makes one. Reading a field before the check therefore does not compile
//! (the timing attack of "Four Attacks and a Proof for Telegram", 2022, section VI).

use super::{HEADER_LEN, Header, OpenError, Opened, PADDING_MAX, PADDING_MIN, PREFIX_LEN};
use super::{ack_token, has_possible_len, key_id, msg_key};
use crate::auth_key::AuthKey;
use crate::hash::equal;
use crate::kdf::{Direction, Keyed};
use crate::part::part;

/// A packet of possible length, of which nothing is known to be true.
pub(super) struct Unverified<'a> {
    key: &'a AuthKey,
    direction: Direction,
    prefix: &'a [u8; PREFIX_LEN],
    text: &'a mut [u8],
}

impl<'a> Unverified<'a> {
    /// Takes a packet of whole blocks under `key`; `None` if its length or its key id is another.
    pub(super) fn new(
        packet: &'a mut [u8],
        key: &'a AuthKey,
        direction: Direction,
    ) -> Option<Self> {
        let possible = has_possible_len(packet) && key_id(packet) == Some(key.id());
        let (prefix, text) = packet.split_first_chunk_mut()?;
        possible.then_some(Self { key, direction, prefix, text })
    }

    fn msg_key(&self) -> &'a [u8; 16] {
        part::<8, 16, _>(self.prefix)
    }

    /// What the key of the cipher is made of.
    pub(super) fn into_keyed(self) -> Keyed<'a, [u8; 16]> {
        (self.key, self.direction, self.msg_key())
    }

    /// What the cipher works on.
    pub(super) fn into_ciphertext(self) -> &'a mut [u8] {
        self.text
    }

    /// What is hashed, and not read, once it is decrypted.
    pub(super) fn into_hashed(self) -> Keyed<'a, [u8]> {
        (self.key, self.direction, self.text)
    }

    /// Compares the message key with `large`, the hash of the whole decrypted text, in constant
    /// time.
    pub(super) fn verify(self, large: &[u8; 32]) -> Result<Verified<'a>, OpenError> {
        if !equal(msg_key(large), self.msg_key()) {
            return Err(OpenError);
        }
        Ok(Verified { text: self.text, ack_token: ack_token(large) })
    }
}

/// A plaintext exactly as the owner of the key wrote it.
pub(super) struct Verified<'a> {
    text: &'a [u8],
    ack_token: u32,
}

impl Verified<'_> {
    /// Reads the fields. Even an owner of the key may not choose lengths that do not add up.
    pub(super) fn parse(self) -> Result<Opened, OpenError> {
        let (header, rest) = self.text.split_first_chunk::<HEADER_LEN>().ok_or(OpenError)?;
        // A negative length is one above 2^31 here, and longer than any packet.
        let len = u32::from_le_bytes(*part::<28, 4, _>(header));
        let len = usize::try_from(len).map_err(|_| OpenError)?;
        let padding_len = rest.len().checked_sub(len).ok_or(OpenError)?;
        // req: L26
        if !len.is_multiple_of(4) || !(PADDING_MIN..=PADDING_MAX).contains(&padding_len) {
            return Err(OpenError);
        }
        let body_at = PREFIX_LEN + HEADER_LEN;
        Ok(Opened {
            header: Header {
                salt: u64::from_le_bytes(*part::<0, 8, _>(header)),
                session_id: u64::from_le_bytes(*part::<8, 8, _>(header)),
                msg_id: u64::from_le_bytes(*part::<16, 8, _>(header)),
                seqno: u32::from_le_bytes(*part::<24, 4, _>(header)),
            },
            body: body_at..body_at + len,
            ack_token: self.ack_token,
        })
    }
}
