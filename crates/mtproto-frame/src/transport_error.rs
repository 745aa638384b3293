//! Errors that come in place of a packet.

use std::fmt;

/// What a server says instead of a packet: four bytes, a negative code.
///
/// <https://core.telegram.org/mtproto/mtproto-transports#transport-errors>
// req: S114
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TransportError {
    /// -403: stands for the HTTP status of that number.
    Forbidden,
    /// -404: the auth key is unknown, a handshake query is wrong, or a field contradicts another.
    NotFound,
    /// -429: too many connections from one address, or limits of service messages exceeded.
    Flood,
    /// -444: the DC id is not this server's.
    WrongDc,
    /// Any other negative code.
    Other(i32),
}

impl TransportError {
    /// The code as it is on the wire, negative.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Forbidden => -403,
            Self::NotFound => -404,
            Self::Flood => -429,
            Self::WrongDc => -444,
            Self::Other(code) => code,
        }
    }

    /// The error of that code; none unless it is negative.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        match code {
            0.. => None,
            -403 => Some(Self::Forbidden),
            -404 => Some(Self::NotFound),
            -429 => Some(Self::Flood),
            -444 => Some(Self::WrongDc),
            _ => Some(Self::Other(code)),
        }
    }

    /// Reads a payload of exactly four bytes; anything else is no error.
    #[must_use]
    pub fn from_payload(payload: &[u8]) -> Option<Self> {
        let code = <[u8; 4]>::try_from(payload).ok()?;
        Self::from_code(i32::from_le_bytes(code))
    }

    /// The payload that says this.
    #[must_use]
    pub fn to_payload(self) -> [u8; 4] {
        self.code().to_le_bytes()
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self {
            Self::Forbidden => "forbidden",
            Self::NotFound => "auth key not found",
            Self::Flood => "transport flood",
            Self::WrongDc => "wrong dc",
            Self::Other(_) => "unknown code",
        };
        write!(f, "transport error {}: {meaning}", self.code())
    }
}

impl std::error::Error for TransportError {}
