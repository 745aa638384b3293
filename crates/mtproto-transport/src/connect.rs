//! How links come to be.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use mtproto_frame::{Address, Misuse};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Link, Origin};

/// Makes links to one server.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Makes a new link. Cancel-safe: a dropped call leaves no connection behind.
    ///
    /// # Errors
    /// Why there is none, naming the address.
    async fn dial(&self) -> Result<Box<dyn Link>, DialError>;
}

/// A byte stream, whatever it goes through.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Opens the byte streams that transports build their links on: the one place that resolves names,
/// picks among addresses and goes through proxies.
#[async_trait]
pub trait Connect: Send + Sync {
    /// Opens a stream to host and port of `address`, whatever its scheme. Cancel-safe.
    ///
    /// # Errors
    /// Why there is none, naming the address.
    async fn connect(&self, address: &Address) -> Result<Connected, DialError>;
}

/// A stream that was opened.
pub struct Connected {
    /// The stream.
    pub stream: Box<dyn Stream>,
    /// The other end.
    pub origin: Origin,
}

/// Takes links that clients make.
#[async_trait]
pub trait Listen: Send {
    /// Waits for the next link. Cancel-safe. What is wrong with one client, or passes by itself, is
    /// not reported here.
    ///
    /// # Errors
    /// No link will come any more.
    async fn accept(&mut self) -> io::Result<Box<dyn Link>>;
}

/// Why there is no link.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Layers that do not go together, or that this transport does not have.
    #[error("cannot connect to {target}: {misuse}")]
    Config {
        /// The address.
        target: String,
        /// What does not go together.
        misuse: Misuse,
    },
    /// Nobody answers there. Of several addresses, the error of the last to fail.
    #[error("cannot connect to {target}: {source}")]
    Connect {
        /// The address.
        target: String,
        /// What the system says.
        source: io::Error,
    },
    /// The name has no address.
    #[error("cannot resolve {target}: {source}")]
    Resolve {
        /// The address.
        target: String,
        /// What the system says.
        source: io::Error,
    },
    /// It took too long.
    #[error("cannot connect to {target}: no answer within {limit:?}")]
    Timeout {
        /// The address.
        target: String,
        /// How long it was tried.
        limit: Duration,
    },
}
