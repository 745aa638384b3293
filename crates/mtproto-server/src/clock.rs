//! The one place of the server that reads clocks.

use std::time::{Duration, Instant, SystemTime};

use mtproto_session::ServerClock;
use mtproto_tl::ServerTime;

/// This moment, for the machines. It follows the runtime's clock, so a test can stop it.
pub(crate) fn now() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "a driver is where the time comes from")]
    tokio::time::Instant::now().into_std()
}

/// Ties the machines' clock to the time of day.
pub(crate) fn server_clock() -> ServerClock {
    ServerClock::new(now(), ServerTime::from_unix(since_epoch()))
}

/// The time of day, in seconds since 1970.
pub(crate) fn unix_time() -> u32 {
    u32::try_from(since_epoch().as_secs()).unwrap_or(u32::MAX)
}

fn since_epoch() -> Duration {
    #[allow(clippy::disallowed_methods, reason = "a driver is where the time comes from")]
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}
