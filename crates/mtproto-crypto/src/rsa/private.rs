//! The server's side: a private key, and what it makes of a client's number.

use std::fmt;

use crypto_bigint::{U1024, U2048};
use crypto_primes::Flavor;
use crypto_primes::hazmat::{SetBits, SmallFactorsSieveFactory};
use pkcs1::der::asn1::UintRef;
use pkcs1::der::{Decode, EncodePem, SecretDocument};
use pkcs1::{LineEnding, RsaPrivateKeyRef};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::padding::{self, OLD_DATA_LEN_MAX, PADDED_LEN};
use super::secret::Secret;
use super::{KeyError, RsaPublicKey};
use crate::big::{self, Form};
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

    /// [`decrypt_many`] for one.
    pub fn decrypt_inner(
        &self,
        encrypted: &[u8],
        old_lens: &[usize],
        random: &mut dyn SecureRandom,
    ) -> Option<Inner> {
        decrypt_many(&[DecryptJob { key: self, encrypted, old_lens }], random).pop().flatten()
    }

    /// The key with these primes.
    pub(super) fn from_primes(p: &U1024, q: &U1024, exponent: u32) -> Result<Self, KeyError> {
        let n: U2048 = p.concatenating_mul(q);
        let public = RsaPublicKey::from_parts(&big::write(&n), &exponent.to_be_bytes())?;
        let secret = Secret::new(p, q, exponent).ok_or(KeyError::Inconsistent)?;
        // Wrong for any number if a "prime" is none.
        let sample = U2048::from(SAMPLE);
        if *secret.power(&public.power(&sample)) != sample {
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

/// What a client encrypted for one of our keys.
#[derive(Clone, Copy, Debug)]
pub struct DecryptJob<'a> {
    /// The key whose fingerprint the client named.
    pub key: &'a RsaPrivateKey,
    /// The number as it came.
    pub encrypted: &'a [u8],
    /// Which lengths of data are possible under the old padding, which does not store it; none of
    /// them refuses that padding.
    pub old_lens: &'a [usize],
}

/// Undoes the encryption of many clients, whichever padding each chose, in order. That costs less
/// than one by one, the more so where the processor calculates
/// [several at once](crate::powers_at_once); those for one key should stand together.
///
/// `None` whatever is wrong: the length, a number not below the modulus, a hash. The work is the
/// same in every case.
// req: S111
pub fn decrypt_many(jobs: &[DecryptJob<'_>], random: &mut dyn SecureRandom) -> Vec<Option<Inner>> {
    let numbers: Vec<_> = jobs.iter().map(DecryptJob::number).collect();
    let mut blindings = Vec::with_capacity(jobs.len());
    for run in jobs.chunk_by(|job, next| std::ptr::eq(job.key, next.key)) {
        let blinding = run.first().map(|job| Blinding::draw(&job.key.public, random));
        blindings.extend(blinding.into_iter().cycle().take(run.len()));
    }
    let blinded = numbers.iter().zip(&blindings);
    let blinded: Vec<_> = blinded.map(|((number, _), it)| it.blind(number)).collect();
    let powers = jobs.iter().zip(&blinded).map(|(job, number)| (&*job.key.secret, &**number));
    let powers = Secret::powers(&powers.collect::<Vec<_>>());
    let results = powers.iter().zip(&blindings).map(|(power, it)| it.unblind(power));
    let inners = jobs.iter().zip(numbers).zip(results);
    inners.map(|((job, (number, fits)), result)| job.read(&number, &result, fits)).collect()
}

impl DecryptJob<'_> {
    /// The number, and whether it has the right length.
    fn number(&self) -> (U2048, Choice) {
        let number: Option<&[u8; 256]> = self.encrypted.try_into().ok();
        let fits = Choice::from(u8::from(number.is_some()));
        (big::read(number.unwrap_or(&[0; 256])), fits)
    }

    /// Undoes the padding of `result`. Encryption has to lead back to `number`: it does not if that
    /// is not below the modulus, nor after a fault in the arithmetic, which would give the key
    /// away.
    fn read(&self, number: &U2048, result: &U2048, fits: Choice) -> Option<Inner> {
        let again = self.key.public.power(result);
        let undone = big::write(&again).ct_eq(&big::write(number));
        let block = Wiped(big::write(result));
        let (padded, pad_valid) = padding::unpad(&block);
        let (mut data, mut len, old_valid) = padding::unpad_old(&block, self.old_lens);
        for (byte, padded) in data.iter_mut().zip(padded.iter()) {
            byte.conditional_assign(padded, pad_valid);
        }
        len.conditional_assign(&(PADDED_LEN as u64), pad_valid);
        let scheme = if pad_valid.into() { Scheme::Pad } else { Scheme::Old };
        let valid = fits & undone & (pad_valid | old_valid);
        bool::from(valid).then_some(Inner { data, len: len as usize, scheme })
    }
}

/// A random factor that keeps whoever sent a number from knowing what is calculated with. One
/// serves all numbers of a key that are undone together: they stay as unknown, but for their ratio.
#[derive(Clone)]
struct Blinding {
    /// The factor, encrypted.
    blind: Zeroizing<Form>,
    /// The factor's inverse.
    unblind: Zeroizing<Form>,
}

impl Blinding {
    /// Draws a factor for one key.
    fn draw(key: &RsaPublicKey, random: &mut dyn SecureRandom) -> Self {
        loop {
            let mut bytes = Wiped([0; big::LEN]);
            random.fill(&mut *bytes);
            let factor = Zeroizing::new(Form::new(&big::read(&bytes), key.params()));
            if let Some(unblind) = Option::from(factor.invert()).map(Zeroizing::new) {
                return Self { blind: Zeroizing::new(key.power_of_form(&factor)), unblind };
            }
        }
    }

    fn blind(&self, number: &U2048) -> Zeroizing<U2048> {
        let number = Form::new(number, self.blind.params());
        Zeroizing::new(number.mul(&self.blind).retrieve())
    }

    fn unblind(&self, power: &U2048) -> Zeroizing<U2048> {
        let power = Zeroizing::new(Form::new(power, self.unblind.params()));
        Zeroizing::new(power.mul(&self.unblind).retrieve())
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
