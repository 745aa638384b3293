//! Where the world's own chance comes from: one generator, drawn from in the order of events.

use std::ops::RangeInclusive;
use std::time::Duration;

use mtproto_crypto::{SecureRandom, SeededRandom};

/// A seeded generator with the questions that a simulation asks.
pub(crate) struct Dice(SeededRandom);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    /// Another generator, for a part that must not be disturbed by how often this one is asked.
    pub(crate) fn split(&mut self) -> SeededRandom {
        SeededRandom::new(self.0.u64())
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.u64() % end
    }

    /// An index into something of that length, which is not zero.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// A number of the range.
    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// Whether something happens that does so in `per_mille` of a thousand cases.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of several.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { Some(from[self.index(from.len())]) }
    }

    /// A span of that many milliseconds.
    pub(crate) fn ms(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// The time until something happens that happens once in `mean`, in whole milliseconds.
    pub(crate) fn until_next(&mut self, mean: Duration) -> Duration {
        // 53 bits are what the number holds exactly; never zero.
        let unit = (self.0.u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let ms = -(1.0 - unit).ln() * mean.as_secs_f64() * 1000.0;
        Duration::from_millis((ms as u64).max(1))
    }
}
