//! Ciphers, the envelope and pq, against grammers-crypto.

mod limits;

use std::array::from_fn;
use std::hint::black_box;

use grammers_crypto::{DequeBuffer, ObfuscatedCipher};
use limits::{Work, limit};
use mtproto_benches::{Bench, Case, named, noise};
use mtproto_crypto::envelope::{
    Filler, HEADER_LEN, Header, OpenJob, PADDING_MIN, PREFIX_LEN, Padding, SealJob, lay_out, open,
    seal,
};
use mtproto_crypto::{AuthKey, CtrStream, Direction, IgeKey, OsRandom, SeededRandom, pq};

const PEER: &str = "grammers-crypto";

/// How many packets a batch seals or opens.
const BATCH: usize = 16;

fn main() {
    let mut bench = Bench::from_args("crypto");
    for len in [1 << 10, 16 << 10, 512 << 10] {
        ige(&mut bench, len);
    }
    for len in [1 << 10, 16 << 10] {
        ige_of_16(&mut bench, len);
    }
    for len in [64, 1 << 10, 16 << 10, 512 << 10] {
        sealing(&mut bench, len);
        sealing_of_16(&mut bench, len);
    }
    for len in [64, 1 << 10, 16 << 10, 512 << 10] {
        opening(&mut bench, len);
    }
    obfuscation(&mut bench, 16 << 10);
    factorization(&mut bench);
}

/// What the cipher works on in each packet of a batch.
fn texts(packets: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    in_batch(packets).map(|packet| packet.split_at_mut(PREFIX_LEN).1)
}

/// One message, its key set up each time.
fn ige(bench: &mut Bench, len: usize) {
    let (key, iv): ([u8; 32], [u8; 32]) = (from_fn(|i| i as u8), from_fn(|i| !i as u8));
    let text = noise(len, 1);
    let (mut ours, mut theirs) = (text.clone(), text.clone());

    IgeKey::new(key, iv).encrypt(&mut ours);
    grammers_crypto::aes::ige_encrypt(&mut theirs, &key, &iv);
    assert_eq!(ours, theirs);
    IgeKey::new(key, iv).decrypt(&mut ours);
    grammers_crypto::aes::ige_decrypt(&mut theirs, &key, &iv);
    assert_eq!((&ours, &theirs), (&text, &text));

    let encrypt = [
        Case::ours("ours", || IgeKey::new(black_box(key), iv).encrypt(&mut ours)),
        Case::peer(PEER, || grammers_crypto::aes::ige_encrypt(&mut theirs, black_box(&key), &iv)),
    ];
    let encrypt = encrypt.into_iter().chain(limit(Work::Ige, len));
    bench.compare(&named("IGE encrypt", len), len, encrypt);
    let decrypt = [
        Case::ours("ours", || IgeKey::new(black_box(key), iv).decrypt(&mut ours)),
        Case::peer(PEER, || grammers_crypto::aes::ige_decrypt(&mut theirs, black_box(&key), &iv)),
    ];
    let decrypt = decrypt.into_iter().chain(limit(Work::Ige, len));
    bench.compare(&named("IGE decrypt", len), len, decrypt);
}

/// Sixteen messages under a key each, against one after the other. As in packets, they do not
/// start at distances that a cache has no room for.
fn ige_of_16(bench: &mut Bench, len: usize) {
    let keys: [IgeKey; BATCH] = from_fn(|i| IgeKey::new([i as u8; 32], [!i as u8; 32]));
    let mut packets = noise(BATCH * (PREFIX_LEN + len), 6);
    let mut one_by_one = packets.clone();

    IgeKey::encrypt_each(keys.iter().zip(texts(&mut packets)));
    keys.iter().zip(texts(&mut one_by_one)).for_each(|(key, text)| key.encrypt(text));
    assert_eq!(packets, one_by_one);

    let cases = [
        Case::ours("ours, 16 at once", || {
            IgeKey::encrypt_each(keys.iter().zip(texts(&mut packets)));
        }),
        Case::peer("ours, one by one", || {
            keys.iter().zip(texts(&mut one_by_one)).for_each(|(key, text)| key.encrypt(text));
        }),
    ];
    let cases = cases.map(|case| case.of(BATCH as u32)).into_iter();
    bench.compare(&named("IGE of 16", len), len, cases.chain(limit(Work::IgeOf16, len)));
}

