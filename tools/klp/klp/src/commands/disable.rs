// SPDX-License-Identifier: GPL-2.0

//! `klp disable`: disables a livepatch, which stays loaded.

use super::{find, names, OutArgs};
use crate::cli::{Context, Outcome};
use crate::system::patches::State;
use crate::system::removal;
use crate::transition::switch::{self, Ended};
use crate::transition::{set_enabled, TransitionArgs};
use anyhow::Result;
use clap::Args as ClapArgs;
use std::time::Duration;

/// Disable livepatches, and wait until they are in effect for no task
///
/// Their modules stay loaded until klp unload or klp prune removes them. If a livepatch is being
/// enabled, this reverses its transition.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS_OF_WAITING)]
pub struct Args {
    /// Which patches, and how.
    #[command(flatten)]
    pub out: OutArgs,
}

/// Disables livepatches of the system.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("disable")?;
    args.out.each(context, all, |context, name| {
        let text = match take_out(context, name, &args.out.transition)? {
            Out::Disabled => {
                let limit = args.out.transition.limited().timeout;
                tell_hold(context, name, limit.unwrap_or(Duration::MAX));
                format!("{name} is disabled")
            }
            Out::Before => format!("{name} was disabled already"),
            Out::TimeIsUp => return Ok(Outcome::TimeIsUp),
        };
        context.console.done(&text)?;
        Ok(Outcome::Done)
    })
}

/// The patches, the last one first.
fn all(context: &mut Context) -> Result<Vec<String>> {
    let mut all = names(&context.system)?;
    all.reverse();
    if all.is_empty() {
        context.console.done("no livepatch is loaded")?;
    }
    Ok(all)
}

/// Waits for a moment, but no longer than `limit`, until the kernel lets go of the module of a patch
/// that was disabled just now, and tells why it does not.
pub(super) fn tell_hold(context: &mut Context, name: &str, limit: Duration) {
    if let Some(why) = removal::settle(&context.system, name, limit) {
        context.console.note(&format!("{name}: {why}"));
    }
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
        State::Disabled => return Ok(Out::Before),
        State::Disabling => {}
        State::Enabled | State::Enabling => {
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
