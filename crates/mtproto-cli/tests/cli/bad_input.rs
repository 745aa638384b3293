//! Promise: whatever is wrong with a command, a file or a server, the command says in one line what
//! it is, why, and what to do about it; and ends with the right number.

use std::fs;
use std::path::Path;

use crate::support::{Outcome, Served, directory, mtproto, public_key, text};

/// The command line, a file or an address is not usable.
const USAGE: i32 = 2;
/// The other side cannot be reached or does not answer.
const NETWORK: i32 = 3;

/// Runs a command that must fail with `code` and one line with all of `words` in it.
fn fails(args: &[&str], code: i32, words: &[&str]) {
    let Outcome { code: actual, stdout, stderr } = mtproto(args);
    assert_eq!(actual, code, "{args:?}: {stderr}");
    assert_eq!(stdout, "", "{args:?}");
    // The parser of the command line lists what is possible, and adds where to read more.
    let is_the_parsers = ["error: invalid value", "error: the following required arguments"]
        .iter()
        .any(|start| stderr.starts_with(start));
    let is_one_line = stderr.starts_with("mtproto: ") && stderr.trim_end().lines().count() == 1;
    assert!(is_the_parsers || is_one_line, "{args:?}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{args:?}: {word:?} is not in {stderr:?}");
    }
}

#[test]
fn a_server_cannot_start() {
    let (dir, other) = (directory(), directory());
    let served = Served::start(dir.path(), &[]);
    let serve = |args: &[&str], code, words: &[&str]| {
        let mut all = vec!["serve", "--dir", text(other.path())];
        all.extend(args);
        fails(&all, code, words);
    };
    serve(&["--listen", "nonsense"], USAGE, &["nonsense", "HOST:PORT"]);
    serve(&["--listen", "127.0.0.1:99999"], USAGE, &["127.0.0.1:99999", "HOST:PORT"]);
    let address = served.address.as_str();
    serve(&["--listen", address], NETWORK, &[address, "in use", "choose another port"]);
    serve(&["--listen", "203.0.113.1:0"], NETWORK, &["203.0.113.1", "choose"]);
    serve(&["--secret", "xyz"], USAGE, &["xyz", "32 hex digits"]);
    let nameless = "ee00112233445566778899aabbccddeeff";
    serve(&["--secret", nameless], USAGE, &[nameless, "domain", "append the hex of a name"]);
    serve(&["--site", "example.org"], USAGE, &["example.org", "HOST:PORT"]);
    serve(&["--tls-cert", "cert.pem"], USAGE, &["--tls-key"]);
    let unread = ["--tls-cert", "no.pem", "--tls-key", "no.pem"];
    serve(&unread, USAGE, &["no.pem", "No such file"]);
    serve(&["--tls-name", "a b"], USAGE, &["a b", "give a host name"]);
    serve(&["--web", "no/site"], USAGE, &["no/site", "No such file", "--web"]);
    serve(&["--handler", "nobody"], USAGE, &["nobody", "demo", "echo", "reject"]);
    serve(&["--grace", "soon"], USAGE, &["soon", "seconds"]);
    serve(&["--shards", "0"], USAGE, &["0", "--shards"]);

    fails(
        &["serve", "--dir", text(dir.path())],
        USAGE,
        &["server.redb", "in use by another server", "a directory of its own"],
    );
}

#[test]
fn a_directory_is_not_usable() {
    let dir = directory();
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").expect("a temporary file");
    for command in ["serve", "keygen"] {
        fails(&[command, "--dir", text(&file)], USAGE, &[text(&file), "choose another --dir"]);
    }
    let below = file.join("below");
    fails(&["serve", "--dir", text(&below)], USAGE, &[text(&below), "choose another --dir"]);
}

#[test]
fn a_server_has_a_broken_file() {
    for (name, contents, fix) in [
        ("private.pem", "no key", "restore it from a backup"),
        ("server.redb", "no database", "move it away"),
        ("tickets", "no tickets\n", "remove it to number tickets from 1 again"),
    ] {
        let dir = directory();
        let path = dir.path().join(name);
        fs::write(&path, contents).expect("a temporary file");
        fails(&["serve", "--dir", text(dir.path())], USAGE, &[text(&path), fix]);
        let kept = fs::read_to_string(&path).expect("it is still there");
        assert_eq!(kept, contents, "{name} is not touched");
    }
}

