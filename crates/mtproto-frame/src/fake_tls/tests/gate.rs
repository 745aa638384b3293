//! Who is let in.

use proptest::prelude::*;

use super::*;

/// A hello of the classic shape without its extension of this number, unproven.
fn without_extension(hello: &[u8], id: [u8; 2]) -> Vec<u8> {
    // Behind the suites, which are sixteen, and the compressions.
    const LEN_AT: usize = 76 + 2 + 32 + 2;
    let mut at = LEN_AT + 2;
    while hello[at..at + 2] != id {
        at += 4 + usize::from(u16::from_be_bytes([hello[at + 2], hello[at + 3]]));
    }
    let len = 4 + usize::from(u16::from_be_bytes([hello[at + 2], hello[at + 3]]));
    let mut shorter = [&hello[..at], &hello[at + len..]].concat();
    for len_at in [3, 7, LEN_AT] {
        let old = u16::from_be_bytes([shorter[len_at], shorter[len_at + 1]]);
        shorter[len_at..len_at + 2].copy_from_slice(&(old - len as u16).to_be_bytes());
    }
    shorter
}

/// Spreads a hello over records of so many bytes.
fn fragment(hello: &[u8], len: usize) -> Vec<u8> {
    let (_, message, _) = split_record(hello);
    let record = |piece: &[u8]| {
        [&[0x16, 3, 1], (piece.len() as u16).to_be_bytes().as_slice(), piece].concat()
    };
    message.chunks(len).flat_map(record).collect()
}

// req: S116
#[test]
fn each_secret_opens_its_own_streams() {
    let secrets = [
        Secret::Plain(KEY.into()),
        secret_of([1; 16], DOMAIN),
        secret_of(KEY, "other.example"),
        Secret::Padded(KEY.into()),
        secret_of(KEY, "WWW.EXAMPLE.ORG"),
    ];
    let gate = gate_of(&secrets);
    let (_, hello) = start(HelloShape::Modern, 1);
    assert_eq!(accept(&gate, &hello).secret, 4);
    let (_, hello) = start(HelloShape::Modern, 2);
    assert_eq!(accept(&gate, &prove(hello, [1; 16], NOW)).secret, 1);

    assert!(Gate::new(&secrets[..1], SeededRandom::new(1)).is_none());
    assert_eq!(format!("{gate:?}"), "Gate { secrets: 3, .. }");
}

// req: S116
#[test]
fn visitors_are_foreign() {
    let gate = gate();
    let (_, hello) = start(HelloShape::Classic, 1);
    assert_eq!(refuse(&gate, &prove(hello.clone(), [1; 16], NOW)), Refusal::Unproven);
    let mut without_session = hello.clone();
    without_session[43] = 0;
    assert_eq!(refuse(&gate, &prove(without_session, KEY, NOW)), Refusal::Malformed);
    let more = [hello.as_slice(), &[0x17]].concat();
    assert_eq!(refuse(&gate, &more), Refusal::Trailing);
    let elsewhere = gate_of(&[secret_of(KEY, "other.example")]);
    assert_eq!(refuse(&elsewhere, &hello), Refusal::Domain);

    for (bytes, refusal) in [
        (&b"GET / HTTP/1.1"[..], Refusal::Malformed),
        (b"\x16\x03\x03", Refusal::Malformed),
        (b"\x16\x03\x01\x00\x00", Refusal::Malformed),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", Refusal::Malformed),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x00\x00", Refusal::Malformed),
        (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", Refusal::Malformed),
        (b"\x16\x03\x01\x40\x01", Refusal::TooLong),
        (b"\x16\x03\x01\x00\x04\x01\x00\x40\x00", Refusal::TooLong),
    ] {
        assert_eq!(refuse(&gate, bytes), refusal, "{bytes:02x?}");
    }
    // What was refused for something else is taken when it is right.
    accept(&gate, &hello);
    assert_eq!(refuse(&gate, &hello), Refusal::Replayed);
}

#[test]
fn a_changed_hello_is_not_ours() {
    let gate = gate();
    let (_, hello) = start(HelloShape::Classic, 1);
    // The time is the one part of it that the proof does not cover.
    for at in (0..hello.len()).filter(|at| !(39..43).contains(at)) {
        let mut changed = hello.clone();
        changed[at] ^= 1;
        match gate.check(&changed, NOW) {
            Verdict::Foreign(Refusal::Unproven | Refusal::Malformed | Refusal::Trailing) => {}
            // A longer record or message.
            Verdict::NeedMore | Verdict::Foreign(Refusal::TooLong) => {
                assert!((3..9).contains(&at), "byte {at}");
            }
            other => panic!("{other:?} with byte {at} changed"),
        }
    }
}

// req: S116
#[test]
fn clocks_may_be_off_a_little() {
    for (client, is_taken) in [
        (NOW, true),
        (NOW + HELLO_AHEAD_MAX, true),
        (NOW + HELLO_AHEAD_MAX + 1, false),
        (NOW - HELLO_BEHIND_MAX, true),
        (NOW - HELLO_BEHIND_MAX - 1, false),
        (0, true),
        (UPTIME_MAX - 1, true),
        (UPTIME_MAX, false),
        (u32::MAX, false),
    ] {
        let (_, hello) = start_at(HelloShape::Classic, 1, client);
        match gate().check(&hello, NOW) {
            Verdict::Accept(_) => assert!(is_taken, "{client}"),
            Verdict::Foreign(refusal) => {
                assert_eq!((refusal, is_taken), (Refusal::Clock { client, server: NOW }, false));
            }
            Verdict::NeedMore => panic!("{client}"),
        }
    }
}

