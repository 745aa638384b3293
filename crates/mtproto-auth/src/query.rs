//! The queries of a key exchange, as a server reads them.

use bytes::Bytes;
use mtproto_crypto::hash;
use mtproto_tl::functions::{ReqDhParams, ReqPq, ReqPqMulti, SetClientDhParams};
use mtproto_tl::types::MsgsAck;
use mtproto_tl::{Constructor, Decode, DecodeError, Reader};

use crate::Fault;

/// A query of a key exchange. Its nonces tell which exchange it belongs to.
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) content: Content,
    pub(crate) digest: QueryDigest,
}

/// What tells a repeated query from a changed one: SHA-256 of the object, without the filler behind
/// it.
pub(crate) type QueryDigest = [u8; 32];

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// `req_pq_multi`, or `req_pq` of old, which asks for the same.
    ReqPq {
        nonce: [u8; 16],
    },
    ReqDhParams(ReqDhParams),
    SetClientDhParams(SetClientDhParams),
}

impl Query {
    /// Reads the body of an unencrypted message; what follows the object is filler. `None` is a
    /// message without meaning here that real clients send: an acknowledgement.
    ///
    /// # Errors
    /// `UnexpectedQuery` for anything that may not travel unencrypted, `Malformed`.
    pub fn decode(body: &Bytes) -> Result<Option<Self>, Fault> {
        let mut input = Reader::shared(body);
        let content = match input.peek_u32()? {
            ReqPq::ID => Content::ReqPq { nonce: ReqPq::decode(&mut input)?.nonce },
            ReqPqMulti::ID => Content::ReqPq { nonce: ReqPqMulti::decode(&mut input)?.nonce },
            ReqDhParams::ID => Content::ReqDhParams(ReqDhParams::decode(&mut input)?),
            SetClientDhParams::ID => {
                Content::SetClientDhParams(SetClientDhParams::decode(&mut input)?)
            }
            MsgsAck::ID => return Ok(None),
            id => return Err(Fault::UnexpectedQuery { id }),
        };
        let len = body.len() - input.remaining();
        let object = body.get(..len).ok_or(DecodeError::Truncated { missing: 0 })?;
        Ok(Some(Self { content, digest: hash::sha256(&[object]) }))
    }

    /// The client's nonce, which every query of an exchange repeats.
    #[must_use]
    pub fn nonce(&self) -> &[u8; 16] {
        match &self.content {
            Content::ReqPq { nonce } => nonce,
            Content::ReqDhParams(query) => &query.nonce,
            Content::SetClientDhParams(query) => &query.nonce,
        }
    }

    /// The server's nonce, which every query but the first repeats.
    #[must_use]
    pub fn server_nonce(&self) -> Option<&[u8; 16]> {
        match &self.content {
            Content::ReqPq { .. } => None,
            Content::ReqDhParams(query) => Some(&query.server_nonce),
            Content::SetClientDhParams(query) => Some(&query.server_nonce),
        }
    }

    /// Whether `other` asks the very same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}
