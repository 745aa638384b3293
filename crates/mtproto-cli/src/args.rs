//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use mtproto_kit::client::{Fingerprint, Proxy};
use mtproto_kit::frame::{Framing, Host, Secret};

use crate::bench::BenchArgs;
use crate::connect::{Target, host, host_and_port, seconds};
use crate::packet::PacketArgs;
use crate::secret::SecretArgs;
use crate::uri::UriArgs;

/// MTProto 2.0 for both sides of the wire: a server, a client, and a demonstration of both.
///
/// Exit codes: 0 all went well, 1 a check failed, 2 the command line or a file is unusable, 3 the
/// network or the other side failed.
#[derive(Debug, Parser)]
#[command(name = "mtproto", version, max_term_width = 100)]
pub(crate) struct Args {
    /// Log more to standard error: -v info, -vv debug, -vvv every packet. RUST_LOG overrides it
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Bench(BenchArgs),
    Call(CallArgs),
    Demo(DemoArgs),
    Keygen(KeygenArgs),
    Packet(PacketArgs),
    Ping(PingArgs),
    Secret(SecretArgs),
    Serve(ServeArgs),
    Sim(SimArgs),
    Uri(UriArgs),
}

/// Start a server and a client on loopback and show a table of what works
///
/// Makes an auth key over every transport, framing and kind of secret, all on one port, then
/// carries requests, answers, pushes, gzip and containers. Exits with 1 if any cell fails.
#[derive(ClapArgs, Debug)]
pub(crate) struct DemoArgs {
    /// Seconds to measure requests for, per row
    #[arg(long, default_value_t = 0.5, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Serve MTProto over TCP, WebSocket and HTTP, with and without TLS, all on one port or on several
///
/// Everything lives in DIR: auth keys (server.redb), the RSA pair (private.pem, public.pem), a
/// self-signed certificate (tls/cert.pem, tls/key.pem) and the tickets that demo.take gave out,
/// made at the first start. Clients need public.pem. The first line printed says where the server
/// listens, the second what certificate it shows; SIGINT and SIGTERM drain it.
#[derive(ClapArgs, Debug)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 takes a free one. May be given several times
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub(crate) listen: Vec<String>,
    /// Directory that holds the server's state; made if missing
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Admit clients with this proxy secret too, as hex, base64 or base64url; see mtproto secret.
    /// May be given several times
    #[arg(long)]
    pub(crate) secret: Vec<Secret>,
    /// Certificates to show over TLS, a PEM file, the server's own first; read again when changed
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of that certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A name in the certificate that is made if DIR has none. May be given several times
    #[arg(long, value_name = "NAME", value_parser = host)]
    #[arg(default_values = ["localhost", "127.0.0.1", "[::1]"])]
    pub(crate) tls_name: Vec<Host>,
    /// Serve nothing over TLS
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_name"])]
    pub(crate) no_tls: bool,
    /// Show this site to visitors that come over TLS for the name in an ee secret
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub(crate) site: Option<String>,
    /// Show browsers the files in this directory; a page finds the public key in /config.json
    #[arg(long, value_name = "DIR")]
    pub(crate) web: Option<PathBuf>,
    /// Who answers queries
    #[arg(long, value_enum, default_value_t = HandlerName::Demo)]
    pub(crate) handler: HandlerName,
    /// Hold clients to every rule, also those that real clients break
    #[arg(long)]
    pub(crate) strict: bool,
    /// Refuse key exchanges meant for another data centre
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub(crate) dc: Option<i32>,
    /// Seconds after which the server's salts change; short ones show whether a client keeps up
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) salt_period: Option<u32>,
    /// Key exchanges that one IP address may begin in a second, 100 by default
    #[arg(long, value_name = "N")]
    pub(crate) exchanges_per_ip: Option<std::num::NonZeroU32>,
    /// Threads that serve; one per core by default
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<std::num::NonZeroUsize>,
    /// Seconds that answers in flight get when the server is told to stop
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) grace: f64,
    /// Print the first line as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum HandlerName {
    /// Answer schema/demo.tl; anything else is METHOD_INVALID
    Demo,
    /// Return each query's own bytes
    Echo,
    /// Answer METHOD_INVALID to everything
    Reject,
}

