//! The client's side of the key exchange.
//!
//! ```text
//! start ── req_pq_multi ──► WaitResPq ── req_DH_params ──► WaitDhParams
//!                                                               │ set_client_DH_params
//!                 NewKey ◄── dh_gen_ok ── WaitDhGen ◄───────────┘
//!                                          │     ▲ set_client_DH_params
//!                                          └─────┘ after dh_gen_retry
//! ```
//!
//! A query that stays unanswered may be sent again as it is. After a [`Fault`] the only way on is a
//! new exchange.

use std::sync::Arc;

use bytes::Bytes;
use mtproto_crypto::dh::{self, Group};
use mtproto_crypto::rsa::{DATA_LEN_MAX, RsaPublicKey};
use mtproto_crypto::{AuthKey, SecureRandom, SecureRandomExt, hash, pq};
use mtproto_tl::enums::{ServerDhParams, SetClientDhParamsAnswer};
use mtproto_tl::functions::{ReqDhParams, ReqPqMulti, SetClientDhParams};
use mtproto_tl::types::{
    ClientDhInnerData, PQInnerDataDc, PQInnerDataTempDc, ResPq, ServerDhInnerData,
    ServerDhParamsFail,
};
use mtproto_tl::{Decode, Encode, Reader};
use zeroize::Zeroizing;

use crate::nonces::{ExchangeId, Nonces, Verdict};
use crate::{Fault, KeyKind, NewKey, RETRIES_MAX};

/// What a client wants, and whom it trusts.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// RSA keys of servers. Of those that the server offers, the first known one is used.
    pub keys: Arc<[RsaPublicKey]>,
    /// The data centre meant: its number, plus 10000 for a test one, negated for a media one.
    pub dc: i32,
    /// The key that is asked for.
    pub kind: KeyKind,
}

/// Begins an exchange: its first state, and the query to send.
pub fn start(config: ClientConfig, random: &mut dyn SecureRandom) -> (WaitResPq, Bytes) {
    let nonce = random.array();
    (WaitResPq { config, nonce }, ReqPqMulti { nonce }.to_bytes())
}

/// An exchange in whichever state it is, for a driver that treats all answers alike.
#[derive(Debug)]
pub enum Exchange {
    /// `req_pq_multi` was sent.
    WaitResPq(WaitResPq),
    /// `req_DH_params` was sent.
    WaitDhParams(WaitDhParams),
    /// `set_client_DH_params` was sent.
    WaitDhGen(WaitDhGen),
}

/// How an exchange goes on.
#[derive(Debug)]
pub enum Step {
    /// With another query, to be sent.
    Query(Exchange, Bytes),
    /// It is over, and this is what it made.
    Done(NewKey),
}

impl Exchange {
    /// Begins an exchange: the state, and the query to send.
    pub fn start(config: ClientConfig, random: &mut dyn SecureRandom) -> (Self, Bytes) {
        let (state, query) = start(config, random);
        (Self::WaitResPq(state), query)
    }

    /// Takes the answer that this state waits for.
    ///
    /// # Errors
    /// Those of the state's own `handle`.
    pub fn handle(self, answer: &Bytes, random: &mut dyn SecureRandom) -> Result<Step, Fault> {
        match self {
            Self::WaitResPq(state) => {
                let (state, query) = state.handle(answer, random)?;
                Ok(Step::Query(Self::WaitDhParams(state), query))
            }
            Self::WaitDhParams(state) => {
                let (state, query) = state.handle(answer, random)?;
                Ok(Step::Query(Self::WaitDhGen(state), query))
            }
            Self::WaitDhGen(state) => match state.handle(answer, random)? {
                Outcome::Done(key) => Ok(Step::Done(key)),
                Outcome::Retry(state, query) => Ok(Step::Query(Self::WaitDhGen(state), query)),
            },
        }
    }
}

/// `req_pq_multi` was sent.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct WaitResPq {
    config: ClientConfig,
    nonce: [u8; 16],
}

