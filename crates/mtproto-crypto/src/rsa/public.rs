//! The client's side: a server's public key.

use std::fmt;

use crypto_bigint::{U64, U2048};
use pkcs1::der::asn1::UintRef;
use pkcs1::der::{Decode, Document, EncodePem};
use pkcs1::{LineEnding, RsaPublicKeyRef};
use zeroize::Zeroizing;

use super::KeyError;
use super::padding::{self, DATA_LEN_MAX, OLD_DATA_LEN_MAX};
use crate::big::{self, Form, Params};
use crate::hash::sha1;
use crate::part::part;
use crate::random::SecureRandom;

/// A modulus of 2048 bits and an exponent.
#[derive(Clone)]
pub struct RsaPublicKey {
    params: Params,
    exponent: u32,
    fingerprint: u64,
}

impl RsaPublicKey {
    /// Reads `-----BEGIN RSA PUBLIC KEY-----`.
    ///
    /// # Errors
    /// `Encoding`, or as [`RsaPublicKey::from_parts`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (label, document) = Document::from_pem(pem.trim()).map_err(|_| KeyError::Encoding)?;
        if label != PEM_LABEL {
            return Err(KeyError::Encoding);
        }
        let key = RsaPublicKeyRef::from_der(document.as_bytes()).map_err(|_| KeyError::Encoding)?;
        Self::from_parts(key.modulus.as_bytes(), key.public_exponent.as_bytes())
    }

    /// Writes what [`RsaPublicKey::from_pem`] reads.
    pub fn to_pem(&self) -> String {
        let (n, e) = (big::write(self.n()), self.exponent.to_be_bytes());
        let numbers = UintRef::new(&n).and_then(|n| Ok((n, UintRef::new(&e)?)));
        let pem = numbers.and_then(|(modulus, public_exponent)| {
            RsaPublicKeyRef { modulus, public_exponent }.to_pem(LineEnding::LF)
        });
        pem.unwrap_or_else(|_| unreachable!("two short numbers have a PEM form"))
    }

    /// The key with this modulus and exponent, both big-endian; leading zeros make no difference.
    ///
    /// # Errors
    /// `Size` unless the modulus has 2048 bits and is odd, `Exponent` if the exponent is unusable.
    pub fn from_parts(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let n: [u8; 256] = big::pad_left(without_zeros(n)).ok_or(KeyError::Size)?;
        if n[0] < 0x80 {
            return Err(KeyError::Size);
        }
        let params = big::params(&big::read(&n)).ok_or(KeyError::Size)?;
        let exponent = big::pad_left(without_zeros(e)).ok_or(KeyError::Exponent)?;
        let exponent = u32::from_be_bytes(exponent);
        if exponent < 3 || exponent.is_multiple_of(2) {
            return Err(KeyError::Exponent);
        }
        let fingerprint = fingerprint(&n, exponent);
        Ok(Self { params, exponent, fingerprint })
    }

    /// The lower 64 bits of the SHA-1 of the serialized key, as the wire's `long`.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Encrypts up to [`DATA_LEN_MAX`] bytes with RSA_PAD.
    ///
    /// # Errors
    /// `TooLong` if there are more.
    // req: S111
    pub fn encrypt_pad(
        &self,
        data: &[u8],
        random: &mut dyn SecureRandom,
    ) -> Result<[u8; 256], TooLong> {
        if data.len() > DATA_LEN_MAX {
            return Err(TooLong { len: data.len(), len_max: DATA_LEN_MAX });
        }
        let padded = padding::fill_up(data, random);
        loop {
            let block = Zeroizing::new(big::read(&padding::pad(&padded, random)));
            if *block < *self.n() {
                return Ok(big::write(&self.power(&block)));
            }
        }
    }

    /// Encrypts up to [`OLD_DATA_LEN_MAX`] bytes with the padding of before 2021.
    ///
    /// # Errors
    /// `TooLong` if there are more.
    // req: S111
    pub fn encrypt_old(
        &self,
        data: &[u8],
        random: &mut dyn SecureRandom,
    ) -> Result<[u8; 256], TooLong> {
        if data.len() > OLD_DATA_LEN_MAX {
            return Err(TooLong { len: data.len(), len_max: OLD_DATA_LEN_MAX });
        }
        let block = Zeroizing::new(big::read(&padding::pad_old(data, random)));
        Ok(big::write(&self.power(&block)))
    }

    pub(super) fn n(&self) -> &U2048 {
        self.params.modulus().as_ref()
    }

    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    pub(super) fn exponent(&self) -> u32 {
        self.exponent
    }

    /// `base^e`; the time depends on the exponent only, which is public.
    pub(super) fn power(&self, base: &U2048) -> U2048 {
        self.power_of_form(&Form::new(base, &self.params)).retrieve()
    }

    /// The same, within Montgomery form.
    pub(super) fn power_of_form(&self, base: &Form) -> Form {
        base.pow_vartime(&U64::from(self.exponent))
    }
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPublicKey({:016x})", self.fingerprint)
    }
}

impl PartialEq for RsaPublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.n() == other.n() && self.exponent == other.exponent
    }
}

impl Eq for RsaPublicKey {}

/// More data than the padding has room for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooLong {
    /// Bytes of the data.
    pub len: usize,
    /// The most there may be.
    pub len_max: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes do not fit, the padding takes {}", self.len, self.len_max)
    }
}

impl std::error::Error for TooLong {}

const PEM_LABEL: &str = "RSA PUBLIC KEY";

/// `SHA1(n | e)`, both as TL strings: a length of 1 or of 4 bytes, the bytes, zeros up to a word.
fn fingerprint(n: &[u8; 256], exponent: u32) -> u64 {
    let exponent = exponent.to_be_bytes();
    let e = without_zeros(&exponent);
    let zeros: &[u8] = match e.len() {
        1 => &[0; 2],
        2 => &[0; 1],
        3 => &[],
        _ => &[0; 3],
    };
    let hash = sha1(&[&[254, 0, 1, 0], n, &[e.len() as u8], e, zeros]);
    u64::from_le_bytes(*part::<12, 8, _>(&hash))
}

fn without_zeros(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}
