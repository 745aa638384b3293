//! A server's certificate: two files, read again when they change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use mtproto_store::files;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tracing::{info, warn};

use crate::{Fingerprint, TlsError};

/// What a server shows its clients, from now on or until its files change.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: Files,
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    /// Of the files as they were read last, whether they could be used or not.
    stamp: Stamp,
}

impl Certificate {
    pub(crate) fn load(files: Files, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        // In this order, so that a change in between is noticed.
        let stamp = files.stamp();
        let key = Arc::new(files.load(&provider)?);
        Ok(Self { files, provider, current: RwLock::new(Current { key, stamp }) })
    }

    /// Reads the files if they changed. Of two that do not go together, as in the middle of a
    /// change, or are broken, the ones before stay.
    pub(crate) fn refresh(&self) {
        let stamp = self.files.stamp();
        if self.current.read().unwrap_or_else(PoisonError::into_inner).stamp == stamp {
            return;
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.stamp == stamp {
            return;
        }
        current.stamp = stamp;
        match self.files.load(&self.provider) {
            Ok(key) => {
                current.key = Arc::new(key);
                info!(file = %self.files.certificate.display(), "the certificate was replaced");
            }
            Err(error) => warn!(%error, "the certificate stays as it was"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.files.certificate
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let key = self.key();
        Fingerprint::of(key.cert.first().map(AsRef::as_ref).unwrap_or_default())
    }

    fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).key)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}

/// Where a certificate with its chain is, and its private key; both PEM.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// When each file was written, and its length in bytes; `None` of one that is not there.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Files {
    /// Where a server keeps what it makes for itself.
    pub(crate) fn within(dir: &Path) -> Self {
        let dir = dir.join("tls");
        Self { certificate: dir.join("cert.pem"), key: dir.join("key.pem") }
    }

    /// Makes a key and a certificate of it for `names`, unless there is one; says whether it did.
    pub(crate) fn make(&self, names: &[String]) -> Result<bool, TlsError> {
        if self.certificate.exists() {
            return Ok(false);
        }
        let (certificate, key) = self_signed(names)
            .map_err(|reason| TlsError::new(names.join(", "), reason, FIX_NAMES))?;
        // The certificate last: a key without one was never used and may be replaced.
        self.write(&self.key, &key)?;
        self.write(&self.certificate, &certificate)?;
        Ok(true)
    }

    fn write(&self, path: &Path, pem: &str) -> Result<(), TlsError> {
        let dir = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir)
            .and_then(|()| files::replace(path, pem.as_bytes()))
            .map_err(|reason| TlsError::of(path, reason, "choose a directory that can be written"))
    }

    fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|reason| TlsError::of(&self.key, reason, "give a private key in PEM"))?;
        CertifiedKey::from_der(chain, key, provider)
            .map_err(|reason| TlsError::of(&self.key, reason, "give the key of the certificate"))
    }

    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }
}

/// The certificates of a PEM file; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refused = |reason: &dyn ToString| {
        TlsError::of(path, reason.to_string(), "give one or more certificates in PEM")
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|reason| refused(&reason))?;
    if certificates.is_empty() {
        return Err(refused(&"no certificate in it"));
    }
    Ok(certificates)
}

/// A certificate that ends in the distant future, since nobody would renew it, and its key; PEM.
fn self_signed(names: &[String]) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "mtproto-kit self-signed");
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

const FIX_NAMES: &str = "give names of hosts and numbers of addresses";
