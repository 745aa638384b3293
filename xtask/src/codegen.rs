//! `cargo xtask codegen`: Rust from schemas.

mod api;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mtproto_tl_gen::{File, Generator, Schema};

use crate::workspace::{files, is_generated, read, relative, root};

/// Writes the Rust that is generated from TL schemas.
///
/// Without options: from each of the workspace's own schemas, in `schema/`. With `--schema` and
/// `--out`: from yours, into a module of yours; it needs the crate `mtproto-tl` and nothing else.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Generate from the full schema of Telegram's API, which a package on crates.io carries, and
    /// compile the result. Nothing of it is kept.
    #[arg(long, conflicts_with_all = ["check", "schema"])]
    api_check: bool,
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
    /// A declaration whose number is right although its text gives another; may be repeated.
    #[arg(long, value_name = "NAME", requires = "schema")]
    trust_id: Vec<String>,
    /// A constructor to write a borrowing view for as well; may be repeated.
    #[arg(long, value_name = "NAME", requires = "schema")]
    view: Vec<String>,
}

impl Arguments {
    /// Those of `cargo xtask codegen --check`.
    pub(crate) fn check() -> Self {
        Self { check: true, ..Self::default() }
    }

    /// Those of `cargo xtask codegen --api-check`.
    pub(crate) fn api() -> Self {
        Self { api_check: true, ..Self::default() }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.api_check {
        return api::check();
    }
    let mut stale = Vec::new();
    for job in jobs(arguments) {
        let changes = Changes::of(&job)?;
        if arguments.check {
            stale.extend(changes.paths());
        } else {
            changes.apply()?;
            println!("{}: {} files", relative(&job.out), changes.count);
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    let list: String = stale.iter().map(|path| format!("\n  {}", relative(path))).collect();
    bail!("stale, run `{COMMAND}`:{list}")
}

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
                .id_exceptions(arguments.trust_id.iter().map(String::as_str))
                .left_out(HAND_WRITTEN)
                .left_out(arguments.leave_out.iter().map(String::as_str))
                .views(arguments.view.iter().map(String::as_str))
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
                generator.views(["forms.lists"])
            }),
        ],
    }
}

fn own(schema: &str, out: &str, set_up: fn(Generator) -> Generator) -> Job {
    let generator = set_up(Generator::new(COMMAND, schema));
    Job { schema: root().join(schema), out: root().join(out), generator }
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
        // Lists, which are looked through where they lie.
        .views([
            "msg_resend_ans_req",
            "msg_resend_req",
            "msgs_ack",
            "msgs_all_info",
            "msgs_state_info",
            "msgs_state_req",
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
    /// How many files were generated.
    count: usize,
    write: BTreeMap<PathBuf, String>,
    remove: Vec<PathBuf>,
}

impl Changes {
    fn of(job: &Job) -> anyhow::Result<Self> {
        let text = read(&job.schema)?;
        let generated = Schema::parse(&text)
            .and_then(|schema| job.generator.generate(&schema))
            .with_context(|| relative(&job.schema))?;
        let place = |File { path, contents }| (job.out.join(path), contents);
        let wanted: BTreeMap<PathBuf, String> = generated.into_iter().map(place).collect();
        let count = wanted.len();
        let mut remove = files(&job.out, &["rs"])?;
        remove.retain(|path| !wanted.contains_key(path) && was_generated(path));
        let mut write = wanted;
        write.retain(|path, text| fs::read_to_string(path).ok().as_ref() != Some(text));
        Ok(Self { count, write, remove })
    }

    fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.write.keys().chain(&self.remove).cloned()
    }

    fn apply(&self) -> anyhow::Result<()> {
        for path in &self.remove {
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        for (path, text) in &self.write {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)
                    .with_context(|| format!("cannot make {}", directory.display()))?;
            }
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Whether a generator wrote the file; nobody else's are touched.
fn was_generated(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| is_generated(&text))
}

const COMMAND: &str = "cargo xtask codegen";

/// What `mtproto-pack` writes by hand, since an object in it ends where something outside it says.
const HAND_WRITTEN: [&str; 5] =
    ["gzip_packed", "message", "msg_container", "msg_copy", "rpc_result"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked_in_code_is_fresh() {
        run(&Arguments::check()).unwrap();
    }

    #[test]
    fn what_is_stale_is_told_written_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let schema = directory.path().join("a.tl");
        let out = directory.path().join("api");
        let run_on = |text: &str, check| {
            fs::write(&schema, text).unwrap();
            let (schema, out) = (Some(schema.clone()), Some(out.clone()));
            run(&Arguments { check, schema, out, ..Arguments::default() })
        };
        let stale = run_on("a.b = a.B;", true).unwrap_err().to_string();
        assert!(stale.starts_with("stale, run `cargo xtask codegen`"), "{stale}");
        run_on("a.b = a.B;", false).unwrap();
        run_on("a.b = a.B;", true).unwrap();
        fs::write(out.join("mine.rs"), "// By hand.").unwrap();
        run_on("c.d = c.D;", false).unwrap();
        run_on("c.d = c.D;", true).unwrap();
        assert!(!out.join("types/a.rs").exists());
        assert!(out.join("mine.rs").exists());
    }

    #[test]
    fn an_error_names_file_and_line() {
        let directory = tempfile::tempdir().unwrap();
        let schema = directory.path().join("a.tl");
        fs::write(&schema, "a = A;\nb c:D = B;").unwrap();
        let out = Some(directory.path().join("api"));
        let arguments = Arguments { schema: Some(schema), out, ..Arguments::default() };
        let error = format!("{:#}", run(&arguments).unwrap_err());
        assert!(error.ends_with("a.tl: line 2, column 5: type `D` is not declared"), "{error}");
    }
}
