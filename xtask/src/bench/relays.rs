//! The rows that load a relay: it has core 0, and the server behind it shares core 1 with the load.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::end_to_end::{Bench, Side, Target, peer};
use super::process::{Listening, on_core};

/// The number of these rows.
pub(super) const RELAYED: u32 = 22;

/// Starts our server and a relay before it.
pub(super) fn start(bench: &Bench, side: Side) -> anyhow::Result<Target> {
    let behind = bench.start_ours(1)?;
    let address = behind.address;
    let dir = bench.dir("relay")?;
    let log = dir.join("log");
    let measured = match side {
        Side::Limit => {
            let mut command = on_core(0, &bench.program("pipe"));
            Listening::start(command.arg(address.to_string()), &log)
        }
        Side::Ours => {
            let mut command = on_core(0, &bench.program("relay"));
            command.args(["--secret", &secret(), "--dc", &format!("{CENTER}=tcp://{address}")]);
            Listening::start(&mut command, &log)
        }
        Side::Peer => start_telemt(peer(&bench.peers().relay)?, address, &dir, &log),
    }?;
    // A pipe changes nothing: what passes through it is what the server takes.
    let args = match side {
        Side::Limit => Vec::new(),
        Side::Ours | Side::Peer => {
            ["--secret", &secret(), "--dc", &CENTER.to_string()].map(str::to_owned).to_vec()
        }
    };
    Ok(Target { measured, behind: Some(behind), args })
}

/// telemt without what it does besides: middle proxies, masking, its API.
fn start_telemt(
    program: &Path,
    center: SocketAddr,
    dir: &Path,
    log: &Path,
) -> anyhow::Result<Listening> {
    // It has to be told a port. One that was free a moment ago most likely still is.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = format!(
        r#"
[general]
use_middle_proxy = false
log_level = "silent"
[general.modes]
classic = false
secure = true
tls = false
[server]
port = {port}
[server.api]
enabled = false
[[server.listeners]]
ip = "127.0.0.1"
[censorship]
tls_domain = "localhost"
mask = false
tls_emulation = false
[access.users]
bench = "{KEY}"
[dc_overrides]
"{CENTER}" = "{center}"
"#,
        port = address.port()
    );
    let path = dir.join("telemt.toml");
    std::fs::write(&path, config)?;
    let mut command = on_core(0, program);
    command.arg(&path).current_dir(dir).env("RUST_LOG", "error");
    Listening::start_at(address, &mut command, log)
}

/// What clients have to know: packets are padded.
fn secret() -> String {
    format!("dd{KEY}")
}

const KEY: &str = "000102030405060708090a0b0c0d0e0f";

/// telemt has addresses of its own for the numbers of Telegram's data centers, and takes others for
/// those that it does not know.
const CENTER: u16 = 203;
