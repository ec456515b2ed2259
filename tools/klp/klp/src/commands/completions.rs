// SPDX-License-Identifier: GPL-2.0

//! `klp completions`: what a shell completes.

use crate::cli::{Cli, Context, Outcome};
use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

/// Print a shell's completions for klp
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "klp", &mut text);
    context.console.write(&String::from_utf8_lossy(&text))?;
    Ok(Outcome::Done)
}
