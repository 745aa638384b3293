//! What the command line and the environment say.

use std::time::Duration;

/// Samples of each case.
pub const SAMPLES_DEFAULT: usize = 15;
/// How long a sample takes, unless one call takes longer.
pub const SAMPLE_TIME_DEFAULT: Duration = Duration::from_millis(5);

#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Options {
    /// Whether times are wanted. `cargo bench` says `--bench`; `cargo test` does not.
    pub(crate) measure: bool,
    /// One JSON object a line instead of a table.
    pub(crate) json: bool,
    /// At least 1.
    pub(crate) samples: usize,
    pub(crate) sample_time: Duration,
    filters: Vec<String>,
}

impl Options {
    pub(crate) fn new(
        args: impl Iterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        // Flags of libtest come along when a whole workspace is tested with them; they mean nothing
        // here.
        let (flags, filters): (Vec<_>, Vec<_>) = args.partition(|arg| arg.starts_with('-'));
        let has = |name: &str| flags.iter().any(|flag| flag == name);
        let number = |name: &str| -> Option<u32> {
            let text = variable(name)?;
            Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
        };
        Self {
            measure: has("--bench") && !has("--test"),
            json: has("--json"),
            samples: number("BENCH_SAMPLES").map_or(SAMPLES_DEFAULT, |count| count.max(1) as usize),
            sample_time: number("BENCH_SAMPLE_MS")
                .map_or(SAMPLE_TIME_DEFAULT, |ms| Duration::from_millis(ms.into())),
            filters,
        }
    }

    /// Whether a work of this name was asked for.
    pub(crate) fn wants(&self, work: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|part| work.contains(part.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &str, samples: Option<&str>) -> Options {
        let variable = |name: &str| samples.filter(|_| name == "BENCH_SAMPLES").map(str::to_owned);
        Options::new(args.split_whitespace().map(str::to_owned), variable)
    }

    #[test]
    fn only_cargo_bench_measures() {
        assert!(!options("", None).measure);
        assert!(!options("--nocapture", None).measure);
        assert!(!options("--test --bench", None).measure);
        assert!(options("--bench", None).measure);
    }

    #[test]
    fn the_rest_has_defaults() {
        let plain = options("--bench", None);
        assert_eq!((plain.json, plain.samples), (false, SAMPLES_DEFAULT));
        assert!(plain.wants("seal 64 B"));

        let set = options("--bench seal open --json", Some("0"));
        assert_eq!((set.json, set.samples, set.sample_time), (true, 1, SAMPLE_TIME_DEFAULT));
        assert!(set.wants("open 1 KiB") && set.wants("seal 64 B") && !set.wants("pq"));
    }

    #[test]
    #[should_panic(expected = "BENCH_SAMPLES is not a number: many")]
    fn a_word_is_no_number() {
        options("", Some("many"));
    }
}
