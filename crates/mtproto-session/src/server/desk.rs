//! What a session has only while it has something to say.

use std::collections::VecDeque;

use super::ServerOutput;
use super::checks::Received;
use crate::notices::Notices;

/// Desks that nobody sits at, and packets' memory, that are kept for later. What is beyond goes
/// back to the allocator.
pub const DESKS_MAX: usize = 256;

/// The largest desk that is kept, in bytes. Only a burst needs more.
pub const DESK_KEPT_LEN_MAX: usize = 16 << 10;

/// The longest memory of a packet that is kept, in bytes.
pub const PACKET_KEPT_LEN_MAX: usize = 8 << 10;

/// What a session wants, what it has to say but need not keep, and what it was just told.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) outputs: VecDeque<ServerOutput>,
    pub(super) notices: Notices,
    /// Where the messages of a packet are gathered; empty in between.
    pub(super) received: Vec<Received>,
}

impl Desk {
    fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.notices.is_empty()
    }

    /// Bytes that it has, in use or not.
    fn memory(&self) -> usize {
        let outputs = self.outputs.capacity() * size_of::<ServerOutput>();
        let received = self.received.capacity() * size_of::<Received>();
        outputs + received + self.notices.memory()
    }
}

/// Memory that the sessions of a shard lend each other: an idle one has none of it, and one that is
/// about to answer takes none from the allocator.
#[derive(Debug, Default)]
pub struct Desks {
    #[expect(clippy::vec_box, reason = "a session holds a desk by its box")]
    free: Vec<Box<Desk>>,
    packets: Vec<Vec<u8>>,
}

impl Desks {
    /// Keeps memory of a packet that has left, to lay out another in it.
    pub fn keep_packet(&mut self, mut memory: Vec<u8>) {
        if self.packets.len() < DESKS_MAX && memory.capacity() <= PACKET_KEPT_LEN_MAX {
            memory.clear();
            self.packets.push(memory);
        }
    }

    /// Memory to lay out a packet in; it may have no room yet.
    pub(super) fn packet(&mut self) -> Vec<u8> {
        self.packets.pop().unwrap_or_default()
    }

    /// A desk that was left, if there is one.
    pub(super) fn lend(&mut self) -> Option<Box<Desk>> {
        self.free.pop()
    }

    /// Takes a desk at which nothing is left to do from its session.
    pub(super) fn take_back(&mut self, lent: &mut Option<Box<Desk>>) {
        if let Some(desk) = lent.take_if(|desk| desk.is_empty())
            && self.free.len() < DESKS_MAX
            && desk.memory() <= DESK_KEPT_LEN_MAX
        {
            self.free.push(desk);
        }
    }
}

#[cfg(test)]
mod tests {
    use mtproto_tl::Author;
    use mtproto_tl::types::DestroyAuthKeyOk;

    use super::*;
    use crate::LinkId;
    use crate::notices::Manner;
    use crate::tests::start;

    fn say(desk: &mut Desk) {
        desk.notices.add(
            LinkId(1),
            Author::ServerReply,
            &DestroyAuthKeyOk,
            Manner::Shared,
            start(),
        );
    }

    #[test]
    fn a_desk_is_given_back_when_nothing_is_left_to_do_at_it() {
        let (mut desks, mut lent) = (Desks::default(), Some(Box::<Desk>::default()));
        lent.iter_mut().for_each(|desk| say(desk));
        desks.take_back(&mut lent);
        assert!(lent.is_some() && desks.lend().is_none());
        lent.iter_mut().for_each(|desk| desk.notices.take_shared(|_| true, |_, _| true));
        desks.take_back(&mut lent);
        assert!(lent.is_none() && desks.lend().is_some());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut desks = Desks::default();
        let leave = |desks: &mut Desks, notices| {
            let mut desk = Box::<Desk>::default();
            (0..notices).for_each(|_| say(&mut desk));
            desk.notices.take_shared(|_| true, |_, _| true);
            desks.take_back(&mut Some(desk));
        };
        leave(&mut desks, 1000);
        assert!(desks.lend().is_none(), "a burst needed it");
        for _ in 0..=DESKS_MAX {
            leave(&mut desks, 100);
            desks.keep_packet(Vec::with_capacity(PACKET_KEPT_LEN_MAX + 1));
            desks.keep_packet(vec![1; 4]);
        }
        assert_eq!((desks.free.len(), desks.packets.len()), (DESKS_MAX, DESKS_MAX));
        assert!(desks.packet().is_empty(), "nothing of the packet before is left");
    }
}
