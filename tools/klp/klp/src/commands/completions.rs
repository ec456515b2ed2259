// SPDX-License-Identifier: GPL-2.0

//! `klp completions`: what a shell completes.

use crate::cli::{Cli, Context, Outcome};
use anyhow::Result;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

/// Print a shell's completions for klp
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut shown(&Cli::command()), "klp", &mut text);
    context.console.write(&String::from_utf8_lossy(&text))?;
    Ok(Outcome::Done)
}

/// The command without what its help hides.
fn shown(command: &Command) -> Command {
    let arguments = command.get_arguments().filter(|one| !one.is_hide_set());
    let commands = command.get_subcommands().filter(|one| !one.is_hide_set());
    // Names have to stay for ever, which is not long here.
    let stays = |name: &str| -> &'static str { name.to_owned().leak() };
    Command::new(stays(command.get_name()))
        .about(command.get_about().cloned().unwrap_or_default())
        .visible_aliases(command.get_visible_aliases().map(stays))
        .args(arguments)
        .subcommands(commands.map(shown))
}
