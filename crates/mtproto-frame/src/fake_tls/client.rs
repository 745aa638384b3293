//! The client's side of the hellos.

use mtproto_crypto::SecureRandom;
use mtproto_crypto::hash::equal;

use super::client_hello::{self, HelloShape};
use super::proof::{self, Random};
use super::{
    APPLICATION_DATA, CHANGE_CIPHER, CHANGE_CIPHER_RECORD, Fault, HANDSHAKE, RECORD_HEADER_LEN,
    RECORD_LEN_MAX, VERSION,
};
use crate::SecretKey;

/// A client that has said hello and waits for the answer.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    pub(super) key: SecretKey,
    /// The random bytes of our hello, which the answer is bound to.
    pub(super) random: Random,
}

/// What has arrived of a server's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// At least so many more bytes belong to it.
    NeedMore(usize),
    /// It is whole, and the server knows the secret.
    Proven,
}

impl ClientHandshake {
    /// Says hello as a browser on its way to `domain` does; also returns the bytes to send.
    /// `unix_time` is the time in seconds since 1970, as near to the server's as is known.
    // req: S116
    #[must_use]
    pub fn start(
        key: &SecretKey,
        domain: &str,
        shape: HelloShape,
        unix_time: u32,
        random: &mut dyn SecureRandom,
    ) -> (Self, Vec<u8>) {
        let mut hello = client_hello::write(domain, shape, random);
        let random = proof::of_client(&proof::digest(key, &[], &hello), unix_time);
        proof::put_random(&mut hello, &random);
        (Self { key: key.clone(), random }, hello)
    }

    /// Looks at `answer`, all that has been read of the stream. A caller that never reads more than
    /// what is said to be missing finds the first record of data behind it.
    ///
    /// # Errors
    /// The server does not know the secret, or speaks something else.
    pub fn check(&self, answer: &[u8]) -> Result<Answer, Fault> {
        let missing = missing(answer)?;
        if missing > 0 {
            return Ok(Answer::NeedMore(missing));
        }
        let expected = proof::digest(&self.key, &self.random, answer);
        match proof::random_of(answer) {
            Some(random) if equal(random, &expected) => Ok(Answer::Proven),
            _ => Err(Fault::AnswerUnproven),
        }
    }
}

/// How many bytes of the three records are certainly still to come.
fn missing(answer: &[u8]) -> Result<usize, Fault> {
    let mut rest = answer;
    for expected in [HANDSHAKE, CHANGE_CIPHER, APPLICATION_DATA] {
        let Some((header, behind)) = rest.split_first_chunk::<RECORD_HEADER_LEN>() else {
            return Ok(RECORD_HEADER_LEN - rest.len());
        };
        let [kind, major, minor, high, low] = *header;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let is_right = kind == expected
            && [major, minor] == VERSION
            && len <= RECORD_LEN_MAX
            && (kind != CHANGE_CIPHER || CHANGE_CIPHER_RECORD.starts_with(header));
        if !is_right {
            return Err(Fault::AnswerMalformed { kind, len });
        }
        match behind.split_at_checked(len) {
            None => return Ok(len - behind.len()),
            Some((_, next)) => rest = next,
        }
    }
    // Nobody was to read as far as that.
    if rest.is_empty() { Ok(0) } else { Err(Fault::AnswerUnproven) }
}
