//! What the conversations need: vectors, keys, scripted chance, a hand-made client.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use mtproto_crypto::rsa::{RsaPrivateKey, RsaPublicKey, Scheme};
use mtproto_crypto::{SecureRandom, SeededRandom};
use mtproto_tl::functions::ReqDhParams;
use mtproto_tl::types::{PQInnerData, PQInnerDataDc, PQInnerDataTemp, PQInnerDataTempDc, ResPq};
use mtproto_tl::{Decode, Encode};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::client::{self, ClientConfig};
use crate::nonces::{ExchangeId, Nonces};
use crate::server::{self, Candidate, ServerConfig};
use crate::{KeyKind, Query};

pub(super) const NOW: u32 = 1_700_000_000;

pub(super) const TEMPORARY: KeyKind = KeyKind::Temporary { expires_in: 86_400 };

/// A vector by name.
pub(super) fn vector(name: &str) -> &'static Value {
    static ALL: LazyLock<Value> = LazyLock::new(|| {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors.json"));
        serde_json::from_str(text).unwrap()
    });
    &ALL[name]
}

/// The bytes of a hexadecimal field.
pub(super) fn hex(field: &Value) -> Vec<u8> {
    let digits = field.as_str().unwrap().as_bytes().chunks_exact(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The bytes of a hexadecimal field of known length.
pub(super) fn array<const N: usize>(field: &Value) -> [u8; N] {
    hex(field).try_into().unwrap()
}

/// A number written in decimal, as big-endian bytes.
pub(super) fn decimal(field: &Value) -> Vec<u8> {
    let mut number = vec![0_u8; 256];
    for digit in field.as_str().unwrap().bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in number.iter_mut().rev() {
            carry += u32::from(*byte) * 10;
            *byte = carry as u8;
            carry >>= 8;
        }
    }
    number
}

/// The key pair of the vector `rsa_server_side`, as the only one.
pub(super) fn server_keys() -> Arc<[RsaPrivateKey]> {
    static KEYS: LazyLock<Arc<[RsaPrivateKey]>> = LazyLock::new(|| {
        let pem = include_str!("server_key.pem");
        Arc::new([RsaPrivateKey::from_pem(pem).unwrap()])
    });
    KEYS.clone()
}

pub(super) fn server_key() -> RsaPublicKey {
    server_keys()[0].public().clone()
}

pub(super) fn server_config() -> ServerConfig {
    ServerConfig { keys: server_keys(), dc: None, accept_old_rsa: true }
}

pub(super) fn client_config(kind: KeyKind) -> ClientConfig {
    ClientConfig { keys: Arc::new([server_key()]), dc: 2, kind }
}

/// Gives out bytes written down beforehand, and none besides.
pub(super) struct Scripted(VecDeque<u8>);

impl Scripted {
    pub(super) fn new(pieces: &[&[u8]]) -> Self {
        Self(pieces.concat().into())
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.0.is_empty()
    }
}

impl SecureRandom for Scripted {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.0.pop_front().expect("the script ends too early");
        }
    }
}

/// Reads a query as a server does.
pub(super) fn query(body: &Bytes) -> Query {
    Query::decode(body).unwrap().unwrap()
}

/// Both sides after each step of an exchange, and the message that one of them is to receive next.
pub(super) struct Stages {
    pub(super) req_pq: Bytes,
    pub(super) wait_res_pq: client::WaitResPq,
    pub(super) res_pq: Bytes,
    pub(super) server_wait_dh_params: server::WaitDhParams,
    pub(super) req_dh_params: Bytes,
    pub(super) wait_dh_params: client::WaitDhParams,
    pub(super) server_dh_params: Bytes,
    pub(super) wait_client_dh: server::WaitClientDh,
    pub(super) set_client_dh_params: Bytes,
    pub(super) wait_dh_gen: client::WaitDhGen,
}

