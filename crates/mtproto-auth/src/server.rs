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
//!
//! The costly steps of several exchanges are cheaper together, see [`Exchange::handle_all`]. One
//! exchange alone is a list of one.

use std::sync::Arc;

use bytes::Bytes;
use mtproto_crypto::dh::{self, DhSecret, Group};
use mtproto_crypto::rsa::{self, DecryptJob, RsaPrivateKey};
use mtproto_crypto::{SecureRandom, SecureRandomExt, pq};
use mtproto_tl::Encode;
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

    /// [`Exchange::handle_all`] for one. `server_time` is Unix time in seconds.
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
        only(Self::handle_all(vec![Turn { state: self, query, config, server_time }], random))
    }

    /// Lets each exchange take its next query, or a repeated one; how they go on, in order. How
    /// many it is worth while to compute at once, [`mtproto_crypto::powers_at_once`] says.
    pub fn handle_all(
        turns: Vec<Turn<'_, Self>>,
        random: &mut dyn SecureRandom,
    ) -> Vec<Result<Step, Fault>> {
        let (mut first, mut second, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        for (place, turn) in turns.into_iter().enumerate() {
            let Turn { state, query, config, server_time } = turn;
            if let Some(answer) = state.answers().given_to(query) {
                steps.push((place, Ok(Step::Answer(state, answer))));
                continue;
            }
            match state {
                Self::WaitDhParams(state) => {
                    first.push((place, Turn { state, query, config, server_time }));
                }
                Self::WaitClientDh(state) => second.push((place, (state, query))),
                Self::Finished(_) => steps.push((place, Err(Fault::ChangedQuery))),
            }
        }
        let (places, turns): (Vec<_>, _) = first.into_iter().unzip();
        let answered = WaitDhParams::handle_all(turns, random).into_iter().map(|answered| {
            answered.map(|(state, answer)| Step::Answer(Self::WaitClientDh(state), answer))
        });
        steps.extend(places.into_iter().zip(answered));
        let (places, turns): (Vec<_>, _) = second.into_iter().unzip();
        let candidates = WaitClientDh::handle_all(turns).into_iter();
        steps.extend(places.into_iter().zip(candidates.map(|it| it.map(Step::Candidate))));
        steps.sort_unstable_by_key(|(place, _)| *place);
        steps.into_iter().map(|(_, step)| step).collect()
    }
}

/// An exchange in one of its states, and the query that it is to take.
#[derive(Debug)]
pub struct Turn<'a, S> {
    /// The exchange.
    pub state: S,
    /// What was asked.
    pub query: &'a Query,
    /// What the server has and accepts.
    pub config: &'a ServerConfig,
    /// Unix time in seconds.
    pub server_time: u32,
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
    pub fn handle(
        self,
        query: &Query,
        config: &ServerConfig,
        server_time: u32,
        random: &mut dyn SecureRandom,
    ) -> Result<(WaitClientDh, Bytes), Fault> {
        only(Self::handle_all(vec![Turn { state: self, query, config, server_time }], random))
    }

    // req: S111
    fn handle_all(
        turns: Vec<Turn<'_, Self>>,
        random: &mut dyn SecureRandom,
    ) -> Vec<Result<(WaitClientDh, Bytes), Fault>> {
        let checked = turns.into_iter().map(|turn| {
            let job = turn.decrypt_job()?;
            Ok((turn, job))
        });
        let decrypted = together(checked, |checked: &[(_, DecryptJob<'_>)]| {
            let jobs: Vec<_> = checked.iter().map(|(_, job)| *job).collect();
            rsa::decrypt_many(&jobs, random)
        });
        let read = decrypted.into_iter().map(|decrypted| {
            let ((turn, _), inner) = decrypted?;
            let inner = turn.read_inner(inner.as_ref())?;
            Ok((turn, inner))
        });
        // req: L12
        let group = Group::well_known();
        let secrets = |read: &[_]| DhSecret::generate_many(&group, read.len(), random);
        let ready = together(read, secrets).into_iter().map(|ready| {
            let ((turn, inner), (secret, g_a)) = ready?;
            Ok(turn.answer(inner, &group, secret, &g_a, random))
        });
        ready.collect()
    }
}

