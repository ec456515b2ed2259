// SPDX-License-Identifier: GPL-2.0

//! The commands that are used where the kernel is patched.
//!
//! Each has a function `run` for the command line, and one that takes the system it works on.

pub mod console;
pub mod disable;
pub mod enable;
pub mod force;
mod in_the_way;
pub mod list;
pub mod load;
mod refusal;
mod removal;
pub mod report;
pub mod status;
mod switch;
pub mod unload;
pub mod wait;
mod watch;

use crate::system::patches::{self, State};
use crate::system::{modules, System};
use anyhow::{anyhow, bail, Result};
use clap::Args;
use rustix::io::Errno;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Status of a command whose time was up.
pub const TIME_IS_UP: u8 = 3;

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As was wanted.
    Done,
    /// A transition takes longer than was to be waited.
    TimeIsUp,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => ExitCode::SUCCESS,
            Outcome::TimeIsUp => ExitCode::from(TIME_IS_UP),
        }
    }
}

/// What the statuses mean, for those that wait.
const STATUS_OF_WAITING: &str = "Exit status: 0 if all went well; 1 if it failed; 2 for wrong \
arguments; 3 if the time was up, in which case the transition goes on, or was reversed if that was \
asked for.";

/// What the statuses mean, for those that do not wait.
const STATUS: &str = "Exit status: 0 if all went well; 1 if it failed; 2 for wrong arguments.";

/// Which system.
#[derive(Debug, Default, Args)]
pub struct SystemArgs {
    /// Use the files of /sys, /proc, /dev and /lib below this directory, and no system calls:
    /// for tests
    #[arg(long, value_name = "DIR", hide = true)]
    root: Option<PathBuf>,
}

impl SystemArgs {
    fn system(&self) -> System {
        match &self.root {
            Some(root) => System::tree(root),
            None => System::running(),
        }
    }
}

/// How to wait for a transition.
#[derive(Debug, Default, Args)]
pub struct WaitArgs {
    /// Stop waiting after that long, with status 3; 0 looks once
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,

    /// Interrupt the processes in the way, at once and every 5 seconds
    ///
    /// They get SIGSTOP, and SIGCONT right after it. What sleeps and can be interrupted then
    /// leaves the function that it is in; most system calls are started again, but some return
    /// EINTR. A shell may take notice. Threads of the kernel, the first process and processes
    /// that are stopped are left alone: for the kernel's threads only the kernel itself can do
    /// something. It does so for all tasks, livepatch.ko after signal_after milliseconds, mainline's
    /// core after 15 seconds.
    #[arg(long)]
    pub signal: bool,
}

/// How to see a transition through, and on which system.
#[derive(Debug, Default, Args)]
pub struct TransitionArgs {
    /// How to wait.
    #[command(flatten)]
    pub wait: WaitArgs,

    /// When the time is up, reverse the transition, and wait for that once as long
    #[arg(long, requires = "timeout")]
    pub reverse: bool,

    /// Which system.
    #[command(flatten)]
    pub system: SystemArgs,
}

/// Which patch is switched over, and how.
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// The patch, or its file
    #[arg(value_name = "NAME")]
    pub patch: String,

    /// How.
    #[command(flatten)]
    pub transition: TransitionArgs,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "it is no number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What there is under the name of a patch.
enum Found {
    /// A patch, in this state.
    Patch(State),
    /// The module of a patch that is disabled.
    Module,
}

/// # Errors
///
/// One that says what there is instead.
fn find(system: &System, name: &str) -> Result<Found> {
    if let Some(state) = patches::state(system, name)? {
        return Ok(Found::Patch(state));
    }
    match modules::find(system, name)? {
        Some(module) if module.is_livepatch() => Ok(Found::Module),
        Some(_) if name == crate::system::support::MODULE => {
            bail!("livepatch is no patch, but what loads them: rmmod removes it, when no patch is loaded")
        }
        Some(_) => bail!("{name} is a module, but no livepatch"),
        None => {
            let names = names(system)?;
            if names.is_empty() {
                bail!("there is no patch {name}: none is loaded")
            }
            bail!("there is no patch {name}; loaded are: {}", names.join(", "))
        }
    }
}

/// The names of all patches, those among them that are disabled.
fn names(system: &System) -> Result<Vec<String>> {
    let mut names: Vec<String> = patches::all(system)?
        .into_iter()
        .map(|patch| patch.name)
        .collect();
    for module in modules::all(system)? {
        if module.is_livepatch() && !names.contains(&module.name) {
            names.push(module.name);
        }
    }
    Ok(names)
}

/// Writes `enabled`; `false` where the patch is gone.
fn set_enabled(system: &System, name: &str, enabled: bool) -> Result<bool> {
    let value = if enabled { "1" } else { "0" };
    match patches::write(system, name, "enabled", value) {
        Ok(()) => Ok(true),
        Err(error) if crate::system::is_gone(&error) => Ok(false),
        Err(error) => Err(write_refused(system, name, enabled, &error)),
    }
}

fn write_refused(system: &System, name: &str, enabled: bool, error: &io::Error) -> anyhow::Error {
    let verb = if enabled { "enabled" } else { "disabled" };
    if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) {
        if let Ok(Some(other)) = patches::in_transition(system, name) {
            return anyhow!(
                "{name} cannot be {verb} while {other} is in transition: 'klp wait {other}' waits for its end"
            );
        }
    }
    anyhow!("{name} cannot be {verb}: {error}")
}
