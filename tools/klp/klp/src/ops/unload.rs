// SPDX-License-Identifier: GPL-2.0

//! `klp unload`: disables a livepatch and removes its module.

use super::console::Console;
use super::disable::{take_out, Out};
use super::{removal, Outcome, SwitchArgs};
use crate::system::file::name_of_argument;
use crate::system::System;
use anyhow::Result;
use clap::Args as ClapArgs;

/// Disable a livepatch, wait until it is in effect for no task any more, and remove its module
///
/// livepatch.ko stays; rmmod removes it when no patch is loaded.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS_OF_WAITING)]
pub struct Args {
    /// Which patch, and how.
    #[command(flatten)]
    pub switch: SwitchArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Outcome> {
    unload(
        &args.switch.transition.system.system(),
        &mut Console::standard(),
        args,
    )
}

/// Unloads a livepatch of the system.
pub fn unload(system: &System, console: &mut Console, args: &Args) -> Result<Outcome> {
    system.need_root("unload")?;
    let name = name_of_argument(&args.switch.patch);
    match take_out(system, console, &name, &args.switch.transition)? {
        Out::TimeIsUp => Ok(Outcome::TimeIsUp),
        Out::Disabled | Out::Before => {
            removal::remove(system, &name)?;
            console.result(&format!("{name} is unloaded"))?;
            Ok(Outcome::Done)
        }
    }
}
