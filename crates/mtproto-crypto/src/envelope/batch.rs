//! Which messages go side by side.

use core::cmp::Reverse;

/// How many messages are sealed or opened at once: as many as the processor takes at best, and few
/// enough that they are still in its cache when they are hashed after they were decrypted.
pub(super) const BATCH_MAX: usize = 16;

/// Hands all jobs to `work`, at most [`BATCH_MAX`] at a time. Messages side by side take as long as
/// the longest of them, so that those of like length go together.
pub(super) fn in_batches<'a, J: 'a>(
    mut jobs: impl Iterator<Item = &'a mut J>,
    len: impl Fn(&J) -> usize,
    mut work: impl FnMut(&mut [Option<&'a mut J>]),
) {
    let Some(first) = jobs.next() else { return };
    let Some(second) = jobs.next() else { return work(&mut [Some(first)]) };
    let mut jobs = [first, second].into_iter().chain(jobs);
    let mut places = [const { None }; SORTED_MAX];
    loop {
        let mut count = 0;
        for (place, job) in places.iter_mut().zip(&mut jobs) {
            *place = Some(job);
            count += 1;
        }
        if count == 0 {
            return;
        }
        let (sorted, _) = places.split_at_mut(count);
        sorted.sort_unstable_by_key(|job| Reverse(job.as_deref().map(&len)));
        sorted.chunks_mut(BATCH_MAX).for_each(&mut work);
    }
}

/// How far one looks for messages of like length.
const SORTED_MAX: usize = 4 * BATCH_MAX;
