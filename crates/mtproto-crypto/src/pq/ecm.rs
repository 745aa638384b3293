//! The elliptic curve method on Montgomery curves, in two stages.
//!
//! A curve finds a prime factor when the number of its points modulo that prime has prime powers up
//! to [`BOUND_1`] only, but for one prime up to [`BOUND_2`]. For factors of 31 bits, a curve in
//! four does.

use super::PRIMES;
use super::montgomery::{Modulus, gcd};

/// End of the second stage.
pub(super) const BOUND_2: u64 = 4127;

/// Finds a factor of an odd composite number, or none within [`CURVES_MAX`] curves.
pub(super) fn factor(n: u64) -> Option<u64> {
    if n < 3 || n.is_multiple_of(2) {
        return None;
    }
    let modulus = Modulus::new(n);
    // Smaller numbers than 6 give degenerate curves.
    (6..6 + CURVES_MAX).find_map(|sigma| {
        let found = match Curve::new(modulus, sigma) {
            Ok((curve, start)) => curve.search(start),
            Err(shared) => shared,
        };
        (found != 1 && found != n).then_some(found)
    })
}

/// How many curves are tried. An honest number needs four; 200 fail once in 10^24 times.
const CURVES_MAX: u64 = 200;

/// End of the first stage.
const BOUND_1: u64 = 165;

/// Distance of the points between which the second stage looks; half of it is the farthest look.
const GIANT: u64 = 60;

/// `b*y^2 = x^3 + a*x^2 + x`, of which only `(a + 2) / 4` is needed.
struct Curve {
    modulus: Modulus,
    a24: u64,
}

/// A point without its y, projective.
#[derive(Clone, Copy, Default)]
struct Point {
    x: u64,
    z: u64,
}

impl Curve {
    /// Suyama's curve: its order is divisible by 12. `Err` is what a value that had to be inverted
    /// shares with the modulus.
    fn new(modulus: Modulus, sigma: u64) -> Result<(Self, Point), u64> {
        let m = modulus;
        let sigma = m.form(sigma);
        let u = m.sub(m.square(sigma), m.form(5));
        let v = m.mul(m.form(4), sigma);
        let cube = |value| m.mul(m.square(value), value);
        let (u3, v3) = (cube(u), cube(v));
        let numerator = m.mul(cube(m.sub(v, u)), m.add(m.mul(m.form(3), u), v));
        let denominator = m.mul(m.form(16), m.mul(u3, v));
        let a24 = m.mul(numerator, m.invert(denominator)?);
        Ok((Self { modulus, a24 }, Point { x: u3, z: v3 }))
    }

    /// Both stages from `start`; what was found, possibly 1 or the modulus.
    fn search(&self, start: Point) -> u64 {
        let mut point = start;
        for prime in PRIMES.iter().map(|prime| u64::from(*prime)) {
            if prime > BOUND_1 {
                break;
            }
            let mut power = prime;
            while power * prime <= BOUND_1 {
                power *= prime;
            }
            point = self.multiply(point, power);
        }
        match gcd(point.z, self.modulus.n()) {
            1 => self.second_stage(point),
            found => found,
        }
    }

    /// Looks for the one large prime: `giant*i - baby` or `giant*i + baby` is that prime when both
    /// points have the same x.
    fn second_stage(&self, point: Point) -> u64 {
        let m = self.modulus;
        let babies = self.babies(point);
        let step = self.multiply(point, GIANT);
        let mut i = BOUND_1 / GIANT;
        let mut before = self.multiply(point, GIANT * (i - 1));
        let mut giant = self.multiply(point, GIANT * i);
        let mut product = m.one();
        for prime in PRIMES.iter().map(|prime| u64::from(*prime)) {
            if prime <= BOUND_1 {
                continue;
            }
            while GIANT * i + GIANT / 2 < prime {
                (before, giant) = (giant, self.add(giant, step, before));
                i += 1;
            }
            let distance = prime.abs_diff(GIANT * i) as usize;
            if let Some(baby) = babies.get(distance) {
                let difference = m.sub(m.mul(giant.x, baby.z), m.mul(giant.z, baby.x));
                product = m.mul(product, difference);
            }
        }
        gcd(product, m.n())
    }

    /// `n * point` for every n up to half of [`GIANT`].
    fn babies(&self, point: Point) -> [Point; GIANT as usize / 2 + 1] {
        let mut babies = [Point::default(); GIANT as usize / 2 + 1];
        let (mut before, mut baby) = (point, self.double(point));
        let [_, first, rest @ ..] = &mut babies;
        *first = point;
        for slot in rest {
            *slot = baby;
            (before, baby) = (baby, self.add(baby, point, before));
        }
        babies
    }

    #[inline]
    fn double(&self, point: Point) -> Point {
        let m = self.modulus;
        let sum = m.square(m.add(point.x, point.z));
        let difference = m.square(m.sub(point.x, point.z));
        let cross = m.sub(sum, difference);
        Point {
            x: m.mul(sum, difference),
            z: m.mul(cross, m.add(difference, m.mul(self.a24, cross))),
        }
    }

    /// `a + b`, where `a - b` is known.
    #[inline]
    fn add(&self, a: Point, b: Point, difference: Point) -> Point {
        let m = self.modulus;
        let u = m.mul(m.sub(a.x, a.z), m.add(b.x, b.z));
        let v = m.mul(m.add(a.x, a.z), m.sub(b.x, b.z));
        Point {
            x: m.mul(difference.z, m.square(m.add(u, v))),
            z: m.mul(difference.x, m.square(m.sub(u, v))),
        }
    }

    /// `times * point` by Montgomery's ladder; `times` is positive.
    fn multiply(&self, point: Point, times: u64) -> Point {
        let (mut low, mut high) = (point, self.double(point));
        for bit in (0..63 - times.leading_zeros()).rev() {
            let sum = self.add(high, low, point);
            if times >> bit & 1 == 1 {
                (low, high) = (sum, self.double(high));
            } else {
                (low, high) = (self.double(low), sum);
            }
        }
        low
    }
}
