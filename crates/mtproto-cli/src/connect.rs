//! From the command line to a connected client.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use mtproto_kit::client::{CallError, Client, Closed, ConnectError, TlsClient, Trust};
use mtproto_kit::frame::{Address, Host, ProxyLink};
use mtproto_kit::store::SessionFile;

use crate::args::ConnectArgs;
use crate::exit::Failure;
use crate::keys;

/// An address or a proxy link, as text that is one.
#[derive(Clone, Debug)]
pub(crate) struct Target(String);

impl Target {
    /// As it was given, with the secret of a proxy link.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if ProxyLink::is_meant_by(text) {
            text.parse::<ProxyLink>().map_err(|error| error.to_string())?;
        } else {
            text.parse::<Address>().map_err(|error| error.to_string())?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Target {
    /// Leaves the secret of a proxy link out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.parse::<ProxyLink>() {
            Ok(link) => link.address().fmt(f),
            Err(_) => f.write_str(&self.0),
        }
    }
}

/// Reads what the arguments name and connects.
pub(crate) async fn connect(args: &ConnectArgs) -> Result<Client, Failure> {
    let Target(address) = &args.address;
    let mut builder = Client::builder()
        .address(address)
        .obfuscated(args.obfuscated)
        .ipv6_first(args.ipv6_first)
        .any_port(args.any_port)
        .dc(i32::from(args.dc))
        .pfs(args.pfs)
        .connect_timeout(args.timeout());
    for path in &args.key {
        builder = builder.server_key(keys::read_public(path)?);
    }
    if let Some(framing) = args.framing {
        builder = builder.framing(framing);
    }
    if let Some(secret) = &args.secret {
        builder = builder.secret(secret.clone());
    }
    if let Some(proxy) = &args.proxy {
        builder = builder.proxy(proxy.clone());
    }
    if let Some(trust) = trust(args) {
        builder = builder.tls(TlsClient::new(&trust).map_err(Failure::usage)?);
    }
    if let Some(path) = &args.session {
        builder = builder.store(SessionFile::open(path).map_err(Failure::usage)?);
    }
    builder.connect().await.map_err(|error| explain(args, &error))
}

/// Whom the arguments say to believe over TLS.
fn trust(args: &ConnectArgs) -> Option<Trust> {
    let pin = args.tls_pin.map(Trust::Pin);
    pin.or_else(|| args.tls_ca.clone().map(Trust::Roots))
}

/// Whose fault it is that there is no connection, and what can be done about it.
fn explain(args: &ConnectArgs, error: &ConnectError) -> Failure {
    let fix = match error {
        ConnectError::Closed(Closed::KeyLost(_)) => "move the --session file away to make another",
        ConnectError::Closed(Closed::ServerKeyUnknown) => "give its own public.pem with --key",
        ConnectError::Closed(Closed::WrongDc) => "name its own with --dc",
        ConnectError::Closed(_) | ConnectError::Stopped | ConnectError::TimedOut { .. } => {
            "check the address, --framing, --secret and --tls-ca"
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

/// Reads a host name or an IP address.
pub(crate) fn host(text: &str) -> Result<Host, String> {
    let address = format!("tcp://{text}:1").parse::<Address>();
    address.map(|address| address.host).map_err(|_| "give a host name or an IP address".to_owned())
}

/// Reads HOST:PORT.
pub(crate) fn host_and_port(text: &str) -> Result<String, String> {
    let address = format!("tcp://{text}").parse::<Address>();
    address.map(|_| text.to_owned()).map_err(|_| "give HOST:PORT, e.g. example.org:443".to_owned())
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
