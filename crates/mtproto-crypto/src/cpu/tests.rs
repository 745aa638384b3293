//! Every path gives the bytes of the portable one, whatever the detection would choose.
//!
//! A case is one message, so that `cargo test --release` compares 10^6 of them a path; a debug
//! build, which shows the same branches but slowly, does a hundredth of it.

use super::*;
use crate::random::{SecureRandom, SecureRandomExt, SeededRandom};

const CASES: usize = if cfg!(debug_assertions) { 10_000 } else { 1_000_000 };

const PORTABLE: Cpu = Cpu { cipher: Cipher::Portable, hasher: Hasher::Portable };

/// Every way to cipher that this processor leaves, but for the portable one.
fn ciphers() -> Vec<Cipher> {
    #[cfg(target_arch = "x86_64")]
    {
        let aes_ni = aes_ni::Token::detect().map(Cipher::AesNi);
        let vaes = vaes::Token::detect().map(Cipher::Vaes);
        return [aes_ni, vaes].into_iter().flatten().collect();
    }
    #[allow(unreachable_code, reason = "other processors have no other way yet")]
    Vec::new()
}

/// Every way to hash, likewise.
fn hashers() -> Vec<Hasher> {
    #[cfg(target_arch = "x86_64")]
    {
        let sha_ni = sha_ni::Token::detect().map(Hasher::ShaNi);
        let sha_avx512 = sha_avx512::Token::detect().map(Hasher::ShaAvx512);
        return [sha_ni, sha_avx512].into_iter().flatten().collect();
    }
    #[allow(unreachable_code, reason = "other processors have no other way yet")]
    Vec::new()
}

/// Calls `round` with every way until it has compared `CASES` messages with each.
fn for_each<W: Copy>(ways: Vec<W>, mut round: impl FnMut(W, &mut Shapes) -> usize) {
    for (seed, way) in (1..).zip(ways) {
        let mut shapes = Shapes(SeededRandom::new(seed));
        let mut cases = 0;
        while cases < CASES {
            cases += round(way, &mut shapes);
        }
    }
}

/// Draws what the messages look like.
struct Shapes(SeededRandom);

impl Shapes {
    fn below(&mut self, end: usize) -> usize {
        self.0.u32() as usize % end
    }

    /// How many messages: most often about as many as go side by side.
    fn count(&mut self) -> usize {
        let most = [2, 5, 18, 40][self.below(4)];
        self.below(most)
    }

    /// How long the messages of a batch may be: mostly short, where the ends are.
    fn len_max(&mut self) -> usize {
        match self.below(64) {
            0 => 5000,
            some => [1, 80, 200, 300, 300, 300, 700][some % 7],
        }
    }

    /// A message anywhere in memory, and where it starts.
    fn message(&mut self, len: usize) -> Message {
        let mut buffer = vec![0; 64 + len];
        self.0.fill(&mut buffer);
        Message { key: self.key(), start: self.below(64), buffer }
    }

    fn key(&mut self) -> IgeKey {
        IgeKey::new(self.0.array(), self.0.array())
    }

    fn messages(&mut self) -> Vec<Message> {
        let (count, len_max, alike) = (self.count(), self.len_max(), self.below(2) == 0);
        (0..count)
            .map(|_| {
                let len = if alike { len_max } else { self.below(len_max) };
                self.message(len)
            })
            .collect()
    }
}

#[derive(Clone)]
struct Message {
    key: IgeKey,
    start: usize,
    buffer: Vec<u8>,
}

impl Message {
    fn data(&mut self) -> &mut [u8] {
        let len = self.buffer.len() - 64;
        &mut self.buffer[self.start..][..len]
    }

    fn lane(&mut self) -> Lane<'_> {
        let len = self.buffer.len() - 64;
        Lane::new(&self.key, &mut self.buffer[self.start..][..len])
    }
}

/// The bytes around a message count as well: nothing may be written there.
fn assert_same(expected: &[Message], actual: &[Message], way: impl std::fmt::Debug) {
    let lens: Vec<_> = expected.iter().map(|message| message.buffer.len() - 64).collect();
    for (n, (expected, actual)) in expected.iter().zip(actual).enumerate() {
        assert!(expected.buffer == actual.buffer, "{way:?}: message {n} of lengths {lens:?}");
    }
}

#[test]
fn any_list_of_messages_is_encrypted_alike() {
    for_each(ciphers(), |cipher, shapes| {
        let (mut expected, cpu) = (shapes.messages(), Cpu { cipher, ..PORTABLE });
        let mut actual = expected.clone();
        PORTABLE.ige_encrypt(expected.iter_mut().map(Message::lane));
        cpu.ige_encrypt(actual.iter_mut().map(Message::lane));
        assert_same(&expected, &actual, cipher);
        actual.len()
    });
}

