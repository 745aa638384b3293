//! Time that went by unnoticed: the machine slept, or the server was not heard.
//!
//! A monotonic clock may stand still while the machine sleeps; the clock on the wall does not. So a
//! driver shows the endpoint the latter each time it wakes up. What it says is believed only in so
//! far as links are tested and waits are over: what time it is on the server, the server tells.

use std::time::{Duration, Instant};

use mtproto_tl::ServerTime;

use super::{ClientEndpoint, Event, Gap};

/// How far the wall clock must have run ahead to count as a sleep. Less does a link no harm, and
/// clocks are set by that much.
pub const SLEEP_MIN: Duration = Duration::from_secs(10);

/// How long a link may take after a sleep to show that it is alive.
pub const WAKE_PONG_MAX: Duration = Duration::from_secs(5);

/// How long a server keeps what it could not deliver.
// req: S99
pub const QUEUE_AGE_MAX: Duration = Duration::from_secs(600);

/// The stored distance of the clocks is to be right to this much.
const OFFSET_KEPT_MIN: Duration = Duration::from_secs(1);

/// When the server was heard last.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    last: Option<Instant>,
    /// Whether the local clock has moved since, so that its distance to the server's is to be kept.
    offset_moved: bool,
}

impl ClientEndpoint {
    /// The local clock shows `wall` now. To be said whenever the driver wakes up, and often enough
    /// for it to wake up soon after the machine does.
    ///
    /// When it has run ahead by [`SLEEP_MIN`] or more, links are pinged at once and given up after
    /// [`WAKE_PONG_MAX`], waits before a dial are shorter by as much, and there is a
    /// [`Gap::Slept`]. Deadlines of requests run on `Instant`s and stay. A clock that steps back or
    /// slightly on changes nothing.
    // req: S118
    pub fn handle_wall_time(&mut self, wall: ServerTime, now: Instant) {
        self.now = now;
        let expected = self.local.now(now);
        self.local.correct(now, wall);
        let ahead = wall.saturating_since(expected);
        let moved = ahead.max(expected.saturating_since(wall));
        self.hearing.offset_moved |= moved >= OFFSET_KEPT_MIN;
        if ahead >= SLEEP_MIN && !self.is_closed() {
            self.wake(ahead);
        }
    }

    fn wake(&mut self, by: Duration) {
        self.dialing.slept(by);
        // The gap tells of the silence too.
        self.hearing.last = self.hearing.last.map(|_| self.now);
        if let Some(channel) = self.phase.channel() {
            channel.session.probe_links(WAKE_PONG_MAX, self.now);
        }
        if self.had_session {
            self.tell(Event::Gap(Gap::Slept { by }));
        }
    }

    /// A message of the server was opened.
    // req: S99
    pub(super) fn heard(&mut self) {
        let last = self.hearing.last.replace(self.now);
        let silence = last.map_or(Duration::ZERO, |last| self.now.duration_since(last));
        if silence >= QUEUE_AGE_MAX {
            self.tell(Event::Gap(Gap::QueueExpired { silence }));
        }
        if std::mem::take(&mut self.hearing.offset_moved) {
            self.saving.changed();
        }
    }
}
