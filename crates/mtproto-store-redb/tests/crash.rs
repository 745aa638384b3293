//! A key that was acknowledged is there after `kill -9`, whenever that comes.
//!
//! The test starts its own program again and again; each child stores keys as fast as it can and
//! says which are acknowledged, until it is killed.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::{env, process};

use mtproto_store::conformance::keys::permanent;
use mtproto_store::conformance::start;
use mtproto_store::{Inserted, KeyStore};
use mtproto_store_redb::RedbKeyStore;
use tokio::task::JoinSet;

const CYCLES: u64 = 20;

/// Where a child finds its file and the number of its first key.
const FILE: &str = "CRASH_TEST_FILE";
const FIRST: &str = "CRASH_TEST_FIRST";

/// Numbers of one child's keys lie below those of the next.
const KEYS_PER_CHILD_MAX: u64 = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_key_is_lost() {
    if let (Some(file), Ok(first)) = (env::var_os(FILE), env::var(FIRST)) {
        store_until_killed(&PathBuf::from(file), first.parse().unwrap()).await;
    }

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.redb");
    let mut acknowledged = BTreeSet::new();
    for cycle in 0..CYCLES {
        let child = child(&file, cycle * KEYS_PER_CHILD_MAX);
        // Some die while they open the file, the others with ever more keys behind them.
        let patience = if cycle % 5 == 0 { 0 } else { cycle * cycle };
        acknowledged.extend(kill_after(child, patience));

        let store = RedbKeyStore::open(&file).unwrap();
        for n in &acknowledged {
            let found = store.get(permanent(*n).id(), start()).await;
            assert_eq!(found, Ok(Some(permanent(*n))), "key {n} after cycle {cycle}");
        }
    }
    assert!(acknowledged.len() as u64 > CYCLES * CYCLES);
}

fn child(file: &Path, first: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "no_acknowledged_key_is_lost", "--nocapture"])
        .env(FILE, file)
        .env(FIRST, first.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills a child that has opened the file, or is about to, once it has said `patience` numbers;
/// returns all that it said.
fn kill_after(mut child: Child, patience: u64) -> Vec<u64> {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("opening"));
    let mut said: Vec<_> = lines.by_ref().take(patience.try_into().unwrap()).collect();
    child.kill().unwrap();
    said.extend(lines);
    child.wait().unwrap();
    said.into_iter().map(|line| line.parse().unwrap()).collect()
}

/// What a child does: eight tasks store one key after the other.
async fn store_until_killed(file: &Path, first: u64) {
    eprintln!("opening");
    let store = Arc::new(RedbKeyStore::open(file).unwrap());
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for n in (first + task..first + KEYS_PER_CHILD_MAX).step_by(8) {
                let inserted = store.insert_new(&permanent(n), start()).await;
                assert_eq!(inserted, Ok(Inserted::Created));
                // One write, so that a line is whole or not there.
                io::stderr().write_all(format!("{n}\n").as_bytes()).unwrap();
            }
        });
    }
    tasks.join_all().await;
    process::exit(0);
}
