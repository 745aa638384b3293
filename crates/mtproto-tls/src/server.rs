//! The server's side.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mtproto_transport::Stream;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::NoServerSessionStorage;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::certificate::{Certificate, Files};
use crate::{ALPN, Fingerprint, HANDSHAKE_LIMIT, TlsError, provider};

/// The server's end of a TLS connection.
pub type ServerStream<S> = tokio_rustls::server::TlsStream<S>;

/// Makes TLS connections of the streams that clients open. Clones share everything.
///
/// Clients resume by tickets, whose keys are the process's and change every few hours, so nothing
/// is kept here for a client that left.
#[derive(Clone)]
pub struct TlsServer {
    certificate: Arc<Certificate>,
    acceptor: TlsAcceptor,
}

impl TlsServer {
    /// A server with the certificates in the file `certificate`, its own first, and the private key
    /// of that one in `key`; both PEM. When the files change, the next client sees the new one.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn from_files(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        Self::new(Files { certificate: certificate.into(), key: key.into() })
    }

    /// A server with the certificate in `dir/tls/cert.pem` and its key in `dir/tls/key.pem`, which
    /// are made there for `names` if there is none; then there is a line for a person to read, too.
    /// The files may be replaced as those of [`from_files`](Self::from_files).
    ///
    /// # Errors
    /// What is wrong with which file, or with the names.
    pub fn self_signed(dir: &Path, names: &[String]) -> Result<(Self, Option<String>), TlsError> {
        let files = Files::within(dir);
        let is_made = files.make(names)?;
        let server = Self::new(files)?;
        let line = is_made.then(|| {
            let (path, fingerprint) = (server.path().display(), server.fingerprint());
            format!("made a self-signed certificate: {path}, SHA-256 {fingerprint}")
        });
        Ok((server, line))
    }

    fn new(files: Files) -> Result<Self, TlsError> {
        let provider = provider();
        let certificate = Arc::new(Certificate::load(files, Arc::clone(&provider))?);
        let failed = |reason| {
            TlsError::of(certificate.path(), reason, "use a build of rustls with aws-lc-rs")
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as _);
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new().map_err(failed)?;
        Ok(Self { certificate, acceptor: Arc::new(config).into() })
    }

    /// The file that the certificate is in.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.certificate.path()
    }

    /// By what a client can pin the certificate that is shown now.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.certificate.refresh();
        self.certificate.fingerprint()
    }

    /// Makes a TLS connection of `stream`, on which the client begins. Looks at the files first.
    ///
    /// # Errors
    /// The client speaks no TLS, or none that goes with ours, or breaks off, or takes longer than
    /// [`HANDSHAKE_LIMIT`]. The stream is gone.
    pub async fn accept<S: Stream>(&self, stream: S) -> io::Result<ServerStream<S>> {
        self.certificate.refresh();
        match timeout(HANDSHAKE_LIMIT, self.acceptor.accept(stream)).await {
            Ok(accepted) => accepted,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").field("certificate", &self.path()).finish_non_exhaustive()
    }
}
