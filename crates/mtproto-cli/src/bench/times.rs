//! How long pings took, as a whole and slice by slice of the time in which they were due.

use std::collections::VecDeque;
use std::time::Duration;

use super::histogram::Histogram;

/// The times of a run, however long it is.
pub(super) struct Times {
    whole: Histogram,
    /// The p99 of each slice that is over.
    p99s: Histogram,
    /// Slices for which more may come, in their order.
    open: VecDeque<Histogram>,
    /// Which slice is the first of them.
    first: u64,
}

impl Times {
    pub(super) fn new() -> Self {
        let (whole, p99s) = (Histogram::new(), Histogram::new());
        Self { whole, p99s, open: VecDeque::new(), first: 0 }
    }

    /// Counts a ping that was due at `due`, from the start on, and answered after `time`.
    pub(super) fn record(&mut self, due: Duration, time: Duration) {
        self.whole.record(time);
        let slice = u64::try_from(due.as_nanos() / SLICE.as_nanos()).unwrap_or(u64::MAX);
        while slice.saturating_sub(self.first) >= OPEN_MAX {
            if let Some(over) = self.open.pop_front() {
                record_p99(&over, &mut self.p99s);
                self.first += 1;
            } else {
                self.first = slice;
            }
        }
        // What comes later than any slice waits for is counted with the first that still waits.
        let place = slice.saturating_sub(self.first) as usize;
        while self.open.len() <= place {
            self.open.push_back(Histogram::new());
        }
        self.open[place].record(time);
    }

    /// Adds what another one has counted, whose slices are slices of their own.
    pub(super) fn merge(&mut self, other: &Self) {
        self.whole.merge(&other.whole);
        self.p99s.merge(&other.p99s());
    }

    pub(super) fn whole(&self) -> &Histogram {
        &self.whole
    }

    /// The middle one of the slices' p99s: what stalls in fewer than half of them does not move it.
    pub(super) fn p99_of_slices(&self) -> Duration {
        self.p99s().percentile(50.0)
    }

    /// The p99 of each slice so far.
    fn p99s(&self) -> Histogram {
        let mut p99s = self.p99s.clone();
        self.open.iter().for_each(|slice| record_p99(slice, &mut p99s));
        p99s
    }
}

/// A slice in which nothing was due says nothing.
fn record_p99(slice: &Histogram, p99s: &mut Histogram) {
    if slice.total() > 0 {
        p99s.record(slice.percentile(99.0));
    }
}

/// Short beside the time between two pauses of a virtual machine, of which some have one or two in
/// a second, so that most slices have none; and long enough for a p99 at 10,000 pings a second, of
/// which ten in a slice are beyond it.
const SLICE: Duration = Duration::from_millis(100);

/// For how many slices a ping may be late and be counted with its own.
const OPEN_MAX: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of a server at 10,000 pings a second. It answers within a tenth of a millisecond,
    /// unless it pauses: then what was due is answered when the pause is over.
    fn second(pauses: &[(u64, u64)]) -> Times {
        let mut times = Times::new();
        for due in (0..1_000_000).step_by(100) {
            let pause = pauses.iter().find(|(from, until)| (*from..*until).contains(&due));
            let answered = pause.map_or(due, |(_, until)| *until) + 100;
            times.record(Duration::from_micros(due), Duration::from_micros(answered - due));
        }
        times
    }

    fn is_about(found: Duration, expected: Duration) -> bool {
        (expected..=expected.mul_f64(1.04)).contains(&found)
    }

    const QUICK: Duration = Duration::from_micros(100);

    #[test]
    fn a_pause_in_one_slice_moves_the_whole_only() {
        let times = second(&[(520_000, 540_000)]);
        assert!(is_about(times.whole().percentile(99.0), Duration::from_micros(10_100)));
        assert!(is_about(times.p99_of_slices(), QUICK));
        assert!(is_about(times.whole().longest(), Duration::from_micros(20_100)));
    }

    #[test]
    fn pauses_in_most_slices_decide() {
        let pauses = |slices| (0..slices).map(|n| (n * 100_000, n * 100_000 + 10_000));
        let four = second(&pauses(4).collect::<Vec<_>>());
        assert!(is_about(four.p99_of_slices(), QUICK));
        let six = second(&pauses(6).collect::<Vec<_>>());
        // A tenth of a slice's pings wait, and the p99 of all is in the last tenth of those.
        assert!(is_about(six.p99_of_slices(), Duration::from_micros(9_100)));
    }

    #[test]
    fn a_stall_counts_for_all_the_time_that_it_takes() {
        // One stall, and everything comes back in its last slice: six slices were spoiled, not one.
        let times = second(&[(0, 590_000)]);
        assert!(times.p99_of_slices() > Duration::from_millis(80));
        let times = second(&[(0, 390_000)]);
        assert!(is_about(times.p99_of_slices(), QUICK));
    }

    #[test]
    fn an_hour_takes_no_more_than_its_open_slices() {
        let mut times = Times::new();
        for due in 0..36_000 {
            times.record(SLICE * due, QUICK);
        }
        assert_eq!(times.open.len() as u64, OPEN_MAX);
        assert_eq!(times.p99s().total(), 36_000);
        // Nothing for an hour, and then what was due long ago.
        times.record(SLICE * 72_000, QUICK);
        times.record(SLICE, SLICE * 72_000);
        assert!(times.open.len() as u64 <= OPEN_MAX);
        assert_eq!((times.whole().total(), times.p99s().total()), (36_002, 36_001));
        assert!(is_about(times.p99_of_slices(), QUICK));
    }

    #[test]
    fn every_thread_has_slices_of_its_own() {
        let mut all = Times::new();
        assert_eq!(all.p99_of_slices(), Duration::ZERO);
        all.merge(&second(&[]));
        all.merge(&second(&[(0, 990_000)]));
        assert_eq!((all.whole().total(), all.p99s().total()), (20_000, 20));
        assert!(is_about(all.p99_of_slices(), QUICK));
        all.merge(&second(&[(0, 990_000)]));
        assert!(all.p99_of_slices() > Duration::from_millis(80));
    }
}
