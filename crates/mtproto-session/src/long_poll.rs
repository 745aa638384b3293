//! How long a server holds a packet open before it answers: `http_wait`.

use std::time::{Duration, Instant};

use mtproto_tl::types::HttpWait;

/// The longest that each of the three times of an `http_wait` can be; below zero is zero.
pub const HTTP_WAIT_MAX: Duration = Duration::from_secs(60);

/// How long a packet without `http_wait` is held open while there is nothing to say.
// req: S63
pub const UNGOVERNED_WAIT: Duration = Duration::from_secs(25);

/// How long pushes wait for company where no `http_wait` governs.
// req: S92
pub const COMPANY_WAIT: Duration = Duration::from_millis(50);

/// A packet that is held open until there is something to say, or for as long as it may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LongPoll {
    opened: Instant,
    wait: Option<HttpWait>,
}

/// What there is to say, as far as it matters for when to say it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct News {
    /// Some of it was there before the packet.
    was_there: bool,
    /// Some of it is not a push.
    has_reply: bool,
    /// When the first and the latest of the rest came.
    span: Option<(Instant, Instant)>,
}

impl News {
    /// Adds what was there before the packet.
    pub fn add_old(&mut self) {
        self.was_there = true;
    }

    /// Adds what came at `at`: a push, or the reply to something.
    pub fn add(&mut self, at: Instant, is_reply: bool) {
        self.has_reply |= is_reply;
        let (first, latest) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), latest.max(at)));
    }
}

impl LongPoll {
    /// A packet that came at `opened`, under the last `http_wait` in it.
    // req: S62
    #[must_use]
    pub fn new(opened: Instant, wait: Option<HttpWait>) -> Self {
        Self { opened, wait }
    }

    /// Whether an `http_wait` governs it.
    #[must_use]
    pub fn is_governed(&self) -> bool {
        self.wait.is_some()
    }

    /// When it came.
    #[must_use]
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// When it is to be answered, if nothing more comes.
    // req: S57, S58, S59, S60, S61, S63, S89, S90, S92
    #[must_use]
    pub fn due(&self, news: &News) -> Instant {
        let max_wait = self.wait.as_ref().map_or(UNGOVERNED_WAIT, |wait| span(wait.max_wait));
        let limit = self.opened + max_wait;
        let due = match (news.span, &self.wait) {
            _ if news.was_there => self.opened,
            (None, _) => limit,
            (Some((first, latest)), Some(wait)) => {
                (first + span(wait.max_delay)).min(latest + span(wait.wait_after))
            }
            (Some((_, latest)), None) if news.has_reply => latest,
            (Some((first, _)), None) => first + COMPANY_WAIT,
        };
        due.min(limit)
    }
}

