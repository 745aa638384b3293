//! How rows are shown.

use serde_json::json;

/// One line: a figure of ours, and those it is compared with.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) number: u32,
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) ours: f64,
    pub(super) peer: Option<f64>,
    pub(super) limit: Option<f64>,
    /// Whether more is better.
    pub(super) more_is_better: bool,
}

impl Row {
    /// How many times as good as the peer.
    fn times_peer(&self) -> Option<f64> {
        self.peer.map(|peer| self.ratio(self.ours, peer))
    }

    /// Which part of the limit.
    fn of_limit(&self) -> Option<f64> {
        self.limit.map(|limit| self.ratio(self.ours, limit))
    }

    fn ratio(&self, ours: f64, other: f64) -> f64 {
        if self.more_is_better { ours / other } else { other / ours }
    }
}

/// Prints rows as they come.
pub(super) struct Printer {
    json: bool,
    is_first: bool,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        Self { json, is_first: true }
    }

    pub(super) fn row(&mut self, row: &Row) {
        if self.json {
            println!("{}", object(row));
            return;
        }
        if std::mem::take(&mut self.is_first) {
            println!("{HEADINGS}");
        }
        println!("{}", columns(row));
    }
}

fn object(row: &Row) -> serde_json::Value {
    json!({
        "row": row.number,
        "what": row.what,
        "unit": row.unit,
        "ours": row.ours,
        "peer": row.peer,
        "limit": row.limit,
        "times_peer": row.times_peer(),
        "of_limit": row.of_limit(),
    })
}

const HEADINGS: &str = concat!(
    "row  what                                          unit            ours         peer",
    "        limit   x peer  of limit",
);

fn columns(row: &Row) -> String {
    let Row { number, what, unit, ours, .. } = row;
    let figure = |figure: Option<f64>| figure.map_or("-".to_owned(), written);
    let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
    let (ours, peer, limit) = (written(*ours), figure(row.peer), figure(row.limit));
    let figures = format!("{ours:>12} {peer:>12} {limit:>12}");
    let (times_peer, of_limit) = (ratio(row.times_peer()), ratio(row.of_limit()));
    format!("{number:>3}  {what:<44}  {unit:<8}{figures} {times_peer:>8} {of_limit:>9}")
}

/// With as many decimals as say something.
fn written(figure: f64) -> String {
    if figure.abs() >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(more_is_better: bool) -> Row {
        let what = "ping RPC, 64 x 1".to_owned();
        let (peer, limit) = (Some(50.0), Some(200.0));
        Row { number: 13, what, unit: "/s", ours: 100.0, peer, limit, more_is_better }
    }

    #[test]
    fn columns_stand_under_their_headings() {
        let columns = columns(&row(true));
        assert_eq!(columns.len(), HEADINGS.len(), "{columns}");
        assert!(columns.ends_with("100       50.000          200     2.00      0.50"), "{columns}");
    }

    #[test]
    fn ratios_are_above_one_where_ours_is_better() {
        assert_eq!(row(true).times_peer(), Some(2.0));
        assert_eq!(row(false).times_peer(), Some(0.5));
        assert_eq!(object(&row(false))["of_limit"], 2.0);
    }
}
