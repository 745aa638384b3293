//! Files that hold secrets: private to their owner, replaced as a whole, used by one process.
//!
//! For drivers, and stores on a disk. Every function may wait for the disk.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// An advisory lock on a file that need not exist, held until it is dropped or the process ends.
///
/// It is taken on a file of the same name with `.lock` behind it, which stays: removing it would
/// let two processes hold two locks of one name.
#[derive(Debug)]
pub struct Lock {
    /// Locked as long as it is open.
    _file: File,
}

impl Lock {
    /// Takes the lock that belongs to `path`, without waiting.
    ///
    /// # Errors
    /// `InUse` if another holds it, in this process too.
    pub fn beside(path: &Path) -> Result<Self, LockError> {
        let file = private(OpenOptions::new().create(true).truncate(false).write(true))
            .open(with_suffix(path, ".lock"))
            .map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse),
            Err(TryLockError::Error(error)) => Err(LockError::Io(error)),
        }
    }
}

/// Why a lock could not be taken.
#[derive(Debug)]
pub enum LockError {
    /// Another holds it.
    InUse,
    /// The lock file could not be made or locked.
    Io(io::Error),
}

/// Puts a file in the place of the one at `path`, so that a crash leaves the old or the new one.
///
/// It passes through a file of the same name with `.new` behind it, so callers must not meet.
///
/// # Errors
/// If the disk says no. The old file is then still there.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let new = with_suffix(path, ".new");
    let mut file = create(&new)?;
    file.write_all(contents)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    sync_directory(path)
}

/// Creates an empty private file in the place of one that a crash may have left behind.
///
/// # Errors
/// If the disk says no.
pub fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    private(OpenOptions::new().create_new(true).read(true).write(true)).open(path)
}

/// The same path with `suffix` behind its last name.
#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map(OsStr::to_owned).unwrap_or_default();
    name.push(suffix);
    path.with_file_name(name)
}

/// Lets nobody but the owner read a file that these options create.
#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Lets nobody but the owner read the file at `path` from now on.
///
/// # Errors
/// If the file belongs to somebody else.
#[cfg(unix)]
pub fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = fs::metadata(path)?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        fs::set_permissions(path, permissions)?;
    }
    Ok(())
}

/// Lets nobody but the owner read the file at `path`, where there are such permissions.
///
/// # Errors
/// None here.
#[cfg(not(unix))]
pub fn make_private(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes the names in the directory of `path` outlast a power cut.
///
/// # Errors
/// If the directory cannot be opened.
#[cfg(unix)]
pub fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes the names in the directory of `path` outlast a power cut, where a directory can be opened.
///
/// # Errors
/// None here.
#[cfg(not(unix))]
pub fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}
