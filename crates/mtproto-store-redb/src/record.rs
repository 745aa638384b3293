//! How a key's record is laid out in the file.
//!
//! `version (1) | kind (1) | created (4) | first_salt (8) | expires_at (4) | bound_to (8) | key`
//!
//! Numbers are little-endian. `expires_at` and `bound_to` are zero in a permanent key's record; a
//! zero `bound_to` says unbound, since no key has that id. The key has 256 bytes.

use mtproto_crypto::AuthKey;
use mtproto_store::{KeyKind, KeyRecord, StoreError};
use mtproto_tl::{AuthKeyId, Salt};
use zeroize::Zeroizing;

/// Lays a record out.
pub(crate) fn write(record: &KeyRecord) -> Zeroizing<Vec<u8>> {
    let (kind, expires_at, bound_to) = match record.kind {
        KeyKind::Permanent => (PERMANENT, 0, AuthKeyId::default()),
        KeyKind::Temporary { expires_at, bound_to } => {
            (TEMPORARY, expires_at, bound_to.unwrap_or_default())
        }
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(RECORD_LEN));
    bytes.extend([VERSION, kind]);
    bytes.extend(record.created.to_le_bytes());
    bytes.extend(record.first_salt.0.to_le_bytes());
    bytes.extend(expires_at.to_le_bytes());
    bytes.extend(bound_to.0.to_le_bytes());
    bytes.extend(record.key.as_bytes());
    debug_assert_eq!(bytes.len(), RECORD_LEN);
    bytes
}

/// Reads what [`write`] wrote for the key `id`.
///
/// # Errors
/// `Corrupt` if it did not write that, or for another key.
pub(crate) fn read(id: AuthKeyId, bytes: &[u8]) -> Result<KeyRecord, StoreError> {
    parse(bytes)
        .filter(|record| record.id() == id)
        .ok_or(StoreError::Corrupt { what: "an auth key's record" })
}

fn parse(mut rest: &[u8]) -> Option<KeyRecord> {
    let [version, kind] = take(&mut rest)?;
    let created = u32::from_le_bytes(take(&mut rest)?);
    let first_salt = Salt(u64::from_le_bytes(take(&mut rest)?));
    let expires_at = u32::from_le_bytes(take(&mut rest)?);
    let bound_to = AuthKeyId(u64::from_le_bytes(take(&mut rest)?));
    let key = AuthKey::new(take(&mut rest)?);
    let bound_to = (bound_to != AuthKeyId::default()).then_some(bound_to);
    let kind = match kind {
        PERMANENT => KeyKind::Permanent,
        TEMPORARY => KeyKind::Temporary { expires_at, bound_to },
        _ => return None,
    };
    let whole = version == VERSION && rest.is_empty();
    whole.then_some(KeyRecord { key, created, first_salt, kind })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*first)
}

const VERSION: u8 = 1;
const PERMANENT: u8 = 0;
const TEMPORARY: u8 = 1;
const RECORD_LEN: usize = 282;

#[cfg(test)]
mod tests {
    use mtproto_store::conformance::keys::{permanent, temporary};

    use super::*;

    fn records() -> [KeyRecord; 3] {
        let bound = temporary(3, 10);
        let kind = bound.kind.with_bound_to(Some(permanent(1).id()));
        [permanent(1), temporary(2, 10), KeyRecord { kind, ..bound }]
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for record in records() {
            assert_eq!(read(record.id(), &write(&record)), Ok(record));
        }
    }

    #[test]
    fn a_record_cut_at_any_byte_is_refused() {
        let corrupt = Err(StoreError::Corrupt { what: "an auth key's record" });
        for record in records() {
            let mut bytes = write(&record);
            for len in 0..bytes.len() {
                assert_eq!(read(record.id(), &bytes[..len]), corrupt);
            }
            bytes.push(0);
            assert_eq!(read(record.id(), &bytes), corrupt);
        }
    }

    #[test]
    fn a_strange_version_or_kind_or_a_damaged_key_is_refused() {
        let corrupt = Err(StoreError::Corrupt { what: "an auth key's record" });
        for place in [0, 1, RECORD_LEN - 1] {
            let mut bytes = write(&permanent(1));
            bytes[place] ^= 0x10;
            assert_eq!(read(permanent(1).id(), &bytes), corrupt);
        }
    }
}
