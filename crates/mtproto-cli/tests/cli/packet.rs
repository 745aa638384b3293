//! Promise: what `mtproto packet` seals can be posted by any tool, and it opens what comes back.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use crate::support::{Served, command, directory, mtproto, public_key, succeed, text};

/// Posts `body` as curl would.
fn post(address: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let head = format!(
        "POST /api HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let head_len = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", answer[..head_len].escape_ascii());
    answer.split_off(head_len)
}

fn seal(session: &Path, args: &[&str]) -> Vec<u8> {
    let mut all = vec!["packet", "seal", "--session", text(session)];
    all.extend(args);
    let output = command(&all).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn open(session: &Path, packet: &[u8]) -> String {
    let mut child = command(&["packet", "open", "--session", text(session)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("it is piped").write_all(packet).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8(output.stdout).expect("text")
}

// req: S61, S81, S89
#[test]
fn a_long_poll_can_be_done_by_hand() {
    let dir = directory();
    let served = Served::start(dir.path(), &[]);
    let (session, answer) = (dir.path().join("me.session"), dir.path().join("answer.bin"));
    let key = public_key(dir.path());
    let uri = format!("http://{}", served.address);
    succeed(&["ping", &uri, "--key", text(&key), "--session", text(&session), "-n", "1"]);

    let wait = ["--http-wait", "0,0,300"];
    let first = post(&served.address, &seal(&session, &wait));
    let said = open(&session, &first);
    assert!(said.contains("new_session_created"), "{said}");
    fs::write(&answer, &first).expect("a temporary file");

    let ack = ["--ack", text(&answer), "--http-wait", "0,0,300"];
    let second = post(&served.address, &seal(&session, &ack));
    let said = open(&session, &second);
    assert!(said.starts_with("msg_container") && said.lines().count() == 1, "empty: {said}");

    let pong = post(&served.address, &seal(&session, &["--ping"]));
    assert!(open(&session, &pong).contains("pong"), "a pong");
}

#[test]
fn what_is_no_packet_is_refused_in_one_line() {
    let (dir, other) = (directory(), directory());
    let served = Served::start(dir.path(), &[]);
    let (session, stranger) = (dir.path().join("me.session"), other.path().join("other.session"));
    let key = public_key(dir.path());
    for file in [&session, &stranger] {
        succeed(&["ping", &served.uri(), "--key", text(&key), "--session", text(file), "-n", "1"]);
    }
    let packet = dir.path().join("packet.bin");
    let check = |args: &[&str], code: i32, said: &str| {
        let outcome = mtproto(&[&["packet", "seal"], args].concat());
        assert_eq!(outcome.code, code, "{args:?}: {outcome:?}");
        assert!(outcome.stderr.contains(said), "{args:?}: {}", outcome.stderr);
    };
    let of = |session| ["--session", text(session), "--ack", text(&packet)];
    check(&of(&session), 2, "packet.bin");
    fs::write(&packet, seal(&stranger, &["--ping"])).expect("a temporary file");
    check(&of(&session), 1, "not of this session's");
    fs::write(&packet, seal(&session, &["--ping"])).expect("a temporary file");
    check(&of(&session), 1, "does not open under its key");
    fs::write(&packet, "abc").expect("a temporary file");
    check(&of(&session), 1, "3 bytes are no packet");
    check(&["--session", text(&session)], 2, "--http-wait");
    check(&["--session", text(&session), "--http-wait", "1,2"], 2, "0,0,25000");
    check(&["--session", text(&session), "--ping", "--dc", "4"], 2, "no key of data centre 4");
}
