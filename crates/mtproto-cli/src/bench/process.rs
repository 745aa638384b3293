//! What a process has used, as Linux tells it in /proc.

use std::fs;
use std::time::Duration;

use crate::exit::Failure;

#[derive(Clone, Copy)]
pub(super) struct Process(u32);

impl Process {
    /// The process with this id.
    pub(super) fn find(pid: u32) -> Result<Self, Failure> {
        let process = Self(pid);
        let found = process.cpu_time().zip(process.memory());
        let reason = "no process that /proc tells of; give the server's own id";
        found.map(|_| process).ok_or_else(|| Failure::usage(format!("--pid {pid}: {reason}")))
    }

    /// Time on a processor so far, of all threads that there are.
    pub(super) fn cpu_time(self) -> Option<Duration> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0)).ok()?;
        // A thread may end between the list and the look at it.
        let times = threads.filter_map(|thread| {
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Some(Duration::from_nanos(times.sum()))
    }

    /// Time on a processor that this process has had so far, also in threads that have ended; in
    /// steps of 10 ms.
    pub(super) fn own_cpu_time() -> Option<Duration> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The name, in parentheses, may hold anything.
        let (_, fields) = text.rsplit_once(") ")?;
        let mut fields = fields.split(' ').skip(FIELDS_BEFORE_TIMES);
        let mut ticks = || fields.next()?.parse::<u64>().ok();
        let (user, system) = (ticks()?, ticks()?);
        Some(Duration::from_millis((user + system) * MS_PER_TICK))
    }

    /// Resident bytes.
    pub(super) fn memory(self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes << 10)
    }
}

/// Between the name and `utime`, which `stime` follows.
const FIELDS_BEFORE_TIMES: usize = 11;

/// `USER_HZ` is 100 wherever Linux runs.
const MS_PER_TICK: u64 = 10;
