//! Secrets of proxies and of servers that want to be known only to some.

use std::fmt;
use std::str::FromStr;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::encoding::{from_base64std, from_base64url, from_hex, to_base64url};

/// The longest domain in a fake TLS secret, in bytes.
pub const SECRET_DOMAIN_LEN_MAX: usize = 182;

/// What client and server share so that the stream can be opened, and how it then looks.
///
/// `Display` writes the secret out in hex, to be read by `FromStr` and by every client; `Debug`
/// does not show it.
// req: S116
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Secret {
    /// `ee`: the stream looks like TLS to `domain`; padded framing inside.
    FakeTls {
        /// The key.
        key: SecretKey,
        /// Whom the client pretends to visit; 1 to [`SECRET_DOMAIN_LEN_MAX`] bytes of ASCII.
        domain: String,
    },
    /// `dd`: the padded framing.
    Padded(SecretKey),
    /// Any framing but full.
    Plain(SecretKey),
}

impl Secret {
    /// The key, whichever kind it is.
    #[must_use]
    pub fn key(&self) -> &SecretKey {
        match self {
            Self::FakeTls { key, .. } | Self::Padded(key) | Self::Plain(key) => key,
        }
    }

    /// Whether it goes with the padded framing only.
    #[must_use]
    pub fn needs_padded(&self) -> bool {
        match self {
            Self::FakeTls { .. } | Self::Padded(_) => true,
            Self::Plain(_) => false,
        }
    }

    /// Whether the stream is wrapped in records of TLS.
    #[must_use]
    pub fn is_fake_tls(&self) -> bool {
        matches!(self, Self::FakeTls { .. })
    }

    /// Reads the binary form: 16 bytes; `dd` and 16; `ee`, 16 and a domain.
    ///
    /// # Errors
    /// Which of its parts is not as it should be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SecretError> {
        let len = bytes.len();
        if let Ok(key) = bytes.try_into() {
            return Ok(Self::Plain(SecretKey(key)));
        }
        let Some((first, rest)) = bytes.split_first() else { return Err(SecretError::Empty) };
        let Some((key, domain)) = rest.split_first_chunk() else {
            return Err(SecretError::Len { len });
        };
        let key = SecretKey(*key);
        match (*first, domain) {
            (PADDED_MARK, []) => Ok(Self::Padded(key)),
            (PADDED_MARK, _) => Err(SecretError::Len { len }),
            (FAKE_TLS_MARK, _) => Ok(Self::FakeTls { key, domain: parse_domain(domain)? }),
            (mark, _) => Err(SecretError::Mark { mark }),
        }
    }

    /// As links write it: hex, and base64url for fake TLS, whose domain makes it long.
    #[must_use]
    pub fn link_text(&self) -> String {
        match self {
            Self::FakeTls { .. } => self.base64url(),
            Self::Padded(_) | Self::Plain(_) => self.to_string(),
        }
    }

    /// In base64url without padding.
    #[must_use]
    pub fn base64url(&self) -> String {
        to_base64url(&self.to_bytes())
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let (mark, domain): (&[u8], &str) = match self {
            Self::FakeTls { domain, .. } => (&[FAKE_TLS_MARK], domain),
            Self::Padded(_) => (&[PADDED_MARK], ""),
            Self::Plain(_) => (&[], ""),
        };
        Zeroizing::new([mark, self.key().as_bytes(), domain.as_bytes()].concat())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    /// Reads hex, base64url or base64, tried in this order.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(SecretError::Empty);
        }
        let bytes = from_hex(text)
            .or_else(|| from_base64url(text))
            .or_else(|| from_base64std(text))
            .ok_or(SecretError::Encoding { len: text.chars().count() })?;
        Self::from_bytes(&Zeroizing::new(bytes))
    }
}

/// The sixteen bytes that matter of a secret. Wiped when dropped.
#[derive(Clone, Eq, PartialEq, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; 16]);

impl SecretKey {
    /// The bytes; not to be logged.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for SecretKey {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// Why a text is no secret. It never repeats the text, which may be a secret but for one letter.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SecretError {
    /// The domain of an `ee` secret is missing, too long or no host name.
    Domain {
        /// Its length in bytes.
        len: usize,
    },
    /// Nothing is there.
    Empty,
    /// It is neither hex nor base64.
    Encoding {
        /// Its length in characters.
        len: usize,
    },
    /// No secret has this length.
    Len {
        /// Its length in bytes.
        len: usize,
    },
    /// It begins with a byte that says no kind of secret.
    Mark {
        /// The byte.
        mark: u8,
    },
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain { len } => write!(
                f,
                "an ee secret has a domain of {len} bytes that is no host name: \
                 append the hex of a name of 1 to {SECRET_DOMAIN_LEN_MAX} letters"
            ),
            Self::Empty => write!(f, "the secret is empty: {HOW_TO_MAKE_ONE}"),
            Self::Encoding { len } => write!(
                f,
                "a secret of {len} characters is neither hex nor base64: {HOW_TO_MAKE_ONE}"
            ),
            Self::Len { len } => write!(f, "a secret cannot have {len} bytes: {HOW_TO_MAKE_ONE}"),
            Self::Mark { mark } => write!(
                f,
                "a secret of more than 16 bytes begins with {mark:02x}: \
                 begin it with dd (padded) or ee (fake TLS), or give 16 bytes"
            ),
        }
    }
}

impl std::error::Error for SecretError {}

fn parse_domain(domain: &[u8]) -> Result<String, SecretError> {
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    if (1..=SECRET_DOMAIN_LEN_MAX).contains(&domain.len()) && domain.iter().all(named) {
        Ok(domain.iter().copied().map(char::from).collect())
    } else {
        Err(SecretError::Domain { len: domain.len() })
    }
}

const PADDED_MARK: u8 = 0xdd;
const FAKE_TLS_MARK: u8 = 0xee;
const HOW_TO_MAKE_ONE: &str = "give 32 hex digits, as `openssl rand -hex 16` prints them";
