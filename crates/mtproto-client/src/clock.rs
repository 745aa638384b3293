//! The one place that asks what time it is.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use mtproto_tl::ServerTime;

/// The moment, on tokio's clock, which a test may have stopped.
#[allow(clippy::disallowed_methods, reason = "the driver is where time comes from")]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Shows the local clock.
pub(crate) type WallClock = Arc<dyn Fn() -> ServerTime + Send + Sync>;

/// The local clock's reading.
#[allow(clippy::disallowed_methods, reason = "the driver is where time comes from")]
pub(crate) fn wall_time() -> ServerTime {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    ServerTime::from_unix(since_epoch)
}