/// How to reach a server.
#[derive(ClapArgs, Debug)]
pub(crate) struct ConnectArgs {
    /// Where the server is: tcp://HOST:PORT, or ws, wss, http or https in place of tcp, or a proxy
    /// link, tg://proxy?server=HOST&port=PORT&secret=SECRET
    #[arg(value_name = "URI")]
    pub(crate) address: Target,
    /// The server's public RSA key, a PEM file; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) key: Vec<PathBuf>,
    /// How packets are framed: abridged, intermediate, padded or full; intermediate unless a secret
    /// wants padded. Not for HTTP
    #[arg(long)]
    pub(crate) framing: Option<Framing>,
    /// Obfuscate the stream, as WebSocket always does
    #[arg(long)]
    pub(crate) obfuscated: bool,
    /// Proxy secret, as hex, base64 or base64url; implies --obfuscated
    #[arg(long)]
    pub(crate) secret: Option<Secret>,
    /// Go through this proxy: socks5://HOST:PORT or http://HOST:PORT, with USER:PASSWORD@ before
    /// HOST if it wants that
    #[arg(long, value_name = "URI")]
    pub(crate) proxy: Option<Proxy>,
    /// Believe servers with a certificate in this PEM file, or vouched for by one
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Believe the server whose certificate has this SHA-256 fingerprint
    #[arg(long, value_name = "SHA256", conflicts_with = "tls_ca")]
    pub(crate) tls_pin: Option<Fingerprint>,
    /// Try IPv6 addresses before IPv4 ones
    #[arg(long)]
    pub(crate) ipv6_first: bool,
    /// Also try ports 443, 80 and 5222 if the server's does not answer
    #[arg(long)]
    pub(crate) any_port: bool,
    /// Data centre to name in the key exchange
    #[arg(long, default_value_t = 2, value_name = "ID", allow_negative_numbers = true)]
    pub(crate) dc: i16,
    /// Encrypt with a temporary key bound to the permanent one (perfect forward secrecy)
    #[arg(long)]
    pub(crate) pfs: bool,
    /// Keep the auth key in this file and use it again the next time
    #[arg(long, value_name = "FILE")]
    pub(crate) session: Option<PathBuf>,
    /// Seconds to wait for the connection and for each answer
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: f64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make a key with a server and time pings
#[derive(ClapArgs, Debug)]
pub(crate) struct PingArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Number of pings
    #[arg(short, long, default_value_t = 5)]
    pub(crate) n: u32,
}

/// Make one request and print the answer
#[derive(ClapArgs, Debug)]
#[group(id = "query", required = true, multiple = false, args = ["hex", "demo"])]
pub(crate) struct CallArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// The request as it goes over the wire: one boxed TL object in hex
    #[arg(long, value_name = "BYTES")]
    pub(crate) hex: Option<String>,
    /// A request of schema/demo.tl: echo:TEXT, sleep:MS, fail:CODE:TEXT, blob:BYTES,
    /// subscribe:COUNT, take:HOLDER
    #[arg(long, value_name = "REQUEST")]
    pub(crate) demo: Option<String>,
}

/// Make an RSA key pair for a server
#[derive(ClapArgs, Debug)]
pub(crate) struct KeygenArgs {
    /// Directory for private.pem and public.pem; files that exist are not touched
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Simulate clients, a server, links and a store under one seed, in virtual time
///
/// Links are cut in the middle of frames, packets come twice, clocks jump, the server forgets and
/// restarts, its store fails: whatever the seed says. Exits with 1 if anything that must hold did
/// not, and shows the end of the conversation.
#[derive(ClapArgs, Debug)]
pub(crate) struct SimArgs {
    /// Decides everything; the same seed goes the same way again
    #[arg(long, value_name = "N")]
    pub(crate) seed: u64,
    /// Minutes in which clients are busy and things go wrong; half an hour of quiet follows
    #[arg(long, default_value_t = 60, value_name = "M")]
    pub(crate) minutes: u64,
    /// Print the whole conversation
    #[arg(long)]
    pub(crate) trace: bool,
    /// Print what was seen as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
