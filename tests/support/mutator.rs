//! Changes to bytes that a network, a bug or an enemy makes. One seed decides all of them.

use mtproto_crypto::{SecureRandom, SeededRandom};

/// A source of damage.
pub struct Mutator {
    random: SeededRandom,
    /// Something that went by earlier, to splice in.
    seen: Vec<u8>,
}

/// Words that code tends to get wrong.
const WORDS: [u32; 10] =
    [0, 1, 3, 4, 0xff, 0x7fff_ffff, 0x8000_0000, 0x8000_0004, 0xffff_fffc, 0xffff_ffff];

impl Mutator {
    /// The mutator that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: SeededRandom::new(seed), seen: vec![0; 64] }
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        let number = usize::try_from(self.random.u32()).unwrap_or_default();
        number % bound.max(1)
    }

    /// Any word.
    pub fn word(&mut self) -> u32 {
        self.random.u32()
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.random.u64()
    }

    /// So many random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.random.fill(&mut bytes);
        bytes
    }

    /// Changes `bytes` in one of many ways. Now and then they stay as they are: a repeat is a test
    /// too.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let before = bytes.clone();
        match self.below(9) {
            0 | 1 => self.flip_bits(bytes),
            2 => self.overwrite_word(bytes),
            3 => bytes.truncate(self.below(bytes.len())),
            4 => {
                let len = 1 + self.below(40);
                bytes.extend(self.bytes(len));
            }
            5 => {
                let range = self.range(bytes.len());
                bytes.drain(range);
            }
            6 => {
                let range = self.range(bytes.len());
                let copy = bytes.get(range.clone()).unwrap_or_default().to_vec();
                bytes.splice(range.start..range.start, copy);
            }
            7 => {
                let (range, from) = (self.range(bytes.len()), self.range(self.seen.len()));
                let piece = self.seen.get(from).unwrap_or_default().to_vec();
                bytes.splice(range, piece);
            }
            _ => {
                let range = self.range(bytes.len());
                let noise = self.bytes(range.len());
                bytes.splice(range, noise);
            }
        }
        if self.below(4) == 0 {
            self.seen = before;
        }
    }

    /// As [`Self::mutate`], with whole words as the result, because a stream is made of them.
    pub fn mutate_words(&mut self, bytes: &mut Vec<u8>) {
        self.mutate(bytes);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }

    fn flip_bits(&mut self, bytes: &mut [u8]) {
        for _ in 0..=self.below(3) {
            let (at, bit) = (self.below(bytes.len()), self.below(8));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
    }

    fn overwrite_word(&mut self, bytes: &mut [u8]) {
        let word = WORDS[self.below(WORDS.len())];
        let at = self.below(bytes.len()) & !3;
        for (byte, new) in bytes.iter_mut().skip(at).zip(word.to_le_bytes()) {
            *byte = new;
        }
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len);
        let end = (start + 1 + self.below(24)).min(len);
        start.min(end)..end
    }
}
