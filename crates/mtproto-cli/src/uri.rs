//! `mtproto uri`: builds and explains addresses.

use clap::{Args, Subcommand};
use mtproto_kit::frame::{Address, DataCenter, Host, ProxyLink, WebAddress};
use serde_json::{Map, Value};

use crate::connect::host;
use crate::exit::Failure;

/// Build an address, or say what is in one
///
/// An address is tcp://HOST:PORT, or ws, wss, http or https with /api, /apiw, /apis or /apiws; a
/// proxy's is tg://proxy?server=…&port=…&secret=… or the same at https://t.me/. What is built keeps
/// the rules of Telegram's own servers; what is read need not.
#[derive(Args, Debug)]
pub(crate) struct UriArgs {
    #[command(subcommand)]
    command: UriCommand,
}

#[derive(Debug, Subcommand)]
enum UriCommand {
    Build(BuildArgs),
    Parse(ParseArgs),
}

/// Build the address of a data centre for HTTP or WebSocket
#[derive(Args, Debug)]
struct BuildArgs {
    /// Data centre by number, 1 to 5, or name: pluto, venus, aurora, vesta or flora
    #[arg(long, value_parser = data_center, required_unless_present = "host", value_name = "DC")]
    dc: Option<DataCenter>,
    /// Host or IP address in place of a data centre
    #[arg(long, conflicts_with = "dc", value_parser = host)]
    host: Option<Host>,
    /// The data centre's second name, for more requests at once
    #[arg(long, requires = "dc")]
    second: bool,
    /// WebSocket in place of HTTP
    #[arg(long)]
    websocket: bool,
    /// Over TLS
    #[arg(long)]
    tls: bool,
    /// For pages in a browser: answers carry CORS headers
    #[arg(long)]
    cors: bool,
    /// The test servers
    #[arg(long)]
    test: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Say what is in an address
#[derive(Args, Debug)]
struct ParseArgs {
    /// An address or a proxy link
    #[arg(value_name = "URI")]
    uri: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &UriArgs) -> Result<(), Failure> {
    let (description, as_json) = match &args.command {
        UriCommand::Build(args) => (describe(&build(args)?), args.json),
        UriCommand::Parse(args) => (parse(&args.uri)?, args.json),
    };
    if as_json {
        println!("{}", Value::Object(to_json(description)));
    } else {
        print_table(description);
    }
    Ok(())
}

/// The parts of an address, by name.
type Description = Vec<(&'static str, Value)>;

fn to_json(description: Description) -> Map<String, Value> {
    description.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// One line for each part.
fn print_table(description: Description) {
    for (name, value) in description {
        let name = name.replace('_', " ");
        match value {
            Value::String(text) => println!("{name:<16} {text}"),
            value => println!("{name:<16} {value}"),
        }
    }
}

fn build(args: &BuildArgs) -> Result<Address, Failure> {
    let host = match (args.dc, &args.host) {
        (Some(dc), _) => dc.host(args.second),
        (None, Some(host)) => host.clone(),
        (None, None) => return Err(Failure::usage("name a data centre with --dc, or a --host")),
    };
    type Part = fn(WebAddress) -> WebAddress;
    let parts: [(bool, Part); 4] = [
        (args.websocket, WebAddress::websocket),
        (args.tls, WebAddress::tls),
        (args.cors, WebAddress::cors),
        (args.test, WebAddress::test),
    ];
    let wanted = parts.into_iter().filter(|(is_wanted, _)| *is_wanted);
    wanted
        .fold(WebAddress::new(host), |address, (_, part)| part(address))
        .build()
        .map_err(|fault| Failure::usage(format!("there is no such address: {fault}")))
}

fn parse(text: &str) -> Result<Description, Failure> {
    if ProxyLink::is_meant_by(text) {
        let link: ProxyLink = text.parse().map_err(Failure::usage)?;
        return Ok(vec![
            ("uri", link.to_string().into()),
            ("web_form", link.web_form().into()),
            ("server", link.server.to_string().into()),
            ("port", link.port.into()),
            ("secret", link.secret.to_string().into()),
        ]);
    }
    text.parse().map(|address| describe(&address)).map_err(Failure::usage)
}

fn describe(address: &Address) -> Description {
    let mut description: Description = vec![
        ("uri", address.to_string().into()),
        ("transport", address.scheme.to_string().into()),
        ("host", address.host.to_string().into()),
        ("port", address.port.into()),
    ];
    if let Some(path) = address.path() {
        description.extend([
            ("path", path.into()),
            ("documented_form", address.http_form().into()),
            ("tls", address.scheme.is_tls().into()),
            ("cors", address.path.cors.into()),
            ("test_servers", address.path.test.into()),
        ]);
    }
    if let Some((data_center, second)) = DataCenter::of(&address.host) {
        description.push(("data_centre", data_center.number().into()));
        description.push(("second_name", second.into()));
    }
    description
}

fn data_center(text: &str) -> Result<DataCenter, String> {
    match text.parse() {
        Ok(number) => DataCenter::from_number(number)
            .ok_or_else(|| "data centres with a name are 1 to 5".to_owned()),
        Err(_) => text.parse::<DataCenter>().map_err(|error| error.to_string()),
    }
}
