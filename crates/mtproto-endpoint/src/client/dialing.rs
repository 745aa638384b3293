//! When to dial: at once the first time, later and later while it does not help, and never more
//! often than a limit, whatever the reasons are.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mtproto_crypto::SecureRandom;

/// The wait after a first failure. It doubles with each further one.
pub const BACKOFF_MIN: Duration = Duration::from_millis(250);

/// The longest wait after failures.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The shortest wait after transport error -429; it too doubles, up to [`FLOOD_DELAY_MAX`].
pub const FLOOD_DELAY_MIN: Duration = Duration::from_secs(10);

/// The longest wait after transport error -429.
pub const FLOOD_DELAY_MAX: Duration = Duration::from_secs(300);

/// How many dials may begin within [`DIAL_WINDOW`].
pub const DIALS_MAX: usize = 20;

/// The time over which [`DIALS_MAX`] is counted.
pub const DIAL_WINDOW: Duration = Duration::from_secs(60);

/// A link that was of use and lived this long ends the row of failures before it.
pub const STABLE_MIN: Duration = Duration::from_secs(10);

/// Decides when the next dial may begin.
#[derive(Debug, Default)]
pub(super) struct Dialing {
    failures: u32,
    not_before: Option<Instant>,
    recent: VecDeque<Instant>,
}

impl Dialing {
    /// Records that a dial begins.
    pub(super) fn begun(&mut self, now: Instant) {
        if self.recent.len() >= DIALS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
    }

    /// Records that a dial failed, or that a link ended too early to have been worth it.
    pub(super) fn failed(&mut self, now: Instant, random: &mut dyn SecureRandom) {
        self.failures = self.failures.saturating_add(1);
        let delay = jittered(doubled(BACKOFF_MIN, self.failures, BACKOFF_MAX), random);
        self.delay_until(now + delay);
    }

    /// Records that the server said -429.
    pub(super) fn flooded(&mut self, now: Instant, random: &mut dyn SecureRandom) {
        self.failures = self.failures.saturating_add(1);
        let delay = doubled(FLOOD_DELAY_MIN, self.failures, FLOOD_DELAY_MAX);
        self.delay_until(now + delay + jittered(FLOOD_DELAY_MIN, random));
    }

    /// Records that a link ended which had been of use and lived for [`STABLE_MIN`]. The short
    /// random wait keeps the clients of a restarted server from coming back in one instant.
    pub(super) fn ended(&mut self, now: Instant, random: &mut dyn SecureRandom) {
        self.failures = 0;
        self.delay_until(now + jittered(BACKOFF_MIN, random));
    }

    /// How many failures there were in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether a dial may begin.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due().is_none_or(|due| due <= now)
    }

    /// When the next dial may begin; `None` if it may at once.
    pub(super) fn due(&self) -> Option<Instant> {
        let full = self.recent.len() >= DIALS_MAX;
        let window = self.recent.front().filter(|_| full).map(|first| *first + DIAL_WINDOW);
        self.not_before.max(window)
    }

    fn delay_until(&mut self, moment: Instant) {
        self.not_before = self.not_before.max(Some(moment));
    }
}

/// `first`, doubled for every failure after the first one, up to `most`.
fn doubled(first: Duration, failures: u32, most: Duration) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(most)
}

/// A moment in the second half of `span`.
fn jittered(span: Duration, random: &mut dyn SecureRandom) -> Duration {
    let half = span / 2;
    half + half.mul_f64(f64::from(random.u32()) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use mtproto_crypto::SeededRandom;

    use super::*;
    use crate::client::tests::start;

    #[test]
    fn failures_wait_longer_each_time_up_to_a_limit() {
        let mut random = SeededRandom::new(1);
        let mut dialing = Dialing::default();
        let mut now = start();
        assert!(dialing.is_due(now));
        let mut waits = Vec::new();
        for _ in 0..12 {
            dialing.failed(now, &mut random);
            let due = dialing.due().unwrap();
            waits.push(due - now);
            now = due;
        }
        assert!(waits[0] >= BACKOFF_MIN / 2 && waits[0] <= BACKOFF_MIN);
        assert!(waits[3] > waits[0] * 2);
        assert!(waits.iter().all(|wait| *wait <= BACKOFF_MAX));
        assert!(waits[11] >= BACKOFF_MAX / 2);
    }

    // req: S118
    #[test]
    fn dials_are_limited_even_when_every_link_looks_good() {
        let mut random = SeededRandom::new(2);
        let mut dialing = Dialing::default();
        let begin = start();
        let mut now = begin;
        let mut dials = 0;
        while now < begin + DIAL_WINDOW {
            if dialing.is_due(now) {
                dialing.begun(now);
                dials += 1;
                dialing.ended(now, &mut random);
            }
            now += Duration::from_millis(50);
        }
        assert_eq!(dials, DIALS_MAX);
    }

    // req: S114
    #[test]
    fn a_flood_error_waits_longer_than_a_failure() {
        let mut random = SeededRandom::new(3);
        let mut dialing = Dialing::default();
        let now = start();
        dialing.flooded(now, &mut random);
        dialing.failed(now, &mut random);
        assert!(dialing.due().unwrap() >= now + FLOOD_DELAY_MIN);
    }

    #[test]
    fn a_good_link_ends_the_row_of_failures() {
        let mut random = SeededRandom::new(4);
        let mut dialing = Dialing::default();
        let now = start();
        for _ in 0..5 {
            dialing.failed(now, &mut random);
        }
        assert_eq!(dialing.failures(), 5);
        dialing.ended(now + BACKOFF_MAX, &mut random);
        assert_eq!(dialing.failures(), 0);
    }
}
