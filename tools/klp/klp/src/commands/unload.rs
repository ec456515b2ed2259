// SPDX-License-Identifier: GPL-2.0

//! `klp unload`: disables a livepatch and removes its module.

use super::disable::{take_out, Out};
use super::SwitchArgs;
use crate::cli::{Context, Outcome};
use crate::file::module_file::name_of_argument;
use crate::system::removal;
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

/// Unloads a livepatch of the system.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("unload")?;
    let name = name_of_argument(&args.switch.patch);
    match take_out(context, &name, &args.switch.transition)? {
        Out::TimeIsUp => Ok(Outcome::TimeIsUp),
        Out::Disabled | Out::Before => {
            removal::remove(&context.system, &name)?;
            context.console.result(&format!("{name} is unloaded"))?;
            Ok(Outcome::Done)
        }
    }
}
