//! `mtproto demo`: a real server and a real client over loopback sockets, and a table of what
//! works.

mod counted;
mod row;
mod table;

use std::net::SocketAddr;
use std::time::Duration;

use mtproto_kit::crypto::rsa::{RsaPrivateKey, RsaPublicKey};
use mtproto_kit::crypto::{OsRandom, SecureRandomExt};
use mtproto_kit::frame::{Framing, Secret, SecretKey, WireConfig};
use mtproto_kit::server::Server;

use self::row::Row;
use crate::args::DemoArgs;
use crate::exit::Failure;
use crate::handlers::Demo;
use crate::tickets::Tickets;

/// How a client of the demonstration reaches the server.
struct Way {
    framing: Framing,
    layer: &'static str,
    wire: WireConfig,
}

pub(crate) async fn run(args: DemoArgs) -> Result<(), Failure> {
    let mut random = OsRandom::new();
    let key = RsaPrivateKey::generate(&mut random);
    let public = key.public().clone();
    let mut key_of_secret = || SecretKey::from(random.array::<16>());
    let secrets = [
        Secret::Plain(key_of_secret()),
        Secret::Padded(key_of_secret()),
        Secret::FakeTls { key: key_of_secret(), domain: "www.example.org".to_owned() },
    ];
    let ways = ways(&secrets);
    let [plain, padded, fake_tls] = secrets;
    let server = Server::builder()
        .listen("127.0.0.1:0")
        .key(key)
        .secret(plain)
        .secret(padded)
        .secret(fake_tls)
        .serve(Demo::new(Tickets::in_memory()))
        .await
        .map_err(Failure::network)?;
    let Some(address) = server.addresses().first().copied() else {
        return Err(Failure::network("the server listens nowhere"));
    };
    let rows = run_rows(&args, ways, address, &public).await;
    server.shutdown(Duration::from_secs(2)).await;

    let failed = rows.iter().filter(|row| !row.is_green()).count();
    if args.json {
        println!("{}", table::json(&rows));
    } else {
        table::print_summary(&rows);
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::check(format!("{failed} of {} rows failed", rows.len()))),
    }
}

async fn run_rows(
    args: &DemoArgs,
    ways: Vec<Way>,
    address: SocketAddr,
    key: &RsaPublicKey,
) -> Vec<Row> {
    if !args.json {
        println!("server and client on {address}, one new auth key a row\n");
        table::print_head();
    }
    let measure = Duration::from_secs_f64(args.seconds);
    let mut rows = Vec::new();
    for way in ways {
        let row = row::run(way, address, key.clone(), measure).await;
        if !args.json {
            table::print_row(&row);
        }
        rows.push(row);
    }
    rows
}

/// Every framing, plain and obfuscated where it can be, and with each kind of secret.
fn ways(secrets: &[Secret; 3]) -> Vec<Way> {
    let all = [Framing::Abridged, Framing::Intermediate, Framing::Padded, Framing::Full];
    let tagged = all.into_iter().filter(|framing| framing.tag().is_some());
    let way = |framing, layer, wire| Way { framing, layer, wire };
    let bare = all.map(|framing| way(framing, "plain", WireConfig::plain(framing)));
    let obfuscated =
        tagged.map(|framing| way(framing, "obfuscated", WireConfig::obfuscated(framing)));
    let with_secret = |secret: &Secret| {
        let (framing, layer) = match secret {
            Secret::FakeTls { .. } => (Framing::Padded, "secret ee"),
            Secret::Padded(_) => (Framing::Padded, "secret dd"),
            Secret::Plain(_) => (Framing::Intermediate, "secret"),
        };
        way(framing, layer, WireConfig::with_secret(framing, secret.clone()))
    };
    bare.into_iter().chain(obfuscated).chain(secrets.iter().map(with_secret)).collect()
}
