//! What a shard shares with the connections that it works on.

use std::cell::RefCell;

use mtproto_frame::Spare;

use crate::watch::Watch;

/// All of it stays on the thread of the shard.
#[derive(Default)]
pub(crate) struct Home {
    /// Asks connections whether their time is over.
    pub(crate) watch: Watch,
    /// Memory of packets: connections receive into it, the shard answers in it.
    pub(crate) spare: RefCell<Spare>,
}
