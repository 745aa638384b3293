//! Opening the file: one process at a time, created whole or not at all, of a format that is known.

use std::io;
use std::path::Path;

use mtproto_crypto::{OsRandom, SecureRandom};
use mtproto_store::ServerSecret;
use mtproto_store::files::{self, Lock, LockError};
use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition};
use zeroize::Zeroizing;

use crate::error::OpenError;
use crate::keys::Keys;

/// Facts about the file itself.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Opens the file at `path`, which is created if it is not there.
pub(crate) fn open(path: &Path) -> Result<(Database, Lock), OpenError> {
    let io_error = |error| OpenError::Io { path: path.to_owned(), error };
    let lock = Lock::beside(path).map_err(|error| match error {
        LockError::InUse => OpenError::InUse { path: path.to_owned() },
        LockError::Io(error) => io_error(error),
    })?;
    if !path.try_exists().map_err(io_error)? {
        create(path)?;
    }
    files::make_private(path).map_err(io_error)?;
    let database = Builder::new().open(path).map_err(|error| refused(path, error))?;
    check_format(&database, path)?;
    Ok((database, lock))
}

/// The secret that was made with the file.
pub(crate) fn server_secret(database: &Database, path: &Path) -> Result<ServerSecret, OpenError> {
    let secret = meta(database, path, SECRET)?;
    let bytes = secret.as_slice().try_into().map_err(|_| OpenError::foreign(path))?;
    Ok(ServerSecret::new(bytes))
}

/// Creates the file under another name and moves it into place when it is complete: redb does not
/// open a file whose creation was cut short.
fn create(path: &Path) -> Result<(), OpenError> {
    let io_error = |error| OpenError::Io { path: path.to_owned(), error };
    let new = files::with_suffix(path, ".new");
    let file = files::create(&new).map_err(io_error)?;
    let database = Builder::new().create_file(file).map_err(|error| refused(path, error))?;
    fill(&database).map_err(|error| OpenError::damaged(path, &error))?;
    drop(database);
    std::fs::rename(&new, path).map_err(io_error)?;
    files::sync_directory(path).map_err(io_error)
}

fn fill(database: &Database) -> Result<(), redb::Error> {
    let mut secret = Zeroizing::new([0; 32]);
    OsRandom::new().fill(secret.as_mut());
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(FORMAT, VERSION.to_le_bytes().as_slice())?;
        meta.insert(SECRET, secret.as_slice())?;
        Keys::open(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}

fn check_format(database: &Database, path: &Path) -> Result<(), OpenError> {
    let format = meta(database, path, FORMAT)?;
    let bytes = format.as_slice().try_into().map_err(|_| OpenError::foreign(path))?;
    match u32::from_le_bytes(bytes) {
        VERSION => Ok(()),
        found => Err(OpenError::Version { path: path.to_owned(), found, known: VERSION }),
    }
}

/// A value that every file of ours has.
fn meta(database: &Database, path: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let read = || -> Result<Option<Zeroizing<Vec<u8>>>, redb::Error> {
        let meta = database.begin_read()?.open_table(META)?;
        Ok(meta.get(name)?.map(|value| Zeroizing::new(value.value().to_vec())))
    };
    match read() {
        Ok(Some(value)) => Ok(value),
        Ok(None)
        | Err(redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. }) => {
            Err(OpenError::foreign(path))
        }
        Err(error) => Err(OpenError::damaged(path, &error)),
    }
}

fn refused(path: &Path, error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: path.to_owned() },
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() == io::ErrorKind::InvalidData =>
        {
            OpenError::foreign(path)
        }
        DatabaseError::Storage(StorageError::Io(error)) => {
            OpenError::Io { path: path.to_owned(), error }
        }
        error => OpenError::damaged(path, &error.into()),
    }
}

/// The version of the tables and of what stands in them.
const VERSION: u32 = 1;

const FORMAT: &str = "format";
const SECRET: &str = "server_secret";
