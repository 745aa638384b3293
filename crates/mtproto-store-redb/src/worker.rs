//! A thread that does, in batches, what waits for a disk.

use std::io;
use std::thread::{self, JoinHandle};

use mtproto_store::StoreError;
use tokio::sync::mpsc;

/// A thread with a bounded queue. Dropping it waits until the queue is done.
pub(crate) struct Worker<J> {
    jobs: Option<mpsc::Sender<J>>,
    thread: Option<JoinHandle<()>>,
}

impl<J: Send + 'static> Worker<J> {
    /// Starts the thread, which hands everything that waits, up to `batch_max` jobs, to `run` at
    /// once. What `run` leaves in the batch is dropped.
    pub(crate) fn start(
        name: &str,
        batch_max: usize,
        mut run: impl FnMut(&mut Vec<J>) + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, mut waiting) = mpsc::channel(WAITING_MAX);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut batch = Vec::with_capacity(batch_max);
            while waiting.blocking_recv_many(&mut batch, batch_max) > 0 {
                run(&mut batch);
                batch.clear();
            }
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Queues a job; waits for a place if the queue is full.
    pub(crate) async fn submit(&self, job: J) -> Result<(), StoreError> {
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        jobs.send(job).await.map_err(|_| ended())
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

/// What a caller is told whose thread is gone.
pub(crate) fn ended() -> StoreError {
    StoreError::Unavailable { reason: "the thread of the key file has ended".to_owned() }
}

/// How many jobs wait for a thread before callers wait for a place.
pub const WAITING_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::sync::mpsc as std_mpsc;

    use super::*;

    #[tokio::test]
    async fn what_waits_is_done_in_batches_and_a_full_queue_makes_callers_wait() {
        let (begin, may_begin) = std_mpsc::channel();
        let (done, batches) = std_mpsc::channel();
        let worker = Worker::start("test", 256, move |batch: &mut Vec<usize>| {
            done.send(batch.len()).unwrap();
            may_begin.recv().unwrap();
        })
        .unwrap();
        worker.submit(0).await.unwrap();
        assert_eq!(batches.recv(), Ok(1));
        for n in 0..WAITING_MAX {
            worker.submit(n).await.unwrap();
        }
        let jobs = worker.jobs.as_ref().unwrap();
        assert!(matches!(jobs.try_send(0), Err(mpsc::error::TrySendError::Full(0))));
        for _ in 0..=WAITING_MAX.div_ceil(256) {
            begin.send(()).unwrap();
        }
        drop(worker);
        assert_eq!(batches.iter().collect::<Vec<_>>(), [256; 4]);
    }

    #[tokio::test]
    async fn a_thread_that_panicked_is_an_error_for_its_callers() {
        type Reply = tokio::sync::oneshot::Sender<()>;
        let worker = Worker::start("test", 1, |_: &mut Vec<Reply>| panic!("on purpose")).unwrap();
        let (reply, answer) = tokio::sync::oneshot::channel();
        worker.submit(reply).await.unwrap();
        assert!(answer.await.is_err());
    }
}
