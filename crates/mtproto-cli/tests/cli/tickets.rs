//! Promise: `demo.take` gives each holder one ticket, whatever happens to the server.

use std::fs;
use std::path::Path;

use crate::support::{Outcome, Served, directory, mtproto, public_key, text};

fn take(served: &Served, dir: &Path, holder: &str) -> Outcome {
    let (uri, key) = (served.uri(), public_key(dir));
    mtproto(&["call", &uri, "--key", text(&key), "--demo", &format!("take:{holder}")])
}

#[test]
fn a_ticket_outlives_a_killed_server() {
    let dir = directory();
    let log = dir.path().join("tickets");
    let mut served = Served::start(dir.path(), &[]);
    assert_eq!(take(&served, dir.path(), "70").stdout, "ticket 1\n");
    assert_eq!(take(&served, dir.path(), "-5").stdout, "ticket 2\n");
    assert_eq!(take(&served, dir.path(), "70").stdout, "ticket 1\n");
    served.kill();
    // A line that the kill cut short is of a query that nobody has an answer to.
    let whole = fs::read_to_string(&log).expect("it is there");
    fs::write(&log, format!("{whole}9 3 0011")).expect("a temporary file");

    served = Served::start(dir.path(), &[]);
    assert_eq!(take(&served, dir.path(), "8").stdout, "ticket 3\n");
    assert_eq!(take(&served, dir.path(), "-5").stdout, "ticket 2\n");
    let text = fs::read_to_string(&log).expect("it is there");
    let lines: Vec<Vec<_>> = text.lines().map(|line| line.split(' ').collect()).collect();
    let tickets: Vec<_> = lines.iter().map(|words| (words[0], words[1])).collect();
    assert_eq!(tickets, [("70", "1"), ("-5", "2"), ("70", "1"), ("8", "3"), ("-5", "2")]);
    assert!(lines.iter().all(|words| words.len() == 5), "{text}");
}

#[test]
fn a_directory_has_so_many_tickets() {
    let dir = directory();
    let lines: String = (1..100_000).map(|number| format!("{number} {number} a b c\n")).collect();
    fs::write(dir.path().join("tickets"), lines).expect("a temporary file");
    let served = Served::start(dir.path(), &[]);
    assert_eq!(take(&served, dir.path(), "-1").stdout, "ticket 100000\n");
    let refused = take(&served, dir.path(), "-1");
    assert_eq!(refused.code, 1);
    assert_eq!(refused.stderr, "mtproto: rpc error 400: TICKETS_EXHAUSTED\n");
}
