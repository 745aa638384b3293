//! `cargo xtask tidy`: what neither the compiler nor clippy looks at.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::layers::row_of;
use crate::workspace::{files, is_generated, read, relative, root};

/// Lists what should be looked at, and fails on what should not be there.
///
/// Listed: functions above 70 lines, files above 600. Not allowed in what is written by hand: lines
/// above 100 columns; marks of unfinished work; ignored tests; an `allow` without a reason; white
/// space at a line's end; a sans-IO crate without the lints that keep it from panicking.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Fail on what is only listed, too.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut findings = Vec::new();
    for path in sources()? {
        let text = read(&path)?;
        if is_generated(&text) {
            continue;
        }
        let mut found = check(&relative(&path), &text);
        if let Some(lints) = missing_lints(&path, &text) {
            found.push(lints);
        }
        findings.append(&mut found);
    }
    let (faults, notes): (Vec<Finding>, Vec<Finding>) =
        findings.into_iter().partition(|finding| arguments.strict || finding.is_fault);
    for finding in notes.iter().chain(&faults) {
        let kind = if finding.is_fault || arguments.strict { "fault" } else { "note" };
        println!("{kind}: {}:{}: {}", finding.path, finding.line, finding.what);
    }
    match faults.len() {
        0 => Ok(()),
        count => bail!("{count} things that should not be there"),
    }
}

/// Something found, and whether it fails the command.
#[derive(Debug, Eq, PartialEq)]
struct Finding {
    path: String,
    line: usize,
    what: String,
    is_fault: bool,
}

fn sources() -> anyhow::Result<Vec<PathBuf>> {
    files(&root(), &["md", "py", "rs", "tl", "toml"])
}

fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |line: usize, what: String, is_fault: bool| {
        findings.push(Finding { path: path.to_owned(), line, what, is_fault });
    };
    let is_rust = path.ends_with(".rs");
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.ends_with(char::is_whitespace) {
            report(index + 1, "white space at the end".to_owned(), true);
        }
        if !is_rust {
            continue;
        }
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            report(index + 1, format!("{columns} columns"), true);
        }
        if let Some(mark) = UNFINISHED.iter().find(|mark| line.contains(*mark)) {
            report(index + 1, format!("`{mark}`"), true);
        }
        if is_allow_without_reason(&lines, index) {
            report(index + 1, "an `allow` without a reason".to_owned(), true);
        }
        if let Some(length) = function_length(&lines, index)
            && length > FUNCTION_LINES_MAX
        {
            report(index + 1, format!("a function of {length} lines"), false);
        }
    }
    if is_rust && lines.len() > FILE_LINES_MAX {
        report(1, format!("a file of {} lines", lines.len()), false);
    }
    findings
}

fn is_allow_without_reason(lines: &[&str], start: usize) -> bool {
    let line = lines[start].trim_start();
    if !["#[allow(", "#![allow(", "#[expect(", "#![expect("].iter().any(|it| line.starts_with(it)) {
        return false;
    }
    let rest = lines[start..].iter().copied();
    let attribute: Vec<&str> = up_to(rest, |line| line.trim_end().ends_with(")]"));
    !attribute.iter().any(|line| line.contains("reason = "))
}

/// The length of the function that begins at `start`, if one does. Formatted code ends a function
/// with a brace under its beginning.
fn function_length(lines: &[&str], start: usize) -> Option<usize> {
    let line = lines[start];
    let signature = line.trim_start();
    let head = signature.split_once("fn ")?.0;
    let qualifiers = ["", "pub", "pub(crate)", "pub(super)", "async", "const", "unsafe", "extern"];
    if !head.split_whitespace().all(|word| qualifiers.contains(&word) || word == "\"C\"") {
        return None;
    }
    let indent = &line[..line.len() - signature.len()];
    let is_last = |line: &str| match line.strip_prefix(indent) {
        // In a template for `format!` the brace is doubled.
        Some("}" | "}}") => true,
        // One without a body, or with all of it in one line.
        Some(part) if part.starts_with(')') || part == signature => part.ends_with([';', '}']),
        Some(_) | None => false,
    };
    Some(up_to(lines[start..].iter().copied(), is_last).len())
}

/// The items up to the first that is the `last` one, which is included.
fn up_to<'a>(lines: impl Iterator<Item = &'a str>, last: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let mut taken = Vec::new();
    for line in lines {
        taken.push(line);
        if last(line) {
            break;
        }
    }
    taken
}

/// A sans-IO crate's `lib.rs` without the lints.
fn missing_lints(path: &Path, text: &str) -> Option<Finding> {
    let name = relative(path);
    let name = name.strip_prefix("crates/")?.strip_suffix("/src/lib.rs")?;
    let is_linted = row_of(name)? <= LINTED_ROW_MAX && !NOT_LINTED.contains(&name);
    let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    (is_linted && !squeezed.contains(LINTS)).then(|| Finding {
        path: relative(path),
        line: 1,
        what: "the lints against panics are missing; see crates/mtproto-tl/src/lib.rs".to_owned(),
        is_fault: true,
    })
}

const FUNCTION_LINES_MAX: usize = 70;

const FILE_LINES_MAX: usize = 600;

const COLUMNS_MAX: usize = 100;

/// Marks of unfinished work. Put together here so that this file has none.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("#[ig", "nore"),
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
];

/// What the first row up to the third must not do with a peer's bytes.
const LINTS: &str =
    "deny(clippy::unwrap_used,clippy::expect_used,clippy::indexing_slicing,clippy::panic)";

/// The last row that `LINTS` keep from panicking, and who in it reads no peer's bytes.
const LINTED_ROW_MAX: u8 = 3;

const NOT_LINTED: [&str; 1] = ["mtproto-tl-gen"];

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a file of this text, as `line: what`.
    fn found(text: &str) -> Vec<String> {
        check("a.rs", text).iter().map(|it| format!("{}: {}", it.line, it.what)).collect()
    }

    #[test]
    fn lines_are_short_and_clean() {
        assert_eq!(found(&"é".repeat(100)), [""; 0]);
        assert_eq!(found(&"a".repeat(101)), ["1: 101 columns"]);
        assert_eq!(found("a\nb \n"), ["2: white space at the end"]);
    }

    #[test]
    fn work_is_finished() {
        assert_eq!(
            found(&format!("// {}: more", UNFINISHED[0])),
            [format!("1: `{}`", UNFINISHED[0])]
        );
        assert_eq!(found(&format!("{}]", UNFINISHED[2])), [format!("1: `{}`", UNFINISHED[2])]);
    }

    #[test]
    fn what_is_allowed_has_a_reason() {
        assert_eq!(found("#[allow(dead_code)]"), ["1: an `allow` without a reason"]);
        assert_eq!(found("#[allow(dead_code, reason = \"so\")]"), [""; 0]);
        assert_eq!(found("#![allow(\n    dead_code,\n    reason = \"so\"\n)]"), [""; 0]);
    }

    #[test]
    fn long_functions_and_files_are_listed() {
        let function = |lines: usize| format!("    fn f() {{\n{}    }}\n", "\n".repeat(lines - 2));
        assert_eq!(found(&function(70)), [""; 0]);
        assert_eq!(found(&function(71)), ["1: a function of 71 lines"]);
        let short =
            "fn f();\nfn g() {}\nfn h(\n    a: u8,\n) -> u8;\n".to_owned() + &"\n".repeat(80);
        assert_eq!(found(&short), [""; 0]);
        assert_eq!(found(&"\n".repeat(601)), ["1: a file of 601 lines"]);
    }
}
