//! The one place of the server that reads clocks.

use std::time::{Instant, SystemTime};

use mtproto_session::ServerClock;
use mtproto_tl::ServerTime;

/// This moment, for the machines. It follows the runtime's clock, so a test can stop it.
pub(crate) fn now() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "a driver is where the time comes from")]
    tokio::time::Instant::now().into_std()
}

/// Ties the machines' clock to the time of day.
pub(crate) fn server_clock() -> ServerClock {
    #[allow(clippy::disallowed_methods, reason = "a driver is where the time comes from")]
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    ServerClock::new(now(), ServerTime::from_unix(since_epoch))
}
