use std::fmt;

/// Why a fake TLS stream ends: what the peer did that no fake TLS peer does.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The server answered as a server of TLS may, and without the proof that it knows the secret:
    /// another secret, a clock too far off, or the site whose name is in the secret.
    AnswerUnproven,
    /// The server's answer is not the three records of one.
    AnswerMalformed {
        /// The type of the record at fault.
        kind: u8,
        /// Its length in bytes.
        len: usize,
    },
    /// A record that is no application data, or a second announcement of encryption.
    RecordKind {
        /// Its type.
        kind: u8,
    },
    /// A record of another version than fake TLS has.
    RecordVersion {
        /// The version.
        version: u16,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnswerUnproven => f.write_str(
                "the server does not know the secret: check the secret, and this computer's clock",
            ),
            Self::AnswerMalformed { kind, len } => write!(
                f,
                "the server's answer has a record of type {kind:#04x} and {len} bytes \
                 where fake TLS has none: check the address and the secret"
            ),
            Self::RecordKind { kind } => {
                write!(f, "record of type {kind:#04x} where application data was expected")
            }
            Self::RecordVersion { version } => {
                write!(f, "record of version {version:#06x} where 0x0303 was expected")
            }
        }
    }
}

impl std::error::Error for Fault {}
