//! The store keeps the promises of every key store, and those of a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mtproto_store::conformance::keys::{permanent, temporary};
use mtproto_store::conformance::start;
use mtproto_store::{Bound, Inserted, KeyStore, StoreError};
use mtproto_store_redb::{CHANGES_PER_COMMIT_MAX, OpenError, RedbKeyStore};
use redb::{Database, ReadableDatabase, TableDefinition};
use tempfile::{TempDir, tempdir};

mtproto_store::key_store_suite!(async || {
    let dir = tempdir().unwrap();
    (Arc::new(RedbKeyStore::open(dir.path().join("server.redb")).unwrap()), dir)
});

fn directory() -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("server.redb");
    (dir, path)
}

/// Opens what must not open, and returns the one line that says why.
fn refused(path: &Path) -> (OpenError, String) {
    let error = RedbKeyStore::open(path).unwrap_err();
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1);
    assert!(line.contains(path.to_str().unwrap()), "{line}");
    (error, line)
}

#[tokio::test]
async fn keys_bindings_and_the_secret_outlive_a_restart() {
    let (_dir, path) = directory();
    let store = RedbKeyStore::open(&path).unwrap();
    let secret = store.server_secret().await.unwrap();
    for record in [&permanent(1), &temporary(2, 10)] {
        assert_eq!(store.insert_new(record, start()).await, Ok(Inserted::Created));
    }
    let bound = store.bind(temporary(2, 10).id(), permanent(1).id(), start()).await;
    assert_eq!(bound, Ok(Bound::Done { replaced: None }));
    drop(store);

    let store = RedbKeyStore::open(&path).unwrap();
    assert_eq!(store.server_secret().await, Ok(secret));
    assert_eq!(store.get(permanent(1).id(), start()).await, Ok(Some(permanent(1))));
    let temporary = store.get(temporary(2, 10).id(), start()).await.unwrap().unwrap();
    assert_eq!(temporary.kind.bound_to(), Some(permanent(1).id()));
}

#[tokio::test]
async fn two_stores_have_two_secrets() {
    let (_one, _other) = (directory(), directory());
    let secret = async |path: &Path| RedbKeyStore::open(path).unwrap().server_secret().await;
    assert_ne!(secret(&_one.1).await, secret(&_other.1).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn more_changes_than_one_commit_takes_are_all_made() {
    let (_dir, path) = directory();
    let store = Arc::new(RedbKeyStore::open(&path).unwrap());
    let changes = 2 * CHANGES_PER_COMMIT_MAX as u64 + 1;
    let tasks: Vec<_> = (0..changes)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.insert_new(&permanent(n), start()).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(Inserted::Created));
    }
    for n in 0..changes {
        assert_eq!(store.get(permanent(n).id(), start()).await, Ok(Some(permanent(n))));
    }
}

#[test]
fn a_file_in_use_is_refused_until_it_is_free() {
    let (_dir, path) = directory();
    let first = RedbKeyStore::open(&path).unwrap();
    let (error, line) = refused(&path);
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(line.contains("is in use by another server"), "{line}");
    drop(first);
    RedbKeyStore::open(&path).unwrap();
}

#[test]
fn a_file_of_another_kind_is_refused_and_left_alone() {
    let (_dir, path) = directory();
    for text in [&b""[..], b"hello\n", &[0; 8192]] {
        fs::write(&path, text).unwrap();
        let (error, _) = refused(&path);
        assert!(matches!(error, OpenError::Foreign { .. }));
        assert_eq!(fs::read(&path).unwrap(), text);
    }
}

#[test]
fn a_redb_file_of_somebody_else_is_refused() {
    let (_dir, path) = directory();
    drop(Database::create(&path).unwrap());
    assert!(matches!(refused(&path).0, OpenError::Foreign { .. }));
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let (_dir, path) = directory();
    drop(RedbKeyStore::open(&path).unwrap());
    overwrite::<&str>(&path, "meta", "format", &2_u32.to_le_bytes());
    let (error, line) = refused(&path);
    assert!(matches!(error, OpenError::Version { found: 2, .. }));
    assert!(line.contains("version 2, and this program knows 1"), "{line}");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let (_dir, path) = directory();
    let (error, line) = refused(&path.join("nowhere").join("server.redb"));
    assert!(matches!(error, OpenError::Io { .. }));
    assert!(line.contains("check that its directory exists"), "{line}");
}

#[test]
fn what_a_crash_left_of_a_new_file_is_in_nobodys_way() {
    let (dir, path) = directory();
    fs::write(dir.path().join("server.redb.new"), "half a database").unwrap();
    drop(RedbKeyStore::open(&path).unwrap());
    assert!(!dir.path().join("server.redb.new").exists());
}

#[tokio::test]
async fn a_damaged_record_concerns_its_own_key_only() {
    let (_dir, path) = directory();
    let store = RedbKeyStore::open(&path).unwrap();
    for n in 1..=2 {
        assert_eq!(store.insert_new(&permanent(n), start()).await, Ok(Inserted::Created));
    }
    drop(store);
    overwrite::<u64>(&path, "keys", permanent(1).id().0, b"damaged");

    let store = RedbKeyStore::open(&path).unwrap();
    let corrupt = StoreError::Corrupt { what: "an auth key's record" };
    assert_eq!(store.get(permanent(1).id(), start()).await, Err(corrupt.clone()));
    let (again, new) = (permanent(1), permanent(3));
    let both = tokio::join!(store.insert_new(&again, start()), store.insert_new(&new, start()));
    assert_eq!(both, (Err(corrupt), Ok(Inserted::Created)));
    assert_eq!(store.get(permanent(2).id(), start()).await, Ok(Some(permanent(2))));
}

/// Puts other bytes in the place of a value.
fn overwrite<K: redb::Key + 'static>(path: &Path, table: &str, key: K::SelfType<'_>, value: &[u8]) {
    let database = Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = TableDefinition::<K, &[u8]>::new(table);
    transaction.open_table(table).unwrap().insert(key, value).unwrap();
    transaction.commit().unwrap();
    assert!(database.begin_read().unwrap().open_table(table).is_ok());
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (_dir, path) = directory();
    drop(RedbKeyStore::open(&path).unwrap());
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(RedbKeyStore::open(&path).unwrap());
    assert_eq!(mode(&path), 0o600);
}
