// SPDX-License-Identifier: GPL-2.0

//! What `make bench` measures, and what comes of it. `tools/testing/bench.sh` boots the kernels.

mod figures;
mod matrix;
mod modules;
mod picture;
mod plan;
mod profile;
mod record;
mod report;
mod results;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The measurements of livepatch.ko beside the C core.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Prepare(plan::PrepareArgs),
    Report(report::ReportArgs),
    Profile(profile::ProfileArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Prepare(args) => plan::prepare(&args).map(|()| ExitCode::SUCCESS),
        Command::Report(args) => report::report(&args),
        Command::Profile(args) => profile::profile(&args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
