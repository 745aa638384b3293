//! The `mtproto` command: a server to talk to, a client to talk with, and a demonstration of both.

#![allow(clippy::disallowed_methods, reason = "a command is where the time comes from")]

mod args;
mod bench;
mod call;
mod connect;
mod demo;
mod exit;
mod generated;
mod handlers;
mod keygen;
mod keys;
mod packet;
mod ping;
mod secret;
mod serve;
mod sim;
mod tickets;
mod uri;
mod web;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::{Args, Command};
use crate::exit::Failure;

fn main() -> ExitCode {
    let args = Args::parse();
    // A client's last word is its error; a server has nobody to give it to.
    let quiet = if let Command::Serve(_) = args.command { "warn" } else { "error" };
    log_to_stderr(args.verbose, quiet);
    let outcome = match args.command {
        Command::Bench(args) => bench::run(&args),
        Command::Call(args) => run(call::run(args)),
        Command::Demo(args) => run(demo::run(args)),
        Command::Keygen(args) => keygen::run(&args),
        Command::Packet(args) => packet::run(&args),
        Command::Ping(args) => run(ping::run(args)),
        Command::Secret(args) => secret::run(&args),
        Command::Serve(args) => run(serve::run(args)),
        Command::Sim(args) => sim::run(&args),
        Command::Uri(args) => uri::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Runs a command. One thread is enough: a server brings its own, and a client that shares its
/// thread with its callers sends together what they ask for together.
fn run(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::check(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(command)
}

/// `RUST_LOG` decides what is logged, then `-v`, and `quiet` without either. Nothing goes to
/// standard output: that is for results.
fn log_to_stderr(verbose: u8, quiet: &str) {
    let default = match verbose {
        0 => quiet,
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
