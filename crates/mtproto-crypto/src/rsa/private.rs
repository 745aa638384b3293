//! The server's side: a private key, and what it makes of a client's number.

use std::fmt;

use crypto_bigint::{NonZero, Odd, U1024, U2048};
use crypto_primes::Flavor;
use crypto_primes::hazmat::{SetBits, SmallFactorsSieveFactory};
use pkcs1::der::asn1::UintRef;
use pkcs1::der::{Decode, EncodePem, SecretDocument};
use pkcs1::{LineEnding, RsaPrivateKeyRef};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::padding::{self, OLD_DATA_LEN_MAX, PADDED_LEN};
use super::{KeyError, RsaPublicKey};
use crate::big::{self, Form, HalfForm, HalfParams};
use crate::random::{Adapter, SecureRandom};
use crate::wipe::Wiped;

/// A key pair of 2048 bits, wiped when it is dropped.
pub struct RsaPrivateKey {
    public: RsaPublicKey,
    secret: Box<Secret>,
}

impl RsaPrivateKey {
    /// Draws a new key with the exponent 65537. Takes about 50 ms.
    pub fn generate(random: &mut dyn SecureRandom) -> Self {
        loop {
            let (p, q) = (random_prime(random), random_prime(random));
            // Fails if an exponent has no inverse or both primes are the same: then others are
            // drawn.
            if let (Some(p), Some(q)) = (p, q)
                && let Ok(key) = Self::from_primes(&p, &q, EXPONENT)
            {
                return key;
            }
        }
    }

