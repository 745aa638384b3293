//! Promise: `mtproto bench` carries out each workload against a server, and tells what came of it.

use std::path::Path;

use serde_json::Value;

use crate::support::{Served, directory, public_key, succeed, text};

/// The figures of a short run.
fn bench(served: &Served, dir: &Path, args: &[&str]) -> Value {
    let (uri, key) = (served.uri(), public_key(dir));
    let mut all = vec!["bench", &uri, "--key", text(&key), "--json"];
    if !args.contains(&"--seconds") {
        all.extend(["--seconds", "0.2"]);
    }
    all.extend(args);
    serde_json::from_str(&succeed(&all)).expect("JSON")
}

#[test]
fn pings_come_back_over_every_framing() {
    let dir = directory();
    let secret = "00112233445566778899aabbccddeeff";
    let served = Served::start(dir.path(), &["--secret", secret]);
    let framings = ["abridged", "intermediate", "padded", "full"].map(|name| ["--framing", name]);
    let framings = framings.iter().map(<[_; 2]>::as_slice);
    let others = [["--obfuscated"].as_slice(), &["--secret", secret]];
    for args in framings.chain(others) {
        let mut all = vec!["--connections", "3", "--depth", "4", "--containers", "5"];
        all.extend(args);
        let figures = bench(&served, dir.path(), &all);
        assert_eq!(figures["workload"], "pings", "{args:?}");
        assert_eq!(figures["connections"], 3, "{args:?}");
        assert!(figures["pongs"].as_u64() > Some(0), "{args:?}: {figures}");
        assert!(figures["p50_ms"].as_f64() <= figures["max_ms"].as_f64(), "{args:?}: {figures}");
    }
}

#[test]
fn a_rate_is_kept_to_by_several_threads() {
    let dir = directory();
    let served = Served::start(dir.path(), &[]);
    let rate = ["--rate", "500", "--threads", "2", "--connections", "5"];
    let figures = bench(&served, dir.path(), &rate);
    assert_eq!(figures["threads"], 2);
    let all = figures["pongs"].as_u64().zip(figures["unanswered"].as_u64());
    assert_eq!(all.map(|(pongs, unanswered)| pongs + unanswered), Some(100), "{figures}");
    let slices = figures["p99_slices_ms"].as_f64();
    assert!(slices > Some(0.0) && slices <= figures["max_ms"].as_f64(), "{figures}");
}

#[test]
fn salts_that_change_under_load_are_followed() {
    let dir = directory();
    let served = Served::start(dir.path(), &["--salt-period", "1"]);
    let figures = bench(&served, dir.path(), &["--connections", "2", "--seconds", "2"]);
    assert!(figures["pongs"].as_u64() > Some(0), "{figures}");
}

#[test]
fn keys_are_exchanged_without_end() {
    let dir = directory();
    let served = Served::start(dir.path(), &["--exchanges-per-ip", "1000000"]);
    let figures = bench(&served, dir.path(), &["--handshakes", "--connections", "2"]);
    assert_eq!(figures["workload"], "handshakes");
    assert!(figures["handshakes"].as_u64() > Some(0), "{figures}");
    assert_eq!(figures["failed"], 0, "{figures}");
}

#[test]
fn idle_connections_are_held_and_a_storm_ends() {
    let dir = directory();
    let served = Served::start(dir.path(), &[]);
    let pid = served.pid().to_string();
    let idle = bench(&served, dir.path(), &["--idle", "70", "--pid", &pid]);
    assert_eq!((&idle["connections"], &idle["keys"]), (&70.into(), &2.into()));
    assert!(idle["server_bytes_after"].as_u64() > Some(0), "{idle}");
    let storm = bench(&served, dir.path(), &["--storm", "30", "--keys", "3"]);
    assert_eq!((&storm["connections"], &storm["keys"]), (&30.into(), &3.into()));
    assert!(storm["all_pongs_seconds"].as_f64() > Some(0.0), "{storm}");
}

#[test]
fn a_person_gets_a_table() {
    let dir = directory();
    let served = Served::start(dir.path(), &[]);
    let (uri, key) = (served.uri(), public_key(dir.path()));
    let table = succeed(&["bench", &uri, "--key", text(&key), "--seconds", "0.1"]);
    assert!(table.starts_with("pings\n"), "{table}");
    assert!(table.contains("pongs per second"), "{table}");
}
