//! Why a session file cannot be used, in one line for a person.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Unreadable;

/// Why a session file cannot be used. The file is untouched.
#[non_exhaustive]
#[derive(Debug)]
pub enum SessionFileError {
    /// Another client has it open.
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// It does not hold what this version writes.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Unreadable,
    },
}

impl fmt::Display for SessionFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => write!(
                f,
                "session file {} is in use by another client; end it, or give this one a file of \
                 its own",
                path.display()
            ),
            Self::Io { path, error } => write!(
                f,
                "session file {} cannot be opened: {error}; check that its directory exists and \
                 may be written",
                path.display()
            ),
            Self::Unreadable { path, reason } => {
                write!(f, "session file {} {reason}; {}", path.display(), reason.remedy())
            }
        }
    }
}

impl Error for SessionFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::InUse { .. } | Self::Unreadable { .. } => None,
        }
    }
}
