// SPDX-License-Identifier: GPL-2.0

//! `klp`: makes livepatch modules.

use clap::{Parser, Subcommand};
use klp::convert;
use std::process::ExitCode;

/// Makes livepatch modules, as the kernel's livepatch core and livepatch.ko load them.
#[derive(Debug, Parser)]
#[command(name = "klp", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Convert(convert::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Convert(args) => convert::run(&args).map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
