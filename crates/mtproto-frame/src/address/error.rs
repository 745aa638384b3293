//! Why a text is no address.

use std::fmt;

/// Why a text is no [`Address`](crate::Address): one line with the text, the reason and what to
/// write instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddressError {
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub reason: AddressReason,
}

/// What is wrong with an address.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddressReason {
    /// The path is none that MTProto is served at.
    ApiPath,
    /// The host is missing, or has characters that no name has.
    Host,
    /// An IPv6 address without brackets, or with something else in them.
    Ipv6,
    /// Something follows the port of a TCP address.
    Path,
    /// The port is missing or not a number up to 65535.
    Port,
    /// The part before `://` is missing or names no transport.
    Scheme,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, fix) = match self.reason {
            AddressReason::ApiPath => {
                ("has a path that is not MTProto's", "end it with /api, or /apiws for WebSocket")
            }
            AddressReason::Host => ("has no valid host", "write HOST:PORT, as in tcp://HOST:PORT"),
            AddressReason::Ipv6 => {
                ("has no valid IPv6 address", "write [::1]:PORT, as in tcp://[::1]:PORT")
            }
            AddressReason::Path => ("goes on after the port", "write tcp://HOST:PORT"),
            AddressReason::Port => (
                "has no valid port",
                "write HOST:PORT with a port up to 65535, as in tcp://HOST:PORT",
            ),
            AddressReason::Scheme => {
                ("has no known scheme", "begin it with tcp://, ws://, wss://, http:// or https://")
            }
        };
        write!(f, "address {:?} {reason}: {fix}", self.text)
    }
}

impl std::error::Error for AddressError {}
