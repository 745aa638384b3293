//! `cargo xtask spec`: which statement of the requirements has code and a test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::workspace::{files, is_generated, read, relative, root};

/// Prints which statements of `spec/requirements.toml` have code and tests.
///
/// A comment `req: S57` names the statement that the code below it carries out, or that the test
/// proves; one comment may name several. What stands in `crates/*/src` is code, except test modules
/// (`#[cfg(test)]`, `tests.rs`, `tests/`); everything else is a test.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print nothing but faults; fail when a statement that is done lacks its code or its test, or
    /// when a comment names a statement that does not exist.
    #[arg(long)]
    check: bool,
    /// Print JSON.
    #[arg(long, conflicts_with = "check")]
    json: bool,
    /// Print the places, too.
    #[arg(long, conflicts_with_all = ["check", "json"])]
    places: bool,
}

impl Arguments {
    /// Those of `cargo xtask spec --check`.
    pub(crate) fn check() -> Self {
        Self { check: true, json: false, places: false }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let spec: Spec = {
        let text = read(&root().join("spec/requirements.toml"))?;
        toml::from_str(&text).context("spec/requirements.toml")?
    };
    let report = Report::new(&spec, anchors()?);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else if !arguments.check {
        report.print(arguments.places);
    }
    for fault in &report.faults {
        eprintln!("{fault}");
    }
    match report.faults.len() {
        0 => Ok(()),
        _ if !arguments.check => Ok(()),
        count => bail!("{count} faults between spec/requirements.toml and the code"),
    }
}

/// `spec/requirements.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    statement: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    id: String,
    section: String,
    who: Who,
    status: Status,
    text: String,
}

/// Whom a statement binds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
enum Who {
    #[serde(rename = "both")]
    Both,
    #[serde(rename = "C")]
    Client,
    #[serde(rename = "S")]
    Server,
}

/// Whether all of a statement is carried out and tested.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Done,
    Open,
}

/// A comment that names a statement.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Anchor {
    id: String,
    /// File and line.
    place: String,
    is_test: bool,
}

/// Every statement with its anchors.
#[derive(Debug, Serialize)]
struct Report {
    statements: Vec<Entry>,
    faults: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Entry {
    #[serde(flatten)]
    statement: Statement,
    code: Vec<String>,
    tests: Vec<String>,
}

impl Report {
    fn new(spec: &Spec, anchors: Vec<Anchor>) -> Self {
        let mut faults = Vec::new();
        let mut places: BTreeMap<&str, (Vec<String>, Vec<String>)> = BTreeMap::new();
        for statement in &spec.statement {
            if places.insert(&statement.id, Default::default()).is_some() {
                faults.push(format!("{} is there twice", statement.id));
            }
        }
        for Anchor { id, place, is_test } in anchors {
            match places.get_mut(id.as_str()) {
                Some((_, tests)) if is_test => tests.push(place),
                Some((code, _)) => code.push(place),
                None => faults.push(format!("{place}: there is no statement {id}")),
            }
        }
        let mut statements = Vec::new();
        for statement in &spec.statement {
            let (code, tests) = places.remove(statement.id.as_str()).unwrap_or_default();
            if statement.status == Status::Done {
                let lacks = [(&code, "code"), (&tests, "test")];
                let lacks = lacks.iter().filter(|(places, _)| places.is_empty());
                faults.extend(
                    lacks.map(|(_, what)| format!("{} is done but has no {what}", statement.id)),
                );
            }
            statements.push(Entry { statement: statement.clone(), code, tests });
        }
        Self { statements, faults }
    }

    fn print(&self, with_places: bool) {
        let mut section = "";
        for entry in &self.statements {
            if entry.statement.section != section {
                section = &entry.statement.section;
                println!("\n{section}");
            }
            println!("{}", entry.line());
            if with_places {
                for place in entry.code.iter().chain(&entry.tests) {
                    println!("            {place}");
                }
            }
        }
        let count = |test: fn(&Entry) -> bool| self.statements.iter().filter(|it| test(it)).count();
        println!(
            "\n{} statements: {} done; {} with code and tests, {} with one, {} with neither",
            self.statements.len(),
            count(|it| it.statement.status == Status::Done),
            count(|it| !it.code.is_empty() && !it.tests.is_empty()),
            count(|it| it.code.is_empty() != it.tests.is_empty()),
            count(|it| it.code.is_empty() && it.tests.is_empty()),
        );
    }
}

impl Entry {
    /// `S57   done code 2 test 1  text …`
    fn line(&self) -> String {
        let Statement { id, status, text, .. } = &self.statement;
        let status = match status {
            Status::Done => "done",
            Status::Open => "open",
        };
        let number = |name: &str, places: &[String]| match places.len() {
            0 => format!("{:>width$}", "-", width = name.len() + 3),
            count => format!("{name}{count:>3}"),
        };
        let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
        let (code, tests) = (number("code", &self.code), number("test", &self.tests));
        format!("{id:<5} {status} {code} {tests}  {text}")
    }
}

/// The comments of the whole workspace, tools aside.
fn anchors() -> anyhow::Result<Vec<Anchor>> {
    let mut anchors = Vec::new();
    for directory in ["crates", "tests", "benches", "fuzz"] {
        for path in files(&root().join(directory), &["py", "rs"])? {
            let text = read(&path)?;
            if !is_generated(&text) {
                anchors.extend(anchors_in(Path::new(&relative(&path)), &text));
            }
        }
    }
    Ok(anchors)
}

fn anchors_in(path: &Path, text: &str) -> Vec<Anchor> {
    let mut is_test = is_test_file(path);
    let mut anchors = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let next = lines.peek().map_or("", |(_, next)| next.trim_start());
        // A module of tests closes its file.
        if line.starts_with("#[cfg(test)]") && next.contains("mod ") && next.ends_with('{') {
            is_test = true;
        }
        for id in ids_in(line) {
            let place = format!("{}:{}", path.display(), index + 1);
            anchors.push(Anchor { id, place, is_test });
        }
    }
    anchors
}

