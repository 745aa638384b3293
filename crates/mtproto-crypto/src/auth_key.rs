//! The key that a client and a server share.

use std::fmt;
use std::sync::Arc;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::hash::{equal, sha1};
use crate::kdf::Direction;
use crate::part::part;

/// 2048 secret bits, their id and their hash. A clone shares the one copy in memory, which is wiped
/// when the last of them goes.
#[derive(Clone)]
pub struct AuthKey(Arc<Secret>);

impl AuthKey {
    /// The key with these bytes, big-endian and with the leading zeros that the exchange left.
    pub fn new(mut bytes: [u8; 256]) -> Self {
        let mut secret = Arc::new(Secret { bytes: [0; 256], id: 0, aux_hash: [0; 8] });
        // Fills the bytes in where they stay, so that no move leaves a copy behind.
        if let Some(secret) = Arc::get_mut(&mut secret) {
            secret.bytes = bytes;
            let hash = sha1(&[&bytes]);
            secret.id = u64::from_le_bytes(*part::<12, 8, _>(&hash));
            secret.aux_hash = *part::<0, 8, _>(&hash);
        }
        bytes.zeroize();
        Self(secret)
    }

    /// `auth_key_id`: the last 8 bytes of the key's SHA-1, read little-endian. 0 stands for "not
    /// encrypted" on the wire, so a key that has it (one in 2^64) must not be taken into use.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// `auth_key_aux_hash`: the first 8 bytes of the key's SHA-1.
    pub fn aux_hash(&self) -> [u8; 8] {
        self.0.aux_hash
    }

    /// The secret itself: for a store, and for nothing else.
    pub fn as_bytes(&self) -> &[u8; 256] {
        &self.0.bytes
    }

    /// The 128 bytes that take part in messages of this direction.
    pub(crate) fn half(&self, direction: Direction) -> &[u8; 128] {
        match direction {
            Direction::ClientToServer => part::<0, 128, _>(&self.0.bytes),
            Direction::ServerToClient => part::<8, 128, _>(&self.0.bytes),
        }
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthKey({:016x})", self.0.id)
    }
}

impl PartialEq for AuthKey {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0.bytes, &other.0.bytes)
    }
}

impl Eq for AuthKey {}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Secret {
    bytes: [u8; 256],
    id: u64,
    aux_hash: [u8; 8],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, array, number};

    #[test]
    fn ids_and_hashes_are_those_of_the_samples() {
        let sample = &vectors::all()["auth_key_sample"];
        let key = AuthKey::new(array(&sample["auth_key"]));
        assert_eq!(key.id(), number(&sample["auth_key_id_i64"]));
        assert_eq!(key.id().to_le_bytes(), array(&sample["auth_key_id_wire"]));
        assert_eq!(key.aux_hash(), array(&sample["auth_key_aux_hash"]));

        let flow = &vectors::all()["auth_key_flow_grammers"];
        let key = AuthKey::new(array(&flow["auth_key"]));
        assert_eq!(key.id().to_le_bytes(), array(&flow["auth_key_id_wire"]));

        let primitives = &vectors::all()["primitives"];
        let key = AuthKey::new(vectors::counting());
        assert_eq!(key.id(), number(&primitives["auth_key_id_i64"]));
        assert_eq!(key.aux_hash(), array(&primitives["auth_key_aux_hash"]));
    }

    #[test]
    fn debug_shows_the_id_and_no_key_byte() {
        let key = AuthKey::new([0x5a; 256]);
        assert_eq!(format!("{key:?}"), format!("AuthKey({:016x})", key.id()));
        assert_eq!(key, key.clone());
        assert_ne!(key, AuthKey::new([0x5b; 256]));
    }
}
