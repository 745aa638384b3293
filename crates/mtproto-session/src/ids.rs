//! Message ids and seqnos of one side of one session.

use mtproto_tl::{Author, MsgId, Seqno, ServerTime};

/// Issues message ids: each above the one before, whatever the clock does.
#[derive(Clone, Copy, Debug, Default)]
pub struct MsgIds {
    last: MsgId,
}

impl MsgIds {
    /// The id for `time`, or the next free one if the clock stood still or stepped back.
    // req: L18
    pub fn issue(&mut self, time: ServerTime, author: Author) -> MsgId {
        let id = MsgId::at(time.min(LATEST.time()), author).max(self.next_free(author));
        self.last = id;
        id
    }

    /// The last id issued; zero before the first.
    #[must_use]
    pub fn last(&self) -> MsgId {
        self.last
    }

    /// The low half of a client's id must never be empty.
    fn next_free(&self, author: Author) -> MsgId {
        let next = self.last.next(author);
        if next.0.trailing_zeros() >= 32 { next.next(author) } else { next }
    }
}

/// Times after this one, four minutes before ids end in the year 2106, make no ids of their own. So
/// there is always a next one, whatever time a peer tells.
const LATEST: MsgId = MsgId(0xffff_ff00_0000_0004);

/// Issues seqnos: twice the number of content-related messages so far, plus one for another of
/// them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seqnos {
    content_related: u32,
}

impl Seqnos {
    /// The seqno of a message that wants an acknowledgement.
    pub fn content_related(&mut self) -> Seqno {
        let seqno = Seqno(self.content_related << 1 | 1);
        self.content_related = self.content_related.wrapping_add(1);
        seqno
    }

    /// The seqno of a message that does not, as of now.
    #[must_use]
    pub fn service(&self) -> Seqno {
        Seqno(self.content_related << 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_grow_and_keep_their_low_bits(
            steps in proptest::collection::vec((0_u64..1 << 40, 0_usize..3), 1..100),
        ) {
            let mut ids = MsgIds::default();
            let mut last = MsgId::default();
            for (nanos, author) in steps {
                let author = [Author::Client, Author::ServerReply, Author::ServerNotice][author];
                let time = ServerTime::from_unix(Duration::from_nanos(nanos));
                let id = ids.issue(time, author);
                prop_assert!(id > last && id.0 & 3 == u64::from(author as u8));
                prop_assert!(id.0 & 0xffff_ffff != 0);
                last = id;
            }
        }
    }

    #[test]
    fn the_low_half_of_an_id_is_never_empty() {
        let mut ids = MsgIds { last: MsgId(0x1234_ffff_fffc) };
        assert_eq!(ids.issue(ServerTime::default(), Author::Client), MsgId(0x1235_0000_0004));
    }

    #[test]
    fn ids_grow_at_the_end_of_time() {
        let mut ids = MsgIds::default();
        let end = MsgId(u64::MAX).time();
        let made = [(); 3].map(|()| ids.issue(end, Author::ServerReply));
        assert!(made.is_sorted() && made[0] < made[2], "{made:?}");
    }

    #[test]
    fn seqnos_count_content() {
        let mut seqnos = Seqnos::default();
        let made = [seqnos.service(), seqnos.content_related(), seqnos.service()];
        assert_eq!(made, [Seqno(0), Seqno(1), Seqno(2)]);
        assert_eq!(seqnos.content_related(), Seqno(3));
    }
}
