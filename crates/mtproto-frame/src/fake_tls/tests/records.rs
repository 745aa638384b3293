//! Streams in records, however they are cut.

use proptest::prelude::*;

use super::*;

fn record(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3], (bytes.len() as u16).to_be_bytes().as_slice(), bytes].concat()
}

/// What comes out of `bytes` that arrive in pieces of so many.
fn read(bytes: &[u8], piece: usize) -> Result<Vec<u8>, Fault> {
    let (mut reader, mut stream) = (RecordReader::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        let mut piece = piece.to_vec();
        let len = reader.unwrap(&mut piece)?;
        stream.extend_from_slice(&piece[..len]);
    }
    assert!(reader.is_between_records());
    Ok(stream)
}

fn write(mut writer: RecordWriter, pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        writer.wrap(piece, &mut out);
    }
    out
}

// req: S116, L32
#[test]
fn records_are_as_others_write_them() {
    assert_eq!(
        write(RecordWriter::client(), &[b"", b"first", b"second"]),
        b"\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x05first\x17\x03\x03\x00\x06second"
    );
    assert_eq!(write(RecordWriter::server(), &[b"first"]), b"\x17\x03\x03\x00\x05first");

    let long = vec![7; 2 * RECORD_SENT_LEN_MAX + 1];
    let records = write(RecordWriter::server(), &[&long]);
    let (_, first, rest) = split_record(&records);
    let (_, second, rest) = split_record(rest);
    let (_, third, rest) = split_record(rest);
    assert_eq!([first.len(), second.len(), third.len(), rest.len()], [2878, 2878, 1, 0]);
}

// req: S116
#[test]
fn records_of_any_length_are_read() {
    let bytes = [
        record(0x17, &[]),
        record(0x17, &[1; 0xffff]),
        record(0x14, &[1]),
        record(0x17, &[2]),
        record(0x17, &[]),
    ]
    .concat();
    let stream = [vec![1; 0xffff], vec![2]].concat();
    for piece in [1, 2, 5, 6, 1000, bytes.len()] {
        assert_eq!(read(&bytes, piece).as_ref(), Ok(&stream), "pieces of {piece}");
    }
}

// req: S116
#[test]
fn other_records_are_faults() {
    let announcement = record(0x14, &[1]);
    for (bytes, fault) in [
        (record(0x15, &[2, 40]), Fault::RecordKind { kind: 0x15 }),
        (record(0x16, &[0; 50]), Fault::RecordKind { kind: 0x16 }),
        (record(0x14, &[1, 1]), Fault::RecordKind { kind: 0x14 }),
        ([announcement.clone(), announcement].concat(), Fault::RecordKind { kind: 0x14 }),
        (vec![0x17, 3, 1, 0, 0], Fault::RecordVersion { version: 0x0301 }),
        (b"HTTP/".to_vec(), Fault::RecordVersion { version: 0x5454 }),
    ] {
        for piece in [1, bytes.len()] {
            assert_eq!(read(&bytes, piece), Err(fault));
        }
        let mut reader = RecordReader::new();
        assert_eq!(reader.unwrap(&mut bytes.clone()), Err(fault));
        assert_eq!(reader.unwrap(&mut record(0x17, b"good")), Err(fault), "it is over");
    }
}

#[test]
fn the_end_of_a_record_is_known() {
    let bytes = record(0x17, b"four");
    for len in 1..bytes.len() {
        let mut reader = RecordReader::new();
        assert!(reader.is_between_records());
        reader.unwrap(&mut bytes[..len].to_vec()).unwrap();
        assert!(!reader.is_between_records(), "after {len} bytes");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..7000), 0..5),
        piece in 1_usize..3000,
    ) {
        let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        for writer in [RecordWriter::client(), RecordWriter::server()] {
            prop_assert_eq!(read(&write(writer, &slices), piece), Ok(pieces.concat()));
        }
    }

    #[test]
    fn noise_ends_a_stream_or_comes_out_shorter(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(3), Just(0x17)], 0..300),
    ) {
        let mut reader = RecordReader::new();
        let mut taken = bytes.clone();
        if let Ok(len) = reader.unwrap(&mut taken) {
            prop_assert!(bytes.len() < 5 || len <= bytes.len() - 5);
        }
    }
}
