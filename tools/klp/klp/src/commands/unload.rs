// SPDX-License-Identifier: GPL-2.0

//! `klp unload`: disables a livepatch and removes its module.

use super::disable::{take_out, Out};
use super::{names, prune, OutArgs};
use crate::cli::{Context, Outcome};
use crate::system::patches::{self, State};
use crate::system::removal;
use crate::transition::interrupt::Interrupted;
use anyhow::Result;
use clap::Args as ClapArgs;

/// Disable livepatches, wait until they are in effect for no task, and remove their modules
///
/// A livepatch that is being enabled is disabled by reversing its transition. One whose module the
/// kernel keeps until the next boot, as tasks were forced out of it, cannot be unloaded: --all leaves it
/// out.
///
/// livepatch.ko stays loaded. When no livepatch is loaded any more, rmmod livepatch removes it.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS_OF_WAITING)]
pub struct Args {
    /// Which patches, and how.
    #[command(flatten)]
    pub out: OutArgs,
}

/// Unloads livepatches of the system.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("unload")?;
    args.out.each(context, all, |context, name| {
        match take_out(context, name, &args.out.transition) {
            Ok(Out::Disabled | Out::Before) => removal::remove(&context.system, name)?,
            Ok(Out::TimeIsUp) => {
                stays(context, name)?;
                return Ok(Outcome::TimeIsUp);
            }
            Err(error) if error.is::<Interrupted>() => {
                stays(context, name)?;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        context.console.done(&format!("{name} is unloaded"))?;
        Ok(Outcome::Done)
    })
}

/// The patches, the last one first, but at the end those whose module something may hold for longer;
/// without those whose module stays until the next boot, which is told.
fn all(context: &mut Context) -> Result<Vec<String>> {
    let left_over = prune::left_over(&context.system)?;
    left_over.tell_kept(context);
    let (held, mut all): (Vec<_>, Vec<_>) = names(&context.system)?
        .into_iter()
        .rev()
        .filter(|name| !left_over.until_boot.contains(name))
        .partition(|name| left_over.held.contains(name));
    all.extend(held);
    if all.is_empty() {
        context
            .console
            .done(match left_over.until_boot.is_empty() {
                true => "no livepatch is loaded",
                false => "no other livepatch is loaded",
            })?;
    }
    Ok(all)
}

/// Tells that nothing removes the module, unless the patch is to be enabled.
fn stays(context: &mut Context, name: &str) -> Result<()> {
    let state = patches::state(&context.system, name)?;
    if !matches!(state, Some(State::Enabled | State::Enabling)) {
        context.console.note(&format!(
            "The module stays loaded after that: 'klp unload {name}' waits again, and removes it."
        ));
    }
    Ok(())
}
