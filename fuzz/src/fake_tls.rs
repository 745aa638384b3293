//! Streams that look like TLS: hellos, answers, records.

use mtproto_crypto::SeededRandom;
use mtproto_frame::Secret;
use mtproto_frame::fake_tls::{
    Accepted, Answer, ClientHandshake, Fault, Gate, HelloShape, RecordReader, Verdict,
};

use crate::choices::Choices;

const NOW: u32 = 1_763_000_000;
const DOMAIN: &str = "www.example.org";
/// Where a hello tells the time: the one part of it that its proof does not cover.
const TIME_AT: std::ops::Range<usize> = 39..43;

/// Lets both sides read what the other one says, changed on the way, or mere bytes.
///
/// Whoever changes a proven byte proves nothing, and no verdict depends on the pieces that the
/// bytes come in.
pub fn fake_tls(data: &[u8]) {
    let mut choices = Choices::new(data);
    let shape = choices.one_of(&[HelloShape::Classic, HelloShape::Modern]).unwrap_or_default();
    let random = &mut SeededRandom::new(1);
    let (client, hello) = ClientHandshake::start(&[5; 16].into(), DOMAIN, shape, NOW, random);
    match choices.below(3) {
        0 => check_hello(&hello, &mut choices),
        1 => check_answer(&client, &hello, &mut choices),
        _ => check_records(&mut choices),
    }
}

fn gate() -> Gate {
    let secret = Secret::FakeTls { key: [5; 16].into(), domain: DOMAIN.to_owned() };
    Gate::new(&[secret], SeededRandom::new(2)).expect("a secret for fake TLS")
}

fn check_hello(hello: &[u8], choices: &mut Choices<'_>) {
    let gate = gate();
    let sent = change(hello, choices);
    let part = choices.below(sent.len() + 1);
    let early = gate.check(&sent[..part], NOW);
    let whole = gate.check(&sent, NOW);
    match early {
        Verdict::Foreign(_) => assert!(matches!(whole, Verdict::Foreign(_)), "{whole:?}"),
        Verdict::Accept(_) => assert!(part == sent.len() || matches!(whole, Verdict::Foreign(_))),
        Verdict::NeedMore => {}
    }
    if let Verdict::Accept(_) = whole {
        let is_proven = |at: &usize| !TIME_AT.contains(at);
        assert!((0..hello.len()).filter(is_proven).all(|at| sent.get(at) == hello.get(at)));
    }
}

fn check_answer(client: &ClientHandshake, hello: &[u8], choices: &mut Choices<'_>) {
    let Verdict::Accept(Accepted { answer, .. }) = gate().check(hello, NOW) else {
        panic!("the client keeps the rules");
    };
    let sent = change(&answer, choices);
    let mut len = 0;
    // As a driver reads: never more than what is missing.
    loop {
        match client.check(&sent[..len]) {
            Ok(Answer::NeedMore(missing)) if len + missing <= sent.len() => {
                assert!(missing > 0);
                len += missing;
            }
            Ok(Answer::NeedMore(_)) | Err(_) => break,
            Ok(Answer::Proven) => {
                assert!(sent[..len] == answer, "what is changed proves nothing");
                break;
            }
        }
    }
}

/// `bytes` with some of them changed, cut, or replaced altogether.
fn change(bytes: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..choices.below(4) {
        if let Some(at) = choices.index(changed.len()) {
            changed[at] ^= choices.any::<u8>();
        }
    }
    if choices.once_in(4) {
        changed.truncate(choices.below(bytes.len() + 1));
        changed.extend_from_slice(choices.bytes(64));
    }
    changed
}

fn check_records(choices: &mut Choices<'_>) {
    let cuts = choices.bytes(32);
    let mut stream = Vec::new();
    for _ in 0..choices.below(6) {
        let kind = choices.one_of(&[0x17, 0x17, 0x14, 0x15]).unwrap_or_default();
        let bytes = choices.bytes(300);
        stream.extend([kind, 3, 3]);
        stream.extend((bytes.len() as u16).to_be_bytes());
        stream.extend_from_slice(bytes);
    }
    stream.extend_from_slice(choices.rest());
    let at_once = read(&stream, &[]);
    let in_pieces = read(&stream, cuts);
    match (&at_once, &in_pieces) {
        (Ok(one), Ok(other)) => assert!(one == other && one.len() <= stream.len()),
        (one, other) => assert_eq!(one.is_err(), other.is_err()),
    }
}

/// What comes out of `stream` in pieces of these lengths and a last one.
fn read(stream: &[u8], cuts: &[u8]) -> Result<Vec<u8>, Fault> {
    let (mut reader, mut rest, mut out) = (RecordReader::new(), stream, Vec::new());
    for len in cuts.iter().map(|len| usize::from(*len)).chain([stream.len()]) {
        let (piece, behind) = rest.split_at(len.min(rest.len()));
        rest = behind;
        let mut piece = piece.to_vec();
        let len = reader.unwrap(&mut piece)?;
        out.extend_from_slice(&piece[..len]);
    }
    Ok(out)
}
