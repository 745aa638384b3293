//! RSA keys in files.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use mtproto_kit::crypto::OsRandom;
use mtproto_kit::crypto::rsa::{RsaPrivateKey, RsaPublicKey};

use crate::exit::Failure;

/// A server's key pair, and where its public half is.
pub(crate) struct KeyPair {
    pub(crate) private: RsaPrivateKey,
    pub(crate) public_path: PathBuf,
}

impl KeyPair {
    /// Reads `private.pem` in `dir`, or makes it if there is none; `public.pem` is written anew
    /// whenever it is missing or not the private key's own.
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(dir).map_err(|error| unusable(dir, &error, "choose another --dir"))?;
        let private_path = dir.join("private.pem");
        let private = match fs::read_to_string(&private_path) {
            Ok(pem) => RsaPrivateKey::from_pem(&pem).map_err(|error| {
                let fix = "restore it from a backup, or remove it to have a new pair made";
                unusable(&private_path, &error, fix)
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = RsaPrivateKey::generate(&mut OsRandom::new());
                write_whole(&private_path, key.to_pem().as_bytes(), 0o600)?;
                key
            }
            Err(error) => return Err(unusable(&private_path, &error, "make it readable")),
        };
        let public_path = dir.join("public.pem");
        let public = private.public().to_pem();
        if fs::read_to_string(&public_path).ok().as_deref() != Some(&public) {
            write_whole(&public_path, public.as_bytes(), 0o644)?;
        }
        Ok(Self { private, public_path })
    }

    /// The public key's fingerprint as other tools print it: the eight bytes that go over the wire.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(self.private.public())
    }
}

pub(crate) fn fingerprint(key: &RsaPublicKey) -> String {
    format!("{:016x}", key.fingerprint().swap_bytes())
}

/// Reads a server's public key.
pub(crate) fn read_public(path: &Path) -> Result<RsaPublicKey, Failure> {
    let fix = "give the server's public.pem";
    let pem = fs::read_to_string(path).map_err(|error| unusable(path, &error, fix))?;
    RsaPublicKey::from_pem(&pem).map_err(|error| unusable(path, &error, fix))
}

/// Writes a file so that it is there whole or not at all.
fn write_whole(path: &Path, contents: &[u8], mode: u32) -> Result<(), Failure> {
    let part = path.with_extension("pem.part");
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&part)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|error: std::io::Error| unusable(path, &error, "choose a writable --dir"))
}

fn unusable(path: &Path, reason: &impl std::fmt::Display, fix: &str) -> Failure {
    Failure::usage(format!("{}: {reason}; {fix}", path.display()))
}
