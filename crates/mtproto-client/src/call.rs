//! A call under way.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mtproto_endpoint::client::RequestOptions;
use tokio::sync::oneshot;

use crate::CallError;
use crate::cancel::CancelOnDrop;

/// How a call is to be treated.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CallOptions {
    /// After how long it is given up and cancelled; `None`: never.
    pub limit: Option<Duration>,
    /// Whether the server is asked for a quick acknowledgement, for which [`Call::received`] waits.
    /// Not every server gives one.
    pub quick_ack: bool,
}

impl CallOptions {
    pub(crate) fn since(self, now: Instant) -> RequestOptions {
        let deadline = self.limit.and_then(|limit| now.checked_add(limit));
        RequestOptions { quick_ack: self.quick_ack, deadline }
    }
}

/// A call under way. Dropping it cancels the query: the server is told to drop the answer, and may
/// or may not have carried it out.
#[derive(Debug)]
#[must_use = "a call that is dropped is cancelled"]
pub struct Call {
    guard: CancelOnDrop,
    result: oneshot::Receiver<Result<Bytes, CallError>>,
    received: Option<oneshot::Receiver<()>>,
    was_received: bool,
}

impl Call {
    pub(crate) fn new(
        guard: CancelOnDrop,
        result: oneshot::Receiver<Result<Bytes, CallError>>,
        received: Option<oneshot::Receiver<()>>,
    ) -> Self {
        Self { guard, result, received, was_received: false }
    }

    /// Waits for the quick acknowledgement: whether the server has said, before the result, that
    /// the query has arrived. False as soon as there is a result without one, and for a call that
    /// did not ask for one.
    ///
    /// It says nothing about what the server will make of the query: only the result does.
    ///
    /// Cancel-safe: dropping the future changes nothing, and it may be asked for again.
    // req: S115
    pub async fn received(&mut self) -> bool {
        if let Some(received) = &mut self.received {
            self.was_received = received.await.is_ok();
            self.received = None;
        }
        self.was_received
    }

    /// Waits for the result, one boxed object, reconnects included.
    ///
    /// Dropping the future cancels the query.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn result(self) -> Result<Bytes, CallError> {
        let Self { guard, result, .. } = self;
        let outcome = result.await.unwrap_or(Err(CallError::Stopped));
        guard.disarm();
        outcome
    }
}
