//! Promise: every command does what its help says, for a person and for a script.

use std::path::Path;

use crate::support::{Served, directory, mtproto, public_key, succeed, text};
use serde_json::Value;

/// The result of `mtproto call`.
fn call(served: &Served, dir: &Path, query: &[&str]) -> String {
    let (uri, key) = (served.uri(), public_key(dir));
    let mut args = vec!["call", &uri, "--key", text(&key)];
    args.extend(query);
    succeed(&args)
}

#[test]
fn every_request_of_the_demo_schema_is_answered() {
    let dir = directory();
    let served = Served::start(dir.path(), &[]);
    let call = |demo| call(&served, dir.path(), &["--demo", demo]);
    assert_eq!(call("echo:hi"), "hi\n");
    assert_eq!(call("echo:"), "\n");
    assert_eq!(call("echo:ein langer Text: größer"), "ein langer Text: größer\n");
    assert_eq!(call("sleep:10"), "done\n");
    assert_eq!(call("blob:300000"), "300000 bytes\n");
    assert_eq!(call("subscribe:3"), "done\ntick 1 of 3\ntick 2 of 3\ntick 3 of 3\n");
    assert_eq!(call("take:-7"), "ticket 1\n");
    let key = public_key(dir.path());
    let fail = ["call", &served.uri(), "--key", text(&key), "--demo", "fail:420:FLOOD_WAIT_3"];
    let failed = mtproto(&fail);
    assert_eq!((failed.code, failed.stdout.as_str()), (1, ""));
    assert_eq!(failed.stderr, "mtproto: rpc error 420: FLOOD_WAIT_3\n");
}

