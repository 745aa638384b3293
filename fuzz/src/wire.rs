//! A stream of bytes: recognition, obfuscation, framing.

use std::sync::Arc;

use bytes::BytesMut;
use mtproto_crypto::SeededRandom;
use mtproto_frame::{
    Framing, Inbound, Outbound, Recognised, Secret, ServerWireConfig, TransportError, Wire,
    WireConfig, WireFault,
};

use crate::choices::Choices;

/// Lets a side of a stream receive what the other one sends, changed on the way, or mere bytes.
///
/// Nothing depends on the pieces that the bytes come in, and nothing longer comes out than went in.
pub fn wire(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (config, is_open) = config(&mut choices);
    let is_up: bool = choices.any();
    let ends = || {
        let [mut client, mut server] = pair(&config, is_open);
        if !is_up {
            // A server says nothing before it knows the client.
            let mut opening = BytesMut::new();
            client.send(&Outbound::packet(vec![1; 24]), &mut opening).expect("a packet");
            server.receive(&mut opening).expect("the client keeps the rules");
        }
        if is_up { (client, server) } else { (server, client) }
    };
    let (mut sender, mut whole) = ends();
    let mut stream = Vec::new();
    for _ in 0..choices.below(8) {
        send(&mut sender, is_up, &mut choices, &mut stream);
    }
    damage(&mut stream, &mut choices);
    let cuts: Vec<u8> = choices.bytes(32).to_vec();
    stream.extend_from_slice(choices.rest());
    let at_once = receive(&mut whole, &stream, &[]);
    let in_pieces = receive(&mut ends().1, &stream, &cuts);
    assert_eq!(at_once, in_pieces);
    let len: usize = at_once.items.iter().map(packet_len).sum();
    assert!(len <= stream.len());
}

/// How a stream ended, and what it brought.
#[derive(Debug, Eq, PartialEq)]
struct Received {
    items: Vec<Inbound>,
    fault: Option<WireFault>,
    left: usize,
    recognised: Option<Recognised>,
}

/// Lets `stream` come in pieces of these lengths and a last one.
fn receive(wire: &mut Wire, stream: &[u8], cuts: &[u8]) -> Received {
    let (mut input, mut rest) = (BytesMut::new(), stream);
    let (mut items, mut fault) = (Vec::new(), None);
    for len in cuts.iter().map(|len| usize::from(*len)).chain([stream.len()]) {
        let (piece, behind) = rest.split_at(len.min(rest.len()));
        rest = behind;
        input.extend_from_slice(piece);
        loop {
            match wire.receive(&mut input) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => {
                    assert!(fault.replace(error).is_none_or(|before| before == error));
                    break;
                }
            }
        }
    }
    let left = if fault.is_some() { 0 } else { input.len() };
    Received { items, fault, left, recognised: wire.recognised() }
}

/// What a client speaks, and whether the server takes everything instead of one secret.
fn config(choices: &mut Choices<'_>) -> (WireConfig, bool) {
    let framing = Framing::ALL[choices.below(4)];
    match choices.below(4) {
        1 if framing != Framing::Full => (WireConfig::obfuscated(framing), true),
        2 if framing != Framing::Full => (WireConfig::with_secret(framing, secret()), false),
        _ => (WireConfig::plain(framing), true),
    }
}

/// Both sides of a stream, always the same ones.
fn pair(config: &WireConfig, is_open: bool) -> [Wire; 2] {
    let server = match is_open {
        true => ServerWireConfig::open(),
        false => ServerWireConfig::with_secrets(vec![secret()]),
    };
    let client = Wire::client(config, &mut SeededRandom::new(1)).expect("these go together");
    [client, Wire::server(Arc::new(server), &mut SeededRandom::new(2))]
}

fn send(wire: &mut Wire, is_up: bool, choices: &mut Choices<'_>, stream: &mut Vec<u8>) {
    let item = match choices.below(4) {
        0 if !is_up => Outbound::QuickAck(choices.any()),
        1 if !is_up => Outbound::Error(
            TransportError::from_payload(&choices.any::<[u8; 4]>())
                .unwrap_or(TransportError::Flood),
        ),
        _ => Outbound::Packet {
            payload: vec![choices.any(); choices.below(1 << 12)].into(),
            quick_ack: is_up && choices.any(),
        },
    };
    // What cannot be sent is not.
    let _ = wire.send(&item, stream);
}

/// Changes some bytes. Obfuscation lets that through to what it hides.
fn damage(stream: &mut [u8], choices: &mut Choices<'_>) {
    for _ in 0..choices.below(4) {
        if let Some(at) = choices.index(stream.len()) {
            stream[at] ^= choices.any::<u8>();
        }
    }
}

fn packet_len(item: &Inbound) -> usize {
    match item {
        Inbound::Packet { payload, .. } => payload.len(),
        Inbound::Error(_) | Inbound::QuickAck(_) => 0,
    }
}

fn secret() -> Secret {
    Secret::Plain([5; 16].into())
}
