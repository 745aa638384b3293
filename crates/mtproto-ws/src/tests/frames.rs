//! The frames alone.

use mtproto_crypto::{SecureRandom, SecureRandomExt, SeededRandom};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{MASK, frame};
use crate::frames::{CloseReason, Deframer, End, WsFault};

const BINARY: OpCode = OpCode::Data(Data::Binary);
const CONTINUE: OpCode = OpCode::Data(Data::Continue);
const PING: OpCode = OpCode::Control(Control::Ping);
const CLOSE: OpCode = OpCode::Control(Control::Close);

const MESSAGE_LEN_MAX: u64 = 100_000;

fn server() -> Deframer {
    Deframer::new(true, MESSAGE_LEN_MAX)
}

/// What `deframer` makes of `bytes` that come `step` at a time.
fn take(deframer: &mut Deframer, bytes: &[u8], step: usize) -> Vec<u8> {
    let mut carried = Vec::new();
    for piece in bytes.chunks(step) {
        let mut piece = piece.to_vec();
        let count = deframer.take(&mut piece);
        carried.extend_from_slice(&piece[..count]);
    }
    carried
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| at as u8).collect()
}

// req: S75
#[test]
fn messages_are_one_stream_however_they_are_cut() {
    for masked in [true, false] {
        let mask = MASK.filter(|_| masked);
        let sent = [
            frame(BINARY, true, mask, &bytes(1)),
            frame(BINARY, true, mask, b""),
            frame(BINARY, false, mask, &bytes(125)),
            frame(PING, true, mask, b"early"),
            frame(CONTINUE, false, mask, b""),
            frame(CONTINUE, false, mask, &bytes(126)),
            frame(PING, true, mask, b"still there?"),
            frame(CONTINUE, true, mask, &bytes(65_536)),
            frame(BINARY, true, mask, &bytes(3)),
        ]
        .concat();
        let lengths = [1, 0, 125, 0, 126, 65_536, 3];
        let carried: Vec<_> = lengths.into_iter().flat_map(bytes).collect();
        for step in (1..40).chain([1000, sent.len() - 1, sent.len()]) {
            let mut deframer = Deframer::new(masked, MESSAGE_LEN_MAX);
            assert!(take(&mut deframer, &sent, step) == carried, "{step} at a time");
            assert_eq!(deframer.take_ping().as_deref(), Some(&b"still there?"[..]));
            assert_eq!(deframer.take_ping(), None);
            assert_eq!(deframer.end(), None);
        }
    }
}

#[test]
fn every_broken_rule_has_its_code() {
    let text = OpCode::Data(Data::Text);
    let reserved = |frame: Vec<u8>, bit: u8| [&[frame[0] | bit], &frame[1..]].concat();
    let good = || frame(BINARY, true, MASK, b"good");
    let long = bytes(126);
    for (fault, code, sent) in [
        (WsFault::Mask { expected: true }, 1002, frame(BINARY, true, None, b"bare")),
        (WsFault::Mask { expected: true }, 1002, frame(PING, true, None, b"bare")),
        (WsFault::Text, 1003, frame(text, true, MASK, b"text")),
        (WsFault::Header, 1002, reserved(good(), 0x40)),
        (WsFault::Header, 1002, reserved(good(), 0x10)),
        (WsFault::Header, 1002, reserved(good(), 0x04)),
        (WsFault::Control, 1002, frame(PING, false, MASK, b"")),
        (WsFault::Control, 1002, frame(PING, true, MASK, &long)),
        (WsFault::Control, 1002, frame(CLOSE, true, MASK, b"1")),
        (WsFault::Control, 1002, frame(CLOSE, true, MASK, b"\x03\xe8\xff")),
        (WsFault::Sequence, 1002, frame(CONTINUE, true, MASK, b"of what?")),
        (WsFault::Sequence, 1002, [frame(BINARY, false, MASK, b""), good()].concat()),
    ] {
        for step in [1, 5, 1000] {
            let mut deframer = server();
            let sent = [good(), sent.clone(), good()].concat();
            assert_eq!(take(&mut deframer, &sent, step), b"good", "{fault}");
            assert_eq!(deframer.end(), Some(&End::Fault(fault)), "{fault}");
            assert_eq!(fault.close_code(), code, "{fault}");
        }
    }
    let mut client = Deframer::new(false, MESSAGE_LEN_MAX);
    assert_eq!(take(&mut client, &good(), 1), b"");
    assert_eq!(client.end(), Some(&End::Fault(WsFault::Mask { expected: false })));
}

#[test]
fn a_message_has_a_limit_whatever_its_pieces() {
    let max = usize::try_from(MESSAGE_LEN_MAX).unwrap();
    let too_long = End::Fault(WsFault::MessageTooLong { max: MESSAGE_LEN_MAX });
    let longest = [
        frame(BINARY, true, MASK, &bytes(max)),
        frame(BINARY, false, MASK, &bytes(max - 1)),
        frame(CONTINUE, true, MASK, &bytes(1)),
        frame(BINARY, false, MASK, &bytes(max)),
    ]
    .concat();
    let mut deframer = server();
    assert_eq!(take(&mut deframer, &longest, 4096).len(), 3 * max);
    assert_eq!(deframer.end(), None);
    take(&mut deframer, &frame(CONTINUE, true, MASK, &bytes(1)), 4096);
    assert_eq!(deframer.end(), Some(&too_long));

    // Refused by the header alone, whatever it says.
    for header in [
        &b"\x82\xff\0\0\0\0\0\x01\x86\xa1mask"[..],
        b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffmask",
        b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffmask",
    ] {
        let mut deframer = server();
        take(&mut deframer, header, 1);
        assert_eq!(deframer.end(), Some(&too_long));
    }
}

#[test]
fn a_close_ends_the_stream_and_says_why() {
    let reason = CloseReason { code: 1000, text: "       404".to_owned() };
    let sent = [
        frame(BINARY, true, MASK, b"last"),
        frame(CLOSE, true, MASK, &reason.to_payload()),
        frame(BINARY, true, MASK, b"more"),
    ]
    .concat();
    for step in 1..sent.len() {
        let mut deframer = server();
        assert_eq!(take(&mut deframer, &sent, step), b"last");
        assert_eq!(deframer.end(), Some(&End::Closed(reason.clone())));
    }
    let mut deframer = server();
    take(&mut deframer, &frame(CLOSE, true, MASK, b""), 1);
    let none = CloseReason { code: 1005, text: String::new() };
    assert_eq!(none.to_payload(), b"");
    assert_eq!(deframer.end(), Some(&End::Closed(none)));
}

#[test]
fn noise_ends_in_a_fault_or_is_carried() {
    for seed in 0..2000 {
        let mut random = SeededRandom::new(seed);
        let mut noise = vec![0; 600];
        random.fill(&mut noise);
        // As good as a header can be, so that more than the first bytes are reached.
        noise[0] = 0x80 | random.array::<1>()[0] & 0x0f;
        noise[1] |= 0x80;
        let (mut whole, mut pieces) = (server(), server());
        let carried = take(&mut whole, &noise, 600);
        assert!(carried.len() < noise.len());
        assert_eq!(take(&mut pieces, &noise, 7), carried, "seed {seed}");
        assert_eq!(pieces.end(), whole.end(), "seed {seed}");
    }
}
