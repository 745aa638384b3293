//! The client's side.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use mtproto_frame::{Address, Host};
use mtproto_transport::{Connect, Connected, DialError, Stream};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::certificate::certificates;
use crate::{ALPN, Fingerprint, HANDSHAKE_LIMIT, TlsError, provider};

/// The client's end of a TLS connection.
pub type ClientStream<S> = tokio_rustls::client::TlsStream<S>;

/// Which servers a client believes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Trust {
    /// The one whose certificate has this fingerprint, whatever name and dates are in it.
    Pin(Fingerprint),
    /// Those whom the operating system believes.
    #[default]
    Platform,
    /// Those with a certificate in this PEM file, or one that such a certificate vouches for.
    Roots(PathBuf),
}

/// Makes TLS connections of the streams to servers. Clones share everything.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
}

impl TlsClient {
    /// A client that believes `trust`.
    ///
    /// # Errors
    /// What is wrong with the file of roots, or that the system has none.
    pub fn new(trust: &Trust) -> Result<Self, TlsError> {
        let provider = provider();
        let verifier = verifier(trust, &provider)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|reason| TlsError::new("tls", reason, "use a build with aws-lc-rs"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { connector: Arc::new(config).into() })
    }

    /// Makes a TLS connection of `stream`, which leads to `host`. A dropped call drops the stream.
    ///
    /// # Errors
    /// The server is not believed, or speaks no TLS that goes with ours, or breaks off.
    pub async fn connect<S: Stream>(&self, host: &Host, stream: S) -> io::Result<ClientStream<S>> {
        let name = match host {
            Host::Ip(ip) => ServerName::from(*ip),
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        self.connector.connect(name, stream).await.map_err(explain)
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").finish_non_exhaustive()
    }
}

/// Opens the streams of another [`Connect`], with TLS over those whose address asks for it.
#[derive(Clone)]
pub struct TlsConnect {
    below: Arc<dyn Connect>,
    client: TlsClient,
}

impl TlsConnect {
    /// Puts `client` over `below`.
    #[must_use]
    pub fn new(below: Arc<dyn Connect>, client: TlsClient) -> Self {
        Self { below, client }
    }
}

#[async_trait]
impl Connect for TlsConnect {
    // req: S79
    async fn connect(&self, address: &Address) -> Result<Connected, DialError> {
        let Connected { stream, origin } = self.below.connect(address).await?;
        if !address.scheme.is_tls() {
            return Ok(Connected { stream, origin });
        }
        let target = || address.to_string();
        match timeout(HANDSHAKE_LIMIT, self.client.connect(&address.host, stream)).await {
            Ok(Ok(stream)) => Ok(Connected { stream: Box::new(stream), origin }),
            Ok(Err(source)) => Err(DialError::Connect { target: target(), source }),
            Err(_) => Err(DialError::Timeout { target: target(), limit: HANDSHAKE_LIMIT }),
        }
    }
}

impl fmt::Debug for TlsConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnect").finish_non_exhaustive()
    }
}

fn verifier(
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    match trust {
        Trust::Pin(fingerprint) => Ok(Arc::new(Pinned {
            fingerprint: *fingerprint,
            algorithms: provider.signature_verification_algorithms,
        })),
        Trust::Platform => rustls_platform_verifier::Verifier::new(Arc::clone(provider))
            .map(|verifier| Arc::new(verifier) as _)
            .map_err(|reason| TlsError::new("certificates of the system", reason, FIX_TRUST)),
        Trust::Roots(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|reason| {
                    TlsError::of(path, reason, "give certificates that others are verified by")
                })?;
            }
            WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
                .build()
                .map(|verifier| verifier as _)
                .map_err(|reason| TlsError::of(path, reason, "give certificates in PEM"))
        }
    }
}

/// Believes the holder of one certificate: the fingerprint says that it is the one, the signature
/// of the handshake that it is the holder.
#[derive(Debug)]
struct Pinned {
    fingerprint: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(end_entity);
        if shown == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        let reason = format!("its fingerprint is {shown}, and {} is pinned", self.fingerprint);
        let reason = OtherError(Arc::new(io::Error::other(reason)));
        Err(Error::InvalidCertificate(CertificateError::Other(reason)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Says what a person can do about it.
fn explain(error: io::Error) -> io::Error {
    let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let text = match fault {
        Some(Error::InvalidCertificate(reason)) => {
            format!("the server's certificate is not trusted: {reason}: {FIX_TRUST}")
        }
        Some(Error::InvalidMessage(_)) => {
            "the server speaks no TLS there: choose its TLS port, or an address without TLS"
                .to_owned()
        }
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}

const FIX_TRUST: &str = "trust a file of certificates, or pin the server's by its fingerprint";
