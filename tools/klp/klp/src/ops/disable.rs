// SPDX-License-Identifier: GPL-2.0

//! `klp disable`: disables a livepatch, which stays loaded.

use super::console::Console;
use super::watch::{self, End};
use super::{find, set_enabled, Found, Outcome, ReverseArgs, SystemArgs, WaitArgs};
use crate::system::file::name_of_argument;
use crate::system::patches::State;
use crate::system::System;
use anyhow::{bail, Result};
use clap::Args as ClapArgs;

/// Disable a livepatch and wait until it is not in effect any more
///
/// Its module stays loaded. A patch that is being enabled is reversed.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS_OF_WAITING)]
pub struct Args {
    /// The patch, or its file
    #[arg(value_name = "NAME")]
    pub patch: String,

    /// How to wait.
    #[command(flatten)]
    pub wait: WaitArgs,

    /// What to do when the time is up.
    #[command(flatten)]
    pub reverse: ReverseArgs,

    /// Which system.
    #[command(flatten)]
    pub system: SystemArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Outcome> {
    disable(&args.system.system(), &mut Console::standard(), args)
}

/// Disables a livepatch of the system.
pub fn disable(system: &System, console: &mut Console, args: &Args) -> Result<Outcome> {
    system.need_root("disable")?;
    let name = name_of_argument(&args.patch);
    let text = match take_out(system, console, &name, &args.wait, &args.reverse)? {
        Out::Disabled => format!("{name} is disabled"),
        Out::Before => format!("{name} was disabled already"),
        Out::TimeIsUp => return Ok(Outcome::TimeIsUp),
    };
    console.result(&text)?;
    Ok(Outcome::Done)
}

/// What came of it.
pub(super) enum Out {
    /// It is disabled.
    Disabled,
    /// It was so before.
    Before,
    /// It still is in transition, or it was enabled again.
    TimeIsUp,
}

/// Disables the patch of this name, and waits.
pub(super) fn take_out(
    system: &System,
    console: &mut Console,
    name: &str,
    wait: &WaitArgs,
    reverse: &ReverseArgs,
) -> Result<Out> {
    match find(system, name)? {
        Found::Module | Found::Patch(State::Disabled) => return Ok(Out::Before),
        Found::Patch(State::Disabling) => {}
        Found::Patch(State::Enabled | State::Enabling) => {
            set_enabled(system, name, false)?;
        }
    }
    match watch::wait(system, console, name, wait)? {
        End::Gone | End::Still(State::Disabled) => Ok(Out::Disabled),
        End::Still(_) => {
            bail!("{name} was enabled by somebody else while it was being disabled")
        }
        End::TimeIsUp(text) if !reverse.reverse => {
            console.note(&format!(
                "the time is up, and the transition goes on: {text}"
            ));
            Ok(Out::TimeIsUp)
        }
        End::TimeIsUp(text) => {
            console.note(&format!(
                "the time is up, and the transition is reversed: {text}"
            ));
            let reversed = set_enabled(system, name, true)?;
            match watch::wait(system, console, name, wait)? {
                End::TimeIsUp(text) => console.note(&format!(
                    "the time is up, and the transition goes on: {text}"
                )),
                End::Still(State::Enabled) if reversed => {
                    console.note(&format!("{name} is enabled as before"))
                }
                // It ended just before it could be reversed.
                End::Still(_) | End::Gone => return Ok(Out::Disabled),
            }
            Ok(Out::TimeIsUp)
        }
    }
}