// req: S116
#[test]
fn what_was_overheard_opens_nothing() {
    let gate = gate();
    let (_, hello) = start(HelloShape::Modern, 1);
    accept(&gate, &hello);
    for later in [0, 1, HELLO_BEHIND_MAX] {
        let again = gate.check(&hello, NOW + later);
        assert_eq!(again, Verdict::Foreign(Refusal::Replayed));
    }
    // In other records and with another time it is still the same.
    assert_eq!(refuse(&gate, &fragment(&hello, 300)), Refusal::Replayed);
    let mut redated = hello.clone();
    redated[39] ^= 1;
    assert_eq!(refuse(&gate, &redated), Refusal::Replayed);
    accept(&gate, &start(HelloShape::Modern, 2).1);
}

#[test]
fn a_hello_may_come_in_a_few_records() {
    let (client, hello) = start(HelloShape::Modern, 1);
    let message_len = hello.len() - 5;
    for len in [1, 2, message_len / 2, message_len - 1] {
        let fragments = fragment(&hello, len);
        if message_len.div_ceil(len) > HELLO_FRAGMENTS_MAX {
            assert_eq!(refuse(&gate(), &fragments), Refusal::TooLong);
            continue;
        }
        let gate = gate();
        for at in 0..fragments.len() {
            assert_eq!(gate.check(&fragments[..at], NOW), Verdict::NeedMore);
        }
        let Accepted { answer, .. } = accept(&gate, &fragments);
        assert_eq!(client.check(&answer), Ok(Answer::Proven));
    }
    let many = fragment(&hello, message_len.div_ceil(HELLO_FRAGMENTS_MAX));
    accept(&gate(), &many);
}

// req: L32
#[test]
fn the_longest_hello_is_looked_at() {
    let hello = |len: usize| {
        let mut message = vec![0; len];
        message[..4].copy_from_slice(&(0x0100_0000 + len as u32 - 4).to_be_bytes());
        message[38] = 32;
        let header = [0x16, 3, 1].into_iter().chain((len as u16).to_be_bytes());
        prove(header.chain(message).collect(), KEY, NOW)
    };
    assert_eq!(accept(&gate(), &hello(HELLO_LEN_MAX)).secret, 0);
    assert_eq!(refuse(&gate(), &hello(HELLO_LEN_MAX + 1)[..5]), Refusal::TooLong);
}

#[test]
fn a_client_may_name_no_site() {
    let (_, hello) = start(HelloShape::Classic, 1);
    accept(&gate(), &prove(without_extension(&hello, [0, 0]), KEY, NOW));
    // As little is known of one whose extensions are cut or nonsense.
    let mut nonsense = hello;
    nonsense[112..].fill(0xff);
    accept(&gate(), &prove(nonsense, KEY, NOW));
}

#[test]
fn visitors_of_the_site_are_known_by_its_name() {
    let gate = gate();
    let (_, hello) = start(HelloShape::Modern, 1);
    let visitor = prove(hello, [1; 16], NOW);
    assert_eq!(refuse(&gate, &visitor), Refusal::Unproven);
    assert!(gate.is_for_site(&visitor));
    assert!(!gate.is_for_site(&visitor[..700]), "it has not named it yet");
    assert!(!gate.is_for_site(b"GET / HTTP/1.1"));
    assert!(!gate_of(&[secret_of(KEY, "other.example")]).is_for_site(&visitor));
}

#[test]
fn the_suite_is_the_clients_first() {
    for (suites, chosen) in [
        ([0x1a, 0x1a, 0x13, 0x03, 0x13, 0x01], [0x13, 0x03]),
        ([0xc0, 0x2b, 0x13, 0x02, 0x13, 0x01], [0x13, 0x02]),
        ([0x13, 0x04, 0x13, 0x00, 0xc0, 0x2b], [0x13, 0x01]),
    ] {
        let (_, mut hello) = start(HelloShape::Classic, 1);
        hello[78..110].fill(0);
        hello[78..84].copy_from_slice(&suites);
        let Accepted { answer, .. } = accept(&gate(), &prove(hello, KEY, NOW));
        assert_eq!(answer[76..78], chosen);
    }
}

proptest! {
    #[test]
    fn noise_is_foreign(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        has_header in any::<bool>(),
    ) {
        let header = [0x16, 3, 1, (bytes.len() >> 8) as u8, bytes.len() as u8];
        let input = if has_header { [&header, bytes.as_slice()].concat() } else { bytes };
        let verdict = gate().check(&input, NOW);
        prop_assert!(!matches!(verdict, Verdict::Accept(_)));
        if verdict == Verdict::NeedMore && has_header {
            // A message that goes on in the next record.
            prop_assert!(input.len() < 9 || input[5] == 1);
        }
    }

    #[test]
    fn whatever_is_proven_is_answered(
        tail in prop::collection::vec(any::<u8>(), 0..300),
        kept in 76_usize..517,
    ) {
        let (_, hello) = start(HelloShape::Classic, 1);
        let mut hello = [&hello[..kept], &tail].concat();
        let len = (hello.len() - 5) as u16;
        hello[3..5].copy_from_slice(&len.to_be_bytes());
        hello[7..9].copy_from_slice(&(len - 4).to_be_bytes());
        let verdict = gate().check(&prove(hello, KEY, NOW), NOW);
        let is_named_otherwise = verdict == Verdict::Foreign(Refusal::Domain);
        prop_assert!(is_named_otherwise || matches!(verdict, Verdict::Accept(_)), "{:?}", verdict);
    }
}
