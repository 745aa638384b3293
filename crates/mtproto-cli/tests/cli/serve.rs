//! Promise: `mtproto serve` says where it is, keeps its keys through anything, and stops as it is
//! told.

use std::process::Stdio;
use std::time::Duration;

use crate::support::{Served, command, directory, mtproto, pause, public_key, succeed, text};
use serde_json::Value;

#[test]
fn the_first_line_says_where_it_is_once_it_is_there() {
    let dir = directory();
    let served = Served::start(dir.path(), &["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    let key = public_key(dir.path());
    assert!(key.is_file() && dir.path().join("private.pem").is_file());
    assert!(dir.path().join("server.redb").is_file());
    let line = &served.first_line;
    assert!(line.starts_with("listening on tcp://127.0.0.1:"), "{line}");
    assert_eq!(line.matches("tcp://127.0.0.1:").count(), 2, "{line}");
    assert!(line.contains(text(&key)), "{line}");
    // Both the port and the key are good already.
    succeed(&["ping", &served.uri(), "--key", text(&key), "-n", "1"]);
}

#[test]
fn the_first_line_is_one_json_object_if_asked_for() {
    let dir = directory();
    let served = Served::start(dir.path(), &["--json"]);
    let line: Value = serde_json::from_str(&served.first_line).expect("JSON");
    assert_eq!(line["event"], "listening");
    assert_eq!(line["addresses"][0], served.address.as_str());
    assert_eq!(line["public_key"], text(&public_key(dir.path())));
    let fingerprint = line["fingerprint"].as_str().expect("a string");
    assert!(fingerprint.len() == 16 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()));
    drop(served);

    // The pair stays, and so does its fingerprint.
    let again = Served::start(dir.path(), &["--json"]);
    let line: Value = serde_json::from_str(&again.first_line).expect("JSON");
    assert_eq!(line["fingerprint"], fingerprint);
}

#[test]
fn the_second_line_says_which_certificate_it_shows() {
    let dir = directory();
    let rest = |args: &[&str]| {
        let mut served = Served::start(dir.path(), args);
        served.signal("-TERM");
        served.rest()
    };
    let fingerprint = |line: &str| line.trim_end().rsplit(' ').next().map(str::to_owned);
    let made = rest(&[]);
    assert!(made.starts_with("made a self-signed certificate: "), "{made}");
    assert!(made.contains("cert.pem, SHA-256 "), "{made}");
    let again = rest(&[]);
    assert!(again.starts_with("certificate ") && again.contains("cert.pem, SHA-256 "), "{again}");
    assert_eq!(fingerprint(&again), fingerprint(&made));
    assert_eq!(rest(&["--no-tls"]), "");
}

#[test]
fn the_private_key_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = directory();
    let _served = Served::start(dir.path(), &[]);
    let private = dir.path().join("private.pem").metadata().expect("it is there");
    assert_eq!(private.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_killed_server_still_knows_its_clients() {
    let (dir, home) = (directory(), directory());
    let (key, session) = (public_key(dir.path()), home.path().join("client.session"));
    let mut served = Served::start(dir.path(), &[]);
    let (address, uri) = (served.address.clone(), served.uri());
    let ping =
        ["ping", &uri, "--key", text(&key), "--session", text(&session), "-n", "1", "--json"];
    let first: Value = serde_json::from_str(&succeed(&ping)).expect("JSON");
    assert_eq!(first["key_reused"], false);
    assert!(first["key_exchange_ms"].is_number());
    for _ in 0..3 {
        served.kill();
        served = Served::start(dir.path(), &["--listen", &address]);
        let again: Value = serde_json::from_str(&succeed(&ping)).expect("JSON");
        assert_eq!(again["key_reused"], true);
        assert!(again["key_exchange_ms"].is_null());
        assert_eq!(again["key"], first["key"]);
    }
    let words = succeed(&ping[..ping.len() - 1]);
    assert!(words.contains("used stored key"), "{words}");
}

#[test]
fn a_signal_lets_answers_go_out_first() {
    for signal in ["-TERM", "-INT"] {
        let dir = directory();
        let mut served = Served::start(dir.path(), &["--grace", "20", "--no-tls"]);
        let (key, uri) = (public_key(dir.path()), served.uri());
        let call = ["call", &uri, "--key", text(&key), "--demo", "sleep:4000"];
        let call = command(&call).stdout(Stdio::piped()).spawn().expect("the binary runs");
        pause(Duration::from_secs(2));
        served.signal(signal);
        let call = call.wait_with_output().expect("it ends");
        assert!(call.status.success(), "{signal}: {call:?}");
        assert_eq!(String::from_utf8_lossy(&call.stdout), "done\n", "{signal}");
        assert_eq!(served.wait().code(), Some(0), "{signal}");
        assert_eq!(served.rest(), "", "{signal}");
        let late = mtproto(&["ping", &uri, "--key", text(&key), "--timeout", "1"]);
        assert_eq!(late.code, 3, "{signal}: {late:?}");
    }
}

#[test]
fn a_signal_is_obeyed_in_bounded_time() {
    let dir = directory();
    let mut served = Served::start(dir.path(), &["--grace", "1"]);
    let (key, uri) = (public_key(dir.path()), served.uri());
    let call = ["call", &uri, "--key", text(&key), "--demo", "sleep:600000", "--timeout", "600"];
    let mut call = command(&call).stdout(Stdio::piped()).spawn().expect("the binary runs");
    pause(Duration::from_secs(2));
    served.signal("-TERM");
    // Ends when the process does; that it does is the test.
    assert_eq!(served.wait().code(), Some(0));
    call.kill().expect("it still waits for its answer");
    call.wait().expect("it was killed");
}

#[test]
fn a_second_signal_means_now() {
    let dir = directory();
    let mut served = Served::start(dir.path(), &["--grace", "600"]);
    let (key, uri) = (public_key(dir.path()), served.uri());
    let call = ["call", &uri, "--key", text(&key), "--demo", "sleep:600000", "--timeout", "600"];
    let mut call = command(&call).stdout(Stdio::piped()).spawn().expect("the binary runs");
    pause(Duration::from_secs(2));
    served.signal("-INT");
    pause(Duration::from_millis(500));
    served.signal("-INT");
    assert_eq!(served.wait().code(), Some(0));
    call.kill().expect("it still waits for its answer");
    call.wait().expect("it was killed");
}
