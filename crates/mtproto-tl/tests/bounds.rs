//! What a hostile peer may try: lengths, counts, depth and text that do not hold.

use mtproto_tl::bytes::Bytes;
use mtproto_tl::wrappers::enums::JsonValue;
use mtproto_tl::wrappers::types::{JsonArray, JsonNull};
use mtproto_tl::{
    Constructor, DEPTH_MAX, Decode, DecodeError, Encode, Items, MsgId, Raw, Reader, VECTOR_ID,
    View, types,
};

#[test]
fn strings_of_every_form() {
    for len in [0, 1, 2, 3, 4, 253, 254, 255, 256, 257, (1 << 24) - 1, 1 << 24, (1 << 24) + 1] {
        let value = Bytes::from(vec![7; len]);
        let written = value.to_bytes();
        let header = match len {
            0..=253 => 1,
            254..=0xff_ffff => 4,
            _ => 8,
        };
        assert_eq!(written.len(), (header + len).next_multiple_of(4), "{len}");
        assert_eq!(written[header..header + len], value, "{len}");
        assert!(written[header + len..].iter().all(|&filler| filler == 0), "{len}");
        assert_eq!(Bytes::from_bytes(&written).unwrap(), value, "{len}");
        let cut = Bytes::from_slice(&written[..written.len() - 1]);
        assert_eq!(cut, Err(DecodeError::Truncated { missing: 1 }), "{len}");
    }
}

#[test]
fn long_forms_of_short_strings_and_any_filler_are_read() {
    assert_eq!(String::from_slice(b"\xfe\x03\x00\x00abc\xff").unwrap(), "abc");
    assert_eq!(String::from_slice(b"\xff\x03\x00\x00\x00\x00\x00\x00abc\xff").unwrap(), "abc");
    assert_eq!(String::from_slice(b"\x01a\xff\xff").unwrap(), "a");
}

#[test]
fn a_string_longer_than_memory_is_truncated() {
    let longest = [0xff; 8];
    let missing = usize::try_from(u64::from_le_bytes([255, 255, 255, 255, 255, 255, 255, 0]));
    let missing = missing.unwrap_or(usize::MAX);
    assert_eq!(Bytes::from_slice(&longest), Err(DecodeError::Truncated { missing }));
}

#[test]
fn text_is_utf8_and_bytes_need_not_be() {
    let wire = b"\x03\xff\xfe\xfd";
    assert_eq!(String::from_slice(wire), Err(DecodeError::BadUtf8));
    assert_eq!(Bytes::from_slice(wire).unwrap(), &wire[1..]);
}

#[test]
fn byte_strings_share_the_memory_they_came_in() {
    let wire = Bytes::from_static(b"\x03abc");
    let value = Bytes::from_bytes(&wire).unwrap();
    assert_eq!(value.as_ptr(), wire[1..].as_ptr());
}

#[test]
fn a_count_is_held_against_the_bytes_that_are_there() {
    let vector = |count: u32, bytes: usize| {
        let mut wire = VECTOR_ID.to_bytes().to_vec();
        count.encode(&mut wire);
        wire.resize(wire.len() + bytes, 0);
        Vec::<MsgId>::from_slice(&wire)
    };
    assert_eq!(vector(2, 16), Ok(vec![MsgId(0); 2]));
    for count in [3, u32::MAX, 1 << 31, i32::MAX.unsigned_abs()] {
        assert_eq!(vector(count, 16), Err(DecodeError::BadCount { count }));
    }
    let id = 0x1234_5678_u32;
    let strange = [id.to_bytes(), 0_u32.to_bytes()].concat();
    assert_eq!(Vec::<i32>::from_slice(&strange), Err(DecodeError::UnknownConstructor { id }));
}

#[test]
fn items_are_looked_at_where_they_lie() {
    let ids = [MsgId(4), MsgId(8), MsgId(1 << 40)];
    let wire = ids.to_vec().to_bytes();
    let items = Items::<MsgId>::of(&wire).unwrap();
    assert_eq!((items.len(), items.is_empty()), (3, false));
    assert!(items.iter().eq(ids) && items.iter().rev().eq(ids.into_iter().rev()));
    assert_eq!((items.get(2), items.get(3)), (Some(MsgId(1 << 40)), None));
    assert_eq!(format!("{items:?}"), format!("{ids:?}"));
    let mut input = Reader::new(&wire[12..]);
    let missing = usize::MAX - input.remaining();
    assert_eq!(
        Items::<MsgId>::take(&mut input, usize::MAX),
        Err(DecodeError::Truncated { missing })
    );
}

#[test]
fn items_may_be_larger_than_on_the_wire() {
    let mut wire = VECTOR_ID.to_bytes().to_vec();
    1000_u32.encode(&mut wire);
    wire.resize(wire.len() + 4000, 0);
    let mut input = Reader::new(&wire);
    let large = input.vector(4, |input| Ok([input.u32()?; 250])).unwrap();
    assert_eq!((large.len(), input.finish()), (1000, Ok(())));
}

#[test]
fn items_without_bytes_are_counted_too() {
    // Nothing on the wire bounds how often nothing is repeated, so the bytes after it do.
    let wire = [9, 0, 0, 0, 0, 0, 0, 0];
    let items = Reader::new(&wire).items(0, Reader::bare::<types::True>);
    assert_eq!(items, Err(DecodeError::BadCount { count: 9 }));
}

#[test]
fn depth_ends_at_its_limit() {
    let nested = |depth: u32| {
        let mut wire = Vec::new();
        for _ in 1..depth {
            JsonArray::ID.encode(&mut wire);
            VECTOR_ID.encode(&mut wire);
            1_u32.encode(&mut wire);
        }
        JsonNull::ID.encode(&mut wire);
        JsonValue::from_slice(&wire)
    };
    assert!(nested(DEPTH_MAX).is_ok());
    assert_eq!(nested(DEPTH_MAX + 1), Err(DecodeError::TooDeep));
    assert_eq!(nested(100_000), Err(DecodeError::TooDeep));
}

#[test]
fn a_bool_is_one_of_two() {
    let id = 0xbc79_9738;
    assert_eq!(bool::from_slice(&id.to_bytes()), Err(DecodeError::UnknownConstructor { id }));
}

#[test]
fn what_follows_an_object_is_told() {
    let wire = [types::Null.to_bytes(), 0_u32.to_bytes()].concat();
    assert_eq!(types::Null::from_slice(&wire), Err(DecodeError::Trailing { bytes: 4 }));
}

#[test]
fn secrets_and_bodies_stay_out_of_debug() {
    let inner = types::PQInnerData {
        pq: Bytes::new(),
        p: Bytes::new(),
        q: Bytes::new(),
        nonce: [0; 16],
        server_nonce: [0; 16],
        new_nonce: [0x5a; 32],
    };
    assert_eq!(format!("{inner:?}"), "PQInnerData { .. }");
    assert_eq!(format!("{:?}", Raw(types::Null.to_bytes())), "Raw(0x56730bcc, 4 bytes)");
    assert_eq!(format!("{:?}", Raw::default()), "Raw(0x00000000, 0 bytes)");
}