    /// Reads `-----BEGIN RSA PRIVATE KEY-----`.
    ///
    /// # Errors
    /// `Encoding`, `Size`, `Exponent`, or `Inconsistent` if the key does not undo its own
    /// encryption.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (label, document) =
            SecretDocument::from_pem(pem.trim()).map_err(|_| KeyError::Encoding)?;
        if label != PEM_LABEL {
            return Err(KeyError::Encoding);
        }
        let key =
            RsaPrivateKeyRef::from_der(document.as_bytes()).map_err(|_| KeyError::Encoding)?;
        let public =
            RsaPublicKey::from_parts(key.modulus.as_bytes(), key.public_exponent.as_bytes())?;
        let (p, q) = (half(key.prime1)?, half(key.prime2)?);
        let pair = Self::from_primes(&p, &q, public.exponent())?;
        // The rest follows from the primes: if it is not what the file says, the file is damaged.
        let d = big::pad_left(key.private_exponent.as_bytes()).ok_or(KeyError::Inconsistent)?;
        let belongs = pair.public == public
            && pair.secret.is_exponent(&big::read(&Wiped(d)))
            && *half(key.exponent1)? == pair.secret.dp
            && *half(key.exponent2)? == pair.secret.dq
            && *half(key.coefficient)? == pair.secret.q_inverse().retrieve();
        if belongs { Ok(pair) } else { Err(KeyError::Inconsistent) }
    }

    /// Writes what [`RsaPrivateKey::from_pem`] reads.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let pem = self.secret.numbers(self.public.exponent()).and_then(|numbers| {
            let [d, p, q, dp, dq, q_inverse] = &numbers;
            let (n, e) = (big::write(self.public.n()), self.public.exponent().to_be_bytes());
            let key = RsaPrivateKeyRef {
                modulus: UintRef::new(&n).ok()?,
                public_exponent: UintRef::new(&e).ok()?,
                private_exponent: UintRef::new(d.as_ref()).ok()?,
                prime1: UintRef::new(p.as_ref()).ok()?,
                prime2: UintRef::new(q.as_ref()).ok()?,
                exponent1: UintRef::new(dp.as_ref()).ok()?,
                exponent2: UintRef::new(dq.as_ref()).ok()?,
                coefficient: UintRef::new(q_inverse.as_ref()).ok()?,
                other_prime_infos: None,
            };
            key.to_pem(LineEnding::LF).ok().map(Zeroizing::new)
        });
        pem.unwrap_or_else(|| unreachable!("the numbers of a valid key have a PEM form"))
    }

    /// The public half.
    pub fn public(&self) -> &RsaPublicKey {
        &self.public
    }

    /// Undoes the client's encryption, whichever padding it chose. The old one does not store the
    /// length of its data, so `old_lens` says which lengths are possible; none of them refuses it.
    ///
    /// `None` whatever is wrong: the length, a number not below the modulus, a hash. The work is
    /// the same in every case.
    // req: S111
    pub fn decrypt_inner(
        &self,
        encrypted: &[u8],
        old_lens: &[usize],
        random: &mut dyn SecureRandom,
    ) -> Option<Inner> {
        let number: Option<&[u8; 256]> = encrypted.try_into().ok();
        let right_len = Choice::from(u8::from(number.is_some()));
        let number = big::read(number.unwrap_or(&[0; 256]));

        let (block, undone) = self.undo(&number, random);
        let (padded, pad_valid) = padding::unpad(&block);
        let (mut data, mut len, old_valid) = padding::unpad_old(&block, old_lens);
        for (byte, padded) in data.iter_mut().zip(padded.iter()) {
            byte.conditional_assign(padded, pad_valid);
        }
        len.conditional_assign(&(PADDED_LEN as u64), pad_valid);
        let scheme = if pad_valid.into() { Scheme::Pad } else { Scheme::Old };
        let valid = right_len & undone & (pad_valid | old_valid);
        bool::from(valid).then_some(Inner { data, len: len as usize, scheme })
    }

    /// `number^d` under blinding, and whether encryption leads back: it does not for a number that
    /// is not below the modulus, nor after a fault in the arithmetic, which would give the key
    /// away.
    fn undo(&self, number: &U2048, random: &mut dyn SecureRandom) -> (padding::Block, Choice) {
        let params = self.public.params();
        let (blind, unblind) = loop {
            let mut bytes = Wiped([0; big::LEN]);
            random.fill(&mut *bytes);
            let factor = Zeroizing::new(Form::new(&big::read(&bytes), params));
            if let Some(inverse) = Option::from(factor.invert()).map(Zeroizing::new) {
                break (self.public.power_of_form(&factor), inverse);
            }
        };
        let blinded = Zeroizing::new(Form::new(number, params).mul(&blind).retrieve());
        let power = Zeroizing::new(self.secret.power(&blinded));
        let result = Zeroizing::new(Form::new(&power, params).mul(&unblind).retrieve());
        let again = self.public.power(&result);
        let undone = big::write(&again).ct_eq(&big::write(number));
        (Wiped(big::write(&result)), undone)
    }

    /// The key with these primes.
    pub(super) fn from_primes(p: &U1024, q: &U1024, exponent: u32) -> Result<Self, KeyError> {
        let n: U2048 = p.concatenating_mul(q);
        let public = RsaPublicKey::from_parts(&big::write(&n), &exponent.to_be_bytes())?;
        let secret = Secret::new(p, q, exponent).ok_or(KeyError::Inconsistent)?;
        // Wrong for any number if a "prime" is none.
        let sample = U2048::from(SAMPLE);
        if secret.power(&public.power(&sample)) != sample {
            return Err(KeyError::Inconsistent);
        }
        Ok(Self { public, secret: Box::new(secret) })
    }
}

impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPrivateKey({:016x})", self.public.fingerprint())
    }
}

/// What a client encrypted, after every check that needs no knowledge of its meaning.
pub struct Inner {
    data: Wiped<OLD_DATA_LEN_MAX>,
    len: usize,
    scheme: Scheme,
}

impl Inner {
    /// Under [`Scheme::Pad`] an object and random bytes after it, 192 bytes in all; under
    /// [`Scheme::Old`] exactly the object.
    pub fn data(&self) -> &[u8] {
        self.data.split_at(self.len.min(OLD_DATA_LEN_MAX)).0
    }

    /// Which padding the client chose.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// A way to fill the block before it is encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// SHA-1 in front, random bytes behind.
    Old,
    /// RSA_PAD.
    Pad,
}

/// The primes, and what the Chinese remainder theorem needs.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Secret {
    p: HalfParams,
    q: HalfParams,
    /// `d mod (p - 1)`.
    dp: U1024,
    /// `d mod (q - 1)`.
    dq: U1024,
    /// `q^-1 mod p`, in Montgomery form.
    q_inverse: U1024,
}

