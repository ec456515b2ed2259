// SPDX-License-Identifier: GPL-2.0

//! `klp`: makes and checks livepatch modules.

use clap::{Parser, Subcommand};
use klp::{convert, inspect, lint};
use std::process::ExitCode;

/// Makes and checks livepatch modules, as the kernel's livepatch core and livepatch.ko load them.
#[derive(Debug, Parser)]
#[command(name = "klp", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Convert(convert::Args),
    Inspect(inspect::Args),
    Lint(lint::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Convert(args) => convert::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Inspect(args) => inspect::run(&args),
        Command::Lint(args) => lint::run(&args),
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
