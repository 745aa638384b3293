//! Threads for the arithmetic of key exchanges, apart from everything else, so that a flood of
//! handshakes costs the flooder and not the sessions that already live.
//!
//! A thread takes what waits of one kind, as much as it is worth while to compute at once; it waits
//! for nobody to come along.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use mtproto_crypto::{OsRandom, powers_at_once};
use mtproto_endpoint::server::{Computed, Job};
use tokio::sync::mpsc::UnboundedSender;

/// Steps that wait for a thread. More are refused, and the peer is told -429.
pub(crate) const QUEUE_MAX: usize = 256;

struct Task {
    job: Box<Job>,
    // Unbounded, but never holds more than `QUEUE_MAX` and what the threads have in hand.
    done: UnboundedSender<Computed>,
}

/// The pool. It ends with its last clone, when all that waits is done.
#[derive(Clone)]
pub(crate) struct HandshakePool {
    entry: Arc<Entry>,
}

impl HandshakePool {
    /// Starts `threads` threads, at least one.
    pub(crate) fn start(threads: usize) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new());
        let entry = Arc::new(Entry(Arc::clone(&queue)));
        for index in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("mtproto-handshake-{index}"))
                .spawn(move || work(&queue))?;
        }
        Ok(Self { entry })
    }

    /// Queues a step; its result goes to `done`. Gives the step back when the queue is full.
    pub(crate) fn submit(
        &self,
        job: Box<Job>,
        done: UnboundedSender<Computed>,
    ) -> Result<(), Box<Job>> {
        self.entry.0.put(Task { job, done }).map_err(|task| task.job)
    }
}

/// What the clones of a pool share. The threads end when it is gone.
struct Entry(Arc<Queue<Task>>);

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    changed: Condvar,
}

struct Waiting<T> {
    /// Oldest first.
    tasks: Vec<T>,
    is_closed: bool,
}

impl<T> Queue<T> {
    fn new() -> Self {
        let waiting = Waiting { tasks: Vec::new(), is_closed: false };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new() }
    }

    /// Gives the task back when the queue is full.
    fn put(&self, task: T) -> Result<(), T> {
        let mut waiting = self.lock();
        if waiting.tasks.len() >= QUEUE_MAX {
            return Err(task);
        }
        waiting.tasks.push(task);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for a task, and takes as many of its kind as `at_once` says of those that wait. `None`
    /// when there will be no more.
    fn take<K: PartialEq>(
        &self,
        at_once: impl Fn(usize) -> usize,
        kind: impl Fn(&T) -> K,
    ) -> Option<Vec<T>> {
        let mut waiting = self.lock();
        loop {
            if let Some(first) = waiting.tasks.first().map(&kind) {
                let alike = waiting.tasks.iter().filter(|task| kind(task) == first);
                let count = at_once(alike.count());
                let alike = waiting.tasks.extract_if(.., |task| kind(task) == first);
                return Some(alike.take(count).collect());
            }
            if waiting.is_closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(queue: &Queue<Task>) {
    let mut random = OsRandom::new();
    while let Some(tasks) = queue.take(powers_at_once, |task| task.job.kind()) {
        let tasks = tasks.into_iter().map(|task| (*task.job, task.done));
        let (jobs, waiting): (Vec<_>, Vec<_>) = tasks.unzip();
        for (done, computed) in waiting.into_iter().zip(Job::run_all(jobs, &mut random)) {
            // The shard may have stopped meanwhile; then nobody wants the result.
            let _ = done.send(computed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(tasks: impl IntoIterator<Item = u32>) -> Queue<u32> {
        let queue = Queue::new();
        tasks.into_iter().for_each(|task| queue.put(task).unwrap());
        queue
    }

    fn take(queue: &Queue<u32>) -> Option<Vec<u32>> {
        queue.take(|waiting| if waiting > 2 { 3 } else { 1 }, |task| task % 2)
    }

    #[test]
    fn what_is_alike_is_taken_together_and_the_oldest_first() {
        let queue = queue([1, 2, 3, 4, 5, 7, 9, 6]);
        assert_eq!(take(&queue), Some(vec![1, 3, 5]));
        assert_eq!(take(&queue), Some(vec![2, 4, 6]));
        assert_eq!(take(&queue), Some(vec![7]));
        assert_eq!(take(&queue), Some(vec![9]));
    }

    #[test]
    fn a_full_queue_gives_tasks_back() {
        let queue = queue((0..).take(QUEUE_MAX));
        assert_eq!(queue.put(7), Err(7));
        assert_eq!(take(&queue), Some(vec![0, 2, 4]));
        assert_eq!(queue.put(7), Ok(()));
    }

    #[test]
    fn what_waits_is_done_before_the_end() {
        let queue = queue([8]);
        queue.close();
        assert_eq!(take(&queue), Some(vec![8]));
        assert_eq!(take(&queue), None);
    }

    #[test]
    fn a_thread_waits_for_the_first_and_for_the_end() {
        let queue = queue([]);
        thread::scope(|scope| {
            let thread = scope.spawn(|| (take(&queue), take(&queue)));
            queue.put(5).unwrap();
            queue.close();
            assert_eq!(thread.join().unwrap(), (Some(vec![5]), None));
        });
    }
}
