//! AES-256-CTR as one endless stream: the cipher of obfuscated transports.

use crate::cpu::{Block, Cpu};
use crate::ige::BLOCK_LEN;
use crate::wipe::Wiped;

/// A keystream and the position in it. Encryption and decryption are the same operation.
///
/// A connection keeps two of them however idle it is, so that one is small: round keys are made
/// anew in each call, which takes no longer than a block or two.
pub struct CtrStream {
    key: Wiped<32>,
    /// The number of the next whole block.
    counter: u128,
    /// The block before that one, of which the last `left` bytes are still to be used.
    block: Wiped<BLOCK_LEN>,
    left: u8,
}

impl CtrStream {
    /// The stream from its beginning; `iv` is the first counter, big-endian.
    pub fn new(key: &[u8; 32], iv: &[u8; 16]) -> Self {
        let (counter, block) = (u128::from_be_bytes(*iv), Wiped([0; BLOCK_LEN]));
        Self { key: Wiped(*key), counter, block, left: 0 }
    }

    /// Applies the next `data.len()` bytes of the stream. How the data is cut into calls makes no
    /// difference.
    pub fn apply(&mut self, data: &mut [u8]) {
        let (head, data) = data.split_at_mut(data.len().min(self.left.into()));
        self.use_up(head);
        if data.is_empty() {
            return;
        }
        let (blocks, tail) = data.as_chunks_mut();
        let count = blocks.len();
        let last: &mut [Block] = if tail.is_empty() {
            &mut []
        } else {
            *self.block = [0; BLOCK_LEN];
            self.left = BLOCK_LEN as u8;
            core::slice::from_mut(&mut self.block)
        };
        let next = self.counter.wrapping_add((count + last.len()) as u128);
        Cpu::here().ctr(&self.key, core::mem::replace(&mut self.counter, next), [blocks, last]);
        self.use_up(tail);
    }

    /// Applies what is left of the block before, of which there has to be enough.
    fn use_up(&mut self, data: &mut [u8]) {
        let (_, left) = self.block.split_at(BLOCK_LEN - usize::from(self.left));
        for (byte, key) in data.iter_mut().zip(left) {
            *byte ^= *key;
        }
        self.left -= data.len() as u8;
    }
}

impl std::fmt::Debug for CtrStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CtrStream")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, array, bytes};

    #[test]
    fn an_idle_stream_is_small() {
        assert!(size_of::<CtrStream>() <= 80, "{} bytes", size_of::<CtrStream>());
    }

    #[test]
    fn a_stream_may_be_cut_anywhere() {
        let (key, iv) = ([7; 32], [0xff; 16]);
        let mut whole = [0; 700];
        CtrStream::new(&key, &iv).apply(&mut whole);
        for len in 1..200 {
            let (mut stream, mut cut) = (CtrStream::new(&key, &iv), [0; 700]);
            cut.chunks_mut(len).for_each(|piece| stream.apply(piece));
            assert_eq!(cut, whole, "pieces of {len}");
        }
    }

    #[test]
    fn obfuscated_streams_are_those_of_the_vectors() {
        let obfuscation = vectors::all()["obfuscation"].as_object().unwrap();
        let cases = obfuscation.values().filter(|case| case.is_object());
        let mut count = 0;
        for case in cases {
            count += 1;
            let mut out = CtrStream::new(&array(&case["encrypt_key"]), &array(&case["encrypt_iv"]));
            let mut header = bytes(&case["init"]);
            out.apply(&mut header);
            assert_eq!(header[56..], bytes(&case["header_on_wire"])[56..]);
            let mut sent = bytes(&case["client_plain"]);
            sent.chunks_mut(3).for_each(|piece| out.apply(piece));
            assert_eq!(sent, bytes(&case["client_cipher"]));

            let mut back =
                CtrStream::new(&array(&case["decrypt_key"]), &array(&case["decrypt_iv"]));
            let mut received = bytes(&case["server_cipher"]);
            received.chunks_mut(5).for_each(|piece| back.apply(piece));
            assert_eq!(received, bytes(&case["server_plain"]));
        }
        assert_eq!(count, 4);
    }
}