#[test]
fn a_client_is_told_something_unusable() {
    let dir = directory();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("garbage"), "garbage").expect("a temporary file");
    mtproto(&["keygen", "--dir", text(dir.path())]);
    let key = public_key(dir.path());
    let uri = "tcp://127.0.0.1:1";
    let ping = |args: &[&str], words: &[&str]| {
        let mut all = vec!["ping", uri, "--key", text(&key)];
        all.extend(args);
        fails(&all, USAGE, words);
    };
    ping(&["--framing", "zip"], &["zip", "abridged, intermediate, padded or full"]);
    ping(&["--secret", "12"], &["12", "32 hex digits"]);
    ping(&["--secret", "00112233445566778899aabbccddeeff6578616d706c65"], &["secret"]);
    let nameless = "ee00112233445566778899aabbccddeeff";
    ping(&["--secret", nameless], &[nameless, "domain", "append the hex of a name"]);
    ping(&["--framing", "full", "--obfuscated"], &["full", "choose another framing"]);
    let padded = "dd00112233445566778899aabbccddeeff";
    ping(&["--framing", "abridged", "--secret", padded], &["dd", "choose padded"]);
    let fake_tls = "ee00112233445566778899aabbccddeeff6578616d706c65";
    ping(&["--framing", "abridged", "--secret", fake_tls], &["ee", "choose padded"]);
    ping(&["--proxy", "localhost:1080"], &["localhost:1080", "socks5://HOST:PORT"]);
    ping(&["--tls-pin", "xyz"], &["xyz", "64"]);
    let missing = path("missing.pem");
    ping(&["--tls-ca", text(&missing)], &[text(&missing), "No such file"]);
    ping(&["--timeout=-1"], &["-1", "give seconds"]);
    ping(&["--timeout", "0"], &["0", "give seconds"]);
    ping(&["--dc", "100000"], &["100000", "--dc"]);
    let garbage = path("garbage");
    ping(&["--session", text(&garbage)], &[text(&garbage), "not a session file", "move it away"]);
    let nowhere = path("no/where");
    ping(&["--session", text(&nowhere)], &[text(&nowhere), "directory"]);

    let with_key = |file: &Path, words: &[&str]| {
        fails(&["ping", uri, "--key", text(file)], USAGE, words);
    };
    let fix = "give the server's public.pem";
    with_key(&path("missing.pem"), &["missing.pem", "No such file", fix]);
    with_key(&garbage, &[text(&garbage), "not an RSA key", fix]);
    with_key(&path("private.pem"), &["private.pem", "not an RSA key", fix]);

    let with_uri = |uri: &str, words: &[&str]| {
        fails(&["ping", uri, "--key", text(&key)], USAGE, words);
    };
    with_uri("127.0.0.1:1", &["127.0.0.1:1", "tcp://"]);
    with_uri("gopher://127.0.0.1:1", &["gopher://127.0.0.1:1", "tcp://", "https://"]);
    with_uri("http://127.0.0.1:1/index.html", &["/index.html", "/apiws"]);
    with_uri("tg://proxy?server=h&port=1", &["the proxy link has no secret", "secret=SECRET"]);
    with_uri("tcp://127.0.0.1", &["tcp://127.0.0.1", "port"]);
    with_uri("tcp://127.0.0.1:70000", &["tcp://127.0.0.1:70000", "port"]);

    let call = |args: &[&str], words: &[&str]| {
        let mut all = vec!["call", uri, "--key", text(&key)];
        all.extend(args);
        fails(&all, USAGE, words);
    };
    call(&["--hex", "zz"], &["zz", "not hexadecimal", "hex digits"]);
    call(&["--hex", "123"], &["123", "odd number", "hex digits"]);
    call(&["--hex", "010203"], &["010203", "3 bytes", "4-byte words"]);
    call(&["--hex", ""], &["0 bytes", "4-byte words"]);
    call(&["--demo", "dance:now"], &["dance:now", "no such request", "echo:TEXT"]);
    call(&["--demo", "sleep:long"], &["sleep:long", "no whole number; give one"]);
    call(&["--demo", "take:me"], &["take:me", "no whole number; give one"]);
    call(&["--demo", "fail:x:Y"], &["fail:x:Y", "no whole number; give one"]);
}

