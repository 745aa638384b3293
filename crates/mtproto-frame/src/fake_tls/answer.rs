//! What a server answers to a hello that is one of ours.

use mtproto_crypto::curve25519_public_key;

use super::hello::ClientHello;
use super::proof::{self, BLANK};
use super::{APPLICATION_DATA, CHANGE_CIPHER_RECORD, HANDSHAKE, SESSION_ID_LEN, VERSION, prefixed};
use crate::SecretKey;

/// What is random in an answer.
pub(super) struct Chance {
    pub(super) scalar: [u8; 32],
    /// What stands for the certificate and the rest, which TLS 1.3 encrypts.
    pub(super) encrypted: Vec<u8>,
}

/// The three records: a hello, the announcement of encryption, and what nobody can read.
pub(super) fn write(hello: &ClientHello, key: &SecretKey, chance: &Chance) -> Vec<u8> {
    let message = server_hello(hello, &curve25519_public_key(&chance.scalar));
    let mut records = [
        [HANDSHAKE].as_slice(),
        &VERSION,
        &prefixed(&[&message]),
        &CHANGE_CIPHER_RECORD,
        &[APPLICATION_DATA],
        &VERSION,
        &prefixed(&[&chance.encrypted]),
    ]
    .concat();
    let random = proof::digest(key, hello.random(), &records);
    proof::put_random(&mut records, &random);
    records
}

fn server_hello(hello: &ClientHello, public_key: &[u8; 32]) -> Vec<u8> {
    let extensions = [
        KEY_SHARE_HEAD.as_slice(),
        public_key,
        // Supported versions: TLS 1.3.
        &[0x00, 0x2b, 0x00, 0x02, 0x03, 0x04],
    ]
    .concat();
    let body = [
        VERSION.as_slice(),
        &BLANK,
        &[SESSION_ID_LEN as u8],
        hello.session_id(),
        &hello.suite(),
        // No compression.
        &[0],
        &prefixed(&[&extensions]),
    ]
    .concat();
    // The length has three bytes, of which two are enough.
    [&[SERVER_HELLO, 0], prefixed(&[&body]).as_slice()].concat()
}

const SERVER_HELLO: u8 = 2;

/// The key share extension up to the key, which is one of x25519.
const KEY_SHARE_HEAD: [u8; 8] = [0x00, 0x33, 0x00, 0x24, 0x00, 0x1d, 0x00, 0x20];
