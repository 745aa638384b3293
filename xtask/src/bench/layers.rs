//! The rows that `cargo bench -p mtproto-benches` measures, each by part of the names there.

use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;

use super::{figure, table::Row};
use crate::workspace::cargo;

/// A row, the benchmark that has it, and parts of the names that its works have there.
struct Layer {
    row: u32,
    target: &'static str,
    works: &'static [&'static str],
    /// What it is built with.
    features: &'static [&'static str],
}

impl Layer {
    const fn new(row: u32, target: &'static str, works: &'static [&'static str]) -> Self {
        Self { row, target, works, features: &[] }
    }
}

const LAYERS: [Layer; 15] = [
    Layer::new(1, "crypto", &["IGE encrypt", "IGE decrypt"]),
    Layer::new(2, "crypto", &["IGE of 16"]),
    Layer::new(3, "crypto", &["open"]),
    Layer::new(4, "crypto", &["seal 64", "seal 1", "seal 5"]),
    Layer::new(5, "crypto", &["seal of 16"]),
    Layer::new(6, "crypto", &["obfuscation"]),
    Layer::new(7, "tl", &["msgs_ack", "container"]),
    Layer::new(8, "session", &["session out"]),
    Layer::new(9, "session", &["session in"]),
    Layer::new(10, "handshake", &["a key, server"]),
    Layer::new(11, "handshake", &["a key, client"]),
    Layer::new(12, "crypto", &["pq"]),
    Layer::new(17, "http_polls", &[]),
    Layer::new(19, "gzip", &["gzip in"]),
    Layer { features: &["libdeflate"], ..Layer::new(19, "gzip", &["gzip in"]) },
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
        command.args(["bench", "--quiet", "--package", "mtproto-benches"]);
        command.args(["--features", &layer.features.join(","), "--bench"]);
        command.args([layer.target, "--", "--json"]).args(layer.works);
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

/// One row for each case of ours, and for each figure that stands alone.
fn rows(number: u32, lines: &[Value]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for line in lines {
        match line.get("by").and_then(Value::as_str) {
            Some(by) if by.starts_with("ours") => rows.push(compared(number, line, by)?),
            Some(_) => {}
            None => rows.extend(alone(number, line)),
        }
    }
    Ok(rows)
}

/// A case of ours. The ratios that stand in its line say what the others took.
fn compared(number: u32, line: &Value, by: &str) -> anyhow::Result<Row> {
    let ours = figure(line, "median_ns")?;
    let ratio = |name: &str| line.get(name).and_then(Value::as_f64);
    let work = name_of(line);
    Ok(Row {
        number,
        what: if by == "ours" { work.to_owned() } else { format!("{work}: {by}") },
        unit: "ns",
        ours,
        peer: ratio("times_peer").map(|ratio| ratio * ours),
        limit: ratio("of_limit").map(|ratio| ratio * ours),
        more_is_better: false,
    })
}

/// Figures that nothing is compared with; their names say their units.
fn alone(number: u32, line: &Value) -> Vec<Row> {
    let fields = line.as_object().into_iter().flatten();
    let figures = fields.filter_map(|(name, value)| Some((name, value.as_f64()?)));
    figures
        .map(|(name, ours)| Row {
            number,
            what: format!("{}: {name}", name_of(line)),
            unit: "",
            ours,
            peer: None,
            limit: None,
            more_is_better: false,
        })
        .collect()
}

fn name_of(line: &Value) -> &str {
    line.get("work").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_of_others_come_from_the_ratios() {
        let line = |by: &str, median: f64, peer: Value, limit: Value| {
            let mut line = json!({ "work": "w", "by": by, "median_ns": median });
            line["times_peer"] = peer;
            line["of_limit"] = limit;
            line
        };
        let ours = line("ours", 10.0, json!(3.0), json!(0.5));
        let peer = line("peer", 30.0, json!(1.0), Value::Null);
        let lines = [ours, peer];
        let [row] = rows(7, &lines).unwrap().try_into().unwrap();
        assert_eq!((row.ours, row.peer, row.limit), (10.0, Some(30.0), Some(5.0)));
        assert!(rows(7, &[json!({"by": "ours"})]).is_err());

        let alone = rows(17, &[json!({"work": "held", "bytes": 900.0, "note": "x"})]).unwrap();
        let [row] = alone.try_into().unwrap();
        assert_eq!((row.what.as_str(), row.ours, row.peer), ("held: bytes", 900.0, None));
    }
}
