//! Fake TLS: a stream that looks like a visit to a web site over TLS 1.3, and is none.
//!
//! The client's first record is a browser's hello whose random bytes prove that it knows the
//! secret; the server's three records prove the same in return. What follows travels in records of
//! "application data", and inside them is an ordinary obfuscated stream of the padded framing,
//! which [`Wire::client`](crate::Wire::client) and
//! [`Wire::inside_fake_tls`](crate::Wire::inside_fake_tls) speak. Nothing here is encrypted by TLS.
//!
//! A client calls [`ClientHandshake::start`]; a server asks its [`Gate`] about every stream that
//! begins like TLS. Both then have a [`RecordReader`] and a [`RecordWriter`].

mod answer;
mod client;
mod client_hello;
mod fault;
mod gate;
mod hello;
mod proof;
mod records;
mod seen;
#[cfg(test)]
mod tests;

pub use client::{Answer, ClientHandshake};
pub use client_hello::HelloShape;
pub use fault::Fault;
pub use gate::{Accepted, Gate, HELLO_AHEAD_MAX, HELLO_BEHIND_MAX, Refusal, UPTIME_MAX, Verdict};
pub use hello::{HELLO_FRAGMENTS_MAX, HELLO_LEN_MAX};
pub use records::{RECORD_SENT_LEN_MAX, RecordReader, RecordWriter};
pub use seen::{SEEN_MAX, SEEN_TIME};

/// Length of what stands before the bytes of a record: type, version, length.
const RECORD_HEADER_LEN: usize = 5;

/// The longest record of TLS 1.3, in bytes.
const RECORD_LEN_MAX: usize = (1 << 14) + 256;

const CHANGE_CIPHER: u8 = 0x14;
const HANDSHAKE: u8 = 0x16;
const APPLICATION_DATA: u8 = 0x17;

/// The version in a record's header: that of TLS 1.2, as TLS 1.3 has it, and in the first hello
/// that of TLS 1.0.
const VERSION: [u8; 2] = [3, 3];
const HELLO_VERSION: [u8; 2] = [3, 1];

/// The whole record that says "encrypted from here on".
const CHANGE_CIPHER_RECORD: [u8; 6] = [CHANGE_CIPHER, 3, 3, 0, 1, 1];

const RANDOM_LEN: usize = 32;
const SESSION_ID_LEN: usize = 32;

/// Bytes behind their length in two bytes, as most fields of a hello are. Nothing that is written
/// here is longer than that can say.
fn prefixed(pieces: &[&[u8]]) -> Vec<u8> {
    let bytes = pieces.concat();
    debug_assert!(bytes.len() <= usize::from(u16::MAX));
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes(), bytes.as_slice()].concat()
}
