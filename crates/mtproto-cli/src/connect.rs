//! From the command line to a connected client.

use std::time::Duration;

use mtproto_kit::client::{CallError, Client, Closed, ConnectError};
use mtproto_kit::frame::Framing;
use mtproto_kit::store::SessionFile;

use crate::args::ConnectArgs;
use crate::exit::Failure;
use crate::keys;

/// Reads what the arguments name and connects.
pub(crate) async fn connect(args: &ConnectArgs) -> Result<Client, Failure> {
    let mut builder = Client::builder()
        .address(&args.address)
        .framing(framing(args)?)
        .obfuscated(args.obfuscated)
        .dc(i32::from(args.dc))
        .pfs(args.pfs)
        .connect_timeout(args.timeout());
    for path in &args.key {
        builder = builder.server_key(keys::read_public(path)?);
    }
    if let Some(secret) = &args.secret {
        builder = builder.secret(secret.clone());
    }
    if let Some(path) = &args.session {
        builder = builder.store(SessionFile::open(path).map_err(Failure::usage)?);
    }
    builder.connect().await.map_err(|error| explain(args, &error))
}

/// Layers that cannot go together are an error of the command line, not of the network.
fn framing(args: &ConnectArgs) -> Result<Framing, Failure> {
    let obfuscated = args.obfuscated || args.secret.is_some();
    match (args.framing, &args.secret) {
        (Framing::Full, _) if obfuscated => Err(Failure::usage(
            "--framing full: it cannot be obfuscated; choose abridged, intermediate or padded",
        )),
        // The kind of secret says it already.
        (Framing::Intermediate, Some(secret)) if secret.needs_padded() => Ok(Framing::Padded),
        (framing, Some(secret)) if secret.needs_padded() && framing != Framing::Padded => {
            Err(Failure::usage(format!(
                "--framing {framing}: a dd or ee secret goes with padded; leave --framing away"
            )))
        }
        (framing, _) => Ok(framing),
    }
}

/// Whose fault it is that there is no connection, and what can be done about it.
fn explain(args: &ConnectArgs, error: &ConnectError) -> Failure {
    let fix = match error {
        ConnectError::Closed(Closed::KeyLost(_)) => "move the --session file away to make another",
        ConnectError::Closed(Closed::ServerKeyUnknown) => "give its own public.pem with --key",
        ConnectError::Closed(Closed::WrongDc) => "name its own with --dc",
        ConnectError::Closed(_) | ConnectError::Stopped | ConnectError::TimedOut { .. } => {
            "check the address, --framing and --secret"
        }
        error => return Failure::usage(error),
    };
    Failure::network(format!("{}: {error}; {fix}", args.address))
}

impl ConnectArgs {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout)
    }
}

/// An answer that says no is a failed check; no answer is the network's.
pub(crate) fn explain_call(error: CallError) -> Failure {
    match error {
        CallError::Rpc { .. } | CallError::Refused { .. } | CallError::Unreadable => {
            Failure::check(error)
        }
        CallError::Misuse(_) => Failure::usage(error),
        error => Failure::network(error),
    }
}

/// Reads a number of seconds that makes sense as a time limit.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "give seconds, e.g. 2.5".to_owned())?;
    if (0.001..=86_400.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("give seconds from 0.001 to 86400".to_owned())
    }
}
