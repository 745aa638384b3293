//! Obfuscation: a 64-byte header with keys, and one AES-CTR stream per direction.
//!
//! <https://core.telegram.org/mtproto/mtproto-transports#transport-obfuscation>

use mtproto_crypto::hash::sha256;
use mtproto_crypto::{CtrStream, SecureRandom, SecureRandomExt};
use zeroize::Zeroizing;

use crate::item::Role;
use crate::sniffer::looks_obfuscated;
use crate::{Framing, SecretKey};

/// Length of the header that opens an obfuscated stream, in bytes.
pub const OBFUSCATED_HEADER_LEN: usize = 64;

/// The header that opens an obfuscated stream.
pub(crate) type Header = [u8; OBFUSCATED_HEADER_LEN];

/// The two streams of one side of a connection.
#[derive(Debug)]
pub(crate) struct Ciphers {
    pub(crate) inbound: CtrStream,
    pub(crate) outbound: CtrStream,
}

impl Ciphers {
    /// Derives the keys from a header's plain bytes 8..56.
    fn derive(header: &Header, key: Option<&SecretKey>, role: Role) -> Self {
        let mut reversed = *header;
        reversed.reverse();
        let (to_server, to_client) = (stream(header, key), stream(&reversed, key));
        match role {
            Role::Client => Self { inbound: to_client, outbound: to_server },
            Role::Server => Self { inbound: to_server, outbound: to_client },
        }
    }
}

/// What a client's header says, once a key opened it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) framing: Framing,
    pub(crate) dc: i16,
    pub(crate) ciphers: Ciphers,
}

/// Draws a header that no server takes for anything else, and seals it for `framing`.
pub(crate) fn open_as_client(
    tag: [u8; 4],
    dc: i16,
    key: Option<&SecretKey>,
    random: &mut dyn SecureRandom,
) -> (Header, Ciphers) {
    let mut header: Header = random.array();
    let mut prefix = part(&header, 0);
    while !looks_obfuscated(prefix) {
        prefix = random.array();
    }
    put(&mut header, 0, &prefix);
    seal(header, tag, dc, key)
}

/// Writes tag and dc into `header`, whose other bytes are random, and encrypts what is to be
/// hidden.
pub(crate) fn seal(
    mut header: Header,
    tag: [u8; 4],
    dc: i16,
    key: Option<&SecretKey>,
) -> (Header, Ciphers) {
    put(&mut header, TAG_AT, &tag);
    put(&mut header, DC_AT, &dc.to_le_bytes());
    let mut ciphers = Ciphers::derive(&header, key, Role::Client);
    let mut encrypted = header;
    ciphers.outbound.apply(&mut encrypted);
    let hidden: [u8; OBFUSCATED_HEADER_LEN - TAG_AT] = part(&encrypted, TAG_AT);
    put(&mut header, TAG_AT, &hidden);
    (header, ciphers)
}

/// Tries one key on a client's header. A wrong key shows by a tag that names no framing.
pub(crate) fn open_as_server(header: &Header, key: Option<&SecretKey>) -> Option<Opened> {
    let mut ciphers = Ciphers::derive(header, key, Role::Server);
    let mut decrypted = *header;
    ciphers.inbound.apply(&mut decrypted);
    let framing = Framing::from_tag(part(&decrypted, TAG_AT))?;
    // req: L31
    let dc = i16::from_le_bytes(part(&decrypted, DC_AT));
    Some(Opened { framing, dc, ciphers })
}

/// The stream keyed by bytes 8..56 of `header`, or of its reversal for the other direction.
fn stream(header: &Header, key: Option<&SecretKey>) -> CtrStream {
    let material: [u8; 32] = part(header, KEY_AT);
    let iv: [u8; 16] = part(header, IV_AT);
    match key {
        None => CtrStream::new(&material, &iv),
        Some(secret) => {
            let key = Zeroizing::new(sha256(&[&material, secret.as_bytes()]));
            CtrStream::new(&key, &iv)
        }
    }
}

/// `N` bytes of `header` from `at`, which must leave room for them.
fn part<const N: usize>(header: &Header, at: usize) -> [u8; N] {
    debug_assert!(at + N <= OBFUSCATED_HEADER_LEN);
    let mut out = [0; N];
    out.iter_mut().zip(header.iter().skip(at)).for_each(|(to, from)| *to = *from);
    out
}

fn put(header: &mut Header, at: usize, bytes: &[u8]) {
    debug_assert!(at + bytes.len() <= OBFUSCATED_HEADER_LEN);
    header.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

const KEY_AT: usize = 8;
const IV_AT: usize = 40;
const TAG_AT: usize = 56;
const DC_AT: usize = 60;
