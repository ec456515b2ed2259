// SPDX-License-Identifier: GPL-2.0

//! Transitions: having patches change over, waiting for that, and what is said of it.

pub mod in_the_way;
pub mod switch;
pub mod watch;

use crate::system::patches;
use crate::system::{is_gone, System};
use anyhow::{anyhow, Result};
use clap::Args;
use rustix::io::Errno;
use std::io;
use std::time::Duration;

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

/// How to see a transition through.
#[derive(Debug, Default, Args)]
pub struct TransitionArgs {
    /// How to wait.
    #[command(flatten)]
    pub wait: WaitArgs,

    /// When the time is up, reverse the transition, and wait for that once as long
    #[arg(long, requires = "timeout")]
    pub reverse: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "it is no number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Writes `enabled`; `false` where the patch is gone.
pub(crate) fn set_enabled(system: &System, name: &str, enabled: bool) -> Result<bool> {
    let value = if enabled { "1" } else { "0" };
    match patches::write(system, name, "enabled", value) {
        Ok(()) => Ok(true),
        Err(error) if is_gone(&error) => Ok(false),
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
