//! What a client session has to ask of the server on its own account.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use mtproto_tl::{MsgId, SessionId};

use crate::IDS_MAX;

/// The most cancelled requests of which the server is still to be told.
pub const DROPS_MAX: usize = 1024;

/// The most sessions that are still to be destroyed.
pub const DESTROY_MAX: usize = 16;

/// Salts are asked for when those that are known last less than this.
pub const SALTS_AHEAD_MIN: Duration = Duration::from_secs(3600);

/// How long after asking for salts they are asked for again.
pub const SALTS_ASK_INTERVAL: Duration = Duration::from_secs(60);

/// Small questions and orders that leave with the next packet.
#[derive(Debug, Default)]
pub(super) struct Errands {
    /// Cancelled requests, by the message that carried each.
    pub(super) drops: VecDeque<MsgId>,
    /// Messages of ours whose state is to be asked for.
    pub(super) states: BTreeSet<MsgId>,
    /// Messages of the server that are to be sent again.
    pub(super) resends: BTreeSet<MsgId>,
    pub(super) destroy_sessions: VecDeque<SessionId>,
    pub(super) destroy_auth_key: bool,
    /// When salts were asked for last, and by which message.
    pub(super) salts_asked: Option<(MsgId, Instant)>,
}

impl Errands {
    pub(super) fn drop_answer(&mut self, request: MsgId) {
        if self.drops.len() < DROPS_MAX {
            self.drops.push_back(request);
        }
    }

    pub(super) fn ask_states(&mut self, ids: impl IntoIterator<Item = MsgId>) {
        // What does not fit is asked for when it is unanswered for longer.
        let room = IDS_MAX.saturating_sub(self.states.len());
        self.states.extend(ids.into_iter().take(room));
    }

    // req: S47
    pub(super) fn take_states(&mut self) -> Vec<MsgId> {
        take_ids(&mut self.states)
    }

    /// Asks for a message of the server again. What does not fit is left to the server to repeat.
    pub(super) fn ask_resend(&mut self, id: MsgId) {
        if self.resends.len() < IDS_MAX {
            self.resends.insert(id);
        }
    }

    pub(super) fn take_resends(&mut self) -> Vec<MsgId> {
        take_ids(&mut self.resends)
    }

    pub(super) fn destroy_session(&mut self, session_id: SessionId) {
        if self.destroy_sessions.len() < DESTROY_MAX {
            self.destroy_sessions.push_back(session_id);
        }
    }

    /// When salts may be asked for, if they are needed.
    pub(super) fn salts_due(&self, now: Instant) -> Instant {
        self.salts_asked.map_or(now, |(_, asked)| asked + SALTS_ASK_INTERVAL)
    }

    /// Whether anything is to be sent at once.
    pub(super) fn is_empty(&self) -> bool {
        self.drops.is_empty()
            && self.states.is_empty()
            && self.resends.is_empty()
            && self.destroy_sessions.is_empty()
            && !self.destroy_auth_key
    }

    /// Another session begins: what concerns messages of this one is void.
    pub(super) fn restart(&mut self) {
        self.drops.clear();
        self.states.clear();
        self.resends.clear();
        self.salts_asked = None;
    }
}

fn take_ids(ids: &mut BTreeSet<MsgId>) -> Vec<MsgId> {
    let mut taken = std::mem::take(ids);
    if let Some(rest) = taken.iter().nth(IDS_MAX).copied() {
        *ids = taken.split_off(&rest);
    }
    taken.into_iter().collect()
}
