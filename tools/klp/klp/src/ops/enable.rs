// SPDX-License-Identifier: GPL-2.0

//! `klp enable`: keeps a livepatch that is being disabled.

use super::console::Console;
use super::switch::{self, Enabled};
use super::{find, set_enabled, Found, Outcome, SwitchArgs};
use crate::system::file::name_of_argument;
use crate::system::patches::State;
use crate::system::System;
use anyhow::Result;
use clap::Args as ClapArgs;

/// Enable a livepatch again that is being disabled, and wait until it is in effect for all
///
/// A livepatch that is disabled cannot be enabled any more: it has to be unloaded and loaded
/// again.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS_OF_WAITING)]
pub struct Args {
    /// Which patch, and how.
    #[command(flatten)]
    pub switch: SwitchArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Outcome> {
    enable(
        &args.switch.transition.system.system(),
        &mut Console::standard(),
        args,
    )
}

/// Enables a livepatch of the system.
pub fn enable(system: &System, console: &mut Console, args: &Args) -> Result<Outcome> {
    system.need_root("enable")?;
    let name = name_of_argument(&args.switch.patch);
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
    let outcome = switch::see_enabled(system, console, &name, &args.switch.transition)?;
    if outcome == Enabled::Reversed {
        console.note(&format!("{name} is disabled"));
    }
    Ok(outcome.into())
}

fn disabled(name: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "{name} is disabled, and a disabled livepatch cannot be enabled again: 'klp unload {name}', and then 'klp load' with its file"
    )
}
