// SPDX-License-Identifier: GPL-2.0

//! `klp`: makes, loads and watches livepatches.

use clap::{Parser, Subcommand};
use klp::{convert, ops};
use std::process::ExitCode;

/// Makes, loads and watches livepatches, on kernels with livepatch support and with livepatch.ko.
#[derive(Debug, Parser)]
#[command(name = "klp", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Convert(convert::Args),
    Load(ops::load::Args),
    Unload(ops::unload::Args),
    Enable(ops::enable::Args),
    Disable(ops::disable::Args),
    List(ops::list::Args),
    Status(ops::status::Args),
    Wait(ops::wait::Args),
    Force(ops::force::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Convert(args) => convert::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Load(args) => ops::load::run(&args).map(ExitCode::from),
        Command::Unload(args) => ops::unload::run(&args).map(ExitCode::from),
        Command::Enable(args) => ops::enable::run(&args).map(ExitCode::from),
        Command::Disable(args) => ops::disable::run(&args).map(ExitCode::from),
        Command::List(args) => ops::list::run(&args).map(ExitCode::from),
        Command::Status(args) => ops::status::run(&args).map(ExitCode::from),
        Command::Wait(args) => ops::wait::run(&args).map(ExitCode::from),
        Command::Force(args) => ops::force::run(&args).map(ExitCode::from),
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
