//! Tells by the first bytes of a stream what its client speaks.

use crate::Framing;

/// The most bytes that are needed to tell.
pub const SNIFF_LEN_MAX: usize = 8;

/// What a stream's first bytes say.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Sniff {
    /// HTTP, which a WebSocket upgrade is too.
    Http,
    /// More bytes are needed.
    NeedMore,
    /// Nothing that shows, so the beginning of an obfuscated header (or of noise).
    Obfuscated,
    /// A framing without obfuscation.
    Plain(Framing),
    /// A TLS record, real or fake.
    Tls,
}

impl Sniff {
    /// Reads `prefix`, the first bytes of a stream, as many as there are. A verdict stands whatever
    /// follows.
    // req: S117
    #[must_use]
    pub fn of(prefix: &[u8]) -> Self {
        if prefix.first() == Some(&0xef) {
            return Self::Plain(Framing::Abridged);
        }
        if prefix.starts_with(&TLS_HANDSHAKE) {
            return Self::Tls;
        }
        let Some(first) = prefix.first_chunk::<4>() else { return Self::NeedMore };
        if HTTP_METHODS.contains(&first) {
            return Self::Http;
        }
        match Framing::from_tag(*first) {
            Some(framing) => Self::Plain(framing),
            None => match prefix.get(4..SNIFF_LEN_MAX) {
                None => Self::NeedMore,
                // The first seqno of the full framing.
                Some([0, 0, 0, 0]) => Self::Plain(Framing::Full),
                Some(_) => Self::Obfuscated,
            },
        }
    }
}

/// Recognises a stream whose bytes come in pieces of any size.
#[derive(Clone, Debug, Default)]
pub struct Sniffer {
    seen: [u8; SNIFF_LEN_MAX],
    len: usize,
}

impl Sniffer {
    /// A sniffer of a new stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream. After a verdict, further bytes do not change it.
    pub fn feed(&mut self, bytes: &[u8]) -> Sniff {
        let room = self.seen.iter_mut().skip(self.len);
        self.len += room.zip(bytes).map(|(seen, byte)| *seen = *byte).count();
        Sniff::of(self.seen.get(..self.len).unwrap_or_default())
    }
}

/// Whether a client's obfuscated header may begin with `prefix`: it must not look like anything
/// else to any server.
pub(crate) fn looks_obfuscated(prefix: [u8; SNIFF_LEN_MAX]) -> bool {
    Sniff::of(&prefix) == Sniff::Obfuscated && !prefix.starts_with(AVOIDED)
}

/// A handshake record. The fourth byte, the minor version, is left open.
const TLS_HANDSHAKE: [u8; 3] = [0x16, 0x03, 0x01];

const HTTP_METHODS: [&[u8; 4]; 4] = [b"HEAD", b"POST", b"GET ", b"OPTI"];

/// No server is known to give these a meaning, but some clients avoid them.
const AVOIDED: &[u8] = b"PVrG";
