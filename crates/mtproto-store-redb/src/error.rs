//! Why the file cannot be used, in one line for a person.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use mtproto_store::StoreError;

/// Why the file cannot be used. It is untouched.
#[non_exhaustive]
#[derive(Debug)]
pub enum OpenError {
    /// It is of our kind, but damaged.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What redb said.
        reason: String,
    },
    /// It is something else.
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another process has it open.
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
    /// It was written by another version.
    Version {
        /// The file.
        path: PathBuf,
        /// The version of the file.
        found: u32,
        /// The version that is read.
        known: u32,
    },
}

impl OpenError {
    pub(crate) fn damaged(path: &Path, error: &redb::Error) -> Self {
        Self::Damaged { path: path.to_owned(), reason: error.to_string() }
    }

    pub(crate) fn foreign(path: &Path) -> Self {
        Self::Foreign { path: path.to_owned() }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { path, reason } => {
                write!(f, "key file {} is damaged: {reason}; restore a copy of it", path.display())
            }
            Self::Foreign { path } => write!(
                f,
                "{} is not a key file; move it away to begin with a new one",
                path.display()
            ),
            Self::InUse { path } => write!(
                f,
                "key file {} is in use by another server; end it, or give this one a directory of \
                 its own",
                path.display()
            ),
            Self::Io { path, error } => write!(
                f,
                "key file {} cannot be opened: {error}; check that its directory exists and may \
                 be written",
                path.display()
            ),
            Self::Version { path, found, known } => write!(
                f,
                "key file {} is of version {found}, and this program knows {known}; use the \
                 version that wrote it",
                path.display()
            ),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Damaged { .. }
            | Self::Foreign { .. }
            | Self::InUse { .. }
            | Self::Version { .. } => None,
        }
    }
}

/// What redb says while the store is open.
pub(crate) fn unavailable(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Unavailable { reason: error.into().to_string() }
}
