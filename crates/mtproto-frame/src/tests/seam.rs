//! Frames begun around payloads that are made in the buffer they leave from.

use super::*;

#[test]
fn packets_are_made_in_place() {
    for case in cases() {
        let (mut client, mut server) = case.wires();
        let (first, second) = (encrypted(33), encrypted(2));
        let mut out = b"sent before".to_vec();
        let mut payloads = Vec::new();
        for payload in [&first, &second] {
            client.begin(payload.len(), false, &mut out).unwrap();
            let at = out.len();
            out.resize(at + payload.len(), 0);
            payloads.push(at..out.len());
        }
        // Sealed only now, both at once.
        for (range, payload) in payloads.into_iter().zip([&first, &second]) {
            out[range].copy_from_slice(payload);
        }
        client.finish(&mut out).unwrap();
        client.finish(&mut out).unwrap();
        let stream = out.strip_prefix(b"sent before").unwrap();
        let received = receive(&mut server, &[stream]);
        assert_eq!(received, Ok(vec![packet(&first, false), packet(&second, false)]));
    }
}

#[test]
fn a_buffer_may_be_of_either_kind() {
    for case in cases() {
        let item = Outbound::packet(encrypted(5));
        let (mut to_vec, mut to_bytes) = (Vec::new(), BytesMut::new());
        case.wires().0.send(&item, &mut to_vec).unwrap();
        case.wires().0.send(&item, &mut to_bytes).unwrap();
        assert_eq!(to_vec, to_bytes);
    }
}

#[test]
fn a_packet_is_framed_in_its_own_memory() {
    for case in cases() {
        let (mut copying, mut enclosing) = (case.wires().0, case.wires().0);
        for (blocks, quick_ack) in [(5, false), (2, true), (400, false)] {
            let payload = encrypted(blocks);
            let item = Outbound::Packet { payload: payload.clone().into(), quick_ack };
            let mut copied = Vec::new();
            copying.send(&item, &mut copied).unwrap();
            assert_eq!(enclosing.enclose(payload.into(), quick_ack), Ok(copied));
        }
    }
    let mut client = client(Framing::Intermediate);
    assert_eq!(client.enclose(vec![], false), Err(Misuse::PayloadRefused { len: 0 }));
}

#[test]
fn a_payload_of_another_length_ends_the_stream() {
    for framing in Framing::ALL {
        let mut client = client(framing);
        let mut out = Vec::new();
        client.begin(40, false, &mut out).unwrap();
        out.extend([1; 36]);
        let misuse = Err(Misuse::PayloadLen { declared: 40, appended: 36 });
        assert_eq!(client.finish(&mut out), misuse);
        assert_eq!(client.begin(40, false, &mut out), misuse);
        assert_eq!(client.send(&Outbound::packet(encrypted(2)), &mut out), misuse);
    }
}

#[test]
fn finishing_nothing_is_nothing() {
    let mut out = Vec::new();
    client(Framing::Abridged).finish(&mut out).unwrap();
    assert!(out.is_empty());
    assert_eq!(open_server().finish(&mut out), Err(Misuse::NotRecognised));
}
