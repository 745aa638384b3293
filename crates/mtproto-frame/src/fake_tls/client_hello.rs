//! The hello of a browser.
//!
//! What stands in it was read off the hellos of Chrome and of Telegram's own clients. A server of
//! fake TLS looks at little of it, whoever watches the line at all of it.

use mtproto_crypto::{SecureRandom, SecureRandomExt, curve25519_public_key};

use super::proof::BLANK;
use super::{HANDSHAKE, HELLO_VERSION, SESSION_ID_LEN, VERSION, prefixed};

/// Which browser a hello is like.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum HelloShape {
    /// One of 2019, in 517 bytes as long as the domain is not very long. Every server of fake TLS
    /// takes it, the first ones no other.
    Classic,
    /// One of 2025, which offers a key exchange that quantum computers do not break: about 1.8 KiB
    /// with extensions in a new order every time.
    #[default]
    Modern,
}

/// A hello to `domain` whose random bytes are blank.
pub(super) fn write(domain: &str, shape: HelloShape, random: &mut dyn SecureRandom) -> Vec<u8> {
    let mut draw = Draw { grease: Grease::draw(random), random };
    let extensions = match shape {
        HelloShape::Classic => classic_extensions(domain, &mut draw),
        HelloShape::Modern => modern_extensions(domain, &mut draw),
    };
    let session_id: [u8; SESSION_ID_LEN] = draw.random.array();
    let start = [
        VERSION.as_slice(),
        &BLANK,
        &[SESSION_ID_LEN as u8],
        &session_id,
        &prefixed(&[&draw.grease.suite, &SUITES]),
        // One way to compress: none.
        &[1, 0],
    ]
    .concat();
    let padding = match shape {
        HelloShape::Classic => padding(HEADS_LEN + start.len() + 2 + extensions.len()),
        HelloShape::Modern => Vec::new(),
    };
    let body = [start, prefixed(&[&extensions, &padding])].concat();
    // The length of the message has three bytes, of which two are enough.
    let message = [&[CLIENT_HELLO, 0], prefixed(&[&body]).as_slice()].concat();
    [[HANDSHAKE].as_slice(), &HELLO_VERSION, &prefixed(&[&message])].concat()
}

fn classic_extensions(domain: &str, draw: &mut Draw<'_>) -> Vec<u8> {
    let grease = draw.grease;
    let share = [&grease.group, [0, 1, 0].as_slice(), &X25519, &prefixed(&[&draw.point()])];
    [
        extension(grease.first, &[]),
        server_name(domain),
        extension(MASTER_SECRET, &[]),
        extension(RENEGOTIATION, &[0]),
        extension(GROUPS, &prefixed(&[&grease.group, &X25519, &P256_P384])),
        extension(POINT_FORMATS, &[1, 0]),
        extension(SESSION_TICKET, &[]),
        extension(ALPN, &prefixed(&[ALPN_NAMES])),
        extension(STATUS_REQUEST, &[1, 0, 0, 0, 0]),
        extension(SIGNATURES, &prefixed(&[&SIGNATURE_SCHEMES])),
        extension(CERTIFICATE_TIMES, &[]),
        extension(KEY_SHARE, &prefixed(&share)),
        extension(PSK_MODES, &[1, 1]),
        extension(
            VERSIONS,
            &[&[10], grease.version.as_slice(), &[3, 4, 3, 3, 3, 2, 3, 1]].concat(),
        ),
        extension(COMPRESSION, &[2, 0, 2]),
        extension(grease.last, &[0]),
    ]
    .concat()
}

fn modern_extensions(domain: &str, draw: &mut Draw<'_>) -> Vec<u8> {
    let grease = draw.grease;
    let share = [
        grease.group.as_slice(),
        &[0, 1, 0],
        &X25519_ML_KEM_768,
        &prefixed(&[&draw.ml_kem_768_key(), &draw.point()]),
        &X25519,
        &prefixed(&[&draw.point()]),
    ];
    let mut extensions = [
        server_name(domain),
        extension(STATUS_REQUEST, &[1, 0, 0, 0, 0]),
        extension(GROUPS, &prefixed(&[&grease.group, &X25519_ML_KEM_768, &X25519, &P256_P384])),
        extension(POINT_FORMATS, &[1, 0]),
        extension(SIGNATURES, &prefixed(&[&SIGNATURE_SCHEMES])),
        extension(ALPN, &prefixed(&[ALPN_NAMES])),
        extension(CERTIFICATE_TIMES, &[]),
        extension(MASTER_SECRET, &[]),
        extension(COMPRESSION, &[2, 0, 2]),
        extension(SESSION_TICKET, &[]),
        extension(VERSIONS, &[&[6], grease.version.as_slice(), &[3, 4, 3, 3]].concat()),
        extension(PSK_MODES, &[1, 1]),
        extension(KEY_SHARE, &prefixed(&share)),
        extension(ALPN_SETTINGS, &prefixed(&[b"\x02h2"])),
        encrypted_hello(draw),
        extension(RENEGOTIATION, &[0]),
    ];
    draw.shuffle(&mut extensions);
    [extension(grease.first, &[]), extensions.concat(), extension(grease.last, &[0])].concat()
}

fn extension(id: [u8; 2], body: &[u8]) -> Vec<u8> {
    [id.as_slice(), &prefixed(&[body])].concat()
}

