//! Packets on their way out, and the memory that they and others before them had.

use std::ops::Deref;

use bytes::{Bytes, BytesMut};

/// The longest memory that a [`Spare`] keeps, in bytes.
pub const SPARE_LEN_MAX: usize = 8 << 10;

/// The longest memory that little is received into, in bytes: all of it stays as long as anything
/// that was received in it.
pub const SPARE_SHORT_LEN_MAX: usize = 1 << 10;

/// How many of each kind a [`Spare`] keeps.
pub const SPARE_MAX: usize = 256;

/// The bytes of a packet to send.
#[derive(Clone)]
pub enum Payload {
    /// In memory of their own, which may become that of the frame.
    Own(Vec<u8>),
    /// In memory that others may have as well.
    Shared(Bytes),
}

impl Payload {
    /// The memory, unless others have it as well.
    ///
    /// # Errors
    /// Gives the payload back.
    pub fn try_into_own(self) -> Result<Vec<u8>, Self> {
        match self {
            Self::Own(bytes) => Ok(bytes),
            Self::Shared(bytes) => match bytes.try_into_mut() {
                Ok(bytes) => Ok(bytes.into()),
                Err(bytes) => Err(Self::Shared(bytes)),
            },
        }
    }

    /// The payload, to be looked at by several.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Own(bytes) => bytes.into(),
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::Shared(bytes)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Own(bytes)
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload {}

/// Memory of packets that are done with, in which others are received and laid out: what the links
/// of a thread lend each other, so that one that waits has none, and a packet takes none from the
/// allocator.
#[derive(Debug, Default)]
pub struct Spare {
    /// Empty, and nobody else's.
    short: Vec<BytesMut>,
    long: Vec<BytesMut>,
    sent: Vec<Vec<u8>>,
}

impl Spare {
    /// These bytes, which have arrived, in memory that nobody else has.
    pub fn filled(&mut self, bytes: &[u8]) -> BytesMut {
        let spare = match bytes.len() {
            len if len <= SPARE_SHORT_LEN_MAX => self.short.pop(),
            len if len <= SPARE_LEN_MAX => self.long.pop(),
            _ => None,
        };
        let mut memory = spare.unwrap_or_default();
        memory.extend_from_slice(bytes);
        memory
    }

    /// Keeps the memory of a packet that was received, if nobody else has any of it.
    pub fn keep_received(&mut self, packet: Bytes) {
        let Ok(mut memory) = packet.try_into_mut() else { return };
        memory.clear();
        // The packet may be a small piece of what is much longer.
        let list = match memory.try_reclaim(SPARE_SHORT_LEN_MAX + 1) {
            false => &mut self.short,
            true if !memory.try_reclaim(SPARE_LEN_MAX + 1) => &mut self.long,
            true => return,
        };
        if list.len() < SPARE_MAX {
            // Counts who has it from now on, so that it need not be made to when it is shared.
            drop(memory.split_to(0));
            list.push(memory);
        }
    }

    /// Keeps the memory of what was sent.
    pub fn keep_sent(&mut self, mut memory: Vec<u8>) {
        if self.sent.len() < SPARE_MAX && memory.capacity() <= SPARE_LEN_MAX {
            memory.clear();
            self.sent.push(memory);
        }
    }

    /// Memory of what was sent; empty, but it has room.
    pub fn take_sent(&mut self) -> Option<Vec<u8>> {
        self.sent.pop()
    }

    /// Keeps what `other` has of packets that were received.
    pub fn keep_received_of(&mut self, other: &mut Self) {
        for (to, from) in [(&mut self.short, &mut other.short), (&mut self.long, &mut other.long)] {
            let room = SPARE_MAX.saturating_sub(to.len());
            to.extend(from.drain(..).take(room));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_in_lent_memory_gives_it_back() {
        let mut spare = Spare::default();
        let mut packet = spare.filled(&[1; 100]).freeze();
        let first = packet.as_ptr().addr();
        for len in (0..1000).map(|turn| 60 + turn % 40) {
            spare.keep_received(packet);
            let mut received = spare.filled(&vec![2; len]);
            // As a framing cuts a packet out of it.
            packet = received.split_to(len - 4).split_off(4).freeze();
            assert_eq!(packet, vec![2; len - 8]);
            assert!((first..first + 100).contains(&packet.as_ptr().addr()));
        }
    }

    #[test]
    fn memory_that_somebody_has_stays_theirs() {
        let mut spare = Spare::default();
        let packet = spare.filled(b"a query").freeze();
        let query = packet.slice(2..);
        spare.keep_received(packet);
        assert_eq!(spare.filled(b"another"), b"another"[..]);
        assert_eq!(query, b"query"[..]);
    }

    fn lens(spare: &Spare) -> [usize; 3] {
        [spare.short.len(), spare.long.len(), spare.sent.len()]
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut spare, mut other) = (Spare::default(), Spare::default());
        let mut long = BytesMut::zeroed(SPARE_LEN_MAX + 1);
        drop(long.split_to(SPARE_LEN_MAX));
        spare.keep_received(long.freeze());
        spare.keep_sent(Vec::with_capacity(SPARE_LEN_MAX + 1));
        assert_eq!(lens(&spare), [0; 3], "a piece of what is longer, and what is longer");
        for _ in 0..=SPARE_MAX {
            for one in [&mut spare, &mut other] {
                one.keep_sent(vec![1; 4]);
                one.keep_received(vec![1; 4].into());
                one.keep_received(vec![1; SPARE_LEN_MAX].into());
            }
        }
        assert_eq!(lens(&spare), [SPARE_MAX; 3]);
        assert_eq!(spare.take_sent(), Some(Vec::new()), "nothing of it is left");
        assert_eq!(spare.filled(&[3; 4]), [3; 4][..]);
        assert_eq!(spare.filled(&[3; SPARE_SHORT_LEN_MAX + 1]), [3; SPARE_SHORT_LEN_MAX + 1][..]);
        assert_eq!(lens(&spare), [SPARE_MAX - 1; 3]);
        spare.keep_received_of(&mut other);
        assert_eq!(lens(&spare), [SPARE_MAX, SPARE_MAX, SPARE_MAX - 1]);
        assert_eq!(lens(&other), [0, 0, SPARE_MAX]);
    }
}
