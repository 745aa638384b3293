//! Service messages out of their types and into them, against grammers-tl-types, and against a
//! floor that has neither types nor checks. Ours reads them where they lie, and as it has to when
//! they are kept.

use std::hint::black_box;

use bytes::Bytes;
use grammers_tl_types::{self as peer, Cursor, Deserializable, Serializable};
use mtproto_benches::{Bench, Case, floor, noise, ours};
use mtproto_pack::{Message, read_container, write_container};
use mtproto_tl::types::MsgsAck;
use mtproto_tl::{Decode, Encode, MsgId, Seqno};

const PEER: &str = "grammers-tl-types";

fn main() {
    let mut bench = Bench::from_args("tl");
    msgs_ack(&mut bench, 100);
    container(&mut bench, 20, 32);
}

/// Out into a buffer that is used again, and in from a slice.
fn msgs_ack(bench: &mut Bench, count: u64) {
    let ids = || (0..count).map(|n| 0x5f00_0000_0000_0001 + n * 4);
    let ours = MsgsAck { msg_ids: ids().map(MsgId).collect() };
    let theirs = peer::types::MsgsAck { msg_ids: ids().map(u64::cast_signed).collect() };
    let theirs = peer::enums::MsgsAck::Ack(theirs);

    let bytes = ours.to_bytes();
    assert_eq!(bytes, theirs.to_bytes());
    assert_eq!(MsgsAck::from_slice(&bytes), Ok(ours.clone()));
    assert!(peer::enums::MsgsAck::from_bytes(&bytes).is_ok_and(|it| it == theirs));

    let (mut out, mut peer_out, mut floor_out) = (Vec::new(), Vec::new(), Vec::new());
    let numbers: Vec<u64> = ids().collect();
    floor::write_msgs_ack(&numbers, &mut floor_out);
    assert_eq!(floor_out, bytes);
    let sum = numbers.iter().fold(0, |sum: u64, id| sum.wrapping_add(*id));
    assert_eq!(floor::sum_msgs_ack(&bytes), Some(sum));
    assert_eq!(ours::sum_msgs_ack(&bytes), Ok(sum));

    let encode = [
        Case::ours("ours", || {
            out.clear();
            black_box(&ours).encode(&mut out);
            black_box(&mut out);
        }),
        Case::peer(PEER, || {
            peer_out.clear();
            black_box(&theirs).serialize(&mut peer_out);
            black_box(&mut peer_out);
        }),
        Case::limit("floor", || {
            floor_out.clear();
            floor::write_msgs_ack(black_box(&numbers), &mut floor_out);
            black_box(&mut floor_out);
        }),
    ];
    bench.compare(&format!("msgs_ack of {count} out"), bytes.len(), encode);
    let decode = [
        Case::ours("ours", || ours::sum_msgs_ack(black_box(&bytes))),
        Case::ours("ours, owned", || MsgsAck::from_slice(black_box(&bytes))),
        Case::peer(PEER, || peer::enums::MsgsAck::from_bytes(black_box(&bytes))),
        Case::limit("floor", || floor::sum_msgs_ack(black_box(&bytes))),
    ];
    bench.compare(&format!("msgs_ack of {count} in"), bytes.len(), decode);
}

/// In from a packet: ours looks at all of it before it gives out a message; owned, it shares the
/// packet's bytes. The peer copies each body.
fn container(bench: &mut Bench, count: u32, len: usize) {
    let message = |n: u32| Message {
        id: MsgId(0x5f00_0000_0000_0001 + u64::from(n) * 4),
        seqno: Seqno(n << 1 | 1),
        body: noise(len, n.into()).into(),
    };
    let messages: Vec<_> = (0..count).map(message).collect();
    let mut bytes = Vec::new();
    write_container(&messages, &mut bytes);
    let bytes = Bytes::from(bytes);
    assert_eq!(read_container(&bytes).as_deref(), Ok(&messages[..]));
    let bodies = peer_bodies(&bytes).unwrap();
    assert!(bodies.iter().eq(messages.iter().map(|message| &message.body)));
    assert_eq!(floor::container_bytes(&bytes), Some(count as usize * len));
    assert_eq!(ours::container_bytes(&bytes), Ok(count as usize * len));

    let cases = [
        Case::ours("ours", || ours::container_bytes(black_box(&bytes))),
        Case::ours("ours, owned", || read_container(black_box(&bytes))),
        Case::peer(PEER, || peer_bodies(black_box(&bytes))),
        Case::limit("floor", || floor::container_bytes(black_box(&bytes))),
    ];
    bench.compare(&format!("container of {count} in"), bytes.len(), cases);
}

/// As grammers-mtproto reads a container, with the peer's readers.
fn peer_bodies(container: &[u8]) -> Result<Vec<Vec<u8>>, peer::deserialize::Error> {
    let mut input = Cursor::from_slice(container);
    u32::deserialize(&mut input)?;
    let count = i32::deserialize(&mut input)?;
    (0..count)
        .map(|_| {
            i64::deserialize(&mut input)?;
            i32::deserialize(&mut input)?;
            let mut body = vec![0; i32::deserialize(&mut input)? as usize];
            input.read_exact(&mut body)?;
            Ok(body)
        })
        .collect()
}
