//! Bytes that others computed.

use mtproto_crypto::{SecureRandom, SeededRandom};
use serde_json::Value;

use super::*;

fn vectors(section: &str) -> Value {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors.json"));
    serde_json::from_str::<Value>(text).unwrap()[section].take()
}

fn bytes(value: &Value) -> Vec<u8> {
    encoding::from_hex(value.as_str().unwrap()).unwrap()
}

fn payload() -> Bytes {
    (0..16).collect()
}

fn asking(payload: Bytes) -> Outbound {
    Outbound::Packet { payload: payload.into(), quick_ack: true }
}

/// What a client sends of `items`, without what opens its stream.
fn frames(framing: Framing, items: &[Outbound]) -> Vec<u8> {
    send(&mut client(framing), items).split_off(framing.opening().len())
}

// req: L28, S71, S115
#[test]
fn client_frames() {
    let v = vectors("framing");
    let check = |name: &str, framing, items: &[Outbound]| {
        assert_eq!(frames(framing, items), bytes(&v[name]), "{name}");
        let received = receive_frame(framing, &bytes(&v[name])).unwrap();
        assert_eq!(received, [packet(&payload(), items == [asking(payload())])], "{name}");
    };
    let quiet = [Outbound::packet(payload())];
    check("abridged16", Framing::Abridged, &quiet);
    check("abridged16_quick_ack", Framing::Abridged, &[asking(payload())]);
    check("intermediate16", Framing::Intermediate, &quiet);
    check("intermediate16_quick_ack", Framing::Intermediate, &[asking(payload())]);
    check("full16_seq0", Framing::Full, &quiet);

    let padded = receive_frame(Framing::Padded, &bytes(&v["padded16_pad_3"]));
    assert_eq!(padded, Ok(vec![packet(&payload(), false)]));
}

#[test]
fn first_frames() {
    let v = vectors("framing");
    for (name, framing) in [
        ("abridged_first_frame_with_tag", Framing::Abridged),
        ("intermediate_first_frame_with_tag", Framing::Intermediate),
    ] {
        let stream = send(&mut client(framing), &[Outbound::packet(payload())]);
        assert_eq!(stream, bytes(&v[name]), "{name}");
    }
    let stream = bytes(&v["padded_first_frame_with_tag"]);
    assert_eq!(receive(&mut open_server(), &[&stream]), Ok(vec![packet(&payload(), false)]));
}

#[test]
fn abridged_lengths() {
    let v = vectors("framing");
    for (name, len, quick_ack) in [
        ("abridged_504_header", 504, false),
        ("abridged_508_header", 508, false),
        ("abridged_508_quick_ack_header", 508, true),
    ] {
        let payload = Bytes::from(vec![9; len]);
        let stream =
            frames(Framing::Abridged, &[Outbound::Packet { payload: payload.into(), quick_ack }]);
        assert!(stream.starts_with(&bytes(&v[name])), "{name}");
    }
}

#[test]
fn full_frames_are_counted() {
    let v = vectors("framing");
    let two = [bytes(&v["full16_seq0"]), bytes(&v["full16_seq1"])].concat();
    let packets = [Outbound::packet(payload()), Outbound::packet(payload())];
    assert_eq!(frames(Framing::Full, &packets), two);
    let received = receive_frame(Framing::Full, &two).unwrap();
    assert_eq!(received, [packet(&payload(), false), packet(&payload(), false)]);
    assert_eq!(
        vectors("framing")["crc32_of_123456789"],
        format!("{:08x}", crc32fast::hash(b"123456789"))
    );
}

// req: S114
#[test]
fn errors() {
    let v = vectors("framing");
    for (name, framing, error) in [
        ("error_404_abridged", Framing::Abridged, TransportError::NotFound),
        ("error_404_intermediate", Framing::Intermediate, TransportError::NotFound),
        ("error_429_intermediate", Framing::Intermediate, TransportError::Flood),
        ("error_444_intermediate", Framing::Intermediate, TransportError::WrongDc),
        ("error_404_full_seq0", Framing::Full, TransportError::NotFound),
    ] {
        let stream = bytes(&v[name]);
        assert_eq!(send(&mut server_of(framing), &[Outbound::Error(error)]), stream, "{name}");
        let received = receive(&mut client(framing), &[&stream]);
        assert_eq!(received, Ok(vec![Inbound::Error(error)]), "{name}");
    }
}

/// Gives `init` where a header is drawn.
struct Scripted {
    init: Vec<u8>,
}

impl SecureRandom for Scripted {
    fn fill(&mut self, out: &mut [u8]) {
        if out.len() == self.init.len() {
            out.copy_from_slice(&self.init);
        }
    }
}

struct ObfuscationVector {
    client: WireConfig,
    server: ServerWireConfig,
    random: Scripted,
}

impl ObfuscationVector {
    fn new(v: &Value) -> Self {
        let init = bytes(&v["init"]);
        let framing = Framing::from_tag(init[56..60].try_into().unwrap()).unwrap();
        let dc = i16::from_le_bytes(init[60..62].try_into().unwrap());
        let secret: Option<Secret> = v["secret"].as_str().map(|text| text.parse().unwrap());
        let server = match &secret {
            None => ServerWireConfig::open(),
            Some(secret) => ServerWireConfig::with_secrets(vec![secret.clone()]),
        };
        let obfuscation = Some(Obfuscation { secret, dc });
        let client = WireConfig { obfuscation, ..WireConfig::plain(framing) };
        Self { client, server, random: Scripted { init } }
    }
}

// req: S71, S116
#[test]
fn obfuscated_streams() {
    let v = vectors("obfuscation");
    let cases = v.as_object().unwrap().iter().filter(|(_, case)| case.is_object());
    assert_eq!(cases.clone().count(), 4);
    for (name, case) in cases {
        let ObfuscationVector { client: config, server, mut random } = ObfuscationVector::new(case);
        let mut client = Wire::client(&config, &mut random).unwrap();
        let expected = [bytes(&case["header_on_wire"]), bytes(&case["client_cipher"])].concat();
        let stream = send(&mut client, &[Outbound::packet(payload())]);
        assert_eq!(stream[..64], expected[..64], "{name}");

        let mut server = Wire::server(Arc::new(server), &mut SeededRandom::new(3));
        let received = receive(&mut server, &[&expected]);
        assert_eq!(received, Ok(vec![packet(&payload(), false)]), "{name}");
        assert_eq!(server.recognised(), client.recognised(), "{name}");

        let expected_answer = bytes(&case["server_cipher"]);
        let answer = send(&mut server, &[Outbound::packet(payload())]);
        if config.framing != Framing::Padded {
            assert_eq!(stream, expected, "{name}");
            assert_eq!(answer, expected_answer, "{name}");
        }
        let received = receive(&mut client, &[&expected_answer]);
        assert_eq!(received, Ok(vec![packet(&payload(), false)]), "{name}");
    }
}
