//! MTProto 1.0, for the one message that still uses it: the inner message of
//! `auth.bindTempAuthKey`.
//!
//! 1.0 does not vouch for its padding, so nothing else is ever opened with it.
//! <https://core.telegram.org/api/pfs>

use super::{Direction, OpenError, PREFIX_LEN};
use crate::auth_key::AuthKey;
use crate::hash::equal;
use crate::kdf::{message_aes_v1, msg_key_v1};
use crate::part::part;
use crate::random::SecureRandom;

/// Bytes of a serialized `bind_auth_key_inner`.
pub const INNER_LEN: usize = 40;
/// Bytes of the sealed message.
pub const SEALED_LEN: usize = PREFIX_LEN + TEXT_LEN + FILL_LEN;

/// What a sealed message holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bound {
    /// The id of the message that carries the query.
    pub msg_id: u64,
    /// Its seqno as repeated here, 0 by the rules.
    pub seqno: u32,
    /// The serialized `bind_auth_key_inner`.
    pub inner: [u8; INNER_LEN],
}

/// Seals `inner` under the permanent key, for the query that travels as message `msg_id`.
// req: S112, S113
pub fn seal(
    key: &AuthKey,
    msg_id: u64,
    inner: &[u8; INNER_LEN],
    random: &mut dyn SecureRandom,
) -> [u8; SEALED_LEN] {
    let mut text = [0; TEXT_LEN + FILL_LEN];
    random.fill(&mut text[..16]);
    text[16..24].copy_from_slice(&msg_id.to_le_bytes());
    text[28..32].copy_from_slice(&(INNER_LEN as u32).to_le_bytes());
    text[32..TEXT_LEN].copy_from_slice(inner);
    random.fill(&mut text[TEXT_LEN..]);

    let msg_key = msg_key_v1(&text[..TEXT_LEN]);
    message_aes_v1(key, Direction::ClientToServer, &msg_key).encrypt(&mut text);
    let mut sealed = [0; SEALED_LEN];
    sealed[..8].copy_from_slice(&key.id().to_le_bytes());
    sealed[8..PREFIX_LEN].copy_from_slice(&msg_key);
    sealed[PREFIX_LEN..].copy_from_slice(&text);
    sealed
}

/// Opens what a client sealed under the permanent key.
///
/// # Errors
/// [`OpenError`] if the length, the key's id, the message key or the inner length is wrong.
// req: S112, S113
pub fn open(key: &AuthKey, sealed: &[u8]) -> Result<Bound, OpenError> {
    let sealed: &[u8; SEALED_LEN] = sealed.try_into().map_err(|_| OpenError)?;
    if u64::from_le_bytes(*part::<0, 8, _>(sealed)) != key.id() {
        return Err(OpenError);
    }
    let msg_key = part::<8, 16, _>(sealed);
    let mut text = *part::<PREFIX_LEN, { TEXT_LEN + FILL_LEN }, _>(sealed);
    message_aes_v1(key, Direction::ClientToServer, msg_key).decrypt(&mut text);
    // The hash covers as many bytes as an honest message has; the length field is read after it.
    if !equal(&msg_key_v1(&text[..TEXT_LEN]), msg_key)
        || *part::<28, 4, _>(&text) != (INNER_LEN as u32).to_le_bytes()
    {
        return Err(OpenError);
    }
    Ok(Bound {
        msg_id: u64::from_le_bytes(*part::<16, 8, _>(&text)),
        seqno: u32::from_le_bytes(*part::<24, 4, _>(&text)),
        inner: *part::<32, INNER_LEN, _>(&text),
    })
}

/// 16 random bytes, `msg_id`, `seqno`, length, and the inner object.
const TEXT_LEN: usize = 32 + INNER_LEN;
/// Random bytes up to a whole block.
const FILL_LEN: usize = 8;
