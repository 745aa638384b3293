//! How long things took, as counts in buckets: any number of times in a few kilobytes.

use std::time::Duration;

/// Times from a nanosecond to centuries, each known to 3 %.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: Duration,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; bucket_of(u64::MAX) + 1], total: 0, longest: Duration::ZERO }
    }

    pub(super) fn record(&mut self, time: Duration) {
        self.counts[bucket_of(nanos(time))] += 1;
        self.total += 1;
        self.longest = self.longest.max(time);
    }

    /// Adds what another one has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// The time within which `percent` of all were done; zero if there were none.
    pub(super) fn percentile(&self, percent: f64) -> Duration {
        let wanted = (self.total as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted.max(1)
        });
        bucket.map_or(Duration::ZERO, |bucket| longest_of(bucket).min(self.longest))
    }
}

/// Buckets that share a highest bit; the more, the finer.
const BUCKETS_PER_OCTAVE: u64 = 32;
/// Below twice that many nanoseconds, each has a bucket of its own.
const EXACT: u64 = 2 * BUCKETS_PER_OCTAVE;

fn bucket_of(nanos: u64) -> usize {
    let octaves = u64::from(nanos.max(EXACT).ilog2() - EXACT.ilog2());
    let within = if nanos < EXACT { nanos } else { nanos >> (octaves + 1) };
    let above = if nanos < EXACT { 0 } else { (octaves + 1) * BUCKETS_PER_OCTAVE };
    (above + within) as usize
}

/// The longest time that goes into a bucket.
fn longest_of(bucket: usize) -> Duration {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return Duration::from_nanos(bucket);
    }
    let shift = bucket / BUCKETS_PER_OCTAVE - 1;
    let within = bucket % BUCKETS_PER_OCTAVE + BUCKETS_PER_OCTAVE;
    let longest = ((u128::from(within) + 1) << shift) - 1;
    Duration::from_nanos(u64::try_from(longest).unwrap_or(u64::MAX))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_ends_where_the_next_begins() {
        for bucket in 0..bucket_of(u64::MAX) {
            let longest = nanos(longest_of(bucket));
            assert_eq!(bucket_of(longest), bucket, "{longest}");
            assert_eq!(bucket_of(longest + 1), bucket + 1, "{longest}");
        }
        assert_eq!(longest_of(bucket_of(u64::MAX)), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn percentiles_count_from_below() {
        let mut times = Histogram::new();
        assert_eq!(times.percentile(50.0), Duration::ZERO);
        (1..=100).map(Duration::from_millis).for_each(|time| times.record(time));
        let mut both = Histogram::new();
        both.merge(&times);
        for (percent, expected) in [(1.0, 1.0), (50.0, 50.0), (99.0, 99.0), (100.0, 100.0)] {
            let found = both.percentile(percent).as_secs_f64() * 1000.0;
            assert!((expected..=expected * 1.04).contains(&found), "{percent}: {found}");
        }
        assert_eq!((both.total(), both.longest()), (100, Duration::from_millis(100)));
    }
}
