//! The server's side of the key exchange.
//!
//! ```text
//! req_pq_multi ─► WaitDhParams ── req_DH_params ─► WaitClientDh ◄─── dh_gen_retry ───┐
//!                                                       │ set_client_DH_params       │
//!                                                       └───────────────────► Candidate
//!                                        Finished ◄── dh_gen_ok, dh_gen_fail ────────┘
//! ```
//!
//! The key of a [`Candidate`] is not in use yet: whoever stores keys says whether its id is free.
//! Every state remembers what was asked and answered, so that a repeated query gets the identical
//! bytes; any other query than the next one is a [`Fault`], and with it the exchange is gone. What
//! is cheap to refuse is refused before the costly step: `p·q` before RSA, RSA before the powers.

use std::sync::Arc;

use bytes::Bytes;
use mtproto_crypto::dh::{DhSecret, Group};
use mtproto_crypto::rsa::RsaPrivateKey;
use mtproto_crypto::{SecureRandom, SecureRandomExt, pq};
use mtproto_tl::Encode;
use mtproto_tl::functions::ReqDhParams;
use mtproto_tl::types::{
    ClientDhInnerData, DhGenFail, DhGenOk, DhGenRetry, ResPq, ServerDhInnerData, ServerDhParamsOk,
};

use crate::inner_data::{Challenge, InnerData};
use crate::nonces::{ExchangeId, Nonces, Verdict};
use crate::query::{Content, QueryDigest};
use crate::{Fault, KeyKind, NewKey, Query, RETRIES_MAX};

/// What a server has and accepts.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Its RSA keys, all of which are offered, in this order.
    pub keys: Arc<[RsaPrivateKey]>,
    /// The data centre it is, if a client's idea of it matters: its number, plus 10000 for a test
    /// one. A media connection's negated number is accepted too.
    pub dc: Option<i32>,
    /// Whether the RSA form of before 2021 is accepted, which many living clients send.
    pub accept_old_rsa: bool,
}

/// An exchange in whichever state it is, for a driver that treats all queries alike.
#[derive(Debug)]
pub enum Exchange {
    /// `resPQ` was sent.
    WaitDhParams(WaitDhParams),
    /// `server_DH_params_ok` or `dh_gen_retry` was sent.
    WaitClientDh(WaitClientDh),
    /// `dh_gen_ok` or `dh_gen_fail` was sent.
    Finished(Finished),
}

/// How an exchange goes on.
#[derive(Debug)]
pub enum Step {
    /// With this answer, to be sent.
    Answer(Exchange, Bytes),
    /// With a verdict about this key.
    Candidate(Candidate),
}

impl Exchange {
    /// Begins an exchange: the state, and the answer to send.
    ///
    /// # Errors
    /// `ChangedQuery` unless `query` begins one.
    pub fn start(
        query: &Query,
        config: &ServerConfig,
        random: &mut dyn SecureRandom,
    ) -> Result<(Self, Bytes), Fault> {
        let (state, answer) = start(query, config, random)?;
        Ok((Self::WaitDhParams(state), answer))
    }

    /// What was asked and answered so far. A clone of it can repeat answers while the exchange
    /// itself is away, being computed.
    #[must_use]
    pub fn answers(&self) -> &Answers {
        match self {
            Self::WaitDhParams(state) => &state.answers,
            Self::WaitClientDh(state) => &state.answers,
            Self::Finished(state) => &state.answers,
        }
    }

    /// Takes the next query, or a repeated one. `server_time` is Unix time in seconds.
    ///
    /// # Errors
    /// Those of the state's own `handle`; `ChangedQuery` once it is finished.
    pub fn handle(
        self,
        query: &Query,
        config: &ServerConfig,
        server_time: u32,
        random: &mut dyn SecureRandom,
    ) -> Result<Step, Fault> {
        if let Some(answer) = self.answers().given_to(query) {
            return Ok(Step::Answer(self, answer));
        }
        match self {
            Self::WaitDhParams(state) => {
                let (state, answer) = state.handle(query, config, server_time, random)?;
                Ok(Step::Answer(Self::WaitClientDh(state), answer))
            }
            Self::WaitClientDh(state) => state.handle(query).map(Step::Candidate),
            Self::Finished(_) => Err(Fault::ChangedQuery),
        }
    }
}