fn server_name(domain: &str) -> Vec<u8> {
    const HOST_NAME: u8 = 0;
    let name = prefixed(&[domain.as_bytes()]);
    extension(SERVER_NAME, &prefixed(&[&[HOST_NAME], &name]))
}

/// An encrypted hello of a browser that has nothing to hide: random, as it is meant to be.
fn encrypted_hello(draw: &mut Draw<'_>) -> Vec<u8> {
    let [config_id, len]: [u8; 2] = draw.random.array();
    let mut payload = vec![0; 144 + 32 * usize::from(len % 4)];
    draw.random.fill(&mut payload);
    // Outer; key derivation by SHA-256 and encryption by AES-128-GCM.
    let head = [0, 0, 1, 0, 1, config_id];
    let body = [head.as_slice(), &prefixed(&[&draw.point()]), &prefixed(&[&payload])];
    extension(ENCRYPTED_HELLO, &body.concat())
}

/// The extension that fills a hello of `len` bytes up; nothing if it is long already.
fn padding(len: usize) -> Vec<u8> {
    let head_len = 4;
    match CLASSIC_LEN.checked_sub(len + head_len) {
        Some(missing) if missing > 0 => extension(PADDING, &vec![0; missing]),
        _ => Vec::new(),
    }
}

/// What a hello draws.
struct Draw<'a> {
    grease: Grease,
    random: &'a mut dyn SecureRandom,
}

impl Draw<'_> {
    /// A key that nobody can agree on anything with.
    fn point(&mut self) -> [u8; 32] {
        curve25519_public_key(&self.random.array())
    }

    /// What looks like a key of ML-KEM-768: 768 numbers below 3329 in 12 bits each, and a seed.
    fn ml_kem_768_key(&mut self) -> Vec<u8> {
        let mut key = Vec::new();
        for _ in 0..384 {
            let pair = (self.random.u32() % 3329) | (self.random.u32() % 3329) << 12;
            let [low, middle, high, _] = pair.to_le_bytes();
            key.extend([low, middle, high]);
        }
        key.extend(self.random.array::<32>());
        key
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.random.u32() as usize % (at + 1));
        }
    }
}

/// Values that mean nothing, which browsers mix in so that servers learn to skip what is new.
/// <https://www.rfc-editor.org/rfc/rfc8701>
#[derive(Clone, Copy, Debug)]
struct Grease {
    suite: [u8; 2],
    group: [u8; 2],
    version: [u8; 2],
    first: [u8; 2],
    /// Another than the first: no extension comes twice.
    last: [u8; 2],
}

impl Grease {
    fn draw(random: &mut dyn SecureRandom) -> Self {
        let [suite, group, version, first, mut last] =
            random.array().map(|byte: u8| byte & 0xf0 | 0x0a);
        if last == first {
            last ^= 0x10;
        }
        let [suite, group, version, first, last] =
            [suite, group, version, first, last].map(|byte| [byte, byte]);
        Self { suite, group, version, first, last }
    }
}

/// Length of the classic hello, and of the headers of its record and message.
const CLASSIC_LEN: usize = 517;
const HEADS_LEN: usize = 9;

const CLIENT_HELLO: u8 = 1;

/// Cipher suites in the order of Chrome.
const SUITES: [u8; 30] = [
    0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9,
    0xcc, 0xa8, 0xc0, 0x13, 0xc0, 0x14, 0x00, 0x9c, 0x00, 0x9d, 0x00, 0x2f, 0x00, 0x35,
];

const X25519: [u8; 2] = [0x00, 0x1d];
const X25519_ML_KEM_768: [u8; 2] = [0x11, 0xec];
const P256_P384: [u8; 4] = [0x00, 0x17, 0x00, 0x18];
const SIGNATURE_SCHEMES: [u8; 16] = [
    0x04, 0x03, 0x08, 0x04, 0x04, 0x01, 0x05, 0x03, 0x08, 0x05, 0x05, 0x01, 0x08, 0x06, 0x06, 0x01,
];
const ALPN_NAMES: &[u8] = b"\x02h2\x08http/1.1";

/// Extensions by their numbers.
/// <https://www.iana.org/assignments/tls-extensiontype-values>
const SERVER_NAME: [u8; 2] = [0x00, 0x00];
const STATUS_REQUEST: [u8; 2] = [0x00, 0x05];
const GROUPS: [u8; 2] = [0x00, 0x0a];
const POINT_FORMATS: [u8; 2] = [0x00, 0x0b];
const SIGNATURES: [u8; 2] = [0x00, 0x0d];
const ALPN: [u8; 2] = [0x00, 0x10];
const CERTIFICATE_TIMES: [u8; 2] = [0x00, 0x12];
const PADDING: [u8; 2] = [0x00, 0x15];
const MASTER_SECRET: [u8; 2] = [0x00, 0x17];
const COMPRESSION: [u8; 2] = [0x00, 0x1b];
const SESSION_TICKET: [u8; 2] = [0x00, 0x23];
const VERSIONS: [u8; 2] = [0x00, 0x2b];
const PSK_MODES: [u8; 2] = [0x00, 0x2d];
const KEY_SHARE: [u8; 2] = [0x00, 0x33];
const ALPN_SETTINGS: [u8; 2] = [0x44, 0xcd];
const ENCRYPTED_HELLO: [u8; 2] = [0xfe, 0x0d];
const RENEGOTIATION: [u8; 2] = [0xff, 0x01];
