//! Server time, kept as state: an anchor that the caller's monotonic clock moves on.

use std::time::Instant;

use mtproto_tl::ServerTime;

/// What time it is on the server, for any `now`. A server makes one at start; a client begins with
/// the key exchange's and corrects it by what the server sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerClock {
    at: Instant,
    time: ServerTime,
}

impl ServerClock {
    /// A clock that shows `time` at the moment `at`.
    #[must_use]
    pub fn new(at: Instant, time: ServerTime) -> Self {
        Self { at, time }
    }

    /// Sets the clock to `time` at the moment `at`.
    pub fn correct(&mut self, at: Instant, time: ServerTime) {
        *self = Self { at, time };
    }

    /// What it shows at `now`, which may also lie before the anchor.
    #[must_use]
    pub fn now(&self, now: Instant) -> ServerTime {
        match now.checked_duration_since(self.at) {
            Some(later) => self.time.after(later),
            None => self.time.before(self.at.saturating_duration_since(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tests::start;

    #[test]
    fn it_runs_with_the_callers_clock_and_takes_corrections() {
        let at = start();
        let noon = ServerTime::from_unix(Duration::from_secs(1_700_000_000));
        let mut clock = ServerClock::new(at, noon);
        let second = Duration::from_secs(1);
        assert_eq!(clock.now(at + second), noon.after(second));
        assert_eq!(
            clock.now(at.checked_sub(second).expect("the start is late enough")),
            noon.before(second)
        );
        clock.correct(at + second, noon.after(second * 100));
        assert_eq!(clock.now(at + second * 2), noon.after(second * 101));
    }
}
