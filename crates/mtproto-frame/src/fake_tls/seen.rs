//! Which hellos came before.

use std::collections::{BTreeSet, VecDeque};

use super::proof::Random;

/// The most hellos that are remembered; beyond it the oldest is forgotten.
pub const SEEN_MAX: usize = 1 << 18;

/// How long a hello is remembered, in seconds: longer than its clock could pass for right, so that
/// hellos of clients without a clock are not taken again soon either.
pub const SEEN_TIME: u32 = 2 * 24 * 60 * 60;

/// Hellos that were accepted. Only those who know a secret add to it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    proofs: BTreeSet<Proof>,
    /// When each came, in seconds since 1970, oldest first.
    order: VecDeque<(u32, Proof)>,
}

/// Enough of a hello's random bytes to tell it from others.
type Proof = [u8; 16];

impl Seen {
    /// Remembers a hello; `false` if it came before.
    pub(super) fn insert(&mut self, random: &Random, unix_time: u32) -> bool {
        let Some(proof) = random.first_chunk().copied() else { return false };
        while let Some((came, _)) = self.order.front()
            && unix_time.saturating_sub(*came) > SEEN_TIME
        {
            self.forget_oldest();
        }
        if self.proofs.contains(&proof) {
            return false;
        }
        if self.order.len() == SEEN_MAX {
            self.forget_oldest();
        }
        self.order.push_back((unix_time, proof));
        self.proofs.insert(proof)
    }

    fn forget_oldest(&mut self) {
        if let Some((_, proof)) = self.order.pop_front() {
            self.proofs.remove(&proof);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(number: u32) -> Random {
        let mut random = [7; 32];
        random[..4].copy_from_slice(&number.to_le_bytes());
        random
    }

    #[test]
    fn hellos_are_remembered_for_their_time() {
        let mut seen = Seen::default();
        assert!(seen.insert(&hello(1), 1000));
        assert!(!seen.insert(&hello(1), 1000 + SEEN_TIME));
        // A clock that steps back forgets nothing.
        assert!(!seen.insert(&hello(1), 0));
        assert!(seen.insert(&hello(1), 1001 + SEEN_TIME));
        assert!(!seen.insert(&hello(1), 1001 + SEEN_TIME));
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut seen = Seen::default();
        for number in 0..=SEEN_MAX as u32 {
            assert!(seen.insert(&hello(number), 1000));
        }
        assert_eq!((seen.proofs.len(), seen.order.len()), (SEEN_MAX, SEEN_MAX));
        assert!(!seen.insert(&hello(2), 1000), "the newest are all there");
        assert!(seen.insert(&hello(0), 1000), "the oldest had to go");
    }
}
