// SPDX-License-Identifier: GPL-2.0

//! `klp`: makes, checks, loads and watches livepatches.

use clap::{CommandFactory as _, Parser, Subcommand};
use klp::{boot, build, completions, convert, inspect, lint, new, ops};
use std::process::ExitCode;

/// Makes, checks, loads and watches livepatches.
#[derive(Debug, Parser)]
#[command(name = "klp", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::Args),
    Build(Box<build::Args>),
    Convert(convert::Args),
    Inspect(inspect::Args),
    Lint(lint::Args),
    Load(ops::load::Args),
    Unload(ops::unload::Args),
    Enable(ops::enable::Args),
    Disable(ops::disable::Args),
    List(ops::list::Args),
    Status(ops::status::Args),
    Wait(ops::wait::Args),
    Force(ops::force::Args),
    Install(boot::install::Args),
    Uninstall(boot::uninstall::Args),
    Installed(boot::installed::Args),
    Boot(boot::load::Args),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Cli::parse().command {
        Command::New(args) => new::run(&args).map(done),
        Command::Build(args) => build::run(&args),
        Command::Convert(args) => convert::run(&args).map(done),
        Command::Inspect(args) => inspect::run(&args),
        Command::Lint(args) => lint::run(&args),
        Command::Load(args) => ops::load::run(&args).map(ExitCode::from),
        Command::Unload(args) => ops::unload::run(&args).map(ExitCode::from),
        Command::Enable(args) => ops::enable::run(&args).map(ExitCode::from),
        Command::Disable(args) => ops::disable::run(&args).map(ExitCode::from),
        Command::List(args) => ops::list::run(&args).map(ExitCode::from),
        Command::Status(args) => ops::status::run(&args).map(ExitCode::from),
        Command::Wait(args) => ops::wait::run(&args).map(ExitCode::from),
        Command::Force(args) => ops::force::run(&args).map(ExitCode::from),
        Command::Install(args) => boot::install::run(&args).map(done),
        Command::Uninstall(args) => boot::uninstall::run(&args).map(done),
        Command::Installed(args) => boot::installed::run(&args).map(done),
        Command::Boot(args) => boot::load::run(&args),
        Command::Completions(args) => completions::completions(&args, Cli::command()).map(done),
        Command::Man(args) => completions::man(&args, Cli::command()).map(done),
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
