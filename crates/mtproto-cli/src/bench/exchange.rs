//! Key exchanges that cost the client as little as they can.
//!
//! The server's part is measured, so the client's is cut short: one exponent serves all exchanges,
//! and the key is only calculated when somebody wants it. That makes the keys good for nothing but
//! load: who learns the exponent has them all.

use std::sync::Arc;

use bytes::Bytes;
use mtproto_kit::auth::Fault;
use mtproto_kit::crypto::dh::{DhSecret, Group};
use mtproto_kit::crypto::rsa::RsaPublicKey;
use mtproto_kit::crypto::{
    AuthKey, OsRandom, SecureRandom, SecureRandomExt, first_salt, hash, pq, tmp_aes,
};
use mtproto_kit::tl::enums::{ServerDhParams, SetClientDhParamsAnswer};
use mtproto_kit::tl::functions::{ReqDhParams, ReqPqMulti, SetClientDhParams};
use mtproto_kit::tl::types::{
    ClientDhInnerData, PQInnerDataDc, ResPq, ServerDhInnerData, ServerDhParamsOk,
};
use mtproto_kit::tl::{Decode, DecodeError, Encode, Reader, Salt};

/// Whoever makes exchanges, any number of them at once.
pub(super) struct Exchanger {
    keys: Arc<[RsaPublicKey]>,
    dc: i32,
    random: OsRandom,
    half: Option<Half>,
}

/// Our half of every key in a group.
struct Half {
    prime: Bytes,
    g: i32,
    secret: DhSecret,
    g_b: Bytes,
}

/// One exchange, by what it waits for.
pub(super) enum Exchange {
    ResPq { nonce: [u8; 16] },
    DhParams(Nonces),
    DhGen(Nonces, Agreed),
}

#[derive(Clone, Copy)]
pub(super) struct Nonces {
    nonce: [u8; 16],
    server_nonce: [u8; 16],
    new_nonce: [u8; 32],
}

/// What both sides know at the end.
pub(super) struct Agreed {
    g_a: Bytes,
    pub(super) salt: Salt,
    /// The server's clock, in seconds since 1970.
    pub(super) server_time: u32,
}

pub(super) enum Step {
    Query(Exchange, Bytes),
    Done(Agreed),
}

impl Exchanger {
    pub(super) fn new(keys: Arc<[RsaPublicKey]>, dc: i32) -> Self {
        Self { keys, dc, random: OsRandom::new(), half: None }
    }

    /// Begins an exchange: what it waits for, and the query to send.
    pub(super) fn start(&mut self) -> (Exchange, Bytes) {
        let nonce = self.random.array();
        (Exchange::ResPq { nonce }, ReqPqMulti { nonce }.to_bytes())
    }

    /// Takes the answer that an exchange waits for.
    pub(super) fn handle(&mut self, exchange: Exchange, answer: &Bytes) -> Result<Step, Fault> {
        match exchange {
            Exchange::ResPq { nonce } => self.take_pq(nonce, decode(answer)?),
            Exchange::DhParams(nonces) => match decode(answer)? {
                ServerDhParams::ServerDhParamsOk(answer) => self.take_params(nonces, &answer),
                ServerDhParams::ServerDhParamsFail(_) => Err(Fault::Refused),
            },
            Exchange::DhGen(nonces, agreed) => match decode(answer)? {
                SetClientDhParamsAnswer::DhGenOk(answer) if answer.nonce == nonces.nonce => {
                    Ok(Step::Done(agreed))
                }
                SetClientDhParamsAnswer::DhGenOk(_) => Err(Fault::Nonce),
                SetClientDhParamsAnswer::DhGenFail(_) | SetClientDhParamsAnswer::DhGenRetry(_) => {
                    Err(Fault::Refused)
                }
            },
        }
    }

    /// The key that an exchange agreed on; a 2048-bit power.
    pub(super) fn key(&self, agreed: &Agreed) -> Result<AuthKey, Fault> {
        let half = self.half.as_ref().ok_or(Fault::Refused)?;
        Ok(half.secret.shared(&agreed.g_a)?)
    }

