//! `mtproto secret`: makes and explains the secrets of proxies.

use clap::{Args, Subcommand, ValueEnum};
use mtproto_kit::crypto::{OsRandom, SecureRandomExt};
use mtproto_kit::frame::{Address, ProxyLink, SECRET_DOMAIN_LEN_MAX, Secret};
use serde_json::{Map, Value};

use crate::exit::Failure;

/// Make a proxy secret, or say what is in one
///
/// A plain secret is 16 bytes. With dd in front clients pad their packets; with ee in front and a
/// domain behind, the connection looks like a visit to that site over TLS.
#[derive(Args, Debug)]
pub(crate) struct SecretArgs {
    #[command(subcommand)]
    command: SecretCommand,
}

#[derive(Debug, Subcommand)]
enum SecretCommand {
    New(NewArgs),
    Show(ShowArgs),
}

/// Make a secret
#[derive(Args, Debug)]
struct NewArgs {
    /// What the stream looks like
    #[arg(value_enum, default_value_t = Kind::Dd)]
    kind: Kind,
    /// Site that an ee secret pretends to visit, e.g. www.example.org
    #[arg(required_if_eq("kind", "ee"))]
    domain: Option<String>,
    #[command(flatten)]
    show: Show,
}

/// Say what is in a secret
#[derive(Args, Debug)]
struct ShowArgs {
    /// The secret, as hex, base64 or base64url
    secret: String,
    #[command(flatten)]
    show: Show,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Kind {
    /// Any obfuscated framing
    Plain,
    /// The padded framing, obfuscated
    Dd,
    /// The same in fake TLS
    Ee,
}

/// What is shown besides the secret, and how.
#[derive(Args, Debug)]
struct Show {
    /// Also print the links to a proxy at this host
    #[arg(long, value_name = "HOST", requires = "port")]
    server: Option<String>,
    /// The proxy's port
    #[arg(long, requires = "server", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &SecretArgs) -> Result<(), Failure> {
    match &args.command {
        SecretCommand::New(args) => print(&make(args)?, &args.show),
        SecretCommand::Show(args) => {
            print(&args.secret.parse().map_err(Failure::usage)?, &args.show)
        }
    }
}

fn make(args: &NewArgs) -> Result<Secret, Failure> {
    let key: [u8; 16] = OsRandom::new().array();
    match (args.kind, &args.domain) {
        (Kind::Ee, domain) => {
            let domain = domain.as_deref().unwrap_or_default();
            let bytes = [&[0xee], key.as_slice(), domain.as_bytes()].concat();
            Secret::from_bytes(&bytes).map_err(|_| {
                Failure::usage(format!(
                    "{domain:?} is no host name: give 1 to {SECRET_DOMAIN_LEN_MAX} letters, \
                     digits, dots and hyphens, e.g. www.example.org"
                ))
            })
        }
        (_, Some(domain)) => Err(Failure::usage(format!(
            "{domain:?} has no place in this kind of secret: choose ee, or leave it out"
        ))),
        (Kind::Dd, None) => Ok(Secret::Padded(key.into())),
        (Kind::Plain, None) => Ok(Secret::Plain(key.into())),
    }
}

fn print(secret: &Secret, show: &Show) -> Result<(), Failure> {
    let link = link(secret, show)?;
    let (kind, domain) = match secret {
        Secret::FakeTls { domain, .. } => ("ee", Some(domain)),
        Secret::Padded(_) => ("dd", None),
        Secret::Plain(_) => ("plain", None),
    };
    let lines = [
        ("kind", Some(kind.to_owned())),
        ("domain", domain.cloned()),
        ("hex", Some(secret.to_string())),
        ("base64url", Some(secret.base64url())),
        ("link", link.as_ref().map(ToString::to_string)),
        ("web_form", link.as_ref().map(ProxyLink::web_form)),
    ];
    let lines = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
    if show.json {
        let object: Map<_, _> =
            lines.map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
        println!("{}", Value::Object(object));
    } else {
        for (name, value) in lines {
            println!("{:<10} {value}", name.replace('_', " "));
        }
    }
    Ok(())
}

fn link(secret: &Secret, show: &Show) -> Result<Option<ProxyLink>, Failure> {
    let (Some(server), Some(port)) = (&show.server, show.port) else { return Ok(None) };
    let host = if server.contains(':') { format!("[{server}]") } else { server.clone() };
    let address: Address = format!("tcp://{host}:{port}").parse().map_err(|_| {
        Failure::usage(format!("{server:?} is no host: give a name or an IP address to --server"))
    })?;
    Ok(Some(ProxyLink { server: address.host, port, secret: secret.clone() }))
}
