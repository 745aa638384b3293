//! What a server reads of a client's hello.

use super::proof::{self, RANDOM_AT, Random};
use super::{
    HANDSHAKE, HELLO_VERSION, RANDOM_LEN, RECORD_HEADER_LEN, Refusal, SESSION_ID_LEN, prefixed,
};
use crate::SecretKey;

/// The longest hello that is looked at, in bytes, without the headers of its records: as much as
/// one record of TLS holds.
pub const HELLO_LEN_MAX: usize = 1 << 14;

/// The most records that a hello may be spread over. One is what clients send; tools against
/// censorship split it into a few.
pub const HELLO_FRAGMENTS_MAX: usize = 16;

/// A hello of which nothing is proven yet.
#[derive(Debug)]
pub(super) struct ClientHello {
    /// All of it, as one record.
    record: Vec<u8>,
    random: Random,
    session_id: [u8; SESSION_ID_LEN],
}

impl ClientHello {
    /// Reads the hello in `input`, which is all that has arrived of a stream; `None` as long as
    /// more is needed.
    pub(super) fn read(input: &[u8]) -> Result<Option<Self>, Refusal> {
        let Some(record) = read_record(input)? else { return Ok(None) };
        let random = *proof::random_of(&record).ok_or(Refusal::Malformed)?;
        let mut rest = record.get(SESSION_ID_AT..).unwrap_or_default();
        let session_id = match take_array(&mut rest) {
            Some([SESSION_ID_LEN_BYTE]) => take_array(&mut rest).copied(),
            _ => None,
        };
        let session_id = session_id.ok_or(Refusal::Malformed)?;
        Ok(Some(Self { record, random, session_id }))
    }

    pub(super) fn random(&self) -> &Random {
        &self.random
    }

    pub(super) fn session_id(&self) -> &[u8; SESSION_ID_LEN] {
        &self.session_id
    }

    /// The digest of the hello under `key`, as if it had come in one record.
    pub(super) fn digest(&self, key: &SecretKey) -> Random {
        proof::digest(key, &[], &self.record)
    }

    /// The cipher suite that a server of TLS 1.3 would choose: the first of the client's. Of a list
    /// that cannot be read or has none it is the one that every such server has.
    pub(super) fn suite(&self) -> [u8; 2] {
        let suites = || self.after_session_id().and_then(|mut rest| take_prefixed(&mut rest));
        let mut pairs = suites().unwrap_or_default().chunks_exact(2);
        let chosen = pairs.find_map(|pair| match pair {
            [0x13, low @ 0x01..=0x03] => Some([0x13, *low]),
            _ => None,
        });
        chosen.unwrap_or(SUITE_DEFAULT)
    }

    /// The name of the site that the client says it visits, if it does.
    pub(super) fn domain(&self) -> Option<&[u8]> {
        let mut rest = self.after_session_id()?;
        let _suites = take_prefixed(&mut rest)?;
        let [compressions_len] = *take_array(&mut rest)?;
        take(&mut rest, compressions_len.into())?;
        let mut extensions = take_prefixed(&mut rest)?;
        loop {
            let id = u16::from_be_bytes(*take_array(&mut extensions)?);
            let mut body = take_prefixed(&mut extensions)?;
            if id == SERVER_NAME {
                let mut names = take_prefixed(&mut body)?;
                let [HOST_NAME] = take_array(&mut names)? else { return None };
                return take_prefixed(&mut names);
            }
        }
    }

    fn after_session_id(&self) -> Option<&[u8]> {
        self.record.get(SESSION_ID_AT + 1 + SESSION_ID_LEN..)
    }
}

/// Puts the message that the records in `input` hold into one record. It is all that may be there.
// req: L32
fn read_record(input: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let (mut message, mut rest) = (Vec::new(), input);
    for _ in 0..HELLO_FRAGMENTS_MAX {
        let Some(len) = read_record_len(rest)? else { return Ok(None) };
        if message.len() + len > HELLO_LEN_MAX {
            return Err(Refusal::TooLong);
        }
        let behind = rest.get(RECORD_HEADER_LEN..).unwrap_or_default();
        let Some((fragment, next)) = behind.split_at_checked(len) else { return Ok(None) };
        message.extend_from_slice(fragment);
        rest = next;
        let Some([kind, len @ ..]) = message.first_chunk::<4>() else { continue };
        let [high, middle, low] = *len;
        let whole = u32::from_be_bytes([0, high, middle, low]) as usize + 4;
        if *kind != CLIENT_HELLO || message.len() > whole {
            return Err(Refusal::Malformed);
        }
        if whole > HELLO_LEN_MAX {
            return Err(Refusal::TooLong);
        }
        if message.len() == whole {
            let [major, minor] = HELLO_VERSION;
            let record = [[HANDSHAKE, major, minor].as_slice(), &prefixed(&[&message])].concat();
            // A client of fake TLS waits for the answer now.
            return if rest.is_empty() { Ok(Some(record)) } else { Err(Refusal::Trailing) };
        }
    }
    Err(Refusal::TooLong)
}

/// The length of the record at the front of `bytes`, in bytes; `None` if its header is not all
/// there. What is there must be right, so that nothing else is waited for.
fn read_record_len(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let [major, minor] = HELLO_VERSION;
    if bytes.iter().zip([HANDSHAKE, major, minor]).any(|(byte, expected)| *byte != expected) {
        return Err(Refusal::Malformed);
    }
    let Some([.., high, low]) = bytes.first_chunk::<RECORD_HEADER_LEN>() else { return Ok(None) };
    match u16::from_be_bytes([*high, *low]) {
        0 => Err(Refusal::Malformed),
        len => Ok(Some(len.into())),
    }
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn take_array<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    take(bytes, N)?.first_chunk()
}

/// Takes what stands behind its length in two bytes.
fn take_prefixed<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u16::from_be_bytes(*take_array(bytes)?);
    take(bytes, len.into())
}

const CLIENT_HELLO: u8 = 1;
/// Where the session id is in a record, behind its length.
const SESSION_ID_AT: usize = RANDOM_AT + RANDOM_LEN;
const SESSION_ID_LEN_BYTE: u8 = SESSION_ID_LEN as u8;
const SUITE_DEFAULT: [u8; 2] = [0x13, 0x01];
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
