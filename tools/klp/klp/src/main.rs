// SPDX-License-Identifier: GPL-2.0

//! `klp`: makes livepatch modules, and brings them back at boot.

use clap::{CommandFactory as _, Parser, Subcommand};
use klp::{boot, completions, convert, new};
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
    New(new::Args),
    Convert(convert::Args),
    Install(boot::InstallArgs),
    Uninstall(boot::UninstallArgs),
    Installed(boot::InstalledArgs),
    Boot(boot::BootArgs),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

/// The exit status of a command that says whether all went well.
fn status(well: bool) -> ExitCode {
    match well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Cli::parse().command {
        Command::New(args) => new::run(&args).map(done),
        Command::Convert(args) => convert::run(&args).map(done),
        Command::Install(args) => boot::install(&args).map(done),
        Command::Uninstall(args) => boot::uninstall(&args).map(done),
        Command::Installed(args) => boot::installed(&args).map(done),
        Command::Boot(args) => boot::boot(&args).map(status),
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
