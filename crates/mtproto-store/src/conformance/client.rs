//! The promises of a [`ClientStore`].

use std::collections::BTreeMap;
use std::sync::Arc;

use mtproto_crypto::AuthKey;
use mtproto_tl::Salt;

use crate::{ClientKey, ClientRecord, ClientStore, DcRecord, SaltPeriod, TemporaryKey};

/// A record that uses every field, and differs for every `n`.
#[must_use]
pub fn full(n: u8) -> ClientRecord {
    let dc = |n: u8| DcRecord {
        address: format!("tcp://127.0.0.{n}:443"),
        time_offset_ms: -i64::from(n) * 1000,
        permanent: key(n),
        temporary: Some(TemporaryKey {
            key: key(n.wrapping_add(100)),
            expires_at: 1_700_086_400,
            bound: true,
        }),
    };
    let without_temporary = DcRecord { temporary: None, ..dc(n.wrapping_add(1)) };
    ClientRecord { dcs: BTreeMap::from([(2, dc(n)), (-1, without_temporary)]) }
}

fn key(n: u8) -> ClientKey {
    let salt = |hour: u32| SaltPeriod {
        salt: Salt(u64::MAX - u64::from(n) - u64::from(hour)),
        valid_since: 1_700_000_000 + 3600 * hour,
        valid_until: 1_700_003_600 + 3600 * hour,
    };
    ClientKey {
        key: AuthKey::new([n; 256]),
        created: 1_700_000_000,
        salts: (0..3).map(salt).collect(),
    }
}

/// Nothing is there before something was saved.
pub async fn a_new_store_is_empty(store: Arc<impl ClientStore>) {
    assert_eq!(store.load(), Ok(None));
}

/// What is read is what was written, also when that is little.
pub async fn a_record_is_found_as_it_was_saved(store: Arc<impl ClientStore>) {
    for record in [full(1), ClientRecord::default()] {
        store.save(&record).unwrap();
        assert_eq!(store.load(), Ok(Some(record)));
    }
}

/// Saving replaces.
pub async fn the_last_record_stays(store: Arc<impl ClientStore>) {
    store.save(&full(1)).unwrap();
    store.save(&full(2)).unwrap();
    assert_eq!(store.load(), Ok(Some(full(2))));
}

/// Clearing twice is as good as once, and saving works again afterwards.
pub async fn a_cleared_store_is_empty(store: Arc<impl ClientStore>) {
    store.save(&full(1)).unwrap();
    store.clear().unwrap();
    store.clear().unwrap();
    assert_eq!(store.load(), Ok(None));
    store.save(&full(2)).unwrap();
    assert_eq!(store.load(), Ok(Some(full(2))));
}
