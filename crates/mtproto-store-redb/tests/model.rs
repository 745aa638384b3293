//! Any sequence of operations gives the same results as in memory, also over restarts.

use std::time::Duration;

use mtproto_crypto::SeededRandom;
use mtproto_store::conformance::keys::{permanent, temporary};
use mtproto_store::conformance::start;
use mtproto_store::{KeyRecord, KeyStore, MemoryKeyStore};
use mtproto_store_redb::RedbKeyStore;
use proptest::collection::vec;
use proptest::prelude::*;

/// What can be done, with keys from a few, so that they meet.
#[derive(Clone, Debug)]
enum Operation {
    Insert { n: u64, life: Option<u32> },
    Get { n: u64 },
    Bind { temporary: u64, permanent: u64 },
    Remove { n: u64 },
    Wait { seconds: u64 },
    Restart,
}

fn operation() -> impl Strategy<Value = Operation> {
    let n = 0..6_u64;
    prop_oneof![
        4 => (n.clone(), proptest::option::of(1..40_u32))
            .prop_map(|(n, life)| Operation::Insert { n, life }),
        3 => n.clone().prop_map(|n| Operation::Get { n }),
        4 => (n.clone(), n.clone())
            .prop_map(|(temporary, permanent)| Operation::Bind { temporary, permanent }),
        1 => n.prop_map(|n| Operation::Remove { n }),
        2 => (1..15_u64).prop_map(|seconds| Operation::Wait { seconds }),
        1 => Just(Operation::Restart),
    ]
}

fn record(n: u64, life: Option<u32>) -> KeyRecord {
    life.map_or_else(|| permanent(n), |life| temporary(n, life))
}

async fn agree(operations: Vec<Operation>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.redb");
    let model = MemoryKeyStore::new(&mut SeededRandom::new(1));
    let mut store = RedbKeyStore::open(&path).unwrap();
    let mut now = start();
    let id = |n| permanent(n).id();
    for operation in operations {
        match operation {
            Operation::Insert { n, life } => {
                let record = record(n, life);
                let expected = model.insert_new(&record, now).await;
                assert_eq!(store.insert_new(&record, now).await, expected);
            }
            Operation::Get { n } => {
                assert_eq!(store.get(id(n), now).await, model.get(id(n), now).await);
            }
            Operation::Bind { temporary, permanent } => {
                let expected = model.bind(id(temporary), id(permanent), now).await;
                let bound = store.bind(id(temporary), id(permanent), now).await;
                assert_eq!(bound, expected);
            }
            Operation::Remove { n } => {
                assert_eq!(store.remove(id(n)).await, model.remove(id(n)).await);
            }
            Operation::Wait { seconds } => now = now.after(Duration::from_secs(seconds)),
            Operation::Restart => {
                drop(store);
                store = RedbKeyStore::open(&path).unwrap();
            }
        }
    }
    for n in 0..6 {
        assert_eq!(store.get(id(n), now).await, model.get(id(n), now).await);
    }
}

fn check(operations: Vec<Operation>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(agree(operations));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        // What is found becomes a named test below.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_file_and_the_memory_agree(operations in vec(operation(), 1..40)) {
        check(operations);
    }
}

#[test]
fn a_collision_clears_expired_keys_away_too() {
    check(vec![
        Operation::Insert { n: 0, life: None },
        Operation::Insert { n: 4, life: Some(1) },
        Operation::Wait { seconds: 2 },
        Operation::Insert { n: 0, life: None },
        Operation::Remove { n: 4 },
    ]);
}
