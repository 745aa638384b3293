//! Conversations, in virtual time.

mod time;

pub(crate) use time::start;
