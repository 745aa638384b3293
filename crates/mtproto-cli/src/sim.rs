//! `mtproto sim`.

use std::collections::VecDeque;
use std::time::Duration;

use mtproto_sim::{Report, Scenario, run as simulate};
use serde_json::json;

use crate::args::SimArgs;
use crate::exit::Failure;

/// How much of the conversation is shown when an invariant did not hold.
const LAST_LINES: usize = 60;

pub(crate) fn run(args: &SimArgs) -> Result<(), Failure> {
    let scenario = Scenario { seed: args.seed, busy: Duration::from_secs(60 * args.minutes) };
    let mut print = |line: &str| println!("{line}");
    let report = simulate(scenario, args.trace.then_some(&mut print));
    if args.json {
        println!("{}", to_json(&report));
    } else {
        println!("{report}");
    }
    let Some(violation) = &report.violation else { return Ok(()) };
    if !args.trace {
        // The same seed goes the same way again, this time with somebody to read along.
        for line in last_lines(scenario) {
            eprintln!("{line}");
        }
    }
    Err(Failure::check(format!("seed {}: {violation}", args.seed)))
}

fn last_lines(scenario: Scenario) -> VecDeque<String> {
    let mut lines = VecDeque::new();
    let mut keep = |line: &str| {
        if lines.len() >= LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    };
    simulate(scenario, Some(&mut keep));
    lines
}

fn to_json(report: &Report) -> serde_json::Value {
    json!({
        "seed": report.seed,
        "plan": report.plan,
        "simulated_s": report.simulated.as_secs(),
        "faults": report.faults,
        "calls": report.calls,
        "cancelled": report.cancelled,
        "abandoned": report.abandoned,
        "runs": report.runs,
        "runs_again": report.runs_again,
        "pushes": report.pushes,
        "pushes_lost": report.pushes_lost,
        "pongs": report.pongs,
        "packets": report.packets,
        "bytes": report.bytes,
        "links": report.links,
        "keys_made": report.keys_made,
        "losses": report.losses,
        "violation": report.violation.as_ref().map(ToString::to_string),
    })
}
