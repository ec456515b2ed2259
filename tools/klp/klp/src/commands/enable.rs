// SPDX-License-Identifier: GPL-2.0

//! `klp enable`: keeps a livepatch that is being disabled.

use super::{completions, find};
use crate::cli::{Context, Outcome};
use crate::file::module_file::name_of_argument;
use crate::system::patches::State;
use crate::system::removal::{self, Hold};
use crate::system::System;
use crate::transition::switch::{self, Enabled};
use crate::transition::{set_enabled, TransitionArgs};
use anyhow::{anyhow, Result};
use clap::Args as ClapArgs;

/// Enable a livepatch that is being disabled, and wait until it is in effect for all tasks
///
/// This reverses the transition. Once a livepatch is disabled, it cannot be enabled again: unload
/// it, and load it again.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS_OF_WAITING)]
pub struct Args {
    /// The patch, or its file
    #[arg(value_name = "NAME", add = completions::loaded())]
    pub patch: String,

    /// How.
    #[command(flatten)]
    pub transition: TransitionArgs,
}

/// Enables a livepatch of the system.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("enable")?;
    let name = name_of_argument(&args.patch);
    match find(&context.system, &name)? {
        State::Enabled => {
            context
                .console
                .done(&format!("{name} was enabled already"))?;
            return Ok(Outcome::Done);
        }
        State::Enabling => {}
        State::Disabling => {
            if !set_enabled(&context.system, &name, true)? {
                return Err(disabled(&context.system, &name));
            }
        }
        State::Disabled => return Err(disabled(&context.system, &name)),
    }
    let outcome = switch::see_enabled(context, &name, &args.transition)?;
    if outcome == Enabled::Reversed {
        context.console.note(&format!("{name} is disabled"));
    }
    Ok(outcome.into())
}

fn disabled(system: &System, name: &str) -> anyhow::Error {
    let way_out = match Hold::find(system, name) {
        Ok(Hold::UntilBoot) => removal::until_boot_advice(),
        _ => format!("'klp unload {name}', and then 'klp load' with its file"),
    };
    anyhow!("{name} is disabled, and a disabled livepatch cannot be enabled again: {way_out}")
}
