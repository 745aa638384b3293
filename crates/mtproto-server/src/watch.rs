//! When to look at the connections of a shard, because their time may be over.
//!
//! A timer for each would be one of the largest things that an idle connection has, and each packet
//! would move it. So a connection only notes by when it has to have done something, and is asked at
//! the first of these moments that it told of; if there is a later one by then, it tells of that.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::sync::Notify;

use crate::clock::now;
use crate::home::Home;
use crate::outbox::Outbox;

/// Looks at connections that have ended which may wait, beside as many as those that have not.
const STALE_MAX: usize = 64;

/// Who asks the connections of a shard whether their time is over.
#[derive(Default)]
pub(crate) struct Watch {
    looks: RefCell<BinaryHeap<Look>>,
    /// How many of them were at connections that had not ended, when that was counted last.
    living: Cell<usize>,
    /// There is a look that comes before all others.
    is_earlier: Notify,
}

/// When to look at a connection, the earliest being the greatest.
struct Look {
    at: Instant,
    whom: Weak<Outbox>,
}

impl Watch {
    /// Asks connections when they are due, for ever.
    pub(crate) async fn run(home: Rc<Home>) {
        let this = &home.watch;
        loop {
            let first = this.looks.borrow().peek().map(|look| look.at);
            let Some(first) = first else {
                this.is_earlier.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(first.into()) => this.ask(now()),
                () = this.is_earlier.notified() => {}
            }
        }
    }

    fn ask(&self, now: Instant) {
        while let Some(look) = self.take_due(now) {
            if let Some(outbox) = look.whom.upgrade() {
                outbox.ask_time();
            }
        }
    }

    fn take_due(&self, now: Instant) -> Option<Look> {
        let mut looks = self.looks.borrow_mut();
        if looks.peek()?.at <= now { looks.pop() } else { None }
    }

    fn look(&self, at: Instant, outbox: &Arc<Outbox>) {
        let mut looks = self.looks.borrow_mut();
        if looks.len() >= 2 * self.living.get() + STALE_MAX {
            looks.retain(|look| look.whom.strong_count() > 0);
            self.living.set(looks.len());
        }
        if looks.peek().is_none_or(|first| at < first.at) {
            self.is_earlier.notify_one();
        }
        looks.push(Look { at, whom: Arc::downgrade(outbox) });
    }
}

/// By when a connection has to have done something.
pub(crate) struct Deadline {
    at: Instant,
    home: Rc<Home>,
}

impl Deadline {
    /// The connection of `outbox` has to have done something by `at`.
    pub(crate) fn new(home: Rc<Home>, at: Instant, outbox: &Arc<Outbox>) -> Self {
        home.watch.look(at, outbox);
        Self { at, home }
    }

    /// Moves it.
    pub(crate) fn set(&mut self, at: Instant, outbox: &Arc<Outbox>) {
        if at < self.at {
            self.home.watch.look(at, outbox);
        }
        self.at = at;
    }

    /// Whether it has passed, of a connection that was asked. One that has time left is asked
    /// again.
    pub(crate) fn has_passed(&self, outbox: &Arc<Outbox>) -> bool {
        let has_passed = self.at <= now();
        if !has_passed {
            self.ask_again(outbox);
        }
        has_passed
    }

    /// The connection, which was asked, is asked again.
    pub(crate) fn ask_again(&self, outbox: &Arc<Outbox>) {
        self.home.watch.look(self.at, outbox);
    }

    /// Where it is kept.
    pub(crate) fn home(&self) -> &Rc<Home> {
        &self.home
    }
}

impl Ord for Look {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Look {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Look {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Look {}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use mtproto_transport::{Origin, Peer};
    use tokio::task::LocalSet;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn outbox() -> Arc<Outbox> {
        Arc::new(Outbox::new(Peer { origin: Origin::MEMORY, recognised: None }))
    }

    /// When the connection is asked next.
    async fn asked(outbox: &Outbox) -> Instant {
        let poll = |cx: &mut Context<'_>| match outbox.poll_take(cx, true).is_asked {
            true => Poll::Ready(now()),
            false => Poll::Pending,
        };
        poll_fn(poll).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_asked_at_the_first_moment_it_told_of_and_then_at_the_last() {
        let home = Rc::new(Home::default());
        let (begin, slow, quick) = (now(), outbox(), outbox());
        let talk = async {
            let mut of_slow = Deadline::new(Rc::clone(&home), begin + 10 * SECOND, &slow);
            let of_quick = Deadline::new(Rc::clone(&home), begin + SECOND, &quick);
            assert_eq!(asked(&quick).await, begin + SECOND);
            assert!(of_quick.has_passed(&quick));

            of_slow.set(begin + 30 * SECOND, &slow);
            assert_eq!(asked(&slow).await, begin + 10 * SECOND);
            assert!(!of_slow.has_passed(&slow));
            of_slow.set(begin + 15 * SECOND, &slow);
            assert_eq!(asked(&slow).await, begin + 15 * SECOND);
            assert!(of_slow.has_passed(&slow));
        };
        let local = LocalSet::new();
        local.spawn_local(Watch::run(Rc::clone(&home)));
        local.run_until(talk).await;
    }

    #[test]
    fn connections_that_have_ended_are_forgotten() {
        let home = Rc::new(Home::default());
        for _ in 0..10 * STALE_MAX {
            drop(Deadline::new(Rc::clone(&home), now(), &outbox()));
            assert!(home.watch.looks.borrow().len() <= STALE_MAX);
        }
    }
}
