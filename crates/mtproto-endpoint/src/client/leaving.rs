//! Logging out: the server destroys the key, and it is forgotten here.

use std::time::{Duration, Instant};

use mtproto_session::KeyDestroyed;

use super::keys::Keys;
use super::{ClientEndpoint, Closed, Misuse, Phase};

/// How long the server may take to destroy the key, reconnects included.
pub const LOG_OUT_MAX: Duration = Duration::from_secs(60);

impl ClientEndpoint {
    /// Lets the server destroy the auth key and forgets it, here and in the store. Requests without
    /// an outcome end at once, as when it is closed; the end is [`Closed::LoggedOut`], after
    /// [`LOG_OUT_MAX`] at the latest. Closing it before calls the logging out off.
    ///
    /// That the server does not know the key, on two connections in a row, is as good as its word.
    // req: S67
    pub fn log_out(&mut self, now: Instant) {
        self.now = now;
        if self.check_open().is_err() {
            return;
        }
        self.end_requests(Closed::ByCaller);
        self.exchange = None;
        let Some(permanent) = self.keys.permanent.clone() else {
            // What does not exist needs no destroying.
            return self.logged_out(true);
        };
        (self.keys.temporary, self.keys.next) = (None, None);
        let phase = std::mem::replace(&mut self.phase, Phase::Keyless);
        let mut channel = match phase {
            Phase::Ready(channel) if channel.key_id() == permanent.id() => channel,
            phase => {
                // A temporary key may not be bound, or expire before the answer.
                self.phase = phase;
                self.say_last_words(true);
                self.drop_session();
                self.new_channel(&permanent)
            }
        };
        channel.session.destroy_auth_key(now);
        self.phase = Phase::Leaving(channel, now + LOG_OUT_MAX);
    }

    /// Whether anything new is taken.
    pub(super) fn check_open(&self) -> Result<(), Misuse> {
        match self.phase {
            Phase::Closed(reason) => Err(Misuse::Closed(reason)),
            Phase::Leaving(..) => Err(Misuse::Closed(Closed::ByCaller)),
            Phase::Binding(_) | Phase::Keyless | Phase::Ready(_) => Ok(()),
        }
    }

    /// The server says what became of the key.
    pub(super) fn key_destroyed(&mut self, outcome: KeyDestroyed) {
        if self.is_leaving() {
            self.logged_out(match outcome {
                KeyDestroyed::Fail => false,
                KeyDestroyed::None | KeyDestroyed::Ok => true,
            });
        }
    }

    /// Looks whether the server took too long.
    pub(super) fn check_leaving(&mut self) {
        if self.leaving_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.logged_out(false);
        }
    }

    /// Until when the server may take.
    pub(super) fn leaving_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Leaving(_, deadline) => Some(deadline),
            Phase::Binding(_) | Phase::Closed(_) | Phase::Keyless | Phase::Ready(_) => None,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving_deadline().is_some()
    }

    /// Forgets the key and ends everything.
    pub(super) fn logged_out(&mut self, destroyed: bool) {
        self.keys = Keys::default();
        self.saving.changed();
        self.finish(Closed::LoggedOut { destroyed });
    }
}
