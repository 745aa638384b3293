//! What every implementation of a trait must do, as tests.
//!
//! A suite is a macro that writes one `#[tokio::test]` for each promise; it is invoked in a test
//! module with an expression that makes an empty store and something that must outlive it:
//!
//! ```text
//! mtproto_store::key_store_suite!(async || {
//!     let dir = tempfile::tempdir().unwrap();
//!     (Arc::new(MyKeyStore::open(dir.path()).unwrap()), dir)
//! });
//! ```
//!
//! The crate that invokes it needs tokio with `macros` and `rt-multi-thread`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use mtproto_tl::ServerTime;

pub mod bus;
pub mod client;
pub mod keys;
pub mod sessions;

pub use bus::Node;

/// Writes the tests of a [`KeyStore`](crate::KeyStore). The expression is called and awaited, and
/// makes `(Arc<impl KeyStore>, guard)`.
#[macro_export]
macro_rules! key_store_suite {
    ($make:expr) => {
        $crate::suite!(
            keys,
            $make,
            [
                a_new_key_is_found_as_it_was_stored,
                a_key_is_never_overwritten,
                a_temporary_key_expires,
                an_expired_key_makes_room_for_its_id,
                a_new_temporary_key_is_unbound,
                a_binding_stands_and_may_be_repeated,
                a_new_binding_replaces_the_old_one,
                a_binding_needs_both_keys,
                removing_a_permanent_key_removes_the_bound_one,
                removing_a_temporary_key_leaves_the_permanent_one,
                the_server_secret_is_random_and_stays,
                a_handshake_is_taken_once,
                a_handshake_is_taken_by_one_of_many,
                a_handshake_is_not_overwritten,
                a_handshake_expires,
                a_long_handshake_is_refused,
            ]
        );
    };
}

/// Writes the tests of a [`SessionStore`](crate::SessionStore). The expression is called and
/// awaited, and makes `(Arc<impl SessionStore>, guard)`.
#[macro_export]
macro_rules! session_store_suite {
    ($make:expr) => {
        $crate::suite!(
            sessions,
            $make,
            [
                a_session_has_one_owner,
                a_released_session_is_free_and_keeps_its_snapshot,
                a_session_is_taken_over_only_with_its_token,
                a_stale_token_changes_nothing,
                of_many_thieves_one_wins,
                an_idle_session_is_forgotten,
                a_long_snapshot_is_refused,
                the_queue_is_in_order_and_read_in_parts,
                a_message_stays_until_it_is_acknowledged,
                the_same_message_is_queued_once,
                other_producers_get_ids_above_all_others,
                the_queue_forgets_the_oldest_message_over_its_count,
                the_queue_forgets_the_oldest_message_over_its_bytes,
                the_queue_forgets_what_waited_too_long,
                a_request_runs_once,
                a_request_of_a_lost_owner_is_unknown,
                a_request_too_many_is_refused,
                a_forgotten_session_is_gone,
            ]
        );
    };
}

/// Writes the tests of a [`Bus`](crate::Bus). The expression is called and awaited, and makes
/// `([Node; 2], guard)`: two nodes that reach each other.
#[macro_export]
macro_rules! bus_suite {
    ($make:expr) => {
        $crate::suite!(
            bus,
            $make,
            [
                frames_arrive_in_order,
                a_node_reaches_itself,
                nobody_listens_at_an_unknown_node,
                a_second_inbox_ends_the_first,
                a_long_frame_is_refused,
                members_come_and_go,
            ]
        );
    };
}

/// Writes the tests of a [`ClientStore`](crate::ClientStore). The expression is called and awaited,
/// and makes `(Arc<impl ClientStore>, guard)`.
#[macro_export]
macro_rules! client_store_suite {
    ($make:expr) => {
        $crate::suite!(
            client,
            $make,
            [
                a_new_store_is_empty,
                a_record_is_found_as_it_was_saved,
                the_last_record_stays,
                a_cleared_store_is_empty,
            ]
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! suite {
    ($of:ident, $make:expr, [$($promise:ident),* $(,)?]) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $promise() {
            let (subject, _guard) = ($make)().await;
            $crate::conformance::$of::$promise(subject).await;
        }
    )*};
}

/// The moment at which every test begins.
#[must_use]
pub fn start() -> ServerTime {
    ServerTime::from_unix(Duration::from_secs(1_700_000_000))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
