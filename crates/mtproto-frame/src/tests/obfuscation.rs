//! Headers, keys and who may come in.

use mtproto_crypto::SecureRandom;

use super::*;

fn secret(byte: u8) -> Secret {
    Secret::Plain([byte; 16].into())
}

fn hello(config: &WireConfig) -> Vec<u8> {
    let mut client = Wire::client(config, &mut SeededRandom::new(5)).unwrap();
    send(&mut client, &[Outbound::packet(encrypted(2))])
}

fn check(server: &ServerWireConfig, client: &WireConfig, expected: Option<Option<u32>>) {
    let mut server = self::server(server);
    let received = receive(&mut server, &[&hello(client)]);
    match expected {
        None => {
            assert_eq!(received, Err(WireFault::Unrecognised));
            assert_eq!(receive(&mut server, &[&[0; 64]]), Err(WireFault::Unrecognised));
            assert_eq!(server.recognised(), None);
        }
        Some(secret) => {
            assert_eq!(received, Ok(vec![packet(&encrypted(2), false)]));
            let Some(Recognised::Stream(kind)) = server.recognised() else { panic!("a stream") };
            assert_eq!(kind.obfuscation.map(|kind| kind.secret), Some(secret));
        }
    }
}

// req: S116
#[test]
fn every_secret_is_tried() {
    let server = ServerWireConfig::with_secrets((1..=5).map(secret).collect());
    for byte in 1..=5 {
        let client = WireConfig::with_secret(Framing::Intermediate, secret(byte));
        check(&server, &client, Some(Some(u32::from(byte) - 1)));
    }
    check(&server, &WireConfig::with_secret(Framing::Abridged, secret(6)), None);
    check(&server, &WireConfig::obfuscated(Framing::Abridged), None);
}

#[test]
fn what_is_not_configured_does_not_come_in() {
    let open = ServerWireConfig::open();
    check(&open, &WireConfig::obfuscated(Framing::Padded), Some(None));
    check(&open, &WireConfig::with_secret(Framing::Padded, secret(1)), None);

    let closed = ServerWireConfig::with_secrets(vec![secret(1)]);
    for framing in Framing::ALL {
        let received = receive(&mut server(&closed), &[&hello(&WireConfig::plain(framing))]);
        assert_eq!(received, Err(WireFault::Unrecognised), "{framing}");
    }

    let mixed = ServerWireConfig { allow_secretless: true, ..closed };
    check(&mixed, &WireConfig::obfuscated(Framing::Abridged), Some(None));
    check(&mixed, &WireConfig::with_secret(Framing::Abridged, secret(1)), Some(Some(0)));
}

#[test]
fn the_kind_of_a_secret_is_kept() {
    let padded_only = ServerWireConfig::with_secrets(vec![Secret::Padded([1; 16].into())]);
    check(&padded_only, &WireConfig::with_secret(Framing::Intermediate, secret(1)), None);
    check(&padded_only, &WireConfig::with_secret(Framing::Padded, secret(1)), Some(Some(0)));

    let fake_tls = Secret::FakeTls { key: [1; 16].into(), domain: "example.org".to_owned() };
    let tls_only = ServerWireConfig::with_secrets(vec![fake_tls.clone()]);
    check(&tls_only, &WireConfig::with_secret(Framing::Padded, secret(1)), None);

    for secret in [Secret::Padded([1; 16].into()), fake_tls] {
        let config = WireConfig::with_secret(Framing::Abridged, secret);
        let refused = Wire::client(&config, &mut SeededRandom::new(1)).map(|_| ());
        assert_eq!(refused, Err(Misuse::SecretNeedsPadded));
    }
    let refused = Wire::client(&WireConfig::obfuscated(Framing::Full), &mut SeededRandom::new(1));
    assert_eq!(refused.map(|_| ()), Err(Misuse::FullObfuscated));
}

// req: L31
#[test]
fn the_dc_of_the_header_is_read_and_none_refused() {
    for dc in [0, 2, -4, 10_002, i16::MIN, i16::MAX] {
        let obfuscation = Some(Obfuscation { secret: None, dc });
        let config = WireConfig { obfuscation, ..WireConfig::plain(Framing::Intermediate) };
        let mut server = open_server();
        receive(&mut server, &[&hello(&config)]).unwrap();
        let Some(Recognised::Stream(kind)) = server.recognised() else { panic!("a stream") };
        assert_eq!(kind.obfuscation, Some(ObfuscationKind { secret: None, dc }));
    }
}

/// Draws prefixes that a header must not have, and at last one that it may.
struct Unlucky {
    prefixes: Vec<&'static [u8]>,
}

impl SecureRandom for Unlucky {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0x77);
        if matches!(out.len(), 8 | 64)
            && let Some(prefix) = self.prefixes.pop()
        {
            out[..prefix.len()].copy_from_slice(prefix);
        }
    }
}

#[test]
fn a_header_looks_like_nothing_else() {
    let prefixes: Vec<&[u8]> = vec![
        b"\xef",
        b"\xee\xee\xee\xee",
        b"\xdd\xdd\xdd\xdd",
        b"HEAD",
        b"POST",
        b"GET ",
        b"OPTI",
        b"PVrG",
        b"\x16\x03\x01\x02",
        b"\x16\x03\x01\x07",
        b"abcd\x00\x00\x00\x00",
    ];
    let mut random = Unlucky { prefixes };
    let config = WireConfig::obfuscated(Framing::Abridged);
    let mut client = Wire::client(&config, &mut random).unwrap();
    assert!(random.prefixes.is_empty());
    let stream = send(&mut client, &[Outbound::packet(encrypted(2))]);
    assert_eq!(stream[..8], [0x77; 8]);
}

// req: S116
#[test]
fn nothing_shows_a_key() {
    let config = WireConfig::with_secret(Framing::Padded, Secret::Padded(KEY.into()));
    let wire = Wire::client(&config, &mut SeededRandom::new(1)).unwrap();
    let shown = format!("{config:?} {wire:?}");
    assert!(shown.contains("SecretKey(..)") && !shown.contains("115, 105, 120"), "{shown}");
    let shown = format!("{:?}", (Outbound::packet(&b"nonce"[..]), packet(b"nonce", true)));
    assert!(shown.contains("len: 5") && !shown.contains("110, 111"), "{shown}");
}
