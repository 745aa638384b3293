//! Whether secrets can be told from times: `cargo xtask timing`.
//!
//! Each case does one work on inputs of two classes, in random order, and compares the times. What
//! differs between the classes is what nobody may learn. The first case is one that does leak: if
//! that is not seen, the machine is too noisy for the others to say anything.

mod welch;

use std::fmt;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mtproto_crypto::dh::{DhSecret, Group};
use mtproto_crypto::rsa::RsaPrivateKey;
use mtproto_crypto::{SecureRandom, SecureRandomExt, SeededRandom, hash};
use welch::T_MAX;

/// Seconds that each case takes unless the command line says otherwise.
const SECONDS_DEFAULT: u64 = 10;

fn main() -> ExitCode {
    let seconds = match std::env::args().nth(1).map(|argument| argument.parse()) {
        None => SECONDS_DEFAULT,
        Some(Ok(seconds)) => seconds,
        Some(Err(_)) => {
            eprintln!("usage: timing [SECONDS]");
            return ExitCode::from(2);
        }
    };
    println!("{:<54} {:>9} {:>8}  verdict", "classes", "samples", "t");
    let mut faults = 0;
    for mut case in cases() {
        let samples = case.sample(Duration::from_secs(seconds));
        let verdict = Verdict::of(welch::greatest_t(&samples));
        let count = samples[0].len() + samples[1].len();
        println!("{:<54} {count:>9} {verdict}", case.name);
        faults += u32::from(verdict != case.expected);
    }
    match faults {
        0 => ExitCode::SUCCESS,
        _ => {
            eprintln!("error: {faults} cases are not as they should be");
            ExitCode::FAILURE
        }
    }
}

/// What the times of a case say.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    Differs(f64),
    Same(f64),
    Unknown,
}

impl Verdict {
    fn of(t: Option<f64>) -> Self {
        match t {
            Some(t) if t.abs() < T_MAX => Self::Same(t),
            Some(t) => Self::Differs(t),
            None => Self::Unknown,
        }
    }
}

/// Whether it is the same one; the figure does not count.
impl PartialEq for Verdict {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs(t) => write!(f, "{t:>8.1}  the classes differ"),
            Self::Same(t) => write!(f, "{t:>8.1}  no difference"),
            Self::Unknown => write!(f, "{:>8}  too few samples", "-"),
        }
    }
}

/// A work on inputs of two classes.
struct Case {
    name: &'static str,
    expected: Verdict,
    /// Prepares an input of the first class or the second, and times the work on it.
    run: Box<dyn FnMut(bool) -> Duration>,
}

impl Case {
    fn new(name: &'static str, run: impl FnMut(bool) -> Duration + 'static) -> Self {
        Self { name, expected: Verdict::Same(0.0), run: Box::new(run) }
    }

    /// Times of the two classes in nanoseconds.
    #[allow(clippy::disallowed_methods, reason = "the stopwatch")]
    fn sample(&mut self, time: Duration) -> [Vec<f64>; 2] {
        let mut coin = SeededRandom::new(1);
        let mut samples = [Vec::new(), Vec::new()];
        let start = Instant::now();
        while start.elapsed() < time {
            let second = coin.u32().is_multiple_of(2);
            let took = (self.run)(second);
            samples[usize::from(second)].push(took.as_secs_f64() * 1e9);
        }
        samples
    }
}

fn cases() -> [Case; 8] {
    let leak = compare("a comparison that stops early: first byte, last byte", |one, other| {
        one.iter().zip(other).all(|(one, other)| black_box(one) == black_box(other))
    });
    [
        Case { expected: Verdict::Differs(0.0), ..leak },
        compare("comparison of msg_key: first byte wrong, last byte", hash::equal),
        rsa("RSA: RSA_PAD right, a random number", |key, random| {
            [key.public().encrypt_pad(DATA, random).unwrap(), below_modulus(random)]
        }),
        rsa("RSA: RSA_PAD right, the old padding right", |key, random| {
            let public = key.public();
            [public.encrypt_pad(DATA, random), public.encrypt_old(DATA, random)].map(Result::unwrap)
        }),
        rsa("RSA: always the same number, a random one", |_, random| {
            [[0x11; 256], below_modulus(random)]
        }),
        generator("g^a: exponents with one bit, random ones"),
        shared("g_b^a: an exponent with one bit, a random one", |_, second| second),
        shared("g_b^a: always the same number, a random one", |number, second| {
            if second {
                number[128..].reverse();
            }
            true
        }),
    ]
}