#[test]
fn a_server_is_not_there() {
    let dir = directory();
    mtproto(&["keygen", "--dir", text(dir.path())]);
    let key = public_key(dir.path());
    // Nobody listens on a port that was given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let uri = format!("tcp://{}", port.local_addr().expect("it is bound"));
    drop(port);
    for command in [&["ping"][..], &["call", "--demo", "echo:hi"]] {
        let mut args = command.to_vec();
        args.extend([uri.as_str(), "--key", text(&key), "--timeout", "1"]);
        fails(&args, NETWORK, &[&uri, "refused", "check"]);
    }
    let uri = "tcp://no-such-host.invalid:4430";
    let ping = ["ping", uri, "--key", text(&key), "--timeout", "5"];
    fails(&ping, NETWORK, &[uri, "resolve", "check"]);
}

#[test]
fn a_server_is_another_one_than_meant() {
    let (dir, other) = (directory(), directory());
    let secret = "00112233445566778899aabbccddeeff";
    let served = Served::start(dir.path(), &["--secret", secret, "--dc", "2"]);
    mtproto(&["keygen", "--dir", text(other.path())]);
    let (uri, key) = (served.uri(), public_key(dir.path()));

    let other_key = public_key(other.path());
    let ping = ["ping", &uri, "--key", text(&other_key), "--timeout", "5"];
    fails(&ping, NETWORK, &[&uri, "none of the trusted RSA keys", "public.pem"]);
    let wrong = "ff112233445566778899aabbccddeeff";
    let ping = ["ping", &uri, "--key", text(&key), "--timeout", "2", "--secret", wrong];
    fails(&ping, NETWORK, &[&uri, "no answer", "--secret"]);
    let ping = ["ping", &uri, "--key", text(&key), "--timeout", "5", "--dc", "4"];
    fails(&ping, NETWORK, &[&uri, "another data centre", "--dc"]);
    // And the right one works.
    let ping = ["ping", &uri, "--key", text(&key), "--secret", secret, "-n", "1"];
    assert_eq!(mtproto(&ping).code, 0);
}

#[test]
fn a_server_cannot_be_loaded() {
    let (dir, other) = (directory(), directory());
    let served = Served::start(dir.path(), &["--exchanges-per-ip", "20"]);
    mtproto(&["keygen", "--dir", text(other.path())]);
    let (uri, key, other_key) = (served.uri(), public_key(dir.path()), public_key(other.path()));
    let bench = |uri: &str, args: &[&str], code, words: &[&str]| {
        let mut all = vec!["bench", uri, "--key", text(&key), "--seconds", "0.1"];
        all.extend(args);
        fails(&all, code, words);
    };
    bench("ws://127.0.0.1:1", &[], USAGE, &["ws://127.0.0.1:1", "tcp://HOST:PORT"]);
    bench(&uri, &["--connections", "0"], USAGE, &["0", "--connections"]);
    bench(&uri, &["--containers", "2000"], USAGE, &["2000", "--containers", "1019"]);
    bench(&uri, &["--pid", "999999999"], USAGE, &["--pid 999999999", "give the server's own"]);
    bench(&uri, &["--framing", "full", "--obfuscated"], USAGE, &["full", "obfuscat"]);
    let fake_tls = "ee00112233445566778899aabbccddeeff612e62";
    bench(&uri, &["--secret", fake_tls], USAGE, &["--secret", "fake TLS", "give"]);
    bench("tcp://127.0.0.1:1", &[], NETWORK, &["refused", "check the address"]);

    let unknown = ["bench", &uri, "--key", text(&other_key)];
    fails(&unknown, NETWORK, &["no RSA key that is trusted", "--key"]);
    let many = ["--handshakes", "--connections", "50"];
    bench(&uri, &many, NETWORK, &["transport flood", "--exchanges-per-ip"]);
}

#[test]
fn a_server_has_lost_the_key_of_a_session_file() {
    let (dir, home) = (directory(), directory());
    let (key, session) = (public_key(dir.path()), home.path().join("client.session"));
    let served = Served::start(dir.path(), &[]);
    let (address, uri) = (served.address.clone(), served.uri());
    let ping = ["ping", &uri, "--key", text(&key), "--session", text(&session), "-n", "1"];
    assert_eq!(mtproto(&ping).code, 0);
    served.kill();
    fs::remove_file(dir.path().join("server.redb")).expect("it was there");
    let _served = Served::start(dir.path(), &["--listen", &address]);
    fails(&ping, NETWORK, &[&uri, "does not know auth key", "--session"]);
}
