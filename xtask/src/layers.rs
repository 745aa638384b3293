//! `cargo xtask layers`: which crate may depend on which.

use anyhow::bail;

use crate::workspace::{Package, metadata};

/// Checks that every crate depends only on rows below its own.
///
/// The table of rows is the one in `ARCHITECTURE.md`. A dependency within a row has to be listed
/// with its reason; one upwards is never allowed. Tests, benches and tools depend on anything, and
/// what depends on them is listed too.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> anyhow::Result<()> {
    let packages = metadata()?.packages;
    let faults = faults(&packages);
    for fault in &faults {
        eprintln!("{fault}");
    }
    match faults.len() {
        0 => Ok(()),
        count => bail!("{count} dependencies against the layers; see xtask/src/layers.rs"),
    }
}

/// The row of a crate, if it has one.
pub(crate) fn row_of(name: &str) -> Option<u8> {
    ROWS.iter().find(|(_, names)| names.contains(&name)).map(|(row, _)| *row)
}

fn faults(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(faults_of).collect()
}

fn faults_of(package: &Package) -> Vec<String> {
    let from = package.name.as_str();
    if BESIDE.contains(&from) {
        return Vec::new();
    }
    let Some(row) = row_of(from) else {
        return vec![format!("{from} has no row")];
    };
    let check = |to: &str, kind: &str| match row_of(to) {
        None if BESIDE.contains(&to) && !is_listed(from, to, kind) => {
            Some(format!("{from} depends on {to}, a tool"))
        }
        Some(below) if below > row => {
            Some(format!("{from} (row {row}) depends upwards on {to} (row {below})"))
        }
        Some(below) if below == row && !is_listed(from, to, kind) => {
            Some(format!("{from} depends sideways on {to} (both row {row}, {kind})"))
        }
        // Not ours, or below.
        None | Some(_) => None,
    };
    let dependencies = package.dependencies.iter();
    dependencies.filter_map(|it| check(&it.name, it.kind.as_deref().unwrap_or("normal"))).collect()
}

fn is_listed(from: &str, to: &str, kind: &str) -> bool {
    // A crate's tests may turn on features of the crate itself.
    from == to || SIDEWAYS.iter().any(|&(a, b, c, _)| (a, b, c) == (from, to, kind))
}

/// The crates of each row, lowest first.
const ROWS: [(u8, &[&str]); 9] = [
    (0, &["mtproto-tl", "mtproto-crypto", "mtproto-tl-gen"]),
    (1, &["mtproto-pack", "mtproto-frame"]),
    (2, &["mtproto-auth", "mtproto-session", "mtproto-store"]),
    (3, &["mtproto-endpoint", "mtproto-transport"]),
    (4, &["mtproto-tls", "mtproto-store-redb", "mtproto-store-redis"]),
    (5, &["mtproto-tcp", "mtproto-ws", "mtproto-http"]),
    (6, &["mtproto-client", "mtproto-server"]),
    (7, &["mtproto-kit"]),
    (8, &["mtproto-cli"]),
];

/// Tests, benches and tools.
const BESIDE: [&str; 5] =
    ["mtproto-benches", "mtproto-relay", "mtproto-sim", "mtproto-tests", "xtask"];

/// Dependencies within a row, and on what stands beside: from, to, kind, and why.
const SIDEWAYS: [(&str, &str, &str, &str); 3] = [
    ("mtproto-cli", "mtproto-sim", "normal", "`mtproto sim` shows how one seed goes"),
    ("mtproto-tl", "mtproto-tl-gen", "dev", "generated code is tested against its schema"),
    ("mtproto-server", "mtproto-client", "dev", "a server is tested by a client"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    /// The faults of one package that depends on `to`.
    fn check(from: &str, to: &str, kind: Option<&str>) -> Vec<String> {
        let kind = kind.map(str::to_owned);
        faults(&[Package {
            name: from.to_owned(),
            manifest_path: "Cargo.toml".into(),
            dependencies: vec![Dependency { name: to.to_owned(), kind }],
            rust_version: None,
        }])
    }

    #[test]
    fn arrows_point_down() {
        assert_eq!(check("mtproto-pack", "mtproto-tl", None), [""; 0]);
        assert_eq!(check("mtproto-pack", "bytes", None), [""; 0]);
        assert_eq!(check("mtproto-tests", "mtproto-kit", None), [""; 0]);
        assert_eq!(
            check("mtproto-tl", "mtproto-pack", Some("dev")),
            ["mtproto-tl (row 0) depends upwards on mtproto-pack (row 1)"]
        );
    }

    #[test]
    fn arrows_within_a_row_are_listed() {
        assert_eq!(check("mtproto-tl", "mtproto-tl-gen", Some("dev")), [""; 0]);
        assert_eq!(
            check("mtproto-tl", "mtproto-tl-gen", None),
            ["mtproto-tl depends sideways on mtproto-tl-gen (both row 0, normal)"]
        );
        assert_eq!(
            check("mtproto-session", "mtproto-auth", None),
            ["mtproto-session depends sideways on mtproto-auth (both row 2, normal)"]
        );
    }

    #[test]
    fn nothing_stands_outside() {
        assert_eq!(check("mtproto-new", "bytes", None), ["mtproto-new has no row"]);
        assert_eq!(check("mtproto-cli", "xtask", None), ["mtproto-cli depends on xtask, a tool"]);
    }

    #[test]
    fn the_workspace_keeps_its_layers() {
        assert_eq!(faults(&metadata().unwrap().packages), [""; 0]);
    }

    #[test]
    fn the_table_is_the_one_in_the_architecture() {
        let text = crate::workspace::read(&crate::workspace::root().join("ARCHITECTURE.md"));
        for line in text.unwrap().lines().skip_while(|line| *line != "```text").skip(1) {
            let Some(row) = line.split_whitespace().next().and_then(|it| it.parse::<u8>().ok())
            else {
                break;
            };
            for name in line.split_whitespace().filter(|word| word.starts_with("mtproto-")) {
                assert_eq!(row_of(name), Some(row), "{name}");
            }
        }
    }
}
