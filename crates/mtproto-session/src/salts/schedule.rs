//! The server's salts of one auth key: derived, never stored.

use std::fmt;
use std::sync::Arc;

use mtproto_crypto::hash::hmac_sha256;
use mtproto_tl::{AuthKeyId, Salt, ServerTime, types};
use zeroize::Zeroizing;

/// How long a salt is the current one, in seconds; for as long again it is still accepted.
pub const SALT_PERIOD: u32 = 1800;

/// The most salts in one `future_salts`.
// req: S21
pub const FUTURE_SALTS_MAX: u32 = 64;

/// What all salts of a server are derived from.
pub struct SaltSecret {
    secret: Zeroizing<[u8; 32]>,
    period: u32,
}

impl SaltSecret {
    /// The secret of a server, made once and kept in its store, with salts that last
    /// [`SALT_PERIOD`].
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self::with_period(secret, SALT_PERIOD)
    }

    /// As [`SaltSecret::new`] with salts that last `period` seconds, at least one.
    #[must_use]
    pub fn with_period(secret: [u8; 32], period: u32) -> Self {
        Self { secret: Zeroizing::new(secret), period: period.max(1) }
    }
}

impl fmt::Debug for SaltSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaltSecret(period {} s)", self.period)
    }
}

/// The salt that a key exchange ended with. It is the salt of the period in which the key was made.
// req: L15
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FirstSalt {
    /// The salt.
    pub salt: Salt,
    /// When the key was made, Unix time in seconds.
    pub created: u32,
}

/// The salts of one auth key, the same from call to call and on every node. Clones, of which each
/// session has one, share what they are derived from.
// req: S24
#[derive(Clone, Debug)]
pub struct SaltSchedule {
    source: Arc<Source>,
    /// The epoch that the two salts below belong to.
    epoch: u32,
    current: Salt,
    previous: Salt,
}

/// What the salts of a key are derived from.
#[derive(Debug)]
struct Source {
    secret: Arc<SaltSecret>,
    key_id: AuthKeyId,
    first: Option<FirstSalt>,
}

impl SaltSchedule {
    /// The schedule of the key `key_id`. `first` is what its key exchange ended with.
    #[must_use]
    pub fn new(secret: Arc<SaltSecret>, key_id: AuthKeyId, first: Option<FirstSalt>) -> Self {
        let source = Source { secret, key_id, first };
        let current = source.derive(0);
        Self { source: Arc::new(source), epoch: 0, current, previous: current }
    }

    /// The salt to send with at `time`.
    pub fn current(&mut self, time: ServerTime) -> Salt {
        self.turn_to(self.epoch_at(time));
        self.current
    }

    /// Whether a message that arrives at `time` may have `salt`: it is the current one or, within
    /// its grace time of another period, the one before.
    // req: S15
    pub fn accepts(&mut self, salt: Salt, time: ServerTime) -> bool {
        self.turn_to(self.epoch_at(time));
        salt == self.current || salt == self.previous
    }

    /// `count` salts from the current one on, at most [`FUTURE_SALTS_MAX`], at least one. Their
    /// periods follow one another.
    // req: S21, S24
    #[must_use]
    pub fn future(&self, time: ServerTime, count: u32) -> Vec<types::FutureSalt> {
        let epoch = self.epoch_at(time);
        let epochs = epoch..epoch.saturating_add(count.clamp(1, FUTURE_SALTS_MAX));
        epochs.map(|epoch| self.period(epoch)).collect()
    }

    fn period(&self, epoch: u32) -> types::FutureSalt {
        let since = epoch.saturating_mul(self.source.secret.period);
        types::FutureSalt {
            valid_since: int(since),
            valid_until: int(since.saturating_add(self.source.secret.period)),
            salt: self.source.derive(epoch),
        }
    }

    fn epoch_at(&self, time: ServerTime) -> u32 {
        time.unix_seconds() / self.source.secret.period
    }

    fn turn_to(&mut self, epoch: u32) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.current = self.source.derive(epoch);
            self.previous = self.source.derive(epoch.saturating_sub(1));
        }
    }
}

impl Source {
    fn derive(&self, epoch: u32) -> Salt {
        match self.first {
            Some(first) if first.created / self.secret.period == epoch => first.salt,
            _ => {
                let key_id = self.key_id.0.to_le_bytes();
                let mac = hmac_sha256(&*self.secret.secret, &[&key_id, &epoch.to_le_bytes()]);
                let [a, b, c, d, e, f, g, h, ..] = mac;
                Salt(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
            }
        }
    }
}

/// Unix time as TL carries it: the same 32 bits, good until 2106 for those who read it so.
fn int(seconds: u32) -> i32 {
    i32::from_le_bytes(seconds.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> ServerTime {
        ServerTime::from_unix(Duration::from_secs(seconds))
    }

    fn schedule(first: Option<FirstSalt>) -> SaltSchedule {
        SaltSchedule::new(Arc::new(SaltSecret::new([7; 32])), AuthKeyId(42), first)
    }

    // req: S15
    #[test]
    fn a_salt_is_good_for_its_period_and_as_long_again() {
        let mut salts = schedule(None);
        let salt = salts.current(at(1800 * 1000 + 17));
        assert!(salts.accepts(salt, at(1800 * 1001 - 1)));
        assert!(salts.accepts(salt, at(1800 * 1002 - 1)));
        assert!(!salts.accepts(salt, at(1800 * 1002)));
        assert!(!salts.accepts(salt, at(1800 * 1000 - 1)));
    }

    #[test]
    fn the_first_salt_is_that_of_the_period_of_the_exchange() {
        let first = FirstSalt { salt: Salt(99), created: 1800 * 1000 + 1799 };
        let mut salts = schedule(Some(first));
        assert_eq!(salts.current(at(1800 * 1000 + 1799)), Salt(99));
        assert_ne!(salts.current(at(1800 * 1001)), Salt(99));
        assert!(salts.accepts(Salt(99), at(1800 * 1002 - 1)));
        assert!(!salts.accepts(Salt(99), at(1800 * 1002)));
    }

    // req: S21, S24
    #[test]
    fn the_list_is_the_same_from_call_to_call_and_has_no_overlap() {
        let mut salts = schedule(None);
        let list = salts.future(at(1800 * 1000 + 5), 1000);
        assert_eq!(list.len(), FUTURE_SALTS_MAX as usize);
        assert!(list.windows(2).all(|two| two[0].valid_until == two[1].valid_since));
        assert_eq!(salts.future(at(1800 * 1001), 63), list[1..]);
        for salt in &list {
            assert_eq!(salts.current(at(salt.valid_since as u64)), salt.salt);
        }
        assert_eq!(salts.future(at(0), 0).len(), 1);
    }

    #[test]
    fn keys_and_servers_have_salts_of_their_own() {
        let mut one = schedule(None);
        let mut other_key = SaltSchedule::new(one.source.secret.clone(), AuthKeyId(43), None);
        let secret = Arc::new(SaltSecret::new([8; 32]));
        let mut other_server = SaltSchedule::new(secret, AuthKeyId(42), None);
        let now = at(1_700_000_000);
        assert_ne!(one.current(now), other_key.current(now));
        assert_ne!(one.current(now), other_server.current(now));
        assert_eq!(format!("{:?}", one.source.secret), "SaltSecret(period 1800 s)");
    }
}
