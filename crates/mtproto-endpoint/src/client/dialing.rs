//! When to dial: at once the first time, later and later while it does not help, and never more
//! often than a limit, whatever the reasons are.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mtproto_crypto::SecureRandom;

/// How a client comes back when its links break.
// req: S118
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReconnectPolicy {
    /// The wait after a first failure. It doubles with each further one in a row.
    pub first_delay: Duration,
    /// The longest wait after failures, up to [`DELAY_MAX`].
    pub max_delay: Duration,
    /// Which part of a wait is random, in percent, so that clients of one server do not all come
    /// back at once; beyond 100 is 100.
    pub jitter_percent: u8,
    /// How many dials may begin within [`DIAL_WINDOW`], whatever the reasons are: 1 to
    /// [`DIALS_MAX`].
    pub dials_per_minute_max: usize,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(250),
            max_delay: Duration::from_secs(30),
            jitter_percent: 50,
            dials_per_minute_max: 20,
        }
    }
}

/// The shortest wait after transport error -429; it too doubles, up to [`FLOOD_DELAY_MAX`].
pub const FLOOD_DELAY_MIN: Duration = Duration::from_secs(10);

/// The longest wait after transport error -429.
pub const FLOOD_DELAY_MAX: Duration = Duration::from_secs(300);

/// The most that [`ReconnectPolicy::max_delay`] can be.
pub const DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The most that [`ReconnectPolicy::dials_per_minute_max`] can be.
pub const DIALS_MAX: usize = 600;

/// The time over which [`ReconnectPolicy::dials_per_minute_max`] is counted.
pub const DIAL_WINDOW: Duration = Duration::from_secs(60);

/// A link that was of use and lived this long ends the row of failures before it.
pub const STABLE_MIN: Duration = Duration::from_secs(10);

/// Decides when the next dial may begin.
#[derive(Debug, Default)]
pub(super) struct Dialing {
    policy: ReconnectPolicy,
    failures: u32,
    not_before: Option<Instant>,
    recent: VecDeque<Instant>,
}

impl Dialing {
    /// Nothing has been dialed yet.
    pub(super) fn new(policy: ReconnectPolicy) -> Self {
        let dials_per_minute_max = policy.dials_per_minute_max.clamp(1, DIALS_MAX);
        let max_delay = policy.max_delay.min(DELAY_MAX);
        let policy = ReconnectPolicy { max_delay, dials_per_minute_max, ..policy };
        Self { policy, ..Self::default() }
    }

    /// Records that a dial begins.
    pub(super) fn begun(&mut self, now: Instant) {
        if self.recent.len() >= self.policy.dials_per_minute_max {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
    }

    /// Records that a dial failed, or that a link ended too early to have been worth it.
    pub(super) fn failed(&mut self, now: Instant, random: &mut dyn SecureRandom) {
        self.failures = self.failures.saturating_add(1);
        let ReconnectPolicy { first_delay, max_delay, jitter_percent, .. } = self.policy;
        let delay = doubled(first_delay, self.failures, max_delay);
        self.delay_until(now + jittered(delay, jitter_percent, random));
    }

    /// Records that the server said -429.
    pub(super) fn flooded(&mut self, now: Instant, random: &mut dyn SecureRandom) {
        self.failures = self.failures.saturating_add(1);
        let delay = doubled(FLOOD_DELAY_MIN, self.failures, FLOOD_DELAY_MAX);
        self.delay_until(now + delay + jittered(FLOOD_DELAY_MIN, 100, random));
    }

    /// Records that a link ended which had been of use and lived for [`STABLE_MIN`]. The short
    /// random wait keeps the clients of a restarted server from coming back in one instant.
    pub(super) fn ended(&mut self, now: Instant, random: &mut dyn SecureRandom) {
        self.failures = 0;
        let ReconnectPolicy { first_delay, max_delay, jitter_percent, .. } = self.policy;
        self.delay_until(now + jittered(first_delay.min(max_delay), jitter_percent, random));
    }

    /// Records that time went by which `Instant`s do not count: a wait is that much shorter. The
    /// limit of dials stays as it is.
    pub(super) fn slept(&mut self, span: Duration) {
        self.not_before = self.not_before.and_then(|moment| moment.checked_sub(span));
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
        let full = self.recent.len() >= self.policy.dials_per_minute_max;
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

/// A moment in the last `percent` of `span`.
fn jittered(span: Duration, percent: u8, random: &mut dyn SecureRandom) -> Duration {
    let part = span / 100 * u32::from(percent.min(100));
    span - part.mul_f64(f64::from(random.u32()) / f64::from(u32::MAX))
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
        let policy = ReconnectPolicy::default();
        assert!(waits[0] >= policy.first_delay / 2 && waits[0] <= policy.first_delay);
        assert!(waits[3] > waits[0] * 2);
        assert!(waits.iter().all(|wait| *wait <= policy.max_delay));
        assert!(waits[11] >= policy.max_delay / 2);
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
        assert_eq!(dials, ReconnectPolicy::default().dials_per_minute_max);
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
        dialing.ended(now + STABLE_MIN, &mut random);
        assert_eq!(dialing.failures(), 0);
    }

    #[test]
    fn a_policy_decides_and_its_extremes_do_no_harm() {
        let mut random = SeededRandom::new(5);
        let now = start();
        let steady = ReconnectPolicy {
            first_delay: Duration::from_secs(7),
            max_delay: Duration::from_secs(7),
            jitter_percent: 0,
            dials_per_minute_max: 2,
        };
        let mut dialing = Dialing::new(steady);
        for _ in 0..3 {
            dialing.failed(now, &mut random);
            assert_eq!(dialing.due(), Some(now + steady.first_delay));
        }
        dialing.begun(now);
        dialing.begun(now);
        assert_eq!(dialing.due(), Some(now + DIAL_WINDOW));

        let eager = ReconnectPolicy {
            first_delay: Duration::ZERO,
            max_delay: Duration::MAX,
            jitter_percent: 255,
            dials_per_minute_max: 0,
        };
        let mut dialing = Dialing::new(eager);
        dialing.failed(now, &mut random);
        assert!(dialing.is_due(now));
        dialing.begun(now);
        assert_eq!(dialing.due(), Some(now + DIAL_WINDOW));
        assert_eq!(
            Dialing::new(ReconnectPolicy { dials_per_minute_max: 9999, ..eager })
                .policy
                .dials_per_minute_max,
            DIALS_MAX
        );
    }

    // req: S118
    #[test]
    fn time_slept_is_time_waited() {
        let mut random = SeededRandom::new(6);
        let mut dialing = Dialing::default();
        let now = start() + Duration::from_secs(3600);
        dialing.flooded(now, &mut random);
        dialing.slept(FLOOD_DELAY_MIN / 2);
        assert!(!dialing.is_due(now));
        dialing.slept(FLOOD_DELAY_MAX);
        assert!(dialing.is_due(now));
    }
}
