//! What is printed at the end: one table, or the same as one JSON object.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::histogram::Histogram;
use crate::ping::milliseconds;

/// The figures of a workload, in the order in which they are printed.
pub(super) struct Report {
    workload: &'static str,
    lines: Vec<Line>,
}

struct Line {
    /// Its name in JSON; in the table the same in words.
    name: &'static str,
    value: f64,
    /// Decimals in the table.
    decimals: usize,
}

impl Report {
    pub(super) fn new(workload: &'static str) -> Self {
        Self { workload, lines: Vec::new() }
    }

    /// Adds a number of things.
    pub(super) fn count(&mut self, name: &'static str, value: u64) {
        self.lines.push(Line { name, value: value as f64, decimals: 0 });
    }

    /// Adds a measure, to three decimals in the table.
    pub(super) fn measure(&mut self, name: &'static str, value: f64) {
        self.lines.push(Line { name, value, decimals: 3 });
    }

    /// Adds how many things there were in a second.
    pub(super) fn rate(&mut self, name: &'static str, count: u64, elapsed: Duration) {
        let value = count as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        self.lines.push(Line { name, value, decimals: 0 });
    }

    /// Adds how long things took.
    pub(super) fn times(&mut self, times: &Histogram) {
        for (name, percent) in [("p50_ms", 50.0), ("p90_ms", 90.0), ("p99_ms", 99.0)] {
            self.measure(name, milliseconds(times.percentile(percent)));
        }
        self.measure("max_ms", milliseconds(times.longest()));
    }

    pub(super) fn print(&self, as_json: bool) {
        if as_json {
            println!("{}", self.json());
            return;
        }
        println!("{}", self.workload);
        for Line { name, value, decimals } in &self.lines {
            println!("  {:<30}{value:>16.decimals$}", name.replace('_', " "));
        }
    }

    fn json(&self) -> Value {
        let workload = ("workload".to_owned(), json!(self.workload));
        let figure = |line: &Line| {
            let value = if line.decimals == 0 {
                json!(line.value.round() as i64)
            } else {
                json!(line.value)
            };
            (line.name.to_owned(), value)
        };
        Value::Object(Map::from_iter([workload].into_iter().chain(self.lines.iter().map(figure))))
    }
}
