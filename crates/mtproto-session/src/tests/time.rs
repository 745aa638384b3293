//! One moment for all tests of this crate to count from.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The same moment every time, an hour above the least that an `Instant` can be asked for.
#[allow(clippy::disallowed_methods, reason = "an Instant cannot be made any other way")]
pub(crate) fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(|| Instant::now() + Duration::from_secs(3600))
}
