//! `mtproto serve`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mtproto_kit::frame::Host;
use mtproto_kit::server::{Limits, ServeError, Server, ServerBuilder, Strictness, TlsServer};
use mtproto_kit::store_redb::RedbKeyStore;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{HandlerName, ServeArgs};
use crate::exit::Failure;
use crate::handlers;
use crate::keys::KeyPair;
use crate::tickets::Tickets;
use crate::web::Site;

pub(crate) async fn run(args: ServeArgs) -> Result<(), Failure> {
    // Before the ports open, so that no signal finds the server without a handler.
    let mut stop = Stop::listen()?;
    let pair = KeyPair::open(&args.dir)?;
    let (fingerprint, public_key) = (pair.fingerprint(), pair.public_path.clone());
    let store = RedbKeyStore::open(args.dir.join("server.redb")).map_err(Failure::usage)?;
    let (tls, made) = tls(&args)?;
    let shown = tls.as_ref().map(Shown::of);
    let site = |dir| Site::open(dir, &pair, args.dc, tls.is_some());
    let pages = args.web.as_deref().map(site).transpose()?;
    let mut builder = configure(&args, pair).store(Arc::new(store));
    if let Some(pages) = pages {
        builder = builder.pages(pages);
    }
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    let server = match args.handler {
        HandlerName::Demo => {
            let tickets = Tickets::open(&args.dir.join("tickets"))?;
            builder.serve(handlers::Demo::new(tickets)).await
        }
        HandlerName::Echo => builder.serve(handlers::Echo).await,
        HandlerName::Reject => builder.serve(handlers::Reject).await,
    }
    .map_err(explain)?;

    let lines = if args.json {
        let line = json!({
            "event": "listening",
            "addresses": server.addresses(),
            "fingerprint": fingerprint,
            "public_key": public_key,
            "tls": shown.as_ref().map(Shown::to_json),
            "pid": std::process::id(),
        });
        format!("{line}\n")
    } else {
        let addresses: Vec<_> = server.addresses().iter().map(|at| format!("tcp://{at}")).collect();
        let addresses = addresses.join(" ");
        let shown = shown.map(|shown| shown.line(made.as_deref())).unwrap_or_default();
        format!("listening on {addresses}  key {} ({fingerprint})\n{shown}", public_key.display())
    };
    // A reader that has gone away is no reason to stop serving.
    let _ = std::io::stdout().write_all(lines.as_bytes());

    stop.wait().await;
    tokio::select! {
        () = server.shutdown(Duration::from_secs_f64(args.grace)) => {}
        // A second signal means now.
        () = stop.wait() => {}
    }
    Ok(())
}

/// What is served over TLS with, and a line about a certificate that had to be made.
fn tls(args: &ServeArgs) -> Result<(Option<TlsServer>, Option<String>), Failure> {
    match (&args.tls_cert, &args.tls_key) {
        _ if args.no_tls => Ok((None, None)),
        (Some(certificate), Some(key)) => {
            let tls = TlsServer::from_files(certificate, key).map_err(Failure::usage)?;
            Ok((Some(tls), None))
        }
        _ => {
            let names: Vec<_> = args.tls_name.iter().map(bare).collect();
            let (tls, made) = TlsServer::self_signed(&args.dir, &names).map_err(Failure::usage)?;
            Ok((Some(tls), made))
        }
    }
}

/// As certificates have it: IPv6 addresses without brackets.
fn bare(host: &Host) -> String {
    match host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    }
}

/// The certificate that clients see.
struct Shown {
    path: PathBuf,
    sha256: String,
}

impl Shown {
    fn of(tls: &TlsServer) -> Self {
        Self { path: tls.path().to_owned(), sha256: tls.fingerprint().to_string() }
    }

    fn line(&self, made: Option<&str>) -> String {
        match made {
            Some(made) => format!("{made}\n"),
            None => format!("certificate {}, SHA-256 {}\n", self.path.display(), self.sha256),
        }
    }

    fn to_json(&self) -> Value {
        json!({ "certificate": self.path, "sha256": self.sha256 })
    }
}

fn configure(args: &ServeArgs, pair: KeyPair) -> ServerBuilder {
    let strictness = if args.strict { Strictness::Strict } else { Strictness::Lenient };
    let mut builder = Server::builder().key(pair.private).strictness(strictness);
    for address in &args.listen {
        builder = builder.listen(address.as_str());
    }
    for secret in &args.secret {
        builder = builder.secret(secret.clone());
    }
    if let Some(site) = &args.site {
        builder = builder.site(site.as_str());
    }
    if let Some(dc) = args.dc {
        builder = builder.dc(dc);
    }
    if let Some(seconds) = args.salt_period {
        builder = builder.salt_period(Duration::from_secs(seconds.into()));
    }
    if let Some(rate) = args.exchanges_per_ip {
        let mut limits = Limits::default();
        limits.exchanges_per_ip_per_second = rate;
        builder = builder.limits(limits);
    }
    if let Some(shards) = args.shards {
        builder = builder.shards(shards);
    }
    builder
}

fn explain(error: ServeError) -> Failure {
    match error {
        ServeError::Bind(error) => Failure::network(error),
        error => Failure::usage(error),
    }
}

/// SIGINT and SIGTERM.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::check(format!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
