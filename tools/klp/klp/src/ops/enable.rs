// SPDX-License-Identifier: GPL-2.0

//! `klp enable`: keeps a livepatch that is being disabled.

use super::console::Console;
use super::watch::{self, End};
use super::{find, set_enabled, Found, Outcome, ReverseArgs, SystemArgs, WaitArgs};
use crate::system::file::name_of_argument;
use crate::system::patches::State;
use crate::system::System;
use anyhow::{bail, Result};
use clap::Args as ClapArgs;

/// Enable a livepatch again that is being disabled, and wait until it is in effect
///
/// A livepatch that is disabled cannot be enabled any more: it has to be unloaded and loaded
/// again.
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
    enable(&args.system.system(), &mut Console::standard(), args)
}

/// Enables a livepatch of the system.
pub fn enable(system: &System, console: &mut Console, args: &Args) -> Result<Outcome> {
    system.need_root("enable")?;
    let name = name_of_argument(&args.patch);
    match find(system, &name)? {
        Found::Patch(State::Enabled) => {
            console.result(&format!("{name} was enabled already"))?;
            return Ok(Outcome::Done);
        }
        Found::Patch(State::Enabling) => {}
        Found::Patch(State::Disabling) => {
            if !set_enabled(system, &name, true)? {
                return Err(disabled(&name));
            }
        }
        Found::Patch(State::Disabled) | Found::Module => return Err(disabled(&name)),
    }
    match watch::wait(system, console, &name, &args.wait)? {
        End::Still(State::Enabled) => {
            console.result(&format!("{name} is enabled"))?;
            Ok(Outcome::Done)
        }
        End::Still(_) | End::Gone => {
            bail!("{name} was disabled by somebody else while it was being enabled")
        }
        End::TimeIsUp(text) if !args.reverse.reverse => {
            console.note(&format!(
                "the time is up, and the transition goes on: {text}"
            ));
            Ok(Outcome::TimeIsUp)
        }
        End::TimeIsUp(text) => {
            console.note(&format!(
                "the time is up, and the transition is reversed: {text}"
            ));
            set_enabled(system, &name, false)?;
            match watch::wait(system, console, &name, &args.wait)? {
                End::TimeIsUp(text) => console.note(&format!(
                    "the time is up, and the transition goes on: {text}"
                )),
                End::Still(State::Enabled) => {
                    console.result(&format!(
                        "{name} is enabled: it was so before it could be reversed"
                    ))?;
                    return Ok(Outcome::Done);
                }
                End::Still(_) | End::Gone => console.note(&format!("{name} is disabled")),
            }
            Ok(Outcome::TimeIsUp)
        }
    }
}

fn disabled(name: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "{name} is disabled, and a disabled livepatch cannot be enabled again: 'klp unload {name}', and then 'klp load' with its file"
    )
}
