//! What the commands read: the workspace's packages and its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// `path` as a reader of this workspace names it.
pub(crate) fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// What `cargo metadata` tells.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// A package.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) rust_version: Option<String>,
}

/// An arrow from one package to another.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev`, `build`, or nothing for a normal one.
    pub(crate) kind: Option<String>,
}

/// The packages of the workspace.
pub(crate) fn metadata() -> anyhow::Result<Metadata> {
    metadata_from(cargo().args(["metadata", "--no-deps", "--format-version=1"]))
}

/// What `command`, a `cargo metadata`, prints.
pub(crate) fn metadata_from(command: &mut Command) -> anyhow::Result<Metadata> {
    let output = command.output().context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("cannot read what cargo metadata prints")
}

/// Every file below `directory` whose name ends in one of `extensions`, in order. What tools put
/// there is not followed.
pub(crate) fn files(directory: &Path, extensions: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| directory.display().to_string()),
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let extension = path.extension().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if !name.starts_with('.') && !NOT_OURS.contains(&name.as_ref()) {
                    open.push(path);
                }
            } else if extensions.contains(&extension.as_ref()) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", relative(path)))
}

/// Whether a file's text says that a generator wrote it.
pub(crate) fn is_generated(text: &str) -> bool {
    text.starts_with("// @generated")
}

/// Directories of tools.
const NOT_OURS: [&str; 5] = ["__pycache__", "corpus", "node_modules", "target", "venv"];
