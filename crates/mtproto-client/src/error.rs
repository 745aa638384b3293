//! What can go wrong, sorted by who can do something about it.

use std::sync::Arc;
use std::time::Duration;

use mtproto_endpoint::client::{Closed, LinkEnd, Misuse, RequestError};
use mtproto_frame::{AddressError, ProxyLinkError, Scheme};
use mtproto_store::StoreError;
use mtproto_tl::DecodeError;
use mtproto_transport::DialError;
use thiserror::Error;

/// Why there is no connected client.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The builder was given an address that is none.
    #[error("address: {0}")]
    Address(#[from] AddressError),
    /// The builder was given neither an address nor a way to dial.
    #[error("no address to connect to")]
    AddressMissing,
    /// The client gave up: authentication is not possible with what it was given.
    #[error("{0}")]
    Closed(Closed),
    /// The layers of the stream do not go together.
    #[error("{0}")]
    Layers(#[from] mtproto_frame::Misuse),
    /// The builder was given a proxy link that is none.
    #[error("{0}")]
    ProxyLink(#[from] ProxyLinkError),
    /// The client was shut down while it was still connecting.
    #[error("the client was shut down")]
    Stopped,
    /// The builder was given a server key that is none.
    #[error("server key: {reason}")]
    ServerKey {
        /// What is wrong with it.
        reason: String,
    },
    /// The builder was given no RSA key of the server, and none is stored to go on with.
    #[error("no RSA key of the server to trust")]
    ServerKeyMissing,
    /// The stored session cannot be read.
    #[error("stored session: {0}")]
    Store(#[from] StoreError),
    /// TLS cannot be set up.
    #[cfg(feature = "tls")]
    #[error("{0}")]
    Tls(#[from] mtproto_tls::TlsError),
    /// This build has no such transport.
    #[error("{scheme} is not in this build: turn on the feature `web`, and `tls` for TLS")]
    Unsupported {
        /// What the address asks for.
        scheme: Scheme,
    },
    /// There was no connection in time.
    #[error("not connected within {after:?}: {}", describe(.last.as_ref(), .dial.as_ref()))]
    TimedOut {
        /// How long it tried.
        after: Duration,
        /// How the last link ended.
        last: Option<LinkEnd>,
        /// Why the last dial failed.
        dial: Option<Arc<DialError>>,
    },
}

/// Why a call has no result.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CallError {
    /// The client has given up or was shut down.
    #[error("client closed: {0}")]
    Closed(Closed),
    /// The server dropped the answer, though it was not asked to.
    #[error("the server dropped the answer")]
    Dropped,
    /// The request breaks a rule of this API.
    #[error("{0}")]
    Misuse(Misuse),
    /// The server refuses the message itself, with this code of `bad_msg_notification`.
    #[error("the server refuses the message with code {code}")]
    Refused {
        /// The code.
        code: i32,
    },
    /// The server answered with an error.
    #[error("rpc error {code}: {message}")]
    Rpc {
        /// Like an HTTP status; negative for the server's own trouble.
        code: i32,
        /// Upper-case words, for programs.
        message: String,
    },
    /// The client stopped while the call was under way. Whether the server carried it out is not
    /// known.
    #[error("the client stopped")]
    Stopped,
    /// There was no answer in time. Whether the server carried it out is not known.
    #[error("no answer in time")]
    TimedOut,
    /// The answer cannot be read: broken or oversized gzip.
    #[error("the answer cannot be read")]
    Unreadable,
}

/// Why logging out did not go all the way.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum LogOutError {
    /// The client had stopped before, or was stopped meanwhile; the key may still be stored.
    #[error("client closed: {0}")]
    Closed(Closed),
    /// The client did not come to an end in time; the key may still be stored.
    #[error("the client stopped")]
    Stopped,
    /// The store could not be written: it still has the key.
    #[error("the key is still stored: {0}")]
    Store(Arc<StoreError>),
    /// The key is forgotten here, but the server did not confirm that it has destroyed it.
    #[error("the server may still have the key")]
    Unconfirmed,
}

/// Why a typed call has no result.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvokeError {
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The result is not of the type that the schema says.
    #[error("result: {0}")]
    Result(#[from] DecodeError),
}

impl From<RequestError> for CallError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Closed(reason) => Self::Closed(reason),
            RequestError::Dropped => Self::Dropped,
            RequestError::Refused { code } => Self::Refused { code },
            RequestError::Rpc(error) => Self::Rpc { code: error.code, message: error.message },
            RequestError::TimedOut => Self::TimedOut,
            RequestError::Unreadable(_) => Self::Unreadable,
        }
    }
}

impl From<Misuse> for CallError {
    fn from(misuse: Misuse) -> Self {
        match misuse {
            Misuse::Closed(reason) => Self::Closed(reason),
            other => Self::Misuse(other),
        }
    }
}

fn describe(last: Option<&LinkEnd>, dial: Option<&Arc<DialError>>) -> String {
    match (last, dial) {
        (Some(LinkEnd::DialFailed) | None, Some(error)) => error.to_string(),
        (Some(end), _) => end.to_string(),
        (None, None) => "no answer".to_owned(),
    }
}
