// SPDX-License-Identifier: GPL-2.0

//! `klp disable`: disables a livepatch, which stays loaded.

use super::{find, Found, SwitchArgs};
use crate::cli::{Context, Outcome};
use crate::file::module_file::name_of_argument;
use crate::system::patches::State;
use crate::transition::switch::{self, Ended};
use crate::transition::{set_enabled, TransitionArgs};
use anyhow::Result;
use clap::Args as ClapArgs;

/// Disable a livepatch and wait until it is in effect for no task any more
///
/// Its module stays loaded. A patch that is being enabled is reversed.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS_OF_WAITING)]
pub struct Args {
    /// Which patch, and how.
    #[command(flatten)]
    pub switch: SwitchArgs,
}

/// Disables a livepatch of the system.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("disable")?;
    let name = name_of_argument(&args.switch.patch);
    let text = match take_out(context, &name, &args.switch.transition)? {
        Out::Disabled => format!("{name} is disabled"),
        Out::Before => format!("{name} was disabled already"),
        Out::TimeIsUp => return Ok(Outcome::TimeIsUp),
    };
    context.console.result(&text)?;
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
pub(super) fn take_out(context: &mut Context, name: &str, how: &TransitionArgs) -> Result<Out> {
    match find(&context.system, name)? {
        Found::Module | Found::Patch(State::Disabled) => return Ok(Out::Before),
        Found::Patch(State::Disabling) => {}
        Found::Patch(State::Enabled | State::Enabling) => {
            set_enabled(&context.system, name, false)?;
        }
    }
    match switch::see_through(context, name, false, how)? {
        Ended::AsWanted | Ended::BeforeReversal => Ok(Out::Disabled),
        Ended::Reversed => {
            context
                .console
                .note(&format!("{name} is enabled as before"));
            Ok(Out::TimeIsUp)
        }
        Ended::GoesOn => Ok(Out::TimeIsUp),
    }
}