#[test]
fn any_list_of_messages_is_decrypted_alike() {
    for_each(ciphers(), |cipher, shapes| {
        let (mut expected, cpu) = (shapes.messages(), Cpu { cipher, ..PORTABLE });
        let mut actual = expected.clone();
        PORTABLE.ige_decrypt(expected.iter_mut().map(Message::lane));
        cpu.ige_decrypt(actual.iter_mut().map(Message::lane));
        assert_same(&expected, &actual, cipher);
        actual.len()
    });
}

#[test]
fn a_message_is_decrypted_and_hashed_alike() {
    let pairs = ciphers().into_iter().flat_map(|it| hashers().into_iter().map(move |h| (it, h)));
    for_each(pairs.collect(), |(cipher, hasher), shapes| {
        let len = shapes.len_max().max(2 * BLOCK_LEN) / BLOCK_LEN + shapes.below(9);
        let (mut expected, prefix) = ([shapes.message(len * BLOCK_LEN)], shapes.0.array());
        let mut actual = expected.clone();
        let hash = PORTABLE.ige_decrypt_and_hash(expected[0].lane(), &prefix);
        assert_eq!(hash, crate::hash::sha256(&[&prefix, expected[0].data()]));
        let cpu = Cpu { cipher, hasher };
        assert_eq!(cpu.ige_decrypt_and_hash(actual[0].lane(), &prefix), hash, "{cpu:?}, {len}");
        assert_same(&expected, &actual, cpu);
        1
    });
}

#[test]
fn any_list_of_hashes_is_taken_alike() {
    for_each(hashers(), |hasher, shapes| {
        let (mut messages, prefix): (_, [u8; 32]) = (shapes.messages(), shapes.0.array());
        let keyed = shapes.below(3) == 0;
        // What is hashed has two blocks at least, and nothing after the last whole one.
        let texts: Vec<&[u8]> = messages
            .iter_mut()
            .map(|message| &*message.data())
            .map(|text| &text[..text.len() / BLOCK_LEN * BLOCK_LEN])
            .map(|text| if text.len() < 32 { &prefix } else { text })
            .collect();
        let of_all = |cpu: Cpu| -> Vec<[u8; 32]> {
            let mut places: Vec<_> = texts.iter().map(|_| (Ends::new(), [0; 32])).collect();
            let hash = |(text, (ends, digest))| -> Hash<'_> {
                let text: &[u8] = text;
                if keyed {
                    let blocks = text.as_chunks().0;
                    Hash::of_blocks(if blocks.is_empty() { &[[7; 64]] } else { blocks }, digest)
                } else {
                    Hash::of(&prefix, text, ends, digest)
                }
            };
            let places_of = places.iter_mut().map(|(ends, digest)| (ends, digest));
            let mut hashes: Vec<_> = texts.iter().copied().zip(places_of).map(hash).collect();
            cpu.sha256(&mut hashes);
            places.into_iter().map(|(_, digest)| digest).collect()
        };
        let expected = of_all(PORTABLE);
        assert!(of_all(Cpu { hasher, ..PORTABLE }) == expected, "{hasher:?}, {}", texts.len());
        if !keyed {
            let one_by_one = texts.iter().map(|text| crate::hash::sha256(&[&prefix, text]));
            assert!(one_by_one.eq(expected));
        }
        texts.len()
    });
}

#[test]
fn a_keystream_is_the_same_wherever_its_counter_overflows() {
    for_each(ciphers(), |cipher, shapes| {
        let (len_max, key) = (shapes.len_max(), shapes.0.array());
        let (len, more) = (shapes.below(len_max), shapes.below(40));
        let mut expected = [shapes.message(len), shapes.message(more)];
        let mut actual = expected.clone();
        let near = u128::from(shapes.0.u64() % 70);
        let high = u128::from(shapes.0.u64()) << 64;
        let counter = [high | near, high.wrapping_sub(near), near.wrapping_neg()][shapes.below(3)];
        for (cpu, messages) in
            [(PORTABLE, &mut expected), (Cpu { cipher, ..PORTABLE }, &mut actual)]
        {
            let pieces = messages.each_mut().map(|message| message.data().as_chunks_mut().0);
            cpu.ctr(&key, counter, pieces);
        }
        assert_same(&expected, &actual, cipher);
        1
    });
}

#[test]
fn a_long_message_beside_short_ones() {
    let lens = [16, 100_000, 0, 15, 32, 4096, 1 << 16, 48, 17, 160];
    for cipher in ciphers() {
        let mut shapes = Shapes(SeededRandom::new(1));
        let mut messages: Vec<_> = lens.iter().map(|len| shapes.message(*len)).collect();
        let before = messages.clone();
        let mut expected = messages.clone();
        let cpu = Cpu { cipher, ..PORTABLE };
        cpu.ige_encrypt(messages.iter_mut().map(Message::lane));
        PORTABLE.ige_encrypt(expected.iter_mut().map(Message::lane));
        assert_same(&expected, &messages, cipher);
        cpu.ige_decrypt(messages.iter_mut().map(Message::lane));
        assert_same(&before, &messages, cipher);
    }
}
