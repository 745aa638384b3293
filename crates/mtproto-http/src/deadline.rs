//! A moment by which something must have happened.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Passes a while after it first mattered.
pub(crate) struct Deadline {
    after: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(crate) fn after(after: Duration) -> Self {
        Self { after, timer: None }
    }

    /// Ready with what `step` is ready with, or with nothing when it is late.
    pub(crate) fn limit<T>(&mut self, step: Poll<T>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if let Poll::Ready(done) = step {
            return Poll::Ready(Some(done));
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.after)));
        timer.as_mut().poll(cx).map(|()| None)
    }
}
