//! TLS below the transports, by rustls, for both roles.
//!
//! [`TlsServer`] has a certificate from files, which it reads again when they change, or makes one
//! for itself. [`TlsClient`] trusts what the system trusts, the roots of a file, or one certificate
//! by its [`Fingerprint`]; [`TlsConnect`] puts it over any [`Connect`](mtproto_transport::Connect).
//!
//! The cryptography is aws-lc-rs and is named wherever rustls asks, so neither role depends on a
//! default of the process.

mod certificate;
mod client;
mod error;
mod fingerprint;
mod server;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use client::{ClientStream, TlsClient, TlsConnect, Trust};
pub use error::TlsError;
pub use fingerprint::{Fingerprint, FingerprintError};
pub use server::{ServerStream, TlsServer};

/// How long a handshake may take, for either role.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// What both roles say when they are asked which protocol is inside.
const ALPN: &[u8] = b"http/1.1";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
