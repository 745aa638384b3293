//! Threads for the arithmetic of key exchanges, apart from everything else, so that a flood of
//! handshakes costs the flooder and not the sessions that already live.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use mtproto_crypto::OsRandom;
use mtproto_endpoint::server::{Computed, Job};
use tokio::sync::mpsc::UnboundedSender;

/// Steps that wait for a thread. More are refused, and the peer is told -429.
pub(crate) const QUEUE_MAX: usize = 256;

struct Task {
    job: Box<Job>,
    // Unbounded, but never holds more than `QUEUE_MAX` plus one a thread.
    done: UnboundedSender<Computed>,
}

/// The pool. It ends with its last clone.
#[derive(Clone)]
pub(crate) struct HandshakePool {
    tasks: SyncSender<Task>,
}

impl HandshakePool {
    /// Starts `threads` threads, at least one.
    pub(crate) fn start(threads: usize) -> std::io::Result<Self> {
        let (tasks, queue) = sync_channel(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for index in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("mtproto-handshake-{index}"))
                .spawn(move || work(&queue))?;
        }
        Ok(Self { tasks })
    }

    /// Queues a step; its result goes to `done`. Gives the step back when the queue is full.
    pub(crate) fn submit(
        &self,
        job: Box<Job>,
        done: UnboundedSender<Computed>,
    ) -> Result<(), Box<Job>> {
        self.tasks.try_send(Task { job, done }).map_err(|refused| match refused {
            TrySendError::Full(task) | TrySendError::Disconnected(task) => task.job,
        })
    }
}

fn work(queue: &Mutex<Receiver<Task>>) {
    let mut random = OsRandom::new();
    loop {
        // The lock is held while waiting: the threads take turns at the queue's head.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Task { job, done }) = next else { return };
        // The shard may have stopped meanwhile; then nobody wants the result.
        let _ = done.send(job.run(&mut random));
    }
}
