//! SHA-256 as lists of blocks: what every instruction set takes, and what they share.

use crate::part::join_into;
use crate::wipe::Wiped;

/// Bytes that one compression takes.
pub(crate) const BLOCK_LEN: usize = 64;

/// One block of the hash.
pub(crate) type Block = [u8; BLOCK_LEN];

/// A hash on its way: the blocks that still have to go through it, and the place of what they come
/// to.
pub(crate) struct Hash<'a> {
    /// The state until the last block went through, as words of this machine.
    pub(super) digest: &'a mut Digest,
    first: Option<&'a Block>,
    middle: &'a [Block],
    last: Option<&'a Block>,
}

/// What a hash comes to.
pub(crate) type Digest = [u8; 32];

impl<'a> Hash<'a> {
    /// A hash over blocks that end in the padding; of none, it fills a place.
    pub(crate) fn of_blocks(blocks: &'a [Block], digest: &'a mut Digest) -> Self {
        *digest = self::digest(INITIAL);
        Self { digest, first: None, middle: blocks, last: None }
    }

    /// A hash of `prefix` and `text`, which has at least 32 bytes and whole 16-byte blocks. Most of
    /// the text is read where it is; `ends` takes the two blocks that have to be put together.
    pub(crate) fn of(
        prefix: &[u8; 32],
        text: &'a [u8],
        ends: &'a mut Ends,
        digest: &'a mut Digest,
    ) -> Self {
        let (start, text) = text.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
        let (middle, rest) = text.as_chunks();
        let Ends([first, last]) = ends;
        join_into(first, &[prefix, start]);
        pad(last, rest, BLOCK_LEN + text.len());
        *digest = self::digest(INITIAL);
        Self { digest, first: Some(first), middle, last: Some(last) }
    }

    /// How many blocks are left.
    pub(super) fn left(&self) -> usize {
        usize::from(self.first.is_some()) + self.middle.len() + usize::from(self.last.is_some())
    }

    /// Takes the next block off.
    #[inline]
    pub(super) fn next_block(&mut self) -> Option<&'a Block> {
        let next = self.first.take().or_else(|| self.middle.split_off_first());
        next.or_else(|| self.last.take())
    }
}

/// Two blocks that have to be put together: the first and the last of a hash whose other blocks lie
/// in a message, or those of two short hashes.
pub(crate) struct Ends(pub(crate) [Wiped<BLOCK_LEN>; 2]);

impl Ends {
    pub(crate) const fn new() -> Self {
        Self([const { Wiped([0; BLOCK_LEN]) }; 2])
    }
}

/// Fills the last block of a message of `len` bytes: its `rest`, which is at most three blocks of
/// the cipher, and the padding.
pub(super) fn pad(block: &mut Block, rest: &[u8], len: usize) {
    let rest = rest.as_chunks::<16>().0;
    debug_assert!(rest.len() < 4, "the padding needs 9 bytes");
    let quarter = |i: usize| match rest.get(i) {
        Some(quarter) => *quarter,
        None => u128::from(i == rest.len()).rotate_right(1).to_be_bytes(),
    };
    let len = (u128::from_be_bytes(quarter(3)) | (len as u128 * 8)).to_be_bytes();
    join_into(block, &[&quarter(0), &quarter(1), &quarter(2), &len]);
}

/// The bytes of words of this machine.
pub(super) fn digest(words: [u32; 8]) -> Digest {
    let mut digest = [0; 32];
    for (slot, word) in digest.as_chunks_mut().0.iter_mut().zip(words) {
        *slot = word.to_ne_bytes();
    }
    digest
}

/// What a state begins with (FIPS 180-4, 5.3.3).
pub(super) const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The constants of four rounds, aligned as a register is.
#[repr(align(16))]
pub(super) struct Keys(pub(super) [u32; 4]);

/// The constants of the rounds (FIPS 180-4, 4.2.2): quarters of four times four.
#[rustfmt::skip]
pub(super) static ROUNDS: [[Keys; 4]; 4] = [
    [
        Keys([0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5]),
        Keys([0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5]),
        Keys([0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3]),
        Keys([0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174]),
    ],
    [
        Keys([0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc]),
        Keys([0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da]),
        Keys([0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7]),
        Keys([0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967]),
    ],
    [
        Keys([0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13]),
        Keys([0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85]),
        Keys([0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3]),
        Keys([0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070]),
    ],
    [
        Keys([0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5]),
        Keys([0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3]),
        Keys([0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208]),
        Keys([0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2]),
    ],
];
