//! A bar on standard error while something goes on, for people only.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// When a bar is full.
#[derive(Clone, Copy)]
pub(super) enum Goal {
    /// After so many.
    Count(usize),
    /// After so long.
    Time(Duration),
}

/// Does `work`, which counts what it has done, and shows how far it is.
pub(super) fn watch<T: Send>(
    what: &'static str,
    goal: Goal,
    work: impl FnOnce(&AtomicU64) -> T + Send,
) -> T {
    let count = &AtomicU64::new(0);
    if !std::io::stderr().is_terminal() {
        return work(count);
    }
    let start = Instant::now();
    thread::scope(|scope| {
        let worker = scope.spawn(move || work(count));
        let bar = bar(what, goal);
        while !worker.is_finished() {
            let count = count.load(Ordering::Relaxed);
            bar.set_message(count.to_string());
            bar.set_position(match goal {
                Goal::Count(_) => count,
                Goal::Time(_) => milliseconds(start.elapsed()),
            });
            // Seldom enough to take nothing from what is measured.
            thread::sleep(Duration::from_millis(100));
        }
        bar.finish_and_clear();
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn bar(what: &'static str, goal: Goal) -> ProgressBar {
    let full = match goal {
        Goal::Count(count) => count as u64,
        Goal::Time(span) => milliseconds(span),
    };
    let style = ProgressStyle::with_template("{prefix:<12} [{bar:40}] {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(full).with_style(style.progress_chars("=> ")).with_prefix(what)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
