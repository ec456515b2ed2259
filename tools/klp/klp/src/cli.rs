// SPDX-License-Identifier: GPL-2.0

//! The command line: the options that all commands have, and what each command gets of them.

use crate::commands::{
    boot, build, completions, convert, disable, enable, force, inspect, install, installed, lint,
    list, load, man, new, prune, signal, status, uninstall, unload, wait,
};
use crate::console::{Closed, Console};
use crate::system::System;
use crate::terminal::Color;
use crate::transition::interrupt::{self, Interrupted};
use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// What every command works with.
pub struct Context {
    /// The machine whose kernel is patched.
    pub system: System,
    /// Where the command says what it does.
    pub console: Console,
}

/// How a command ended that has nothing more to say. What fails otherwise is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As was wanted.
    Done,
    /// It failed, or found what it looked for mistakes to find; all is said.
    Failed,
    /// It could not look for what it is to find.
    Unchecked,
    /// A transition takes longer than was to be waited.
    TimeIsUp,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        ExitCode::from(match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::Unchecked => 2,
            Outcome::TimeIsUp => 3,
        })
    }
}

/// Makes, checks, loads and watches livepatches.
#[derive(Debug, Parser)]
#[command(name = "klp", version)]
pub struct Cli {
    /// Use the files of the system below this directory, and no system calls
    #[arg(long, value_name = "DIR", global = true, hide = true)]
    root: Option<PathBuf>,

    /// When to use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", global = true)]
    color: Color,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::Args),
    Build(Box<build::Args>),
    Convert(convert::Args),
    #[command(visible_alias = "info")]
    Inspect(inspect::Args),
    Lint(lint::Args),
    Load(load::Args),
    Unload(unload::Args),
    Enable(enable::Args),
    Disable(disable::Args),
    List(list::Args),
    Status(status::Args),
    Wait(wait::Args),
    Signal(signal::Args),
    Force(force::Args),
    Prune(prune::Args),
    Install(install::Args),
    Uninstall(uninstall::Args),
    Installed(installed::Args),
    Boot(boot::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    fn run(&self, context: &mut Context) -> Result<Outcome> {
        match self {
            Command::New(args) => new::run(args, context),
            Command::Build(args) => build::run(args, context),
            Command::Convert(args) => convert::run(args, context),
            Command::Inspect(args) => inspect::run(args, context),
            Command::Lint(args) => lint::run(args, context),
            Command::Load(args) => load::run(args, context),
            Command::Unload(args) => unload::run(args, context),
            Command::Enable(args) => enable::run(args, context),
            Command::Disable(args) => disable::run(args, context),
            Command::List(args) => list::run(args, context),
            Command::Status(args) => status::run(args, context),
            Command::Wait(args) => wait::run(args, context),
            Command::Signal(args) => signal::run(args, context),
            Command::Force(args) => force::run(args, context),
            Command::Prune(args) => prune::run(args, context),
            Command::Install(args) => install::run(args, context),
            Command::Uninstall(args) => uninstall::run(args, context),
            Command::Installed(args) => installed::run(args, context),
            Command::Boot(args) => boot::run(args, context),
            Command::Completions(args) => completions::run(args, context),
            Command::Man(args) => man::run(args, context),
        }
    }
}

impl Cli {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        let mut context = Context {
            system: match &self.root {
                Some(root) => System::tree(root),
                None => System::running(),
            },
            console: Console::standard(self.color),
        };
        match self.command.run(&mut context) {
            Ok(outcome) => outcome.into(),
            // What was read was enough.
            Err(error) if error.is::<Closed>() => ExitCode::SUCCESS,
            Err(error) if error.is::<Interrupted>() => interrupt::STATUS.into(),
            Err(error) => {
                context.console.error(&error);
                ExitCode::FAILURE
            }
        }
    }
}
