//! Names of certificates.

use std::fmt;
use std::str::FromStr;

use mtproto_crypto::hash::sha256;

/// The SHA-256 of a certificate, which a client can be told to trust.
///
/// Written as 64 hexadecimal digits, and read with colons between the bytes too, as other tools
/// write it.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(sha256(&[certificate]))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map(Self).ok_or_else(|| FingerprintError(text.to_owned()))
    }
}

/// A text that is no [`Fingerprint`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FingerprintError(String);

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        write!(f, "fingerprint {text:?} is no SHA-256: write 64 hexadecimal digits")
    }
}

impl std::error::Error for FingerprintError {}

fn parse(text: &str) -> Option<[u8; 32]> {
    let mut digits = text.chars().filter(|&c| c != ':').map(|c| c.to_digit(16));
    let mut bytes = [0; 32];
    for byte in &mut bytes {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_other_tools_write_it() {
        let fingerprint = Fingerprint::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(fingerprint.to_string(), text);
        assert_eq!(text.parse(), Ok(fingerprint));
        let pairs: Vec<_> = text.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
        assert_eq!(pairs.join(":").to_uppercase().parse(), Ok(fingerprint));
    }

    #[test]
    fn what_is_no_fingerprint_is_named() {
        for text in ["", "ba78", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
            let error = text.parse::<Fingerprint>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("fingerprint {text:?} is no SHA-256: write 64 hexadecimal digits")
            );
        }
    }
}