/// So many milliseconds, within bounds.
fn span(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0)).min(HTTP_WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::start;

    /// What comes, and when, in milliseconds after the packet.
    #[derive(Clone, Copy)]
    enum Comes {
        Before,
        Push(u64),
        Reply(u64),
    }

    use Comes::{Before, Push, Reply};

    /// The times of the `http_wait`, what comes, and when the packet is answered, with how much.
    struct Row(Option<(i32, i32, i32)>, &'static [Comes], (u128, usize));

    /// When the packet is answered, in milliseconds after it came, and with how much. What comes at
    /// the very moment still gets in.
    fn answer(wait: Option<(i32, i32, i32)>, arrivals: &[Comes]) -> (u128, usize) {
        let opened = start();
        let wait = wait.map(|(max_delay, wait_after, max_wait)| HttpWait {
            max_delay,
            wait_after,
            max_wait,
        });
        let (poll, mut news) = (LongPoll::new(opened, wait), News::default());
        for (count, comes) in arrivals.iter().enumerate() {
            let at = match *comes {
                Before => opened,
                Push(ms) | Reply(ms) => opened + Duration::from_millis(ms),
            };
            if poll.due(&news) < at {
                return ((poll.due(&news) - opened).as_millis(), count);
            }
            match comes {
                Before => news.add_old(),
                Push(_) => news.add(at, false),
                Reply(_) => news.add(at, true),
            }
        }
        ((poll.due(&news) - opened).as_millis(), arrivals.len())
    }

    // req: S57, S58, S59, S60, S61, S62, S63, S87, S89, S90, S92
    #[test]
    fn a_packet_is_answered_when_its_times_say() {
        #[rustfmt::skip]
        let table = [
            // Nothing comes: max_wait.
            Row(Some((0, 0, 25_000)), &[], (25_000, 0)),
            Row(Some((100, 30, 25_000)), &[], (25_000, 0)),
            Row(Some((0, 0, 0)), &[], (0, 0)),
            Row(Some((30, 10, 0)), &[], (0, 0)),
            Row(Some((0, 0, 1)), &[], (1, 0)),
            Row(None, &[], (25_000, 0)),
            // It comes too late.
            Row(Some((0, 0, 1000)), &[Push(1001)], (1000, 0)),
            Row(Some((100, 30, 1000)), &[Reply(1001)], (1000, 0)),
            Row(None, &[Reply(25_001)], (25_000, 0)),
            // No delay: the first message is the last, but for what comes in the same moment.
            Row(Some((0, 0, 25_000)), &[Push(10)], (10, 1)),
            Row(Some((0, 0, 25_000)), &[Push(10), Push(10)], (10, 2)),
            Row(Some((0, 0, 25_000)), &[Push(10), Push(11)], (10, 1)),
            Row(Some((0, 0, 25_000)), &[Reply(0)], (0, 1)),
            // wait_after restarts with each message.
            Row(Some((1000, 30, 25_000)), &[Push(10)], (40, 1)),
            Row(Some((1000, 30, 25_000)), &[Push(10), Push(30)], (60, 2)),
            Row(Some((1000, 30, 25_000)), &[Push(10), Push(40)], (70, 2)),
            Row(Some((1000, 30, 25_000)), &[Push(10), Push(41)], (40, 1)),
            Row(Some((1000, 30, 25_000)), &[Push(10), Reply(30), Push(60)], (90, 3)),
            Row(Some((1000, 0, 25_000)), &[Push(10), Push(11)], (10, 1)),
            // max_delay bounds it from the first message on.
            Row(Some((80, 30, 25_000)), &[Push(10), Push(35), Push(60), Push(90)], (90, 4)),
            Row(Some((80, 30, 25_000)), &[Push(10), Push(35), Push(60), Push(91)], (90, 3)),
            Row(Some((20, 30, 25_000)), &[Push(10)], (30, 1)),
            Row(Some((20, 30, 25_000)), &[Push(10), Push(29)], (30, 2)),
            Row(Some((20, 30, 25_000)), &[Push(10), Push(31)], (30, 1)),
            Row(Some((0, 30, 25_000)), &[Push(10), Push(12)], (10, 1)),
            // max_wait bounds both.
            Row(Some((100, 30, 1000)), &[Push(990)], (1000, 1)),
            Row(Some((100, 100, 1000)), &[Push(950), Push(1000)], (1000, 2)),
            Row(Some((5000, 5000, 1000)), &[Push(10)], (1000, 1)),
            Row(Some((5000, 5000, 1000)), &[Push(10), Push(1001)], (1000, 1)),
            Row(Some((5000, 5000, 0)), &[Push(0)], (0, 1)),
            Row(Some((30, 10, 0)), &[Reply(0), Reply(0)], (0, 2)),
            // What was there already is said at once, and what the packet itself brought with it.
            Row(Some((100, 30, 25_000)), &[Before], (0, 1)),
            Row(Some((100, 30, 25_000)), &[Before, Push(0)], (0, 2)),
            Row(Some((100, 30, 25_000)), &[Before, Push(1)], (0, 1)),
            Row(None, &[Before], (0, 1)),
            Row(None, &[Before, Reply(5)], (0, 1)),
            // Nothing governs: replies go at once, pushes wait a little.
            Row(None, &[Reply(300), Push(300)], (300, 2)),
            Row(None, &[Push(10)], (60, 1)),
            Row(None, &[Push(10), Reply(30)], (30, 2)),
            Row(None, &[Push(10), Reply(30), Reply(31)], (30, 2)),
            Row(None, &[Push(10), Push(59)], (60, 2)),
            Row(None, &[Push(10), Push(60), Push(61)], (60, 2)),
            Row(None, &[Push(24_990)], (25_000, 1)),
            Row(None, &[Push(0), Push(50)], (50, 2)),
            // With time enough for real clocks: these are in `tests/long_poll.rs`, too.
            Row(Some((0, 0, 300)), &[], (300, 0)),
            Row(Some((0, 0, 25_000)), &[Push(200)], (200, 1)),
            Row(Some((25_000, 700, 25_000)), &[Push(100), Push(400)], (1100, 2)),
            Row(Some((900, 700, 25_000)), &[Push(100), Push(400)], (1000, 2)),
            Row(Some((25_000, 25_000, 500)), &[Push(100)], (500, 1)),
            Row(Some((25_000, 25_000, 25_000)), &[Before], (0, 1)),
            Row(None, &[Reply(300)], (300, 1)),
            Row(None, &[Push(200)], (250, 1)),
            // Below zero is zero, and nothing is longer than a minute.
            Row(Some((-1, -1, -1)), &[], (0, 0)),
            Row(Some((-5, i32::MIN, 25_000)), &[Push(10), Push(11)], (10, 1)),
            Row(Some((i32::MIN, 30, 25_000)), &[Push(10), Push(11)], (10, 1)),
            Row(Some((0, 0, i32::MAX)), &[], (60_000, 0)),
            Row(Some((0, 0, 60_001)), &[], (60_000, 0)),
            Row(Some((i32::MAX, i32::MAX, i32::MAX)), &[Push(1)], (60_000, 1)),
        ];
        assert!(table.len() >= 40);
        for (number, Row(wait, arrivals, expected)) in table.into_iter().enumerate() {
            assert_eq!(answer(wait, arrivals), expected, "row {number}: {wait:?}");
        }
    }
}
