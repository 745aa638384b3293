//! A proxy such as MTProxy: clients that know a secret reach data centers through it.
//!
//! ```text
//! relay --secret dd000102030405060708090a0b0c0d0e0f --dc 2=tcp://127.0.0.1:8443
//! ```
//!
//! It knows no auth key: it sees how long packets are and nothing of what is in them. One thread
//! serves all connections; whoever needs more starts more processes on one port each.

mod carry;
mod relay;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use mtproto_kit::frame::Secret;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use relay::{DataCenter, Relay};

/// Takes clients that know a secret, and hands their packets on to the data center they name.
///
/// Prints one line of JSON with the address on which it listens. A client reaches it by
/// tg://proxy?server=HOST&port=PORT&secret=SECRET.
#[derive(Parser)]
struct Arguments {
    /// Where clients come in; port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What a client has to know: 32 hex digits, or dd and 32 hex digits for padded lengths. May
    /// be given several times.
    #[arg(long, value_name = "SECRET", required = true, value_parser = secret)]
    secret: Vec<Secret>,
    /// A data center and its address, such as 2=tcp://127.0.0.1:8443. May be given several times;
    /// clients that name another are turned away.
    #[arg(long, value_name = "NUMBER=ADDRESS", required = true)]
    dc: Vec<DataCenter>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        runtime.block_on(async {
            let relay = Relay::bind(arguments.listen, arguments.secret, arguments.dc)?;
            println!("{}", json!({ "addresses": [relay.address()] }));
            relay.run().await
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {error}");
            ExitCode::from(NETWORK)
        }
    }
}

fn secret(text: &str) -> Result<Secret, String> {
    match text.parse::<Secret>() {
        Ok(secret) if secret.is_fake_tls() => {
            Err("this relay speaks no fake TLS; give dd and the 32 hex digits in it".to_owned())
        }
        Ok(secret) => Ok(secret),
        Err(error) => Err(error.to_string()),
    }
}

/// The exit code of trouble with the network.
const NETWORK: u8 = 3;
