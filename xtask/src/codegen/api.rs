//! What users do with their schemas, done with the full one of Telegram's API: the generator's
//! hardest customer. And with `schema/forms.tl` as a `build.rs` would do it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mtproto_tl_gen::{Generator, Schema};

use super::{Arguments, run};
use crate::workspace::{cargo, metadata, metadata_from, read, root};

/// Generates modules into a crate of its own and compiles that, warnings being errors.
pub(super) fn check() -> anyhow::Result<()> {
    let target = metadata()?.target_directory;
    let package = target.join("api-check");
    write_package(&package)?;
    let manifest = package.join("Cargo.toml");
    let arguments = Arguments {
        schema: Some(schema(&manifest)?),
        out: Some(package.join("src/api")),
        ..Arguments::default()
    };
    run(&arguments)?;
    let mut command = cargo();
    command.args(["check", "--manifest-path"]).arg(&manifest).arg("--target-dir").arg(&target);
    let status = command.status().context("cannot run cargo check")?;
    if !status.success() {
        bail!("what is generated from the full API does not compile");
    }
    Ok(())
}

fn write_package(package: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(package.join("src"))?;
    let tl = root().join("crates/mtproto-tl");
    let (carrier, version) = CARRIER;
    // The carrier is found and fetched like a dependency, but never built.
    let manifest = format!(
        "[package]\nname = \"api-check\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n\
         [dependencies]\nmtproto-tl = {{ path = {:?} }}\n\n\
         [target.'cfg(any())'.dependencies]\n{carrier} = \"{version}\"\n\n[workspace]\n",
        tl.display().to_string()
    );
    fs::write(package.join("Cargo.toml"), manifest)?;
    let included = "pub mod forms {\n    include!(\"forms.text\");\n}\n";
    fs::write(
        package.join("src/lib.rs"),
        format!("#![deny(warnings)]\n\npub mod api;\n{included}"),
    )?;
    let forms = Schema::parse(&read(&root().join("schema/forms.tl"))?)?;
    let text = Generator::new("build.rs", "forms.tl").generate_text(&forms)?;
    fs::write(package.join("src/forms.text"), text)?;
    // The same versions as in the workspace, so that nothing has to be fetched twice.
    fs::copy(root().join("Cargo.lock"), package.join("Cargo.lock"))?;
    Ok(())
}

fn schema(manifest: &Path) -> anyhow::Result<PathBuf> {
    let mut command = cargo();
    command.args(["metadata", "--format-version=1", "--manifest-path"]).arg(manifest);
    let packages = metadata_from(&mut command)?.packages;
    let carrier = packages.iter().find(|package| package.name == CARRIER.0);
    let directory = carrier.and_then(|package| package.manifest_path.parent());
    Ok(directory.with_context(|| format!("{} is not there", CARRIER.0))?.join(SCHEMA))
}

/// The package that carries the schema, and where in it.
const CARRIER: (&str, &str) = ("grammers-tl-types", "=0.11.0");

const SCHEMA: &str = "tl/api.tl";
