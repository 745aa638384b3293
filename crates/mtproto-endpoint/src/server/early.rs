//! Packets that came before their time.
//!
//! The session refuses a packet whose id is ahead of the server's clock, and its client sends what
//! was in it again under another id, in another session if ids grow there. Whoever has recorded the
//! packet could deliver it when its time has come, and have the same carried out again. So the ids
//! are remembered beside the sessions, which may be forgotten meanwhile, until they are too low.
//!
//! What is refused for its salt alone is not remembered: it comes again under the same id.

use std::collections::BTreeSet;

use mtproto_session::server::{MSG_ID_FUTURE_MAX, MSG_ID_PAST_MAX};
use mtproto_tl::{MsgId, ServerTime};

use super::SessionRef;

/// Packets of one shard that are remembered because they came before their time. While there are
/// more, those whose time is furthest away are not.
pub const EARLY_MAX: usize = 1 << 14;

/// Packets that came before their time, by their id.
#[derive(Debug, Default)]
pub(super) struct Early(BTreeSet<(MsgId, SessionRef)>);

impl Early {
    /// Whether the packet `id` came before its time, which has come since. If its time is yet to
    /// come, that is for the session to see, and is remembered.
    // req: L5, S97
    pub(super) fn was_early(&mut self, session: SessionRef, id: MsgId, time: ServerTime) -> bool {
        while let Some((lowest, _)) = self.0.first()
            && lowest.time() < time.before(MSG_ID_PAST_MAX)
        {
            self.0.pop_first();
        }
        if id.time() <= time.after(MSG_ID_FUTURE_MAX) {
            return self.0.contains(&(id, session));
        }
        self.0.insert((id, session));
        if self.0.len() > EARLY_MAX {
            self.0.pop_last();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mtproto_tl::{AuthKeyId, Author, SessionId};

    use super::*;

    const SESSION: SessionRef = SessionRef { key: AuthKeyId(1), session: SessionId(2) };

    fn at(seconds: u64) -> ServerTime {
        ServerTime::from_unix(Duration::from_secs(1_700_000_000 + seconds))
    }

    fn id(seconds: u64) -> MsgId {
        MsgId::at(at(seconds), Author::Client)
    }

    #[test]
    fn an_early_packet_is_remembered_until_it_is_too_old() {
        let mut early = Early::default();
        assert!(!early.was_early(SESSION, id(31), at(0)), "the session itself refuses it");
        assert!(early.was_early(SESSION, id(31), at(2)));
        assert!(early.was_early(SESSION, id(31), at(330)));
        let other = SessionRef { session: SessionId(3), ..SESSION };
        assert!(!early.was_early(other, id(31), at(2)), "of another session");
        assert!(!early.was_early(SESSION, id(29), at(0)), "not early");
        early.was_early(SESSION, id(300), at(332));
        assert_eq!(early.0.len(), 0);
    }

    #[test]
    fn those_that_are_due_first_are_remembered() {
        let mut early = Early::default();
        let count = EARLY_MAX as u64 + 10;
        for seconds in (100..100 + count).rev() {
            early.was_early(SESSION, id(seconds), at(0));
        }
        assert_eq!(early.0.len(), EARLY_MAX);
        assert!(early.was_early(SESSION, id(100), at(101)));
        let last = 100 + count - 1;
        assert!(!early.was_early(SESSION, id(last), at(last + 1)));
    }
}
