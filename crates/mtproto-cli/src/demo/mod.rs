//! `mtproto demo`: a real server and a real client over loopback sockets, and a table of what
//! works.

mod counted;
mod row;
mod table;
mod ways;

use std::net::SocketAddr;
use std::time::Duration;

use mtproto_kit::client::{TlsClient, Trust};
use mtproto_kit::crypto::OsRandom;
use mtproto_kit::crypto::rsa::{RsaPrivateKey, RsaPublicKey};
use mtproto_kit::server::{Server, ServerBuilder, TlsServer};
use tempfile::TempDir;

use self::row::Row;
use self::ways::Way;
use crate::args::DemoArgs;
use crate::exit::Failure;
use crate::handlers::Demo;
use crate::tickets::Tickets;

pub(crate) async fn run(args: DemoArgs) -> Result<(), Failure> {
    let key = RsaPrivateKey::generate(&mut OsRandom::new());
    let public = key.public().clone();
    let (tls, trust, _dir) = certificate()?;
    let secrets = ways::secrets();
    let builder = Server::builder().listen("127.0.0.1:0").key(key).tls(tls);
    let builder = secrets.iter().cloned().fold(builder, ServerBuilder::secret);
    let server = builder.serve(Demo::new(Tickets::in_memory())).await.map_err(Failure::network)?;
    let Some(address) = server.addresses().first().copied() else {
        return Err(Failure::network("the server listens nowhere"));
    };
    let ways = ways::ways(address, &secrets, trust);
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
        let row = row::run(way, key.clone(), measure).await;
        if !args.json {
            table::print_row(&row);
        }
        rows.push(row);
    }
    rows
}

/// A certificate that lasts as long as the demonstration, and a client that believes it.
fn certificate() -> Result<(TlsServer, TlsClient, TempDir), Failure> {
    let dir = tempfile::tempdir()
        .map_err(|error| Failure::usage(format!("cannot make a temporary directory: {error}")))?;
    let (tls, _) =
        TlsServer::self_signed(dir.path(), &["localhost".to_owned()]).map_err(Failure::usage)?;
    let client = TlsClient::new(&Trust::Pin(tls.fingerprint())).map_err(Failure::usage)?;
    Ok((tls, client, dir))
}
