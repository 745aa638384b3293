//! A small harness for figures that stand side by side: the same work done by ours and by a peer.
//!
//! ```text
//! cargo bench -p mtproto-benches [-- [--json] [PART OF A NAME]]
//! ```
//!
//! A figure is the median of [`SAMPLES_DEFAULT`] samples, and all cases of one work are sampled in
//! turn, so that whatever else the machine does touches them alike. `BENCH_SAMPLES` and
//! `BENCH_SAMPLE_MS` set the number of samples and their length. Nothing fails for being slow.
//!
//! Started by `cargo test`, a benchmark does each piece of work once and prints nothing.

pub mod floor;
mod options;
pub mod ours;
mod report;

use std::hint::black_box;
use std::time::{Duration, Instant};

use options::Options;
pub use options::{SAMPLE_TIME_DEFAULT, SAMPLES_DEFAULT};
use report::{Figures, Ratios, Report};

/// The benchmarks of one layer.
#[derive(Debug)]
pub struct Bench {
    options: Options,
    report: Report,
}

impl Bench {
    /// Set as the command line and the environment have it.
    ///
    /// # Panics
    /// If the environment sets what is not a number.
    #[must_use]
    pub fn from_args(layer: &'static str) -> Self {
        let options = Options::new(std::env::args().skip(1), |name| std::env::var(name).ok());
        let report = Report::new(layer, options.json);
        Self { options, report }
    }

    /// Does one work in every way given, and prints how they compare. `bytes` is how many one
    /// operation gets through, if that says anything.
    pub fn compare<'a>(
        &mut self,
        work: &str,
        bytes: impl Into<Option<usize>>,
        cases: impl IntoIterator<Item = Case<'a>>,
    ) {
        if !self.options.wants(work) {
            return;
        }
        let mut cases: Vec<_> = cases.into_iter().collect();
        if !self.options.measure {
            for case in &mut cases {
                (case.run)(1);
            }
            return;
        }
        let sample_time = self.options.sample_time;
        let mut sampled: Vec<_> = cases
            .iter_mut()
            .map(|case| (case.calls_within(sample_time), Vec::with_capacity(self.options.samples)))
            .collect();
        for _ in 0..self.options.samples {
            for (case, (calls, samples)) in cases.iter_mut().zip(&mut sampled) {
                samples.push(case.sample(*calls));
            }
        }
        let figures: Vec<_> =
            sampled.into_iter().map(|(_, samples)| Figures::of(samples)).collect();
        let median_of = |side: Side| {
            let case = cases.iter().zip(&figures).find(|(case, _)| case.side == side);
            case.map(|(_, figures)| figures.median)
        };
        let bytes = bytes.into();
        for (case, figures) in cases.iter().zip(&figures) {
            let ratios = Ratios {
                peer: median_of(Side::Peer).map(|peer| peer / figures.median),
                limit: median_of(Side::Limit).map(|limit| limit / figures.median),
            };
            self.report.row(work, bytes, case.by, figures, &ratios);
        }
    }
}

/// Who does a work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Limit,
    Ours,
    Peer,
}

/// One way to do a work.
pub struct Case<'a> {
    by: &'static str,
    side: Side,
    /// How many operations one call does.
    operations: u32,
    /// Does that many calls, and says how long they took.
    run: Box<dyn FnMut(u64) -> Duration + 'a>,
}

impl<'a> Case<'a> {
    /// Our way; a call of `work` does one operation. What it returns counts as used.
    pub fn ours<T>(by: &'static str, mut work: impl FnMut() -> T + 'a) -> Self {
        // The loop is in here so that the call through the box is not timed with every operation.
        let run = move |calls| {
            time(|| {
                for _ in 0..calls {
                    black_box(work());
                }
            })
        };
        Self { by, side: Side::Ours, operations: 1, run: Box::new(run) }
    }