impl WaitResPq {
    /// Takes `resPQ`: splits `pq` and sends the secret nonce under the server's RSA key.
    ///
    /// # Errors
    /// `Malformed`, `Nonce`, `NoKnownKey`, `Pq`.
    // req: S111
    pub fn handle(
        self,
        answer: &Bytes,
        random: &mut dyn SecureRandom,
    ) -> Result<(WaitDhParams, Bytes), Fault> {
        let answer: ResPq = decode_first(answer)?;
        let id = ExchangeId { nonce: self.nonce, server_nonce: answer.server_nonce };
        id.check(&answer.nonce, &answer.server_nonce)?;
        let key =
            self.known_key(&answer.server_public_key_fingerprints).ok_or(Fault::NoKnownKey)?;
        let (p, q) = number(&answer.pq).and_then(pq::factorize).ok_or(Fault::Pq)?;
        let (p, q) = (minimal(p), minimal(q));

        let nonces = Nonces { id, new_nonce: Zeroizing::new(random.array()) };
        let inner = self.inner_data(&nonces, answer.pq, p.clone(), q.clone());
        // Only a `pq` that is too long could leave no room, and that was refused above.
        let encrypted = key.encrypt_pad(&inner, random).map_err(|_| Fault::Pq)?;
        let query = ReqDhParams {
            nonce: id.nonce,
            server_nonce: id.server_nonce,
            p,
            q,
            public_key_fingerprint: key.fingerprint().cast_signed(),
            encrypted_data: Bytes::copy_from_slice(&encrypted),
        };
        Ok((WaitDhParams { kind: self.config.kind, nonces }, query.to_bytes()))
    }

    /// The key of the first fingerprint that we know.
    fn known_key(&self, offered: &[i64]) -> Option<&RsaPublicKey> {
        offered.iter().find_map(|fingerprint| {
            let fingerprint = fingerprint.cast_unsigned();
            self.config.keys.iter().find(|key| key.fingerprint() == fingerprint)
        })
    }

    /// What only the holder of the RSA key may read, serialized.
    fn inner_data(&self, nonces: &Nonces, pq: Bytes, p: Bytes, q: Bytes) -> Zeroizing<Vec<u8>> {
        let ExchangeId { nonce, server_nonce } = nonces.id;
        let (new_nonce, dc) = (*nonces.new_nonce, self.config.dc);
        // Room for all of it at once, so that growing leaves no copy of the secret behind.
        let mut out = Zeroizing::new(Vec::with_capacity(DATA_LEN_MAX));
        match self.config.kind {
            KeyKind::Permanent => {
                PQInnerDataDc { pq, p, q, nonce, server_nonce, new_nonce, dc }.encode(&mut out);
            }
            KeyKind::Temporary { expires_in } => {
                let expires_in = expires_in.cast_signed();
                PQInnerDataTempDc { pq, p, q, nonce, server_nonce, new_nonce, dc, expires_in }
                    .encode(&mut out);
            }
        }
        out
    }
}

/// `req_DH_params` was sent.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct WaitDhParams {
    pub(crate) kind: KeyKind,
    pub(crate) nonces: Nonces,
}

impl WaitDhParams {
    /// Takes `server_DH_params_ok`: checks the group, draws our exponent and makes the key. Two
    /// powers; a prime that is not the well-known one costs another 100 ms.
    ///
    /// # Errors
    /// `Malformed`, `Nonce`, `ServerNonce`, `EncryptedLen`, `EncryptedHash`, `Group`,
    /// `PublicNumber`; for `server_DH_params_fail` `Refused`, or `NewNonceHash` when it is forged.
    // req: S111
    pub fn handle(
        self,
        answer: &Bytes,
        random: &mut dyn SecureRandom,
    ) -> Result<(WaitDhGen, Bytes), Fault> {
        let encrypted = match decode_first(answer)? {
            ServerDhParams::ServerDhParamsOk(answer) => {
                self.nonces.id.check(&answer.nonce, &answer.server_nonce)?;
                answer.encrypted_answer
            }
            ServerDhParams::ServerDhParamsFail(answer) => return Err(self.refusal(&answer)),
        };
        let inner: ServerDhInnerData = self.nonces.open(&encrypted)?;
        self.nonces.id.check(&inner.nonce, &inner.server_nonce)?;
        let g = inner.g.cast_unsigned();
        let offer = Offer {
            group: Group::check(&inner.dh_prime, g, &mut (), random)?,
            g_a: inner.g_a,
            server_time: inner.server_time.cast_unsigned(),
        };
        WaitDhGen::propose(self.kind, self.nonces, offer, Tries::default(), random)
    }

    // `server_DH_params_fail` is not sent any more; it is believed only with its proof.
    fn refusal(&self, answer: &ServerDhParamsFail) -> Fault {
        if let Err(fault) = self.nonces.id.check(&answer.nonce, &answer.server_nonce) {
            return fault;
        }
        let expected = hash::sha1(&[&*self.nonces.new_nonce]);
        match expected.last_chunk::<16>() {
            Some(expected) if hash::equal(expected, &answer.new_nonce_hash) => Fault::Refused,
            _ => Fault::NewNonceHash,
        }
    }
}

