//! The rows that `cargo bench -p mtproto-benches` measures, each by part of the names there.

use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;

use super::{figure, table::Row};
use crate::workspace::cargo;

/// A row, the benchmark that has it, and which of its works it is.
struct Layer {
    row: u32,
    target: &'static str,
    works: &'static str,
}

const LAYERS: [Layer; 14] = [
    Layer { row: 1, target: "crypto", works: "IGE encrypt" },
    Layer { row: 1, target: "crypto", works: "IGE decrypt" },
    Layer { row: 2, target: "crypto", works: "IGE of 16" },
    Layer { row: 3, target: "crypto", works: "open" },
    Layer { row: 4, target: "crypto", works: "seal " },
    Layer { row: 5, target: "crypto", works: "seal 16" },
    Layer { row: 6, target: "crypto", works: "obfuscation" },
    Layer { row: 7, target: "tl", works: "msgs_ack" },
    Layer { row: 7, target: "tl", works: "container" },
    Layer { row: 8, target: "session", works: "session out" },
    Layer { row: 9, target: "session", works: "session in" },
    Layer { row: 12, target: "crypto", works: "pq" },
    Layer { row: 17, target: "http_polls", works: "" },
    Layer { row: 19, target: "gzip", works: "gzip in" },
];

pub(super) fn has(row: u32) -> bool {
    LAYERS.iter().any(|layer| layer.row == row)
}

/// Runs what `wants` asks for, and hands the rows out.
pub(super) fn measure(
    wants: impl Fn(u32) -> bool,
    mut take: impl FnMut(Row),
) -> anyhow::Result<()> {
    for layer in LAYERS.iter().filter(|layer| wants(layer.row)) {
        let mut command = cargo();
        command.args(["bench", "--quiet", "--package", "mtproto-benches", "--bench"]);
        command.args([layer.target, "--", "--json", layer.works]);
        let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo bench")?;
        if !output.status.success() {
            bail!("cargo bench --bench {} ended with {}", layer.target, output.status);
        }
        let lines = String::from_utf8_lossy(&output.stdout);
        let lines = lines.lines().filter_map(|line| serde_json::from_str(line).ok());
        for row in rows(layer.row, &lines.collect::<Vec<Value>>())? {
            take(row);
        }
    }
    Ok(())
}

/// One row for each case of ours. The ratios that stand in its line say what the others took.
fn rows(number: u32, lines: &[Value]) -> anyhow::Result<Vec<Row>> {
    let ours = lines.iter().filter(|line| is_ours(line));
    ours.map(|line| {
        let ours = figure(line, "median_ns")?;
        let ratio = |name: &str| line.get(name).and_then(Value::as_f64);
        let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
        let (work, by) = (text("work"), text("by"));
        let what = if by == "ours" { work.to_owned() } else { format!("{work}: {by}") };
        Ok(Row {
            number,
            what,
            unit: "ns",
            ours,
            peer: ratio("times_peer").map(|ratio| ratio * ours),
            limit: ratio("of_limit").map(|ratio| ratio * ours),
            more_is_better: false,
        })
    })
    .collect()
}

fn is_ours(line: &Value) -> bool {
    line.get("by").and_then(Value::as_str).is_some_and(|by| by.starts_with("ours"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_of_others_come_from_the_ratios() {
        let line = |by, median, peer, limit| json!({"work": "w", "by": by, "median_ns": median, "times_peer": peer, "of_limit": limit});
        let lines = [line("ours", 10.0, Some(3.0), Some(0.5)), line("peer", 30.0, Some(1.0), None)];
        let [row] = rows(7, &lines).unwrap().try_into().unwrap();
        assert_eq!((row.ours, row.peer, row.limit), (10.0, Some(30.0), Some(5.0)));
        assert!(rows(7, &[json!({"by": "ours"})]).is_err());
    }
}
