//! Why a store could not do as it was asked.

use std::error::Error;
use std::fmt;

/// Why a store could not do as it was asked. Nothing was changed.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StoreError {
    /// What is stored is not what this version writes; a person has to look.
    Corrupt {
        /// What could not be read.
        what: &'static str,
    },
    /// There is no room for one more.
    Full {
        /// What there is no room for.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// The value is longer than the store takes.
    TooLarge {
        /// What is too long.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The longest that is taken, in bytes.
        max: usize,
    },
    /// The engine behind the store does not answer or refuses; the same call may work later.
    Unavailable {
        /// What the engine said.
        reason: String,
    },
}

impl StoreError {
    /// `Ok` if a `what` of `len` bytes is within `max`.
    ///
    /// # Errors
    /// `TooLarge` if it is not.
    pub fn check_len(what: &'static str, len: usize, max: usize) -> Result<(), Self> {
        if len > max { Err(Self::TooLarge { what, len, max }) } else { Ok(()) }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt { what } => write!(f, "{what} in the store cannot be read"),
            Self::Full { what, max } => write!(f, "the store holds {max} {what} and takes no more"),
            Self::TooLarge { what, len, max } => {
                write!(f, "{what} of {len} bytes is longer than {max}")
            }
            Self::Unavailable { reason } => write!(f, "the store is not available: {reason}"),
        }
    }
}

impl Error for StoreError {}
