//! `cargo xtask codegen`: Rust from schemas.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mtproto_tl_gen::{File, Generator, Schema};

/// Writes the Rust that is generated from TL schemas.
///
/// Without options: from each of the workspace's own schemas, in `schema/`. With `--schema` and
/// `--out`: from yours, into a module of yours; it needs the crate `mtproto-tl` and nothing else.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail if anything would change.
    #[arg(long)]
    check: bool,
    /// A schema of your own.
    #[arg(long, value_name = "FILE", requires = "out")]
    schema: Option<PathBuf>,
    /// The directory of the module to write from it; its `mod.rs` and what that names.
    #[arg(long, value_name = "DIR", requires = "schema")]
    out: Option<PathBuf>,
    /// A declaration to write nothing for; may be repeated.
    #[arg(long, value_name = "NAME", requires = "schema")]
    leave_out: Vec<String>,
    /// A type to leave undecoded, as `mtproto_tl::Raw`; may be repeated.
    #[arg(long, value_name = "TYPE", requires = "schema")]
    raw: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for job in jobs(arguments) {
        let changes = Changes::of(&job)?;
        if arguments.check {
            stale.extend(changes.paths());
        } else {
            changes.apply()?;
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    let list: String = stale.iter().map(|path| format!("\n  {}", path.display())).collect();
    bail!("stale, run `{COMMAND}`:{list}")
}

const COMMAND: &str = "cargo xtask codegen";

/// What `mtproto-pack` writes by hand, since an object in it ends where something outside it says.
const HAND_WRITTEN: [&str; 5] =
    ["gzip_packed", "message", "msg_container", "msg_copy", "rpc_result"];

/// A schema and the module it becomes.
struct Job {
    schema: PathBuf,
    out: PathBuf,
    generator: Generator,
}

fn jobs(arguments: &Arguments) -> Vec<Job> {
    match (&arguments.schema, &arguments.out) {
        (Some(schema), Some(out)) => {
            let generator = Generator::new(COMMAND, &schema.display().to_string())
                .id_exceptions(["msg_container"])
                .left_out(HAND_WRITTEN)
                .left_out(arguments.leave_out.iter().map(String::as_str))
                .raw(arguments.raw.iter().map(String::as_str));
            vec![Job { schema: schema.clone(), out: out.clone(), generator }]
        }
        _ => vec![
            own("schema/mtproto.tl", "crates/mtproto-tl/src/generated/service", service),
            own("schema/wrappers.tl", "crates/mtproto-tl/src/generated/wrappers", |generator| {
                generator.raw(["Config", "NearestDc"])
            }),
            own("schema/demo.tl", "crates/mtproto-cli/src/generated/demo", |generator| generator),
            own("schema/forms.tl", "crates/mtproto-tl/tests/generated/forms", |generator| {
                generator
            }),
        ],
    }
}

fn own(schema: &str, out: &str, set_up: fn(Generator) -> Generator) -> Job {
    let generator = set_up(Generator::new(COMMAND, schema));
    Job { schema: crate::root().join(schema), out: crate::root().join(out), generator }
}

/// The service messages: their ids have types of their own, and some hold secrets.
fn service(generator: Generator) -> Generator {
    generator
        // The number is that of the older `messages:vector message`.
        .id_exceptions(["msg_container"])
        .left_out(HAND_WRITTEN)
        .newtypes([
            ("answer_msg_id", "mtproto_tl::MsgId"),
            ("bad_msg_id", "mtproto_tl::MsgId"),
            ("bad_msg_seqno", "mtproto_tl::Seqno"),
            ("first_msg_id", "mtproto_tl::MsgId"),
            ("msg_id", "mtproto_tl::MsgId"),
            ("msg_ids", "mtproto_tl::MsgId"),
            ("new_server_salt", "mtproto_tl::Salt"),
            ("perm_auth_key_id", "mtproto_tl::AuthKeyId"),
            ("req_msg_id", "mtproto_tl::MsgId"),
            ("salt", "mtproto_tl::Salt"),
            ("seq_no", "mtproto_tl::Seqno"),
            ("server_salt", "mtproto_tl::Salt"),
            ("session_id", "mtproto_tl::SessionId"),
            ("temp_auth_key_id", "mtproto_tl::AuthKeyId"),
            ("temp_session_id", "mtproto_tl::SessionId"),
        ])
        // With `new_nonce` anyone can read the rest of a key exchange.
        .secret([
            "p_q_inner_data",
            "p_q_inner_data_dc",
            "p_q_inner_data_temp",
            "p_q_inner_data_temp_dc",
        ])
}

/// What has to happen so that a directory holds what was generated.
struct Changes {
    write: BTreeMap<PathBuf, String>,
    remove: Vec<PathBuf>,
}

impl Changes {
    fn of(job: &Job) -> anyhow::Result<Self> {
        let text = fs::read_to_string(&job.schema)
            .with_context(|| format!("cannot read {}", job.schema.display()))?;
        let files = Schema::parse(&text)
            .and_then(|schema| job.generator.generate(&schema))
            .with_context(|| job.schema.display().to_string())?;
        let wanted: BTreeMap<PathBuf, String> = files
            .into_iter()
            .map(|File { path, contents }| (job.out.join(path), contents))
            .collect();
        let mut remove = generated_files(&job.out)?;
        remove.retain(|path| !wanted.contains_key(path));
        let mut write = wanted;
        write.retain(|path, text| fs::read_to_string(path).ok().as_ref() != Some(text));
        Ok(Self { write, remove })
    }

    fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.write.keys().chain(&self.remove).cloned()
    }

    fn apply(&self) -> anyhow::Result<()> {
        for path in &self.remove {
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
            println!("removed {}", path.display());
        }
        for (path, text) in &self.write {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)
                    .with_context(|| format!("cannot make {}", directory.display()))?;
            }
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
            println!("wrote {}", path.display());
        }
        Ok(())
    }
}

/// The files below `directory` that a generator wrote; nobody else's are touched.
fn generated_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|it| it == "rs")
                && fs::read_to_string(&path)?.starts_with("// @generated")
            {
                files.push(path);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked_in_code_is_fresh() {
        let arguments =
            Arguments { check: true, schema: None, out: None, leave_out: vec![], raw: vec![] };
        run(&arguments).unwrap();
    }
}
