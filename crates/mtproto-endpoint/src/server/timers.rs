//! Moments, and whom each concerns.

use std::collections::BTreeSet;
use std::time::Instant;

/// Moments in their order. Who has one notes it beside itself, and both are changed together, so
/// that nothing forgotten leaves a moment behind.
#[derive(Debug)]
pub(super) struct Timers<T>(BTreeSet<(Instant, T)>);

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Copy + Ord> Timers<T> {
    /// Moves the moment of `whom` from where `note` says to `at`, or takes it away.
    pub(super) fn set(&mut self, whom: T, note: &mut Option<Instant>, at: Option<Instant>) {
        let before = std::mem::replace(note, at);
        if before != at {
            before.map(|before| self.0.remove(&(before, whom)));
            at.map(|at| self.0.insert((at, whom)));
        }
    }

    /// Whose moment comes first.
    pub(super) fn first(&self) -> Option<T> {
        self.0.first().map(|(_, whom)| *whom)
    }

    /// Whose moment has come.
    pub(super) fn due(&self, now: Instant) -> Option<T> {
        self.0.first().filter(|(at, _)| *at <= now).map(|(_, whom)| *whom)
    }

    /// The first moment.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
