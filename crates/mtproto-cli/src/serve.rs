//! `mtproto serve`.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use mtproto_kit::server::{ServeError, Server, ServerBuilder, Strictness};
use mtproto_kit::store_redb::RedbKeyStore;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{HandlerName, ServeArgs};
use crate::exit::Failure;
use crate::handlers;
use crate::keys::KeyPair;
use crate::tickets::Tickets;

pub(crate) async fn run(args: ServeArgs) -> Result<(), Failure> {
    // Before the ports open, so that no signal finds the server without a handler.
    let mut stop = Stop::listen()?;
    let pair = KeyPair::open(&args.dir)?;
    let (fingerprint, public_key) = (pair.fingerprint(), pair.public_path.clone());
    let store = RedbKeyStore::open(args.dir.join("server.redb")).map_err(Failure::usage)?;
    let builder = configure(&args, pair).store(Arc::new(store));
    let server = match args.handler {
        HandlerName::Demo => {
            let tickets = Tickets::open(&args.dir.join("tickets"))?;
            builder.serve(handlers::Demo::new(tickets)).await
        }
        HandlerName::Echo => builder.serve(handlers::Echo).await,
        HandlerName::Reject => builder.serve(handlers::Reject).await,
    }
    .map_err(explain)?;

    let line = if args.json {
        json!({
            "event": "listening",
            "addresses": server.addresses(),
            "fingerprint": fingerprint,
            "public_key": public_key,
            "pid": std::process::id(),
        })
        .to_string()
    } else {
        let addresses: Vec<_> = server.addresses().iter().map(|at| format!("tcp://{at}")).collect();
        let addresses = addresses.join(" ");
        format!("listening on {addresses}  key {} ({fingerprint})", public_key.display())
    };
    // A reader that has gone away is no reason to stop serving.
    let _ = writeln!(std::io::stdout(), "{line}");

    stop.wait().await;
    tokio::select! {
        () = server.shutdown(Duration::from_secs_f64(args.grace)) => {}
        // A second signal means now.
        () = stop.wait() => {}
    }
    Ok(())
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
    if let Some(dc) = args.dc {
        builder = builder.dc(dc);
    }
    if let Some(seconds) = args.salt_period {
        builder = builder.salt_period(Duration::from_secs(seconds.into()));
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
