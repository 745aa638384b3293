//! When to save: what changed goes out once, and again after a while when the store failed.

use std::time::{Duration, Instant};

/// How long after a failure the store is asked again.
pub const SAVE_RETRY_DELAY: Duration = Duration::from_secs(5);

/// Keeps one save under way at a time.
#[derive(Debug, Default)]
pub(super) struct Saving {
    changed: bool,
    running: bool,
    not_before: Option<Instant>,
}

impl Saving {
    /// Records that what is stored is out of date.
    pub(super) fn changed(&mut self) {
        self.changed = true;
    }

    /// Whether to save now; what is saved then counts as stored.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        let begins = self.changed && !self.running && self.not_before.is_none_or(|at| at <= now);
        if begins {
            *self = Self { changed: false, running: true, not_before: None };
        }
        begins
    }

    /// Records how the save under way went.
    pub(super) fn ended(&mut self, stored: bool, now: Instant) {
        self.running = false;
        if !stored {
            self.changed = true;
            self.not_before = Some(now + SAVE_RETRY_DELAY);
        }
    }

    /// When to save again after a failure.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.changed && !self.running)
    }
}