impl<'a> Turn<'a, WaitDhParams> {
    /// Checks all that can be checked without the RSA key.
    fn decrypt_job(&self) -> Result<DecryptJob<'a>, Fault> {
        let Content::ReqDhParams(query) = &self.query.content else {
            return Err(Fault::ChangedQuery);
        };
        let challenge = &self.state.challenge;
        challenge.id.check(&query.nonce, &query.server_nonce)?;
        if !challenge.is_met_by(&query.p, &query.q) {
            return Err(Fault::Factors);
        }
        let fingerprint = query.public_key_fingerprint.cast_unsigned();
        let key = self.config.keys.iter().find(|key| key.public().fingerprint() == fingerprint);
        let key = key.ok_or(Fault::Fingerprint)?;
        let old_lens: &[usize] = if self.config.accept_old_rsa { &OLD_LENS } else { &[] };
        Ok(DecryptJob { key, encrypted: &query.encrypted_data, old_lens })
    }

    fn read_inner(&self, inner: Option<&rsa::Inner>) -> Result<InnerData, Fault> {
        let inner = inner.and_then(|inner| self.state.challenge.read(inner));
        let inner = inner.ok_or(Fault::InnerData)?;
        match (self.config.dc, inner.dc) {
            (Some(ours), Some(dc)) if ours.unsigned_abs() != dc.unsigned_abs() => {
                Err(Fault::WrongDc { dc })
            }
            _ => Ok(inner),
        }
    }

    fn answer(
        self,
        inner: InnerData,
        group: &Group,
        secret: DhSecret,
        g_a: &[u8],
        random: &mut dyn SecureRandom,
    ) -> (WaitClientDh, Bytes) {
        let WaitDhParams { challenge, mut answers } = self.state;
        let (kind, server_time) = (inner.kind, self.server_time);
        let nonces = Nonces { id: challenge.id, new_nonce: inner.new_nonce };
        let ExchangeId { nonce, server_nonce } = nonces.id;
        let inner_answer = ServerDhInnerData {
            nonce,
            server_nonce,
            g: group.g().cast_signed(),
            dh_prime: Bytes::copy_from_slice(&group.prime()),
            g_a: Bytes::copy_from_slice(g_a),
            server_time: server_time.cast_signed(),
        };
        let encrypted_answer = nonces.seal(&inner_answer, random);
        let answer = ServerDhParamsOk { nonce, server_nonce, encrypted_answer };
        let answer = answers.record(self.query.digest, answer.to_bytes());
        (WaitClientDh { nonces, kind, server_time, secret, retries: 0, answers }, answer)
    }
}

/// `server_DH_params_ok` or `dh_gen_retry` was sent.
#[derive(Debug)]
pub struct WaitClientDh {
    nonces: Nonces,
    kind: KeyKind,
    server_time: u32,
    pub(crate) secret: DhSecret,
    retries: u32,
    answers: Answers,
}

impl WaitClientDh {
    /// Takes `set_client_DH_params` and makes the key: one power.
    ///
    /// # Errors
    /// `ChangedQuery`, `Nonce`, `ServerNonce`, `EncryptedLen`, `EncryptedHash`, `Malformed`,
    /// `PublicNumber`.
    pub fn handle(self, query: &Query) -> Result<Candidate, Fault> {
        only(Self::handle_all(vec![(self, query)]))
    }

    // req: S111
    fn handle_all(turns: Vec<(Self, &Query)>) -> Vec<Result<Candidate, Fault>> {
        let read = turns.into_iter().map(|(state, query)| {
            let g_b = state.read_g_b(query)?;
            Ok((state, query, g_b))
        });
        let shared = together(read, |read: &[(Self, _, Bytes)]| {
            let jobs: Vec<_> = read.iter().map(|(state, _, g_b)| (&state.secret, &**g_b)).collect();
            dh::shared_many(&jobs)
        });
        let candidates = shared.into_iter().map(|shared| {
            let ((state, query, _), key) = shared?;
            let key = NewKey {
                key: key?,
                first_salt: state.nonces.first_salt(),
                server_time: state.server_time,
                kind: state.kind,
            };
            Ok(Candidate { key, query: query.digest, state })
        });
        candidates.collect()
    }

    pub(crate) fn read_g_b(&self, query: &Query) -> Result<Bytes, Fault> {
        let Content::SetClientDhParams(content) = &query.content else {
            return Err(Fault::ChangedQuery);
        };
        self.nonces.id.check(&content.nonce, &content.server_nonce)?;
        // `retry_id` says nothing that the server needs, and clients fill it in differently.
        let inner: ClientDhInnerData = self.nonces.open(&content.encrypted_data)?;
        self.nonces.id.check(&inner.nonce, &inner.server_nonce)?;
        Ok(inner.g_b)
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

/// Does what costs time to all that came so far, at once; the others keep their faults.
fn together<T, R>(
    tried: impl Iterator<Item = Result<T, Fault>>,
    work: impl FnOnce(&[T]) -> Vec<R>,
) -> Vec<Result<(T, R), Fault>> {
    let mut good = Vec::new();
    let tried: Vec<_> = tried.map(|tried| tried.map(|it| good.push(it))).collect();
    let results = work(&good);
    let mut done = good.into_iter().zip(results);
    let mut next = || done.next().unwrap_or_else(|| unreachable!("work gives a result for each"));
    tried.into_iter().map(|tried| tried.map(|()| next())).collect()
}

/// The result for a list of one.
fn only<T>(mut results: Vec<T>) -> T {
    results.pop().unwrap_or_else(|| unreachable!("a list of one has one result"))
}

/// Lengths that the object within the old RSA form can have.
// req: L11
pub(crate) const OLD_LENS: [usize; 3] = [96, 100, 104];

/// `resPQ`, `server_DH_params_ok`, every `dh_gen_retry` and the last answer.
pub(crate) const ANSWERS_MAX: usize = 3 + RETRIES_MAX as usize;
