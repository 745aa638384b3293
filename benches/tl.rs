//! Service messages out of their types and into them, against grammers-tl-types.

use std::hint::black_box;

use grammers_tl_types::{self as peer, Deserializable, Serializable};
use mtproto_benches::{Bench, Case};
use mtproto_tl::types::MsgsAck;
use mtproto_tl::{Decode, Encode, MsgId};

const PEER: &str = "grammers-tl-types";

fn main() {
    let mut bench = Bench::from_args("tl");
    msgs_ack(&mut bench, 100);
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

    let (mut out, mut peer_out) = (Vec::new(), Vec::new());
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
    ];
    bench.compare(&format!("msgs_ack of {count} out"), bytes.len(), encode);
    let decode = [
        Case::ours("ours", || MsgsAck::from_slice(black_box(&bytes))),
        Case::peer(PEER, || peer::enums::MsgsAck::from_bytes(black_box(&bytes))),
    ];
    bench.compare(&format!("msgs_ack of {count} in"), bytes.len(), decode);
}
