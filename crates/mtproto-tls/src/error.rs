//! Why there is no TLS.

use std::fmt;
use std::path::Path;

/// Why a role could not be set up: one line with what was given, what is wrong with it, and a way
/// out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsError {
    /// What was given: a file, mostly.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to do.
    pub fix: &'static str,
}

impl TlsError {
    pub(crate) fn new(value: impl ToString, reason: impl ToString, fix: &'static str) -> Self {
        Self { value: value.to_string(), reason: reason.to_string(), fix }
    }

    pub(crate) fn of(path: &Path, reason: impl ToString, fix: &'static str) -> Self {
        Self::new(path.display(), reason, fix)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.value, self.reason, self.fix)
    }
}

impl std::error::Error for TlsError {}