/// From a body to a packet: header, padding, hash and cipher, into a buffer that is used again.
/// Each side pads as it does when it sends: for these lengths ours by one block, grammers by two.
fn sealing(bench: &mut Bench, len: usize) {
    let Keys { ours: key, theirs: peer_key } = &Keys::new();
    let body = noise(len, 2);
    let mut sealer = PeerSealer::new(&body);
    let (mut packet, mut random) = (Vec::new(), OsRandom::new());

    // Padding is random, so what the peer sealed is opened in place and sealed again.
    let sealed = sealer.seal(peer_key);
    let mut again = sealed.to_vec();
    open(&mut [OpenJob::new(key, Direction::ClientToServer, Filler::Never, &mut again)]);
    assert!(again[PREFIX_LEN..].starts_with(&text(&body)));
    seal(&mut [SealJob::new(key, Direction::ClientToServer, &mut again)]);
    assert_eq!(again, sealed);

    let cases = [
        Case::ours("ours", || {
            packet.clear();
            lay_out(&mut packet, &HEADER, &body, Padding::Least, &mut random);
            seal(&mut [SealJob::new(key, Direction::ClientToServer, &mut packet)]);
        }),
        Case::peer(PEER, || {
            sealer.seal(peer_key);
        }),
    ];
    let cases = cases.into_iter().chain(limit(Work::Seal, text_len(len)));
    bench.compare(&named("seal", len), len, cases);
}

/// Sixteen packets at once, as a server seals what it answers to many; the peer knows no such way.
fn sealing_of_16(bench: &mut Bench, len: usize) {
    let Keys { ours: key, theirs: peer_key } = &Keys::new();
    let body = noise(len, 2);
    let mut sealer = PeerSealer::new(&body);
    let (mut packets, mut random) = (Vec::new(), OsRandom::new());

    let cases = [
        Case::ours("ours, 16 at once", || {
            packets.clear();
            for _ in 0..BATCH {
                lay_out(&mut packets, &HEADER, &body, Padding::Least, &mut random);
            }
            let mut each = in_batch(&mut packets);
            let next = |_| SealJob::new(key, Direction::ClientToServer, each.next().unwrap());
            seal(&mut from_fn::<_, BATCH, _>(next));
        })
        .of(BATCH as u32),
        Case::peer(PEER, || {
            sealer.seal(peer_key);
        }),
    ];
    let cases = cases.into_iter().chain(limit(Work::SealOf16, text_len(len)));
    bench.compare(&named("seal of 16", len), len, cases);
}

/// The peer's way, with a buffer that is used again.
struct PeerSealer {
    text: Vec<u8>,
    buffer: DequeBuffer<u8>,
}

impl PeerSealer {
    fn new(body: &[u8]) -> Self {
        let text = text(body);
        let buffer = DequeBuffer::with_capacity(text.len() + 32, PREFIX_LEN);
        Self { text, buffer }
    }

    fn seal(&mut self, key: &grammers_crypto::AuthKey) -> &[u8] {
        self.buffer.clear();
        self.buffer.extend(&self.text);
        grammers_crypto::encrypt_data_v2(&mut self.buffer, key);
        &self.buffer[..]
    }
}

