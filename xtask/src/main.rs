//! What the workspace does to itself: `cargo xtask --help`.

mod bench;
mod ci;
mod codegen;
mod fuzz;
mod layers;
mod sim;
mod spec;
mod tidy;
mod timing;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What the workspace does to itself.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::Arguments),
    Ci(ci::Arguments),
    Codegen(codegen::Arguments),
    Fuzz(fuzz::Arguments),
    Layers(layers::Arguments),
    Sim(sim::Arguments),
    Spec(spec::Arguments),
    Tidy(tidy::Arguments),
    Timing(timing::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Ci(arguments) => ci::run(&arguments),
        Command::Codegen(arguments) => codegen::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Layers(arguments) => layers::run(&arguments),
        Command::Sim(arguments) => sim::run(&arguments),
        Command::Spec(arguments) => spec::run(&arguments),
        Command::Tidy(arguments) => tidy::run(&arguments),
        Command::Timing(arguments) => timing::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
