//! What only the holder of a key knows, and the arithmetic with it.

use crypto_bigint::{NonZero, Odd, U1024, U2048};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::big::{self, HalfForm, HalfParams};
use crate::powers::{Power, half_powers};

/// The primes, and what the Chinese remainder theorem needs.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Secret {
    p: HalfParams,
    q: HalfParams,
    /// `d mod (p - 1)`.
    pub(super) dp: U1024,
    /// `d mod (q - 1)`.
    pub(super) dq: U1024,
    /// `q^-1 mod p`, in Montgomery form.
    q_inverse: U1024,
}

impl Secret {
    /// `None` if the primes are even or equal, or if the exponent has no inverse.
    pub(super) fn new(p: &U1024, q: &U1024, exponent: u32) -> Option<Self> {
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

    /// `base^d`, in constant time.
    pub(super) fn power(&self, base: &U2048) -> Zeroizing<U2048> {
        let mut results = Self::powers(&[(self, base)]);
        Zeroizing::new(results.pop().unwrap_or_default())
    }

    /// `base^d` for many, in constant time: two powers of half the length each.
    pub(super) fn powers(jobs: &[(&Self, &U2048)]) -> Zeroizing<Vec<U2048>> {
        let remainder = |base: &U2048, prime: &HalfParams| base.rem(prime.modulus().as_nz_ref());
        let bases =
            jobs.iter().map(|(key, base)| [remainder(base, &key.p), remainder(base, &key.q)]);
        let bases = Zeroizing::new(bases.collect::<Vec<_>>());
        let halves = jobs.iter().zip(bases.iter()).flat_map(|((key, _), [base_p, base_q])| {
            [
                Power { base: base_p, exponent: &key.dp, params: &key.p },
                Power { base: base_q, exponent: &key.dq, params: &key.q },
            ]
        });
        let powers = half_powers(&halves.collect::<Vec<_>>());
        let (powers, _) = powers.as_chunks();
        let results = jobs.iter().zip(powers);
        Zeroizing::new(
            results.map(|((key, _), [power_p, power_q])| key.join(power_p, power_q)).collect(),
        )
    }

    /// The number that has these remainders modulo `p` and modulo `q` (Garner's form).
    fn join(&self, modulo_p: &U1024, modulo_q: &U1024) -> U2048 {
        let half = |number| Zeroizing::new(HalfForm::new(number, &self.p));
        let difference = Zeroizing::new(half(modulo_p).sub(&half(modulo_q)));
        let times = Zeroizing::new(difference.mul(&self.q_inverse()).retrieve());
        let high: U2048 = self.q.modulus().as_ref().concatenating_mul(&*times);
        high.wrapping_add(&modulo_q.resize())
    }

    pub(super) fn q_inverse(&self) -> Zeroizing<HalfForm> {
        Zeroizing::new(HalfForm::from_montgomery(self.q_inverse, &self.p))
    }

    /// Whether `d` is one of the numbers that undo the encryption.
    pub(super) fn is_exponent(&self, d: &U2048) -> bool {
        let fits = |params: &HalfParams, exponent: &U1024| {
            let order = NonZero::new(params.modulus().as_ref().wrapping_sub(&U1024::ONE));
            Option::<NonZero<U1024>>::from(order).is_some_and(|order| d.rem(&order) == *exponent)
        };
        fits(&self.p, &self.dp) && fits(&self.q, &self.dq)
    }

    /// `d`, `p`, `q`, `d mod (p - 1)`, `d mod (q - 1)`, `q^-1 mod p`, for the PEM form.
    pub(super) fn numbers(&self, exponent: u32) -> Option<[Zeroizing<Vec<u8>>; 6]> {
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