/// From a packet to a body whose `msg_key` is right, in a buffer that the packet is copied into
/// each time.
fn opening(bench: &mut Bench, len: usize) {
    let Keys { ours: key, theirs: peer_key } = &Keys::new();
    let body = noise(len, 3);
    let mut random = SeededRandom::new(3);
    let mut sealed = Vec::new();
    for _ in 0..BATCH {
        lay_out(&mut sealed, &HEADER, &body, Padding::Least, &mut random);
    }
    for packet in in_batch(&mut sealed) {
        seal(&mut [SealJob::new(key, Direction::ServerToClient, packet)]);
    }
    let one = in_batch(&mut sealed).next().unwrap().to_vec();
    let (mut ours, mut batch, mut theirs) = (one.clone(), sealed.clone(), one.clone());

    open(&mut [opener(key, &mut ours)]);
    assert!(ours[PREFIX_LEN..].starts_with(&text(&body)));
    let opened = grammers_crypto::decrypt_data_v2(&mut theirs, peer_key);
    assert_eq!(opened.as_deref(), Ok(&ours[PREFIX_LEN..]));

    let cases = [
        Case::ours("ours", || {
            ours.copy_from_slice(&one);
            let mut jobs = [opener(key, &mut ours)];
            open(&mut jobs);
            assert!(jobs[0].opened.is_ok());
        }),
        Case::ours("ours, 16 at once", || {
            batch.copy_from_slice(&sealed);
            let mut each = in_batch(&mut batch);
            let mut jobs: [_; BATCH] = from_fn(|_| opener(key, each.next().unwrap()));
            open(&mut jobs);
            assert!(jobs.iter().all(|job| job.opened.is_ok()));
        })
        .of(BATCH as u32),
        Case::peer(PEER, || {
            theirs.copy_from_slice(&one);
            assert!(grammers_crypto::decrypt_data_v2(&mut theirs, peer_key).is_ok());
        }),
    ];
    let cases = cases.into_iter().chain(limit(Work::Open, text_len(len)));
    bench.compare(&named("open", len), len, cases);
}

/// Both sides at the same place of one stream.
fn obfuscation(bench: &mut Bench, len: usize) {
    let init: [u8; 64] = from_fn(|i| i as u8 * 3);
    let (key, iv) = (init[8..40].try_into().unwrap(), init[40..56].try_into().unwrap());
    let (mut ours, mut theirs) = (CtrStream::new(key, iv), ObfuscatedCipher::new(&init));
    let (mut data, mut peer_data) = (noise(len, 4), noise(len, 4));

    ours.apply(&mut data);
    theirs.encrypt(&mut peer_data);
    assert_eq!(data, peer_data);

    let cases = [
        Case::ours("ours", || ours.apply(&mut data)),
        Case::peer(PEER, || theirs.encrypt(&mut peer_data)),
    ];
    let cases = cases.into_iter().chain(limit(Work::Ctr, len));
    bench.compare(&named("obfuscation", len), len, cases);
}

/// The mean of numbers as servers send them: how long one takes depends on the number.
fn factorization(bench: &mut Bench) {
    const NUMBERS: usize = 200;
    let mut random = SeededRandom::new(5);
    let numbers: [u64; NUMBERS] = from_fn(|_| pq::generate_pq(&mut random).0);
    for number in numbers {
        let ours = pq::factorize(number).map(|(p, q)| (p.into(), q.into()));
        assert_eq!(ours, Some(grammers_crypto::factorize(number)));
    }

    let cases = [
        Case::ours("ours", || black_box(numbers).map(pq::factorize)).of(NUMBERS as u32),
        Case::peer(PEER, || black_box(numbers).map(grammers_crypto::factorize)).of(NUMBERS as u32),
    ];
    bench.compare("pq, mean of 200", None, cases);
}

const HEADER: Header =
    Header { salt: 0x1122_3344_5566_7788, session_id: 9, msg_id: 0x5f00_0000_0000_0000, seqno: 1 };

/// Header and body as they stand before the padding.
fn text(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    lay_out(&mut out, &HEADER, body, Padding::Least, &mut SeededRandom::new(0));
    out[PREFIX_LEN..][..HEADER_LEN + body.len()].to_vec()
}

/// Length of a plaintext with a body of `len` bytes and the least padding.
fn text_len(len: usize) -> usize {
    (HEADER_LEN + len + PADDING_MIN).next_multiple_of(16)
}

/// One key as both sides hold it.
struct Keys {
    ours: AuthKey,
    theirs: grammers_crypto::AuthKey,
}

impl Keys {
    fn new() -> Self {
        let bytes = from_fn(|i| i as u8);
        Self { ours: AuthKey::new(bytes), theirs: grammers_crypto::AuthKey::from_bytes(bytes) }
    }
}

fn opener<'a>(key: &'a AuthKey, packet: &'a mut [u8]) -> OpenJob<'a> {
    OpenJob::new(key, Direction::ServerToClient, Filler::Never, packet)
}

/// The packets of a batch, all of one length.
fn in_batch(packets: &mut [u8]) -> std::slice::ChunksExactMut<'_, u8> {
    let len = packets.len() / BATCH;
    packets.chunks_exact_mut(len)
}
