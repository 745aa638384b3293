//! Many seeds on all cores; `cargo xtask sim` builds it optimised and runs it.

#![allow(clippy::disallowed_methods, reason = "how fast it is, only a clock can tell")]

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use mtproto_sim::{Report, Scenario, run};

/// Simulates many seeds, each for itself, and says which of them broke an invariant.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Simulated minutes in which clients are busy and things go wrong
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Threads; one per core by default
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

/// What all seeds came to.
#[derive(Default)]
struct Total {
    seeds: u64,
    simulated: Duration,
    computed: Duration,
    calls: u64,
    packets: u64,
    faults: u64,
    failing: Vec<u64>,
}

impl Total {
    fn add(&mut self, report: &Report, took: Duration) {
        self.seeds += 1;
        self.simulated += report.simulated;
        self.computed += took;
        self.calls += report.calls;
        self.packets += report.packets;
        self.faults += report.faults;
        if let Some(violation) = &report.violation {
            println!("seed {:>6}  FAILED {violation}", report.seed);
            self.failing.push(report.seed);
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = arguments.threads.unwrap_or(cores);
    let busy = Duration::from_secs(60 * arguments.minutes);
    let seeds = AtomicU64::new(arguments.first);
    let total = Mutex::new(Total::default());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                loop {
                    let seed = seeds.fetch_add(1, Ordering::Relaxed);
                    if seed >= arguments.first + arguments.seeds {
                        return;
                    }
                    let start = Instant::now();
                    let report = run(Scenario { seed, busy }, None);
                    let mut total = total.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    total.add(&report, start.elapsed());
                }
            });
        }
    });
    let mut total = total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    total.failing.sort_unstable();
    show(&total, began.elapsed(), arguments.minutes)
}

fn show(total: &Total, took: Duration, minutes: u64) -> ExitCode {
    let Total { seeds, calls, packets, faults, failing, .. } = total;
    let seconds = total.computed.as_secs_f64();
    let speed = total.simulated.as_secs_f64() / seconds;
    println!("{seeds} seeds of {minutes} busy minutes in {:.1} s", took.as_secs_f64());
    println!("{calls} calls, {packets} packets, {faults} things went wrong on purpose");
    println!(
        "mean speed: {speed:.0} times real time on one core, {:.2} s a seed",
        seconds / (*seeds).max(1) as f64
    );
    if failing.is_empty() {
        println!("every invariant held");
        return ExitCode::SUCCESS;
    }
    println!("failing seeds: {failing:?}");
    println!(
        "see one: cargo run --release -p mtproto-cli -- sim --minutes {minutes} --seed {}",
        failing[0]
    );
    ExitCode::FAILURE
}
