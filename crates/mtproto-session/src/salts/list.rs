//! The salts that a client knows of one auth key.

use std::time::Duration;

use mtproto_tl::{Salt, ServerTime, types};

/// The most salts that are kept; the furthest ahead are left out.
pub const SALTS_MAX: usize = 64;

/// The salts of an auth key with their validity, ascending. They outlive sessions: a store keeps
/// them.
// req: S22
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Salts {
    /// What the server named last, apart from the list; good until the list has something newer.
    adopted: Option<Adopted>,
    list: Vec<types::FutureSalt>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Adopted {
    salt: Salt,
    since: ServerTime,
}

impl Salts {
    /// Begins with `first`, the salt of a key exchange or of a store, and a list that a store kept.
    #[must_use]
    pub fn new(first: Option<Salt>, list: Vec<types::FutureSalt>) -> Self {
        let adopted = first.map(|salt| Adopted { salt, since: ServerTime::default() });
        let mut salts = Self { adopted, list: Vec::new() };
        salts.install(list);
        salts
    }

    /// The salt to send with at `time`; zero when none is known, which the server will put right.
    #[must_use]
    pub fn current(&self, time: ServerTime) -> Salt {
        let seconds = time.unix_seconds();
        let listed = self.list.iter().rev().find(|salt| word(salt.valid_since) <= seconds);
        match (self.adopted, listed) {
            (Some(adopted), Some(listed))
                if word(listed.valid_since) < adopted.since.unix_seconds() =>
            {
                adopted.salt
            }
            (_, Some(listed)) => listed.salt,
            (Some(adopted), None) => adopted.salt,
            (None, None) => Salt(0),
        }
    }

    /// Takes the salt that the server named at `time`. Returns whether it is another than the
    /// current.
    // req: S15
    pub fn adopt(&mut self, salt: Salt, time: ServerTime) -> bool {
        if self.current(time) == salt {
            return false;
        }
        match self.list.iter().position(|listed| listed.salt == salt) {
            // The server is further than our clock, or not so far: its own list stays true.
            Some(index) => drop(self.list.drain(..index)),
            // A server that does not keep to its list has another secret by now.
            None => self.list.clear(),
        }
        self.adopted = Some(Adopted { salt, since: time });
        true
    }

    /// Takes the list of a `future_salts`; what is out of order or beyond [`SALTS_MAX`] is left
    /// out.
    pub fn install(&mut self, mut list: Vec<types::FutureSalt>) {
        list.retain(|salt| word(salt.valid_since) < word(salt.valid_until));
        list.sort_by_key(|salt| word(salt.valid_since));
        list.truncate(SALTS_MAX);
        self.list = list;
    }

    /// How long after `time` the salts last; zero when there is no list.
    #[must_use]
    pub fn known_for(&self, time: ServerTime) -> Duration {
        let until = self.list.last().map_or(0, |salt| word(salt.valid_until));
        Duration::from_secs(u64::from(until.saturating_sub(time.unix_seconds())))
    }

    /// The list, for a store.
    #[must_use]
    pub fn list(&self) -> &[types::FutureSalt] {
        &self.list
    }
}

/// TL's `int` as the unsigned Unix time that it is.
fn word(int: i32) -> u32 {
    u32::from_le_bytes(int.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> ServerTime {
        ServerTime::from_unix(Duration::from_secs(seconds))
    }

    fn period(since: i32, salt: u64) -> types::FutureSalt {
        types::FutureSalt { valid_since: since, valid_until: since + 100, salt: Salt(salt) }
    }

    // req: S22
    #[test]
    fn the_list_leads_from_salt_to_salt() {
        let salts = Salts::new(Some(Salt(1)), vec![period(200, 3), period(100, 2)]);
        assert_eq!(salts.current(at(99)), Salt(1));
        assert_eq!(salts.current(at(100)), Salt(2));
        assert_eq!(salts.current(at(250)), Salt(3));
        assert_eq!(salts.current(at(900)), Salt(3));
        assert_eq!(salts.known_for(at(250)), Duration::from_secs(50));
        assert_eq!(salts.known_for(at(301)), Duration::ZERO);
        assert_eq!(Salts::default().current(at(5)), Salt(0));
    }

    // req: S15
    #[test]
    fn what_the_server_names_goes_before_the_list() {
        let mut salts = Salts::new(None, vec![period(100, 2), period(200, 3), period(300, 4)]);
        // Our clock lags: the server is already at the next one.
        assert!(salts.adopt(Salt(3), at(190)));
        assert_eq!(salts.current(at(190)), Salt(3));
        assert_eq!(salts.current(at(300)), Salt(4));
        assert!(!salts.adopt(Salt(4), at(301)));
        // The server has another secret by now.
        assert!(salts.adopt(Salt(9), at(310)));
        assert_eq!((salts.current(at(400)), salts.list().len()), (Salt(9), 0));
        salts.install(vec![period(400, 10)]);
        assert_eq!((salts.current(at(399)), salts.current(at(400))), (Salt(9), Salt(10)));
    }

    #[test]
    fn a_list_is_bounded_and_may_be_nonsense() {
        let mut list: Vec<_> = (0..100).map(|n| period(n * 100, 7)).collect();
        list.push(types::FutureSalt { valid_since: 9, valid_until: 3, salt: Salt(8) });
        assert_eq!(Salts::new(None, list).list().len(), SALTS_MAX);
    }
}
