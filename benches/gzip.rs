//! `gzip_packed` in: from the object to what it holds. Against what flate2 inflates with by
//! default, and against the same backend as ours when it is kept, knows how much will come out, and
//! writes where it wrote before, with room behind it.

use std::hint::black_box;

use flate2::{Decompress, FlushDecompress};
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};
use mtproto_benches::{Bench, Case, named};
use mtproto_pack::gzip;
use mtproto_tl::{Encode, Reader};

fn main() {
    let mut bench = Bench::from_args("gzip");
    for len in [1 << 10, 16 << 10, 1 << 20] {
        gzip_in(&mut bench, len);
    }
}

fn gzip_in(bench: &mut Bench, len: usize) {
    let text = answer(len);
    let packed = gzip::pack(&text).unwrap();
    let mut input = Reader::new(&packed);
    input.u32().unwrap();
    let member = input.bytes().unwrap();
    // Neither header nor checksum: the raw stream between them.
    let stream = &member[GZIP_HEADER_LEN..member.len() - GZIP_TRAILER_LEN];

    let (mut out, mut inflater) = (vec![0; len + ROOM_TO_RUN], Decompress::new(false));
    assert_eq!(gzip::unpack(&packed, len).as_deref(), Ok(&text[..]));
    assert_eq!(inflate_default(stream), text);

    let cases = [
        Case::ours(OURS, || gzip::unpack(black_box(&packed), len)),
        Case::peer("flate2's default", || inflate_default(black_box(stream))),
        Case::limit("backend alone", || {
            inflater.reset(false);
            inflater.decompress(black_box(stream), &mut out, FlushDecompress::Finish)
        }),
    ];
    bench.compare(&named("gzip in", len), len, cases);
}

/// As flate2 reads gzip when nobody chose a backend: piece by piece into a buffer that grows, with
/// the checksum. Its own decoder would take the backend that this workspace has chosen.
fn inflate_default(stream: &[u8]) -> Vec<u8> {
    let mut state = InflateState::new_boxed(DataFormat::Raw);
    let (mut text, mut checksum, mut rest) = (Vec::new(), crc32fast::Hasher::new(), stream);
    loop {
        let start = text.len();
        text.resize(2 * start.max(PIECE_LEN), 0);
        let done = inflate(&mut state, rest, &mut text[start..], MZFlush::None);
        text.truncate(start + done.bytes_written);
        checksum.update(&text[start..]);
        rest = &rest[done.bytes_consumed..];
        if done.status.unwrap() == MZStatus::StreamEnd {
            black_box(checksum.finalize());
            return text;
        }
    }
}

/// Something like what is packed: constructors, ascending ids, dates and texts.
fn answer(len: usize) -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "the",
        "meeting",
        "tomorrow",
        "please",
        "send",
        "photo",
        "привет",
        "сегодня",
        "работа",
        "можно",
        "channel",
        "update",
    ];
    let chance = mtproto_benches::noise(len, 19);
    let mut chance = chance.iter().map(|byte| usize::from(*byte)).cycle();
    let mut next = move || chance.next().unwrap_or_default();
    let (mut out, mut id, mut date) =
        (Vec::with_capacity(len + 512), 100_000_u32, 1_700_000_000_u32);
    while out.len() < len {
        id += 1 + next() as u32 % 3;
        date += next() as u32 * 2;
        0x3811_6ee0_u32.encode(&mut out);
        id.encode(&mut out);
        (5_000_000_000_u64 + next() as u64 * 7919).cast_signed().encode(&mut out);
        date.encode(&mut out);
        let words: Vec<_> = (0..3 + next() % 20).map(|_| WORDS[next() % WORDS.len()]).collect();
        words.join(" ").encode(&mut out);
    }
    out.truncate(len);
    out
}

/// Which inflater this was built with.
const OURS: &str = if cfg!(feature = "libdeflate") { "ours, libdeflate" } else { "ours" };
/// A decompressor is fast only as long as it is not near the end of its room.
const ROOM_TO_RUN: usize = 320;
/// With how much room a reader begins.
const PIECE_LEN: usize = 512;
/// What stands before a stream that has no name.
const GZIP_HEADER_LEN: usize = 10;
/// The checksum and the length behind it.
const GZIP_TRAILER_LEN: usize = 8;