    /// Our way with what `prepare` makes before each call, which is not timed. A call should last
    /// some microseconds: the stopwatch is read with each.
    pub fn ours_with<P, T>(
        by: &'static str,
        mut prepare: impl FnMut() -> P + 'a,
        mut work: impl FnMut(P) -> T + 'a,
    ) -> Self {
        let mut call = move || {
            let prepared = prepare();
            time(|| black_box(work(prepared)))
        };
        let run = move |calls| (0..calls).map(|_| call()).sum();
        Self { by, side: Side::Ours, operations: 1, run: Box::new(run) }
    }

    /// The way of whoever is called `by`, to which the others are compared.
    pub fn peer<T>(by: &'static str, work: impl FnMut() -> T + 'a) -> Self {
        Self { side: Side::Peer, ..Self::ours(by, work) }
    }

    /// The least that the processor needs for the work, of which the others reach a part.
    pub fn limit<T>(by: &'static str, work: impl FnMut() -> T + 'a) -> Self {
        Self { side: Side::Limit, ..Self::ours(by, work) }
    }

    /// The same, when a call does so many operations.
    #[must_use]
    pub fn of(self, operations: u32) -> Self {
        Self { operations, ..self }
    }

    /// How many calls fill a sample, at least one. They also warm the caches up.
    fn calls_within(&mut self, sample_time: Duration) -> u64 {
        let mut calls = 1;
        loop {
            let took = (self.run)(calls);
            if took >= sample_time / 4 {
                let fitting = u128::from(calls) * sample_time.as_nanos() / took.as_nanos().max(1);
                return u64::try_from(fitting).unwrap_or(u64::MAX).max(1);
            }
            calls *= 4;
        }
    }

    /// Nanoseconds an operation.
    fn sample(&mut self, calls: u64) -> f64 {
        let took = (self.run)(calls);
        took.as_secs_f64() * 1e9 / (calls as f64 * f64::from(self.operations))
    }
}

/// `name` and a length in bytes, the way the names of works are written.
#[must_use]
pub fn named(name: &str, len: usize) -> String {
    if len < 1 << 10 { format!("{name} {len} B") } else { format!("{name} {} KiB", len >> 10) }
}

/// `len` bytes with no pattern that a processor could profit from; the same ones from one `seed`.
#[must_use]
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

#[allow(clippy::disallowed_methods, reason = "the stopwatch")]
fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let outcome = work();
    let took = start.elapsed();
    // What it takes to drop it is nobody's work.
    drop(outcome);
    took
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_runs_once_when_nothing_is_measured() {
        let options = Options::new([].into_iter(), |_| None);
        let mut bench = Bench { options, report: Report::new("none", false) };
        let (mut ours, mut peer) = (0, 0);
        let cases = [Case::ours("ours", || ours += 1).of(16), Case::peer("peer", || peer += 1)];
        bench.compare("work", None, cases);
        assert_eq!((ours, peer), (1, 1));
    }

    #[test]
    fn a_sample_holds_what_fits_and_counts_operations() {
        let mut calls = 0;
        let mut case = Case::ours("ours", || calls += 1).of(1000);
        assert_eq!(case.calls_within(Duration::ZERO), 1);
        assert!(case.calls_within(Duration::from_millis(1)) > 1);
        assert!(case.sample(10) < 1e6);
        drop(case);
        assert!(calls > 10);
    }

    #[test]
    fn what_is_prepared_is_used_once() {
        let (mut prepared, mut used) = (0, Vec::new());
        let prepare = || {
            prepared += 1;
            prepared
        };
        let mut case = Case::ours_with("ours", prepare, |number| used.push(number));
        case.sample(3);
        drop(case);
        assert_eq!(used, [1, 2, 3]);
    }

    #[test]
    fn names_and_noise() {
        assert_eq!(named("seal", 64), "seal 64 B");
        assert_eq!(named("seal", 16 << 10), "seal 16 KiB");
        assert_eq!(noise(8, 3), noise(8, 3));
        assert_ne!(noise(8, 3), noise(8, 5));
    }
}
