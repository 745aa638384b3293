//! A client's record in one file.
//!
//! Two processes that share a session break each other's sequence numbers, so the file is held
//! under an advisory lock from [`SessionFile::open`] until the last drop. It is replaced as a whole
//! (a temporary file, `fsync`, `rename`), readable by its owner only, and never overwritten if it
//! could not be read. The methods wait for the disk.

mod error;
mod format;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

pub use error::SessionFileError;
pub use format::Unreadable;

use crate::files::{self, Lock, LockError};
use crate::{ClientRecord, ClientStore, StoreError};

/// A [`ClientStore`] in one file, which nobody else may open meanwhile.
#[derive(Debug)]
pub struct SessionFile {
    path: PathBuf,
    record: Mutex<Option<ClientRecord>>,
    _lock: Lock,
}

impl SessionFile {
    /// Locks and reads the file at `path`, which need not exist; its directory must.
    ///
    /// Beside it stays a file of the same name with `.lock` behind it.
    ///
    /// # Errors
    /// If another process has it open, or it cannot be read or is not a session file. The message
    /// is one line with the path, the reason and what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SessionFileError> {
        let path = path.as_ref();
        // Two links to one file must meet at one lock, and saving must not replace a link.
        let path = fs::canonicalize(path)
            .or_else(|_| std::path::absolute(path))
            .map_err(|error| SessionFileError::Io { path: path.to_owned(), error })?;
        let lock = Lock::beside(&path).map_err(|error| match error {
            LockError::InUse => SessionFileError::InUse { path: path.clone() },
            LockError::Io(error) => SessionFileError::Io { path: path.clone(), error },
        })?;
        let record = read(&path)?;
        Ok(Self { path, record: Mutex::new(record), _lock: lock })
    }

    /// Where the file is: absolute, and without links if it was there when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn record(&self) -> MutexGuard<'_, Option<ClientRecord>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientStore for SessionFile {
    fn load(&self) -> Result<Option<ClientRecord>, StoreError> {
        Ok(self.record().clone())
    }

    fn save(&self, record: &ClientRecord) -> Result<(), StoreError> {
        let text = format::write(record)?;
        let mut stored = self.record();
        files::replace(&self.path, &text).map_err(|error| self.unavailable("written", &error))?;
        *stored = Some(record.clone());
        Ok(())
    }

    fn clear(&self) -> Result<(), StoreError> {
        let mut stored = self.record();
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.unavailable("removed", &error));
            }
            Ok(()) | Err(_) => *stored = None,
        }
        files::sync_directory(&self.path).map_err(|error| self.unavailable("removed", &error))
    }
}

impl SessionFile {
    fn unavailable(&self, what: &str, error: &io::Error) -> StoreError {
        let path = self.path.display();
        StoreError::Unavailable { reason: format!("session file {path} is not {what}: {error}") }
    }
}

fn read(path: &Path) -> Result<Option<ClientRecord>, SessionFileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SessionFileError::Io { path: path.to_owned(), error }),
    };
    let text =
        read_text(&file).map_err(|error| SessionFileError::Io { path: path.to_owned(), error })?;
    let unreadable = |reason| SessionFileError::Unreadable { path: path.to_owned(), reason };
    format::read(&text).map(Some).map_err(unreadable)
}

/// Reads a file up to one byte more than it may have.
fn read_text(file: &File) -> io::Result<Zeroizing<Vec<u8>>> {
    let len = file.metadata()?.len().min(SESSION_FILE_LEN_MAX as u64) + 1;
    // Room for all of it at once: a vector that grows leaves keys behind where it was.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(len).unwrap_or_default()));
    file.take(len).read_to_end(&mut text)?;
    Ok(text)
}

/// The longest file that is read, in bytes.
pub const SESSION_FILE_LEN_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests;