impl Secret {
    /// `None` if the primes are even or equal, or if the exponent has no inverse.
    fn new(p: &U1024, q: &U1024, exponent: u32) -> Option<Self> {
        let params = |prime: &U1024| Option::from(Odd::new(*prime)).map(HalfParams::new);
        let (p_params, q_params) = (params(p)?, params(q)?);
        let exponent = U1024::from(exponent);
        let inverse = |prime: &U1024| {
            let order: Option<NonZero<U1024>> =
                NonZero::new(prime.wrapping_sub(&U1024::ONE)).into();
            Option::from(exponent.invert_mod(&order?))
        };
        let q_inverse: Option<HalfForm> = HalfForm::new(q, &p_params).invert().into();
        Some(Self {
            dp: inverse(p)?,
            dq: inverse(q)?,
            q_inverse: q_inverse?.to_montgomery(),
            p: p_params,
            q: q_params,
        })
    }

    /// `base^d`, in constant time, as two powers of half the length (Garner's form).
    fn power(&self, base: &U2048) -> U2048 {
        let half = |params: &HalfParams, exponent: &U1024| {
            let reduced = Zeroizing::new(base.rem(params.modulus().as_nz_ref()));
            Zeroizing::new(HalfForm::new(&reduced, params).pow(exponent))
        };
        let (modulo_p, modulo_q) = (half(&self.p, &self.dp), half(&self.q, &self.dq));
        let low = Zeroizing::new(modulo_q.retrieve());
        let difference = Zeroizing::new(modulo_p.sub(&HalfForm::new(&low, &self.p)));
        let times = Zeroizing::new(difference.mul(&self.q_inverse()).retrieve());
        let high: U2048 = self.q.modulus().as_ref().concatenating_mul(&*times);
        high.wrapping_add(&low.resize())
    }

    fn q_inverse(&self) -> Zeroizing<HalfForm> {
        Zeroizing::new(HalfForm::from_montgomery(self.q_inverse, &self.p))
    }

    /// Whether `d` is one of the numbers that undo the encryption.
    fn is_exponent(&self, d: &U2048) -> bool {
        let fits = |params: &HalfParams, exponent: &U1024| {
            let order = NonZero::new(params.modulus().as_ref().wrapping_sub(&U1024::ONE));
            Option::<NonZero<U1024>>::from(order).is_some_and(|order| d.rem(&order) == *exponent)
        };
        fits(&self.p, &self.dp) && fits(&self.q, &self.dq)
    }

    /// `d`, `p`, `q`, `d mod (p - 1)`, `d mod (q - 1)`, `q^-1 mod p`, for the PEM form.
    fn numbers(&self, exponent: u32) -> Option<[Zeroizing<Vec<u8>>; 6]> {
        let (p, q) = (self.p.modulus().as_ref(), self.q.modulus().as_ref());
        let one = U1024::ONE;
        let order: U2048 = p.wrapping_sub(&one).concatenating_mul(&q.wrapping_sub(&one));
        let order: Option<NonZero<U2048>> = NonZero::new(order).into();
        let d: Option<U2048> = U2048::from(exponent).invert_mod(&order?).into();
        let d = Zeroizing::new(big::write(&d?).to_vec());
        let bytes = |number: &U1024| Zeroizing::new(number.to_be_bytes().as_ref().to_vec());
        let q_inverse = self.q_inverse().retrieve();
        Some([d, bytes(p), bytes(q), bytes(&self.dp), bytes(&self.dq), bytes(&q_inverse)])
    }
}

/// The exponent of keys made here.
const EXPONENT: u32 = 65537;

/// Any number that is not its own power.
const SAMPLE: u32 = 2;

const PEM_LABEL: &str = "RSA PRIVATE KEY";

/// Reads a number of a key file that belongs to one of the primes.
fn half(number: UintRef<'_>) -> Result<Zeroizing<U1024>, KeyError> {
    let bytes = big::pad_left::<128>(number.as_bytes()).ok_or(KeyError::Size)?;
    Ok(Zeroizing::new(U1024::from_be_slice(&*Wiped(bytes))))
}

/// A prime of 1024 bits with its two highest bits set, so that two of them make 2048 bits.
fn random_prime(random: &mut dyn SecureRandom) -> Option<Zeroizing<U1024>> {
    let factory = SmallFactorsSieveFactory::new(Flavor::Any, 1024, SetBits::TwoMsb).ok()?;
    let found = crypto_primes::sieve_and_find(&mut Adapter(random), factory, |_, candidate| {
        crypto_primes::is_prime(Flavor::Any, candidate)
    });
    found.ok()?.map(Zeroizing::new)
}