/// `set_client_DH_params` was sent.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct WaitDhGen {
    kind: KeyKind,
    pub(crate) nonces: Nonces,
    offer: Offer,
    tries: Tries,
    pub(crate) key: AuthKey,
}

/// What the server says about the key.
#[derive(Debug)]
pub enum Outcome {
    /// It is in use from now on.
    Done(NewKey),
    /// Its id is taken; this query proposes another.
    Retry(WaitDhGen, Bytes),
}

impl WaitDhGen {
    /// Takes `dh_gen_ok`, `dh_gen_retry` or `dh_gen_fail`; each must prove that it is about our
    /// key. Two powers after `dh_gen_retry`.
    ///
    /// # Errors
    /// `Malformed`, `Nonce`, `ServerNonce`, `NewNonceHash`; `Refused` for `dh_gen_fail`;
    /// `RetriesExhausted` for one `dh_gen_retry` more than [`RETRIES_MAX`].
    // req: S111
    pub fn handle(self, answer: &Bytes, random: &mut dyn SecureRandom) -> Result<Outcome, Fault> {
        let (verdict, nonce, server_nonce, hash) = match decode_first(answer)? {
            SetClientDhParamsAnswer::DhGenOk(answer) => {
                (Verdict::Ok, answer.nonce, answer.server_nonce, answer.new_nonce_hash1)
            }
            SetClientDhParamsAnswer::DhGenRetry(answer) => {
                (Verdict::Retry, answer.nonce, answer.server_nonce, answer.new_nonce_hash2)
            }
            SetClientDhParamsAnswer::DhGenFail(answer) => {
                (Verdict::Fail, answer.nonce, answer.server_nonce, answer.new_nonce_hash3)
            }
        };
        self.nonces.id.check(&nonce, &server_nonce)?;
        if !hash::equal(&self.nonces.hash(verdict, &self.key), &hash) {
            return Err(Fault::NewNonceHash);
        }
        match verdict {
            Verdict::Ok => Ok(Outcome::Done(NewKey {
                first_salt: self.nonces.first_salt(),
                server_time: self.offer.server_time,
                kind: self.kind,
                key: self.key,
            })),
            Verdict::Retry => {
                let tries = self.tries.after(&self.key)?;
                let (state, query) =
                    Self::propose(self.kind, self.nonces, self.offer, tries, random)?;
                Ok(Outcome::Retry(state, query))
            }
            Verdict::Fail => Err(Fault::Refused),
        }
    }

    /// Draws our exponent, makes the key and tells the server our half of it.
    fn propose(
        kind: KeyKind,
        nonces: Nonces,
        offer: Offer,
        tries: Tries,
        random: &mut dyn SecureRandom,
    ) -> Result<(Self, Bytes), Fault> {
        let (key, g_b) = dh::agree(&offer.group, &offer.g_a, random)?;
        let ExchangeId { nonce, server_nonce } = nonces.id;
        let inner = ClientDhInnerData {
            nonce,
            server_nonce,
            retry_id: tries.retry_id,
            g_b: Bytes::copy_from_slice(&g_b),
        };
        let encrypted_data = nonces.seal(&inner, random);
        let query = SetClientDhParams { nonce, server_nonce, encrypted_data };
        Ok((Self { kind, nonces, offer, tries, key }, query.to_bytes()))
    }
}

/// The server's half of the key, which stays the same over all tries.
#[derive(Clone, Debug)]
struct Offer {
    group: Group,
    g_a: Bytes,
    server_time: u32,
}

/// How many keys were proposed in vain, and what the next proposal says of the last of them.
#[derive(Clone, Debug, Default)]
struct Tries {
    retries: u32,
    retry_id: i64,
}

impl Tries {
    /// One more, because the id of `key` was taken.
    fn after(&self, key: &AuthKey) -> Result<Self, Fault> {
        if self.retries >= RETRIES_MAX {
            return Err(Fault::RetriesExhausted);
        }
        let retry_id = i64::from_le_bytes(key.aux_hash());
        Ok(Self { retries: self.retries + 1, retry_id })
    }
}

/// Reads the object at the start of a body; what follows it is filler.
fn decode_first<T: Decode>(body: &Bytes) -> Result<T, Fault> {
    Ok(T::decode(&mut Reader::shared(body))?)
}

/// A big-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |high, byte| high << 8 | u64::from(*byte)))
}

/// A number as its big-endian bytes without leading zeros.
fn minimal(number: u32) -> Bytes {
    number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}