/// Begins an exchange: the state, and the answer to send.
///
/// # Errors
/// `ChangedQuery` unless `query` is `req_pq_multi` or `req_pq`.
// req: S111
pub fn start(
    query: &Query,
    config: &ServerConfig,
    random: &mut dyn SecureRandom,
) -> Result<(WaitDhParams, Bytes), Fault> {
    let Content::ReqPq { nonce } = query.content else { return Err(Fault::ChangedQuery) };
    let id = ExchangeId { nonce, server_nonce: random.array() };
    // req: L13
    let (pq, p, q) = pq::generate_pq(random);
    let challenge = Challenge { id, pq, p, q };
    let fingerprints = config.keys.iter().map(|key| key.public().fingerprint().cast_signed());
    let answer = ResPq {
        nonce,
        server_nonce: id.server_nonce,
        pq: Bytes::copy_from_slice(&pq.to_be_bytes()),
        server_public_key_fingerprints: fingerprints.collect(),
    };
    let mut answers = Answers::default();
    let answer = answers.record(query.digest, answer.to_bytes());
    Ok((WaitDhParams { challenge, answers }, answer))
}

/// `resPQ` was sent.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct WaitDhParams {
    pub(crate) challenge: Challenge,
    pub(crate) answers: Answers,
}

impl WaitDhParams {
    /// Takes `req_DH_params`: one RSA operation, then one power. `server_time` is Unix time in
    /// seconds.
    ///
    /// # Errors
    /// `ChangedQuery`, `Nonce`, `ServerNonce`, `Factors`, `Fingerprint`, `InnerData`, `WrongDc`.
    // req: S111
    pub fn handle(
        mut self,
        query: &Query,
        config: &ServerConfig,
        server_time: u32,
        random: &mut dyn SecureRandom,
    ) -> Result<(WaitClientDh, Bytes), Fault> {
        let Content::ReqDhParams(content) = &query.content else {
            return Err(Fault::ChangedQuery);
        };
        let inner = self.read_inner(content, config, random)?;
        let nonces = Nonces { id: self.challenge.id, new_nonce: inner.new_nonce };

        // req: L12
        let group = Group::well_known();
        let (secret, g_a) = DhSecret::generate(&group, random);
        let ExchangeId { nonce, server_nonce } = nonces.id;
        let inner_answer = ServerDhInnerData {
            nonce,
            server_nonce,
            g: group.g().cast_signed(),
            dh_prime: Bytes::copy_from_slice(&group.prime()),
            g_a: Bytes::copy_from_slice(&g_a),
            server_time: server_time.cast_signed(),
        };
        let encrypted_answer = nonces.seal(&inner_answer, random);
        let answer = ServerDhParamsOk { nonce, server_nonce, encrypted_answer };
        let answer = self.answers.record(query.digest, answer.to_bytes());
        let (kind, answers, secret) = (inner.kind, self.answers, Box::new(secret));
        Ok((WaitClientDh { nonces, kind, server_time, secret, retries: 0, answers }, answer))
    }

    fn read_inner(
        &self,
        query: &ReqDhParams,
        config: &ServerConfig,
        random: &mut dyn SecureRandom,
    ) -> Result<InnerData, Fault> {
        self.challenge.id.check(&query.nonce, &query.server_nonce)?;
        if !self.challenge.is_met_by(&query.p, &query.q) {
            return Err(Fault::Factors);
        }
        let fingerprint = query.public_key_fingerprint.cast_unsigned();
        let key = config.keys.iter().find(|key| key.public().fingerprint() == fingerprint);
        let key = key.ok_or(Fault::Fingerprint)?;
        let inner = self
            .challenge
            .decrypt(key, &query.encrypted_data, config.accept_old_rsa, random)
            .ok_or(Fault::InnerData)?;
        match (config.dc, inner.dc) {
            (Some(ours), Some(dc)) if ours.unsigned_abs() != dc.unsigned_abs() => {
                Err(Fault::WrongDc { dc })
            }
            _ => Ok(inner),
        }
    }
}

/// `server_DH_params_ok` or `dh_gen_retry` was sent.
#[derive(Debug)]
pub struct WaitClientDh {
    nonces: Nonces,
    kind: KeyKind,
    server_time: u32,
    /// Boxed, so that it is not copied about as the state moves.
    secret: Box<DhSecret>,
    retries: u32,
    answers: Answers,
}

impl WaitClientDh {
    /// Takes `set_client_DH_params` and makes the key: one power.
    ///
    /// # Errors
    /// `ChangedQuery`, `Nonce`, `ServerNonce`, `EncryptedLen`, `EncryptedHash`, `Malformed`,
    /// `PublicNumber`.
    // req: S111
    pub fn handle(self, query: &Query) -> Result<Candidate, Fault> {
        let key = self.key_from(query)?;
        Ok(Candidate { key, query: query.digest, state: self })
    }

