// SPDX-License-Identifier: GPL-2.0

//! `klp prune`: removes the modules of patches that are not in effect any more.

use crate::cli::{Context, Outcome};
use crate::system::patches::{self, State};
use crate::system::{modules, removal, System};
use anyhow::Result;

/// Remove the modules of livepatches that are no longer in effect
///
/// A livepatch that replaces others takes them out of effect, and klp disable does this to any
/// livepatch. Their modules stay loaded until this command or klp unload removes them. If the
/// transition was forced, they can never be removed.
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("prune")?;
    let names = left_over(&context.system)?;
    if names.is_empty() {
        context
            .console
            .done("there is nothing to remove: no livepatch that is loaded is out of effect")?;
    }
    remove(context, &names)
}

/// Removes the modules, whatever becomes of those before.
pub(super) fn remove(context: &mut Context, names: &[String]) -> Result<Outcome> {
    super::each(context, names, |context, name| {
        removal::remove(&context.system, name)?;
        context.console.done(&format!("{name} is removed"))?;
        Ok(Outcome::Done)
    })
}

/// The modules of livepatches that are not in effect any more.
pub(super) fn left_over(system: &System) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for module in modules::all(system)? {
        // While a module is being inserted, its patch is not there yet.
        if !module.is_livepatch() || !module.is_live {
            continue;
        }
        if let None | Some(State::Disabled) = patches::state(system, &module.name)? {
            names.push(module.name);
        }
    }
    Ok(names)
}
