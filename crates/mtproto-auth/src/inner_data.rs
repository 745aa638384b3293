//! What the client encrypts with RSA: proof that it split `pq`, the secret `new_nonce`, and its
//! wishes.
//!
//! All but the end of the object is known before it arrives, so it is compared and not parsed.
//! Every mistake has one outcome: a server that told them apart would answer questions about its
//! RSA key.

use mtproto_crypto::hash;
use mtproto_crypto::rsa::{Inner, Scheme};
use mtproto_tl::types::{PQInnerData, PQInnerDataDc, PQInnerDataTemp, PQInnerDataTempDc};
use mtproto_tl::{Constructor, Reader, encode_byte_string};
use zeroize::Zeroizing;

use crate::KeyKind;
use crate::nonces::ExchangeId;

/// What the server asked in `resPQ`, with the solution.
#[derive(Clone)]
pub(crate) struct Challenge {
    pub(crate) id: ExchangeId,
    pub(crate) pq: u64,
    /// The smaller prime.
    pub(crate) p: u32,
    pub(crate) q: u32,
}

/// What the client says besides the solution.
pub(crate) struct InnerData {
    pub(crate) new_nonce: Zeroizing<[u8; 32]>,
    pub(crate) kind: KeyKind,
    /// Absent in the constructors of before 2018.
    pub(crate) dc: Option<i32>,
}

impl Challenge {
    /// Whether these are its primes, the smaller first.
    // req: S111
    pub(crate) fn is_met_by(&self, p: &[u8], q: &[u8]) -> bool {
        p == self.p.to_be_bytes() && q == self.q.to_be_bytes()
    }

    /// Reads what was encrypted in this exchange; `None` whatever is wrong with it.
    // req: L11, S111
    pub(crate) fn read(&self, inner: &Inner) -> Option<InnerData> {
        let mut input = Reader::new(inner.data());
        let (has_dc, is_temporary) = match input.u32().ok()? {
            PQInnerData::ID => (false, false),
            PQInnerDataDc::ID => (true, false),
            PQInnerDataTemp::ID => (false, true),
            PQInnerDataTempDc::ID => (true, true),
            _ => return None,
        };
        let solution = self.solution();
        if !hash::equal(input.slice(solution.len()).ok()?, &solution) {
            return None;
        }
        let new_nonce = Zeroizing::new(input.array().ok()?);
        let mut next_int = || input.array().map(i32::from_le_bytes).ok();
        let dc = if has_dc { Some(next_int()?) } else { None };
        let kind = if is_temporary {
            let expires_in = u32::try_from(next_int()?).ok().filter(|seconds| *seconds > 0)?;
            KeyKind::Temporary { expires_in }
        } else {
            KeyKind::Permanent
        };
        // RSA_PAD fills up with random bytes; the old form vouches for exactly one object.
        let is_whole = inner.scheme() == Scheme::Pad || input.remaining() == 0;
        is_whole.then_some(InnerData { new_nonce, kind, dc })
    }

    /// The object's fields up to `new_nonce`, as they must be: `pq p q nonce server_nonce`.
    fn solution(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(60);
        encode_byte_string(&self.pq.to_be_bytes(), &mut out);
        encode_byte_string(&self.p.to_be_bytes(), &mut out);
        encode_byte_string(&self.q.to_be_bytes(), &mut out);
        out.extend_from_slice(&self.id.nonce);
        out.extend_from_slice(&self.id.server_nonce);
        out
    }
}

// The factors are what a client has to work for.
impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenge").field("id", &self.id).field("pq", &self.pq).finish()
    }
}