impl Stages {
    /// Our client and our server, up to `set_client_DH_params`.
    pub(super) fn new(kind: KeyKind, seed: u64) -> Self {
        let (random, config) = (&mut SeededRandom::new(seed), server_config());
        let (wait_res_pq, req_pq) = client::start(client_config(kind), random);
        let (server_wait_dh_params, res_pq) =
            server::start(&query(&req_pq), &config, random).unwrap();
        let (wait_dh_params, req_dh_params) = wait_res_pq.clone().handle(&res_pq, random).unwrap();
        let (wait_client_dh, server_dh_params) = server_wait_dh_params
            .clone()
            .handle(&query(&req_dh_params), &config, NOW, random)
            .unwrap();
        let (wait_dh_gen, set_client_dh_params) =
            wait_dh_params.clone().handle(&server_dh_params, random).unwrap();
        Self {
            req_pq,
            wait_res_pq,
            res_pq,
            server_wait_dh_params,
            req_dh_params,
            wait_dh_params,
            server_dh_params,
            wait_client_dh,
            set_client_dh_params,
            wait_dh_gen,
        }
    }

    /// Goes on to the key that the server would store.
    pub(super) fn candidate(self) -> (client::WaitDhGen, Candidate) {
        let candidate = self.wait_client_dh.handle(&query(&self.set_client_dh_params)).unwrap();
        (self.wait_dh_gen, candidate)
    }
}

/// Which constructor a hand-made client sends under RSA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Plain,
    Dc(i32),
    Temp,
    TempDc(i32),
}

/// The step from `resPQ` to `req_DH_params` as a client of another make does it.
pub(super) struct HandMade {
    pub(super) form: Form,
    pub(super) scheme: Scheme,
    pub(super) expires_in: i32,
}

impl HandMade {
    pub(super) fn new(form: Form, scheme: Scheme) -> Self {
        Self { form, scheme, expires_in: 86_400 }
    }

    pub(super) fn kind(&self) -> KeyKind {
        match self.form {
            Form::Plain | Form::Dc(_) => KeyKind::Permanent,
            Form::Temp | Form::TempDc(_) => TEMPORARY,
        }
    }

    /// The query, and our client's state to go on with. `spoil` may change what goes under RSA.
    pub(super) fn answer(
        &self,
        challenge: &Bytes,
        random: &mut dyn SecureRandom,
        spoil: impl FnOnce(&mut PQInnerDataTempDc),
    ) -> (client::WaitDhParams, Bytes) {
        let challenge = ResPq::from_bytes(challenge).unwrap();
        let pq = u64::from_be_bytes(challenge.pq[..].try_into().unwrap());
        let (p, q) = mtproto_crypto::pq::factorize(pq).unwrap();
        let (nonce, server_nonce) = (challenge.nonce, challenge.server_nonce);
        let (p, q) = (copied(&p.to_be_bytes()), copied(&q.to_be_bytes()));
        let mut new_nonce = [0; 32];
        random.fill(&mut new_nonce);
        let mut inner = PQInnerDataTempDc {
            pq: challenge.pq,
            p: p.clone(),
            q: q.clone(),
            nonce,
            server_nonce,
            new_nonce,
            dc: 0,
            expires_in: self.expires_in,
        };
        spoil(&mut inner);
        let data = self.serialize(inner);
        let encrypted = match self.scheme {
            Scheme::Pad => server_key().encrypt_pad(&data, random).unwrap(),
            Scheme::Old => server_key().encrypt_old(&data, random).unwrap(),
        };
        let query = ReqDhParams {
            nonce,
            server_nonce,
            p,
            q,
            public_key_fingerprint: server_key().fingerprint().cast_signed(),
            encrypted_data: copied(&encrypted),
        };
        let id = ExchangeId { nonce, server_nonce };
        let nonces = Nonces { id, new_nonce: Zeroizing::new(new_nonce) };
        (client::WaitDhParams { kind: self.kind(), nonces }, query.to_bytes())
    }

    fn serialize(&self, inner: PQInnerDataTempDc) -> Bytes {
        let PQInnerDataTempDc { pq, p, q, nonce, server_nonce, new_nonce, expires_in, .. } = inner;
        match self.form {
            Form::Plain => PQInnerData { pq, p, q, nonce, server_nonce, new_nonce }.to_bytes(),
            Form::Dc(dc) => {
                PQInnerDataDc { pq, p, q, nonce, server_nonce, new_nonce, dc }.to_bytes()
            }
            Form::Temp => {
                PQInnerDataTemp { pq, p, q, nonce, server_nonce, new_nonce, expires_in }.to_bytes()
            }
            Form::TempDc(dc) => {
                PQInnerDataTempDc { pq, p, q, nonce, server_nonce, new_nonce, dc, expires_in }
                    .to_bytes()
            }
        }
    }
}

pub(super) fn copied(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
