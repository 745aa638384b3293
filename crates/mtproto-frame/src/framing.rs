//! The four framings and their tags.

use std::fmt;
use std::str::FromStr;

/// How packets are laid out in a byte stream.
// req: S71
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Framing {
    /// Lengths in words of four bytes, in one byte where they fit.
    Abridged,
    /// Four bytes of length.
    Intermediate,
    /// Intermediate with 0 to 15 random bytes behind each packet.
    Padded,
    /// Length, sequence number and a CRC32; no tag, no quick acks.
    Full,
}

impl Framing {
    /// Every framing, in the order of the specification.
    pub const ALL: [Self; 4] = [Self::Abridged, Self::Intermediate, Self::Padded, Self::Full];

    /// The four bytes that name the framing in an obfuscated header; none for full.
    #[must_use]
    pub fn tag(self) -> Option<[u8; 4]> {
        match self {
            Self::Abridged => Some([0xef; 4]),
            Self::Intermediate => Some([0xee; 4]),
            Self::Padded => Some([0xdd; 4]),
            Self::Full => None,
        }
    }

    /// The framing that `tag` names.
    #[must_use]
    pub fn from_tag(tag: [u8; 4]) -> Option<Self> {
        Self::ALL.into_iter().find(|framing| framing.tag() == Some(tag))
    }

    /// Whether a client can ask for quick acks.
    #[must_use]
    pub fn has_quick_acks(self) -> bool {
        self != Self::Full
    }

    /// What a client writes before its first frame when the stream is not obfuscated.
    pub(crate) fn opening(self) -> &'static [u8] {
        match self {
            Self::Abridged => &[0xef],
            Self::Intermediate => &[0xee; 4],
            Self::Padded => &[0xdd; 4],
            Self::Full => &[],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Abridged => "abridged",
            Self::Intermediate => "intermediate",
            Self::Padded => "padded",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Framing {
    type Err = UnknownFraming;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|framing| framing.name() == name)
            .ok_or_else(|| UnknownFraming { name: name.to_owned() })
    }
}

/// A name that no framing has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownFraming {
    /// The name as given.
    pub name: String,
}

impl fmt::Display for UnknownFraming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown framing {:?}: use abridged, intermediate, padded or full", self.name)
    }
}

impl std::error::Error for UnknownFraming {}
