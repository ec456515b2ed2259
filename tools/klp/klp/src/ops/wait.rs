// SPDX-License-Identifier: GPL-2.0

//! `klp wait`: waits for the end of transitions.

use super::console::Console;
use super::watch::{self, End};
use super::{find, Outcome, SystemArgs, WaitArgs};
use crate::system::file::name_of_argument;
use crate::system::{patches, System};
use anyhow::Result;
use clap::Args as ClapArgs;
use std::time::Instant;

/// Wait until a livepatch, or any, is not in transition
///
/// While it lasts, it tells whether the patch is in effect, and which tasks are in the way.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS_OF_WAITING)]
pub struct Args {
    /// The patch, or its file; any patch, if none is named
    #[arg(value_name = "NAME")]
    pub patch: Option<String>,

    /// How to wait.
    #[command(flatten)]
    pub wait: WaitArgs,

    /// Which system.
    #[command(flatten)]
    pub system: SystemArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Outcome> {
    wait(&args.system.system(), &mut Console::standard(), args)
}

/// Waits for transitions in the system.
pub fn wait(system: &System, console: &mut Console, args: &Args) -> Result<Outcome> {
    if args.wait.signal {
        system.need_root("wait --signal")?;
    }
    let start = Instant::now();
    let mut how = WaitArgs {
        timeout: args.wait.timeout,
        signal: args.wait.signal,
    };
    let named = args.patch.as_deref().map(name_of_argument);
    if let Some(name) = &named {
        find(system, name)?;
    }
    loop {
        let name = match &named {
            Some(name) => name.clone(),
            None => match patches::in_transition(system, "")? {
                Some(name) => name,
                None => return Ok(Outcome::Done),
            },
        };
        if let Some(timeout) = args.wait.timeout {
            how.timeout = Some(timeout.saturating_sub(start.elapsed()));
        }
        match watch::wait(system, console, &name, &how)? {
            End::TimeIsUp(text) => {
                console.note(&format!(
                    "the time is up, and the transition goes on: {text}"
                ));
                return Ok(Outcome::TimeIsUp);
            }
            End::Still(_) | End::Gone if named.is_some() => return Ok(Outcome::Done),
            End::Still(_) | End::Gone => {}
        }
    }
}