/// As long as what a client encrypts.
const DATA: &[u8] = &[1; 96];

/// Wrong in the first byte of sixteen or in the last.
fn compare(name: &'static str, equal: impl Fn(&[u8], &[u8]) -> bool + 'static) -> Case {
    let right = [0x5a; 16];
    Case::new(name, move |second| {
        let mut wrong = right;
        wrong[if second { 15 } else { 0 }] ^= 1;
        // Often, since it takes no longer than reading the clock.
        time(|| (0..100).filter(|_| equal(black_box(&wrong), black_box(&right))).count())
    })
}

/// `numbers` gives one of each class: both are made every time, so that only the work differs.
fn rsa(
    name: &'static str,
    numbers: impl Fn(&RsaPrivateKey, &mut SeededRandom) -> [[u8; 256]; 2] + 'static,
) -> Case {
    let mut random = SeededRandom::new(2);
    let key = RsaPrivateKey::generate(&mut random);
    Case::new(name, move |second| {
        let number = numbers(&key, &mut random)[usize::from(second)];
        time(|| key.decrypt_inner(&number, &[96, 100, 104], &mut random).is_some())
    })
}

fn generator(name: &'static str) -> Case {
    let (group, mut random) = (Group::well_known(), SeededRandom::new(3));
    Case::new(name, move |second| {
        let mut exponent = Given::new(second, &mut random);
        time(|| DhSecret::generate(&group, &mut exponent))
    })
}

/// `change` decides about the number, and whether the exponent is random.
fn shared(name: &'static str, change: impl Fn(&mut [u8; 256], bool) -> bool + 'static) -> Case {
    let (group, mut random) = (Group::well_known(), SeededRandom::new(4));
    let secrets = [false, true]
        .map(|is_random| DhSecret::generate(&group, &mut Given::new(is_random, &mut random)).0);
    let (_, number) = DhSecret::generate(&group, &mut random);
    Case::new(name, move |second| {
        let mut number = number;
        let secret = &secrets[usize::from(change(&mut number, second))];
        time(|| secret.shared(&number).is_ok())
    })
}

/// A number that is below any modulus of 2048 bits.
fn below_modulus(random: &mut SeededRandom) -> [u8; 256] {
    let mut number = random.array::<256>();
    number[0] &= 0x7f;
    number
}

/// Chance that gives an exponent: a random one, or `2^2047`.
struct Given([u8; 256]);

impl Given {
    fn new(is_random: bool, random: &mut SeededRandom) -> Self {
        let mut exponent = random.array::<256>();
        if !is_random {
            exponent = [0; 256];
            exponent[0] = 0x80;
        }
        Self(exponent)
    }
}

impl SecureRandom for Given {
    fn fill(&mut self, out: &mut [u8]) {
        out.copy_from_slice(&self.0[..out.len()]);
    }
}

#[allow(clippy::disallowed_methods, reason = "the stopwatch")]
fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_runs() {
        for mut case in cases() {
            let [first, second] = case.sample(Duration::from_millis(20));
            assert!(first.len() + second.len() > 0, "{}", case.name);
        }
    }

    #[test]
    fn a_great_t_is_a_difference_in_either_direction() {
        assert_eq!(Verdict::of(Some(-3.0)), Verdict::Same(-3.0));
        assert_eq!(Verdict::of(Some(-11.0)), Verdict::Differs(-11.0));
        assert_eq!(Verdict::of(Some(11.0)), Verdict::Differs(11.0));
        assert_eq!(Verdict::of(None), Verdict::Unknown);
        assert_eq!(Verdict::of(Some(12.34)).to_string(), "    12.3  the classes differ");
    }
}
