//! Why an exchange ends without a key.
//!
//! A fault is for logs and for the caller. The peer learns only [`Fault::transport_error`], which
//! is the same for every mistake it can make, so that an exchange answers no questions about its
//! secrets.

use std::fmt;

use mtproto_crypto::dh::{DhError, GroupError};
use mtproto_tl::DecodeError;

/// The rule that the peer broke. The exchange is over: nothing of it may be used again.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The query is not the next one of its exchange, nor a repeat of an earlier one.
    ChangedQuery,
    /// The hash inside an encrypted part is not that of the object there.
    EncryptedHash,
    /// An encrypted part is empty or no whole number of blocks, or its object leaves a block over.
    EncryptedLen {
        /// Bytes of the encrypted part.
        len: usize,
    },
    /// `p` and `q` are not the factors of the `pq` that was sent, smaller one first.
    Factors,
    /// The client encrypted for a key that it was not offered.
    Fingerprint,
    /// The server's prime or generator may weaken the key.
    Group(GroupError),
    /// The part encrypted with RSA is not what this exchange demands. Which check failed is not
    /// told even here.
    InnerData,
    /// The bytes are not the object that is due.
    Malformed(DecodeError),
    /// The hash of `new_nonce` is not the one that belongs to the answer.
    NewNonceHash,
    /// The server offers no RSA key that the client trusts.
    NoKnownKey,
    /// `nonce` is not the one that the client drew.
    Nonce,
    /// `pq` is not a product of two different primes of at most 32 bits.
    Pq,
    /// The peer's half of the key may weaken it.
    PublicNumber(DhError),
    /// The server says, provably, that it will not make this key.
    Refused,
    /// Every try ended in a key whose id is taken already.
    RetriesExhausted,
    /// `server_nonce` is not the one that the server drew.
    ServerNonce,
    /// An unencrypted message is none of the key exchange.
    UnexpectedQuery {
        /// The constructor number in front of it.
        id: u32,
    },
    /// The client means to talk to another data centre.
    WrongDc {
        /// The data centre it named.
        dc: i32,
    },
}

impl Fault {
    /// What a server tells the client: -444 for the wrong data centre, -404 for all else.
    // req: S114
    #[must_use]
    pub fn transport_error(&self) -> i32 {
        match self {
            Self::WrongDc { .. } => -444,
            Self::ChangedQuery
            | Self::EncryptedHash
            | Self::EncryptedLen { .. }
            | Self::Factors
            | Self::Fingerprint
            | Self::Group(_)
            | Self::InnerData
            | Self::Malformed(_)
            | Self::NewNonceHash
            | Self::NoKnownKey
            | Self::Nonce
            | Self::Pq
            | Self::PublicNumber(_)
            | Self::Refused
            | Self::RetriesExhausted
            | Self::ServerNonce
            | Self::UnexpectedQuery { .. } => -404,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChangedQuery => f.write_str("query is neither the next one nor a repeat"),
            Self::EncryptedHash => f.write_str("hash of an encrypted part does not match"),
            Self::EncryptedLen { len } => write!(f, "encrypted part of {len} bytes does not fit"),
            Self::Factors => f.write_str("p and q are not the factors of pq"),
            Self::Fingerprint => f.write_str("fingerprint was not offered"),
            Self::Group(error) => write!(f, "unfit group: {error}"),
            Self::InnerData => f.write_str("data encrypted with RSA is not as demanded"),
            Self::Malformed(error) => write!(f, "message cannot be read: {error}"),
            Self::NewNonceHash => f.write_str("hash of new_nonce does not match"),
            Self::NoKnownKey => f.write_str("server offers no RSA key that is trusted"),
            Self::Nonce => f.write_str("nonce does not match"),
            Self::Pq => f.write_str("pq cannot be split into two primes"),
            Self::PublicNumber(error) => write!(f, "unfit half of the key: {error}"),
            Self::Refused => f.write_str("server refused to make the key"),
            Self::RetriesExhausted => f.write_str("every try gave a key whose id is taken"),
            Self::ServerNonce => f.write_str("server_nonce does not match"),
            Self::UnexpectedQuery { id } => write!(f, "unencrypted message {id:#010x} not allowed"),
            Self::WrongDc { dc } => write!(f, "key was asked for data centre {dc}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl From<DhError> for Fault {
    fn from(error: DhError) -> Self {
        Self::PublicNumber(error)
    }
}

impl From<GroupError> for Fault {
    fn from(error: GroupError) -> Self {
        Self::Group(error)
    }
}
