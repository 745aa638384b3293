//! How the rows are shown.

use serde_json::{Value, json};

use super::row::{Cells, Row};
use crate::ping::milliseconds;

pub(super) fn print_head() {
    println!(
        "{:<11}{:<25}{:>14}{:>10}{:>9}{:>18}{:>16}  ",
        "transport", "stream", "key exchange", "RPC/s", "pushes", "gzip out/in", "packets out/in"
    );
}

pub(super) fn print_row(row: &Row) {
    let (transport, stream) = (row.transport, &row.stream);
    match &row.outcome {
        Err(error) => println!("{transport:<11}{stream:<25}{:>14}  {error}", "FAILED"),
        Ok(cells) => {
            let exchange = format!("{:.1} ms", milliseconds(cells.key_exchange));
            let rpc = cell(&cells.rpc_per_second, |rate| format!("{rate:.0}"));
            let pushes = cell(&cells.pushes, |count| format!("{count} of {count}"));
            let gzip = cell(&cells.gzip, |(out, back)| format!("{out}/{back} B"));
            let container = cell(&cells.container, |(out, back)| format!("{out}/{back}"));
            let verdict = if row.is_green() { "ok" } else { "FAILED" };
            println!(
                "{transport:<11}{stream:<25}{exchange:>14}{rpc:>10}{pushes:>9}{gzip:>18}\
                 {container:>16}  {verdict}"
            );
            cells.problems().for_each(|problem| println!("    {problem}"));
        }
    }
}

pub(super) fn print_summary(rows: &[Row]) {
    let green = rows.iter().filter(|row| row.is_green()).count();
    println!(
        "\n{green} of {} rows ok. Pushes: ticks received. Gzip: bytes on the wire for 64 KiB out\n\
         and 2 x 64 KiB in. Packets: for 50 requests made at once, in containers.",
        rows.len()
    );
}

pub(super) fn json(rows: &[Row]) -> Value {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let mut value = json!({
                "transport": row.transport,
                "stream": row.stream,
                "ok": row.is_green(),
            });
            match &row.outcome {
                Ok(cells) => value["cells"] = cells_json(cells),
                Err(error) => value["error"] = json!(error),
            }
            value
        })
        .collect();
    json!({ "ok": rows.iter().all(|row| row["ok"] == true), "rows": rows })
}

fn cells_json(cells: &Cells) -> Value {
    json!({
        "key_exchange_ms": milliseconds(cells.key_exchange),
        "rpc_per_second": cells.rpc_per_second.as_ref().ok(),
        "pushes": cells.pushes.as_ref().ok(),
        "gzip_bytes_out_in": cells.gzip.as_ref().ok(),
        "packets_out_in": cells.container.as_ref().ok(),
        "problems": cells.problems().collect::<Vec<_>>(),
    })
}

fn cell<T>(value: &Result<T, String>, show: impl Fn(&T) -> String) -> String {
    value.as_ref().map_or_else(|_| "-".to_owned(), show)
}