/// Whether a file, named from the workspace's root, holds nothing but tests.
fn is_test_file(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    match parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().as_slice() {
        ["crates", _, "src", inner @ ..] => {
            inner.iter().any(|part| ["tests", "tests.rs"].contains(part))
        }
        _ => true,
    }
}

/// The statements that a line's comment names: `// req: S13, S94`.
fn ids_in(line: &str) -> BTreeSet<String> {
    let comment = ["// req:", "# req:"].iter().find_map(|start| Some(line.split_once(start)?.1));
    let words = comment.unwrap_or_default().split([',', ' ']).map(str::trim);
    // What follows the list may explain it.
    words.skip_while(|word| word.is_empty()).map_while(id).flatten().collect()
}

/// A statement's id; nothing for an empty word; `None` for anything else.
fn id(word: &str) -> Option<Option<String>> {
    if word.is_empty() {
        return Some(None);
    }
    let number = word.strip_prefix(['S', 'L'])?;
    let is_id = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    is_id.then(|| Some(word.to_owned()))
}

/// How much of a statement a line shows.
const TEXT_CHARS_MAX: usize = 70;

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: &str, anchors: &[(&str, bool)]) -> Report {
        let text = format!(
            "[[statement]]\nid = 'S1'\nsection = 'A'\nwho = 'C'\nstatus = '{status}'\ntext = 'b'\n"
        );
        let anchor = |&(id, is_test): &(&str, bool)| Anchor {
            id: id.to_owned(),
            place: "a.rs:1".to_owned(),
            is_test,
        };
        Report::new(&toml::from_str(&text).unwrap(), anchors.iter().map(anchor).collect())
    }

    #[test]
    fn what_is_done_has_code_and_a_test() {
        assert_eq!(report("open", &[]).faults, [""; 0]);
        assert_eq!(report("done", &[("S1", false), ("S1", true)]).faults, [""; 0]);
        assert_eq!(report("done", &[("S1", false)]).faults, ["S1 is done but has no test"]);
        assert_eq!(report("done", &[("S1", true)]).faults, ["S1 is done but has no code"]);
    }

    #[test]
    fn what_is_named_exists() {
        assert_eq!(report("open", &[("S2", true)]).faults, ["a.rs:1: there is no statement S2"]);
    }

    #[test]
    fn comments_name_statements() {
        let ids = |line| ids_in(line).into_iter().collect::<Vec<_>>();
        assert_eq!(ids("    // req: S13, S94"), ["S13", "S94"]);
        assert_eq!(ids("x(); // req: S13 at the least"), ["S13"]);
        assert_eq!(ids("# req: L4"), ["L4"]);
        assert_eq!(ids("// required: S1"), [""; 0]);
        assert_eq!(ids("// req: none"), [""; 0]);
    }

    #[test]
    fn tests_are_told_from_code() {
        let kinds = |path: &str, text: &str| {
            let anchors = anchors_in(Path::new(path), text);
            anchors.iter().map(|it| it.is_test).collect::<Vec<_>>()
        };
        let text = "// req: S1\n#[cfg(test)]\nmod tests {\n// req: S1\n}\n";
        assert_eq!(kinds("crates/a/src/b.rs", text), [false, true]);
        let text = "#[cfg(test)]\nmod tests;\n// req: S1\n";
        assert_eq!(kinds("crates/a/src/b.rs", text), [false]);
        assert_eq!(kinds("crates/a/src/b/tests.rs", text), [true]);
        assert_eq!(kinds("crates/a/tests/b.rs", text), [true]);
        assert_eq!(kinds("tests/interop/c.rs", text), [true]);
    }

    #[test]
    fn every_statement_is_there() {
        let text = read(&root().join("spec/requirements.toml")).unwrap();
        let spec: Spec = toml::from_str(&text).unwrap();
        let ids: Vec<_> = spec.statement.iter().map(|it| it.id.clone()).collect();
        let expected = (1..=119).map(|number| format!("S{number}"));
        let expected = expected.chain((1..=33).map(|number| format!("L{number}")));
        assert_eq!(ids, expected.collect::<Vec<_>>());
    }
}
