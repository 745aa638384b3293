//! The first bytes of a stream, one by one.

use super::*;

/// Checks that `bytes` give `verdict` with the last of them and nothing before.
fn check(bytes: &[u8], verdict: Sniff) {
    let mut sniffer = Sniffer::new();
    for (at, byte) in bytes.iter().enumerate() {
        let expected = if at + 1 < bytes.len() { Sniff::NeedMore } else { verdict };
        assert_eq!(sniffer.feed(&[*byte]), expected, "{bytes:02x?} at {at}");
        assert_eq!(Sniff::of(&bytes[..=at]), expected, "{bytes:02x?} at {at}");
    }
    assert_eq!(sniffer.feed(&[0; 100]), verdict, "a verdict stands");
    let at_once = [bytes, &[0x55; 100]].concat();
    assert_eq!(Sniffer::new().feed(&at_once), verdict);
}

// req: S117
#[test]
fn every_transport_shows_as_early_as_it_can() {
    check(&[0xef], Sniff::Plain(Framing::Abridged));
    check(&[0xee; 4], Sniff::Plain(Framing::Intermediate));
    check(&[0xdd; 4], Sniff::Plain(Framing::Padded));
    check(b"GET ", Sniff::Http);
    check(b"POST", Sniff::Http);
    check(b"HEAD", Sniff::Http);
    check(b"OPTI", Sniff::Http);
    check(&[0x16, 0x03, 0x01], Sniff::Tls);
    check(&[0x34, 0, 0, 0, 0, 0, 0, 0], Sniff::Plain(Framing::Full));
    check(&[0x34, 0, 0, 0, 0, 0, 0, 1], Sniff::Obfuscated);
    check(&[0xee, 0xee, 0xee, 0xef, 0xee, 0xee, 0xee, 0xee], Sniff::Obfuscated);
    check(b"\x16\x03\x02\x01\x00\x01\x00\x01", Sniff::Obfuscated);
    check(b"PUT /api", Sniff::Obfuscated);
}

#[test]
fn nothing_says_nothing() {
    assert_eq!(Sniffer::new().feed(&[]), Sniff::NeedMore);
    assert_eq!(Sniff::of(&[]), Sniff::NeedMore);
}

#[test]
fn a_server_leaves_the_bytes_of_other_protocols_alone() {
    for (bytes, protocol) in
        [(&b"GET /apiws HTTP/1.1\r\n"[..], Foreign::Http), (&[0x16, 3, 1, 2, 0], Foreign::Tls)]
    {
        let mut server = open_server();
        let mut input = BytesMut::from(bytes);
        let fault = WireFault::Foreign(protocol);
        assert_eq!(server.receive(&mut input), Err(fault));
        assert_eq!(input, bytes);
        assert_eq!(server.recognised(), Some(Recognised::Foreign(protocol)));
        assert_eq!(server.receive(&mut input), Err(fault), "a fault stands");
    }
}
