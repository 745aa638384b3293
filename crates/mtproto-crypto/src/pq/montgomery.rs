//! Arithmetic modulo an odd number of up to 64 bits, without a division.

/// An odd modulus above 1. Values are in Montgomery form, that is times 2^64, and below it.
#[derive(Clone, Copy)]
pub(super) struct Modulus {
    n: u64,
    /// `n^-1` modulo 2^64.
    inverse: u64,
    /// 2^64 modulo `n`: the form of 1.
    one: u64,
    /// 2^128 modulo `n`: brings a number into the form.
    square: u64,
}

impl Modulus {
    pub(super) fn new(n: u64) -> Self {
        debug_assert!(n % 2 == 1 && n > 1, "only odd moduli have an inverse of 2");
        // Newton's iteration: 5 right bits to begin with, twice as many each time.
        let mut inverse = n.wrapping_mul(3) ^ 2;
        for _ in 0..4 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(n.wrapping_mul(inverse)));
        }
        let one = (u64::MAX % n + 1) % n;
        let square = (u128::from(one) * u128::from(one) % u128::from(n)) as u64;
        Self { n, inverse, one, square }
    }

    pub(super) fn n(self) -> u64 {
        self.n
    }

    pub(super) fn one(self) -> u64 {
        self.one
    }

    /// Brings any number into the form.
    pub(super) fn form(self, number: u64) -> u64 {
        self.mul(number % self.n, self.square)
    }

    /// Brings a value out of the form.
    pub(super) fn number(self, value: u64) -> u64 {
        self.mul(value, 1)
    }

    #[inline]
    pub(super) fn mul(self, a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        let multiple = (product as u64).wrapping_mul(self.inverse);
        let high = ((u128::from(multiple) * u128::from(self.n)) >> 64) as u64;
        let (difference, borrow) = ((product >> 64) as u64).overflowing_sub(high);
        if borrow { difference.wrapping_add(self.n) } else { difference }
    }

    #[inline]
    pub(super) fn square(self, a: u64) -> u64 {
        self.mul(a, a)
    }

    #[inline]
    pub(super) fn add(self, a: u64, b: u64) -> u64 {
        self.sub(a, self.n - b)
    }

    #[inline]
    pub(super) fn sub(self, a: u64, b: u64) -> u64 {
        let (difference, borrow) = a.overflowing_sub(b);
        if borrow { difference.wrapping_add(self.n) } else { difference }
    }

    /// The inverse of a value, or else the factor that it shares with the modulus (the modulus
    /// itself for 0).
    pub(super) fn invert(self, value: u64) -> Result<u64, u64> {
        let (mut r0, mut r1) = (i128::from(self.n), i128::from(self.number(value)));
        let (mut t0, mut t1) = (0, 1);
        while r1 != 0 {
            let quotient = r0 / r1;
            (r0, r1) = (r1, r0 - quotient * r1);
            (t0, t1) = (t1, t0 - quotient * t1);
        }
        if r0 == 1 {
            Ok(self.form(t0.rem_euclid(i128::from(self.n)) as u64))
        } else {
            Err(r0 as u64)
        }
    }

    /// One round, with `n - 1 = odd * 2^twos`.
    pub(super) fn passes_miller_rabin(self, base: u64, odd: u64, twos: u32) -> bool {
        let minus_one = self.n - self.one;
        let mut power = self.pow(self.form(base), odd);
        if power == self.one || power == minus_one {
            return true;
        }
        for _ in 1..twos {
            power = self.square(power);
            if power == minus_one {
                return true;
            }
        }
        false
    }

    fn pow(self, base: u64, exponent: u64) -> u64 {
        let mut power = self.one;
        for bit in (0..64 - exponent.leading_zeros()).rev() {
            power = self.square(power);
            if exponent >> bit & 1 == 1 {
                power = self.mul(power, base);
            }
        }
        power
    }
}

/// The greatest common divisor; the other number if one is 0.
pub(super) fn gcd(mut a: u64, mut b: u64) -> u64 {
    if a == 0 || b == 0 {
        return a | b;
    }
    let twos = (a | b).trailing_zeros();
    a >>= a.trailing_zeros();
    while b != 0 {
        b >>= b.trailing_zeros();
        (a, b) = (a.min(b), a.abs_diff(b));
    }
    a << twos
}