    fn take_pq(&mut self, nonce: [u8; 16], answer: ResPq) -> Result<Step, Fault> {
        if answer.nonce != nonce {
            return Err(Fault::Nonce);
        }
        let offered = &answer.server_public_key_fingerprints;
        let key = self.keys.iter().find(|key| offered.contains(&key.fingerprint().cast_signed()));
        let key = key.ok_or(Fault::NoKnownKey)?;
        let (p, q) = number(&answer.pq).and_then(pq::factorize).ok_or(Fault::Pq)?;
        let [p, q] = [p, q].map(minimal);

        let (server_nonce, new_nonce) = (answer.server_nonce, self.random.array());
        let (dc, pq) = (self.dc, answer.pq);
        let (p_again, q_again) = (p.clone(), q.clone());
        let inner = PQInnerDataDc { pq, p, q, nonce, server_nonce, new_nonce, dc }.to_bytes();
        let encrypted = key.encrypt_pad(&inner, &mut self.random).map_err(|_| Fault::Pq)?;
        let query = ReqDhParams {
            nonce,
            server_nonce,
            p: p_again,
            q: q_again,
            public_key_fingerprint: key.fingerprint().cast_signed(),
            encrypted_data: Bytes::copy_from_slice(&encrypted),
        };
        let nonces = Nonces { nonce, server_nonce, new_nonce };
        Ok(Step::Query(Exchange::DhParams(nonces), query.to_bytes()))
    }

    fn take_params(&mut self, nonces: Nonces, answer: &ServerDhParamsOk) -> Result<Step, Fault> {
        let inner = nonces.open(&answer.encrypted_answer)?;
        if inner.nonce != nonces.nonce {
            return Err(Fault::Nonce);
        }
        let Nonces { nonce, server_nonce, new_nonce } = nonces;
        let g_b = self.half_for(&inner.dh_prime, inner.g)?.g_b.clone();
        let proposal = ClientDhInnerData { nonce, server_nonce, retry_id: 0, g_b };
        let encrypted_data = nonces.seal(&proposal, &mut self.random);
        let query = SetClientDhParams { nonce, server_nonce, encrypted_data };
        let agreed = Agreed {
            g_a: inner.g_a,
            salt: Salt(first_salt(&new_nonce, &server_nonce)),
            server_time: inner.server_time.cast_unsigned(),
        };
        Ok(Step::Query(Exchange::DhGen(nonces, agreed), query.to_bytes()))
    }

    /// Our half in a group; made again when the server has changed the group.
    fn half_for(&mut self, prime: &Bytes, g: i32) -> Result<&Half, Fault> {
        let half = match self.half.take() {
            Some(half) if half.prime == *prime && half.g == g => half,
            _ => {
                let group = Group::check(prime, g.cast_unsigned(), &mut (), &mut self.random)?;
                let (secret, g_b) = DhSecret::generate(&group, &mut self.random);
                Half { prime: prime.clone(), g, secret, g_b: Bytes::copy_from_slice(&g_b) }
            }
        };
        Ok(self.half.insert(half))
    }
}

impl Nonces {
    /// Decrypts what the server encrypted. A nonce in it shows whether that went well.
    fn open(&self, encrypted: &[u8]) -> Result<ServerDhInnerData, Fault> {
        let len = encrypted.len();
        if len == 0 || !len.is_multiple_of(BLOCK_LEN) {
            return Err(Fault::EncryptedLen { len });
        }
        let mut data = encrypted.to_vec();
        tmp_aes(&self.new_nonce, &self.server_nonce).decrypt(&mut data);
        let mut input = Reader::new(&data);
        input.array::<HASH_LEN>()?;
        // Most likely the key was wrong: say so, rather than that an object is malformed.
        ServerDhInnerData::decode(&mut input).map_err(|_| Fault::EncryptedHash)
    }

    fn seal(&self, object: &impl Encode, random: &mut dyn SecureRandom) -> Bytes {
        let mut data = vec![0; HASH_LEN];
        object.encode(&mut data);
        let end = data.len();
        let hash = hash::sha1(&[&data[HASH_LEN..]]);
        data[..HASH_LEN].copy_from_slice(&hash);
        data.resize(end.next_multiple_of(BLOCK_LEN), 0);
        random.fill(&mut data[end..]);
        tmp_aes(&self.new_nonce, &self.server_nonce).encrypt(&mut data);
        data.into()
    }
}

/// Reads the object at the start of a body; what follows it is filler.
fn decode<T: Decode>(body: &Bytes) -> Result<T, DecodeError> {
    T::decode(&mut Reader::shared(body))
}

/// A big-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |high, byte| high << 8 | u64::from(*byte)))
}

/// A number as its big-endian bytes without leading zeros.
fn minimal(number: u32) -> Bytes {
    number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// Bytes of SHA-1.
const HASH_LEN: usize = 20;
/// Bytes of an AES block.
const BLOCK_LEN: usize = 16;