#[test]
fn raw_bytes_go_out_and_come_back_as_hex() {
    let dir = directory();
    let served = Served::start(dir.path(), &["--handler", "echo"]);
    let hex = "0d0c0b0a11223344";
    assert_eq!(call(&served, dir.path(), &["--hex", hex]), format!("{hex}\n"));
    let json = call(&served, dir.path(), &["--hex", "0D0C 0B0A", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["hex"], "0d0c0b0a");
}

#[test]
fn a_server_that_rejects_does_so() {
    let dir = directory();
    let served = Served::start(dir.path(), &["--handler", "reject"]);
    let key = public_key(dir.path());
    let call = ["call", &served.uri(), "--key", text(&key), "--demo", "echo:hi"];
    let refused = mtproto(&call);
    assert_eq!(refused.code, 1);
    assert_eq!(refused.stderr, "mtproto: rpc error 400: METHOD_INVALID\n");
}

#[test]
fn ping_goes_over_every_framing() {
    let dir = directory();
    let secret = "00112233445566778899aabbccddeeff";
    let padded = format!("dd{secret}");
    let fake_tls = format!("ee{secret}7777772e6578616d706c652e6f7267");
    let secrets = ["--secret", secret, "--secret", &padded, "--secret", &fake_tls, "--strict"];
    let served = Served::start(dir.path(), &secrets);
    let (uri, key) = (served.uri(), public_key(dir.path()));
    let ways: [&[&str]; 12] = [
        &["--framing", "abridged"],
        &["--framing", "intermediate"],
        &["--framing", "padded"],
        &["--framing", "full"],
        &["--framing", "abridged", "--obfuscated"],
        &["--framing", "intermediate", "--obfuscated"],
        &["--framing", "padded", "--obfuscated"],
        &["--framing", "abridged", "--secret", secret],
        &["--secret", secret],
        &["--secret", &padded],
        &["--secret", &fake_tls],
        &["--pfs"],
    ];
    for way in ways {
        let mut ping = vec!["ping", &uri, "--key", text(&key), "-n", "3", "--json"];
        ping.extend(way);
        let result: Value = serde_json::from_str(&succeed(&ping)).expect("JSON");
        assert_eq!(result["pings"], 3, "{way:?}");
        assert!(result["median_ms"].as_f64() > Some(0.0), "{way:?}");
    }
    let words = succeed(&["ping", &uri, "--key", text(&key), "-n", "2"]);
    let lines: Vec<_> = words.lines().collect();
    assert_eq!(lines.len(), 4, "{words}");
    assert!(lines[0].starts_with(&format!("connected to {uri}: made key ")), "{words}");
    assert!(lines[3].starts_with("2 pongs: min "), "{words}");
}

#[test]
fn keygen_makes_a_pair_that_serve_takes_and_keygen_keeps() {
    let dir = directory();
    let path = text(dir.path());
    let made: Value =
        serde_json::from_str(&succeed(&["keygen", "--dir", path, "--json"])).expect("JSON");
    assert_eq!(made["public_key"], text(&public_key(dir.path())));
    let private = std::fs::read_to_string(dir.path().join("private.pem")).expect("it is there");
    assert!(private.starts_with("-----BEGIN RSA PRIVATE KEY-----"));

    let fingerprint = made["fingerprint"].as_str().expect("a string");
    let words = succeed(&["keygen", "--dir", path]);
    assert!(words.contains(fingerprint), "{words}");
    let served = Served::start(dir.path(), &[]);
    assert!(served.first_line.contains(fingerprint), "{}", served.first_line);
    assert_eq!(
        std::fs::read_to_string(dir.path().join("private.pem")).expect("it is there"),
        private
    );
}

#[test]
fn the_demonstration_is_green() {
    let demo = mtproto(&["demo", "--seconds", "0.05", "--json"]);
    assert_eq!(demo.code, 0, "{demo:?}");
    let table: Value = serde_json::from_str(&demo.stdout).expect("JSON");
    let rows = table["rows"].as_array().expect("rows");
    // Four framings, three of them obfuscated, three kinds of secret, four transports of the web.
    assert_eq!(rows.len(), 14, "{table}");
    let words = mtproto(&["demo", "--seconds", "0.05"]);
    assert_eq!(words.code, 0, "{words:?}");
    for word in ["abridged", "intermediate", "padded", "full", "ws ", "wss", "http ", "https"] {
        assert!(words.stdout.contains(word), "{}", words.stdout);
    }
}

// req: S73, S79, S81, S116
#[test]
fn ping_goes_over_the_web_and_through_links() {
    let dir = directory();
    let secret = "ee00112233445566778899aabbccddeeff7777772e6578616d706c652e6f7267";
    let served = Served::start(dir.path(), &["--secret", secret, "--json"]);
    let line: Value = serde_json::from_str(&served.first_line).expect("JSON");
    let pin = line["tls"]["sha256"].as_str().expect("a fingerprint");
    let certificate = line["tls"]["certificate"].as_str().expect("a path");
    let (address, key) = (served.address.as_str(), public_key(dir.path()));
    let (host, port) = address.rsplit_once(':').expect("HOST:PORT");
    let ping = |uri: &str, args: &[&str]| {
        let mut ping = vec!["ping", uri, "--key", text(&key), "-n", "2", "--json"];
        ping.extend(args);
        let result: Value = serde_json::from_str(&succeed(&ping)).expect("JSON");
        assert_eq!(result["pings"], 2, "{uri}");
        result["address"].as_str().expect("text").to_owned()
    };
    let named = format!("localhost:{port}");
    for (scheme, place, args) in [
        ("ws", address, &[][..]),
        ("http", &named, &[]),
        ("wss", &named, &["--tls-pin", pin]),
        ("wss", address, &["--tls-ca", certificate]),
        ("https", &named, &["--tls-ca", certificate]),
    ] {
        ping(&format!("{scheme}://{place}"), args);
    }
    let link = format!("proxy?server={host}&port={port}&secret={secret}");
    assert_eq!(ping(&format!("tg://{link}"), &[]), format!("tcp://{address}"));
    ping(&format!("https://t.me/{link}"), &[]);

    let uri = format!("wss://{named}");
    let stranger = mtproto(&["ping", &uri, "--key", text(&key), "--timeout", "3"]);
    assert_eq!(stranger.code, 3, "{stranger:?}");
    assert!(stranger.stderr.contains("--tls-ca"), "{stranger:?}");
}

#[test]
fn help_names_the_exit_codes() {
    let help = succeed(&["--help"]);
    assert!(help.contains("Exit codes"), "{help}");
    for command in ["call", "demo", "keygen", "packet", "ping", "secret", "serve", "uri"] {
        assert!(help.contains(command), "{help}");
        succeed(&[command, "--help"]);
    }
}
