//! What is printed: a table to read, or lines of JSON to compare later.

use serde_json::json;

/// What the samples of one case say, in nanoseconds an operation.
#[derive(Debug, PartialEq)]
pub(crate) struct Figures {
    pub(crate) median: f64,
    least: f64,
    /// The distance between the quartiles, as a part of the median.
    spread: f64,
}

impl Figures {
    /// Of at least one sample.
    pub(crate) fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |quarters: usize| samples[(samples.len() - 1) * quarters / 4];
        Self { median: at(2), least: at(0), spread: (at(3) - at(1)) / at(2) }
    }
}

/// How a case compares with the others of its work.
#[derive(Debug, Default)]
pub(crate) struct Ratios {
    /// How many times as fast as the peer.
    pub(crate) peer: Option<f64>,
    /// Which part of what is possible.
    pub(crate) limit: Option<f64>,
}

/// The rows of one layer, printed as they come.
#[derive(Debug)]
pub(crate) struct Report {
    layer: &'static str,
    json: bool,
    /// The work of the row before; `None` before the first.
    last_work: Option<String>,
}

impl Report {
    pub(crate) fn new(layer: &'static str, json: bool) -> Self {
        Self { layer, json, last_work: None }
    }

    /// Prints one case of `work`.
    pub(crate) fn row(
        &mut self,
        work: &str,
        bytes: Option<usize>,
        by: &str,
        figures: &Figures,
        ratios: &Ratios,
    ) {
        if self.json {
            println!("{}", object(self.layer, work, bytes, by, figures, ratios));
            return;
        }
        if self.last_work.is_none() {
            println!("\n{:<34} {HEADINGS}", self.layer);
        }
        // A work is named in its first row only.
        let name = if self.last_work.as_deref() == Some(work) { "" } else { work };
        println!("{name:<34} {}", columns(bytes, by, figures, ratios));
        self.last_work = Some(work.to_owned());
    }
}

fn object(
    layer: &str,
    work: &str,
    bytes: Option<usize>,
    by: &str,
    figures: &Figures,
    ratios: &Ratios,
) -> serde_json::Value {
    json!({
        "layer": layer,
        "work": work,
        "bytes": bytes,
        "by": by,
        "median_ns": figures.median,
        "least_ns": figures.least,
        "spread": figures.spread,
        "times_peer": ratios.peer,
        "of_limit": ratios.limit,
    })
}

const HEADINGS: &str =
    "by                     median ns     least ns  spread     GB/s  x peer  of limit";

fn columns(bytes: Option<usize>, by: &str, figures: &Figures, ratios: &Ratios) -> String {
    let Figures { median, least, spread } = figures;
    let spread = spread * 100.0;
    let rate = or_dash(bytes.map(|bytes| format!("{:.3}", bytes as f64 / median)));
    let peer = or_dash(ratios.peer.map(|ratio| format!("{ratio:.2}")));
    let limit = or_dash(ratios.limit.map(|ratio| format!("{ratio:.2}")));
    format!("{by:<20} {median:>11.1} {least:>12.1} {spread:>6.0}% {rate:>8} {peer:>7} {limit:>9}")
}

fn or_dash(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_quartiles_count() {
        let figures = Figures::of(vec![900.0, 100.0, 110.0, 90.0, 80.0]);
        assert_eq!(figures, Figures { median: 100.0, least: 80.0, spread: 0.2 });
        assert_eq!(Figures::of(vec![7.0]), Figures { median: 7.0, least: 7.0, spread: 0.0 });
    }

    #[test]
    fn columns_stand_under_their_headings() {
        let figures = Figures { median: 1234.56, least: 1200.0, spread: 0.034 };
        let ratios = Ratios { peer: Some(1.5), limit: Some(0.97) };
        let row = columns(Some(1024), "ours", &figures, &ratios);
        assert_eq!(row.len(), HEADINGS.len());
        assert!(row.ends_with("1234.6       1200.0      3%    0.829    1.50      0.97"), "{row}");
        let row = columns(None, "ours", &figures, &Ratios::default());
        assert!(row.ends_with("3%        -       -         -"));
    }

    #[test]
    fn json_has_the_same_figures() {
        let figures = Figures { median: 2.0, least: 1.0, spread: 0.5 };
        assert_eq!(
            object("tl", "msgs_ack in", Some(812), "ours", &figures, &Ratios::default())
                .to_string(),
            r#"{"by":"ours","bytes":812,"layer":"tl","least_ns":1.0,"median_ns":2.0,"#.to_owned()
                + r#""of_limit":null,"spread":0.5,"times_peer":null,"work":"msgs_ack in"}"#
        );
    }
}
