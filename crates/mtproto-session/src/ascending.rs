//! A map whose keys come in ascending order and leave in about the same, as numbers do that are
//! given out one after the other.

use mtproto_tl::MsgId;

/// Gaps that are left where they are, however few entries there are between them.
const GAPS_MIN: usize = 16;

/// A key of which there are never two alike.
pub(crate) trait Serial: Copy + Ord {
    /// The key as a number. The closer keys follow each other, the sooner they are found.
    fn number(self) -> u64;
}

impl Serial for MsgId {
    fn number(self) -> u64 {
        self.0
    }
}

/// A map from ascending keys.
#[derive(Debug)]
pub(crate) struct Ascending<K, V> {
    /// What was taken out has left a gap.
    slots: Vec<(K, Option<V>)>,
    /// The first slot that is no gap, if there is any.
    first: usize,
    len: usize,
}

impl<K, V> Default for Ascending<K, V> {
    fn default() -> Self {
        Self { slots: Vec::new(), first: 0, len: 0 }
    }
}

impl<K: Serial, V> Ascending<K, V> {
    /// Adds an entry, whose key is above all others.
    pub(crate) fn push(&mut self, key: K, value: V) {
        debug_assert!(self.slots.last().is_none_or(|(last, _)| *last < key), "keys ascend");
        self.slots.push((key, Some(value)));
        self.len += 1;
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.slots.get(self.find(key)?)?.1.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let index = self.find(key)?;
        self.slots.get_mut(index)?.1.as_mut()
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V>
    where
        V: Copy,
    {
        self.remove_with(key, |value| *value)
    }

    /// Drops a value where it stands, for it may be large to move; `look` takes what is needed of
    /// it.
    #[inline]
    pub(crate) fn remove_with<T>(&mut self, key: K, look: impl FnOnce(&V) -> T) -> Option<T> {
        let index = self.find(key)?;
        let slot = &mut self.slots.get_mut(index)?.1;
        let seen = look(slot.as_ref()?);
        *slot = None;
        self.len -= 1;
        self.close_gaps(index);
        Some(seen)
    }

    /// After a gap came to be at `index`: finds the first again, and closes all gaps when there are
    /// more of them than entries.
    #[inline]
    fn close_gaps(&mut self, index: usize) {
        if self.len == 0 {
            self.slots.clear();
            self.first = 0;
        } else if self.slots.len() > 2 * self.len + GAPS_MIN {
            self.slots.retain(|(_, value)| value.is_some());
            self.first = 0;
        } else if index == self.first {
            let rest = self.slots.iter().skip(index);
            self.first += rest.take_while(|(_, value)| value.is_none()).count();
        }
    }

    /// The entries, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.slots.iter().filter_map(|(key, value)| Some((*key, value.as_ref()?)))
    }

    /// The entries, by key.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.slots.iter_mut().filter_map(|(key, value)| Some((*key, value.as_mut()?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where `key` stands, or stood.
    #[inline]
    fn find(&self, key: K) -> Option<usize> {
        // Nearly every entry that is asked for is the first.
        if self.slots.get(self.first)?.0 == key {
            return Some(self.first);
        }
        self.find_behind(key)
    }

    fn find_behind(&self, key: K) -> Option<usize> {
        let last = self.slots.last()?.0;
        // Numbers that all are there stand as far apart as they differ.
        let distance = usize::try_from(last.number().checked_sub(key.number())?).ok()?;
        let guess = (self.slots.len() - 1).checked_sub(distance);
        if guess.and_then(|guess| self.slots.get(guess)).is_some_and(|slot| slot.0 == key) {
            return guess;
        }
        self.slots.binary_search_by_key(&key, |slot| slot.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((0_u64..3, 0_usize..40), 1..300)) {
            let (mut map, mut model) = (Ascending::default(), BTreeMap::new());
            let mut last = MsgId(7);
            for (step, place) in steps {
                let key = model.keys().nth(place).copied();
                if let (0, Some(key)) = (step, key) {
                    prop_assert_eq!(map.remove(key), model.remove(&key));
                    prop_assert!(map.get(key).is_none() && map.remove(key).is_none());
                } else {
                    // In a row, or far apart.
                    last = MsgId(last.0 + 1 + (step - step % 2) * place as u64);
                    map.push(last, place);
                    model.insert(last, place);
                }
                prop_assert_eq!(map.get(MsgId(last.0 + 1)), None);
                prop_assert!(map.iter().eq(model.iter().map(|(key, value)| (*key, value))));
                prop_assert!(model.iter().all(|(key, value)| map.get(*key) == Some(value)));
                prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
                prop_assert!(map.slots.len() <= 2 * map.len() + GAPS_MIN);
            }
        }
    }

    // The first waits for ever, and thousands pass it by.
    #[test]
    fn gaps_take_no_more_room_than_entries() {
        let mut map = Ascending::default();
        map.push(MsgId(1), ());
        for number in 2..5000 {
            map.push(MsgId(number), ());
            assert_eq!(map.remove(MsgId(number)), Some(()));
        }
        assert!(map.slots.len() <= 2 + GAPS_MIN && map.slots.capacity() <= 64);
    }
}
