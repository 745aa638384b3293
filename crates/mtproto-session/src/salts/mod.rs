//! Server salts: the schedule that a server derives, and the list that a client keeps.

mod list;
mod schedule;

pub use list::{SALTS_MAX, Salts};
pub use schedule::{FUTURE_SALTS_MAX, FirstSalt, SALT_PERIOD, SaltSchedule, SaltSecret};
