//! AES-256-CTR as one endless stream: the cipher of obfuscated transports.

use cipher::{KeyIvInit, StreamCipher};

/// A keystream and the position in it. Encryption and decryption are the same operation.
pub struct CtrStream(ctr::Ctr128BE<aes::Aes256>);

impl CtrStream {
    /// The stream from its beginning; `iv` is the first counter, big-endian.
    pub fn new(key: &[u8; 32], iv: &[u8; 16]) -> Self {
        Self(ctr::Ctr128BE::new(key.into(), iv.into()))
    }

    /// Applies the next `data.len()` bytes of the stream. How the data is cut into calls makes no
    /// difference.
    pub fn apply(&mut self, data: &mut [u8]) {
        self.0.apply_keystream(data);
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