    pub(crate) fn key_from(&self, query: &Query) -> Result<NewKey, Fault> {
        let Content::SetClientDhParams(content) = &query.content else {
            return Err(Fault::ChangedQuery);
        };
        self.nonces.id.check(&content.nonce, &content.server_nonce)?;
        // `retry_id` says nothing that the server needs, and clients fill it in differently.
        let inner: ClientDhInnerData = self.nonces.open(&content.encrypted_data)?;
        self.nonces.id.check(&inner.nonce, &inner.server_nonce)?;
        Ok(NewKey {
            key: self.secret.shared(&inner.g_b)?,
            first_salt: self.nonces.first_salt(),
            server_time: self.server_time,
            kind: self.kind,
        })
    }
}

/// A key that both sides know and nobody uses yet. One of [`Candidate::ok`], [`Candidate::retry`]
/// and [`Candidate::fail`] tells the client what becomes of it.
#[derive(Debug)]
pub struct Candidate {
    key: NewKey,
    query: QueryDigest,
    state: WaitClientDh,
}

impl Candidate {
    /// The key, to be stored before [`Candidate::ok`]. An id of 0 must be treated as taken.
    #[must_use]
    pub fn key(&self) -> &NewKey {
        &self.key
    }

    /// The key is stored: `dh_gen_ok`.
    // req: S111
    #[must_use]
    pub fn ok(self) -> (Finished, Bytes) {
        let ExchangeId { nonce, server_nonce } = self.state.nonces.id;
        let new_nonce_hash1 = self.state.nonces.hash(Verdict::Ok, &self.key.key);
        self.finish(DhGenOk { nonce, server_nonce, new_nonce_hash1 }.to_bytes())
    }

    /// Another key has this id: `dh_gen_retry`, or `dh_gen_fail` after [`RETRIES_MAX`] of them.
    // req: S111
    #[must_use]
    pub fn retry(self) -> (Exchange, Bytes) {
        if self.state.retries >= RETRIES_MAX {
            let (state, answer) = self.fail();
            return (Exchange::Finished(state), answer);
        }
        let ExchangeId { nonce, server_nonce } = self.state.nonces.id;
        let new_nonce_hash2 = self.state.nonces.hash(Verdict::Retry, &self.key.key);
        let answer = DhGenRetry { nonce, server_nonce, new_nonce_hash2 }.to_bytes();
        let mut state = self.state;
        state.retries += 1;
        let answer = state.answers.record(self.query, answer);
        (Exchange::WaitClientDh(state), answer)
    }

    /// The server will not have the key: `dh_gen_fail`.
    // req: S111
    #[must_use]
    pub fn fail(self) -> (Finished, Bytes) {
        let ExchangeId { nonce, server_nonce } = self.state.nonces.id;
        let new_nonce_hash3 = self.state.nonces.hash(Verdict::Fail, &self.key.key);
        self.finish(DhGenFail { nonce, server_nonce, new_nonce_hash3 }.to_bytes())
    }

    fn finish(self, answer: Bytes) -> (Finished, Bytes) {
        let mut answers = self.state.answers;
        let answer = answers.record(self.query, answer);
        (Finished { answers }, answer)
    }
}

/// `dh_gen_ok` or `dh_gen_fail` was sent. All that is left is to repeat it; the secrets are gone.
#[derive(Debug)]
pub struct Finished {
    pub(crate) answers: Answers,
}

/// What was asked and answered in one exchange, a kilobyte or so at most.
#[derive(Clone, Default)]
pub struct Answers(pub(crate) Vec<(QueryDigest, Bytes)>);

impl Answers {
    /// The answer that was given to this very query before. Cheap.
    // req: S111
    #[must_use]
    pub fn given_to(&self, query: &Query) -> Option<Bytes> {
        self.0.iter().find(|(digest, _)| *digest == query.digest).map(|(_, answer)| answer.clone())
    }

    fn record(&mut self, query: QueryDigest, answer: Bytes) -> Bytes {
        self.0.push((query, answer.clone()));
        debug_assert!(self.0.len() <= ANSWERS_MAX, "retries are bounded");
        answer
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} answers", self.0.len())
    }
}

/// `resPQ`, `server_DH_params_ok`, every `dh_gen_retry` and the last answer.
pub(crate) const ANSWERS_MAX: usize = 3 + RETRIES_MAX as usize;
