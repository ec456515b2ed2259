// SPDX-License-Identifier: GPL-2.0

//! `klp prune`: removes the modules of patches that are not in effect any more.

use crate::cli::{Context, Outcome};
use crate::console::SCHEMA;
use crate::system::patches::{self, State};
use crate::system::{modules, removal, System};
use anyhow::Result;
use serde::Serialize;

/// Remove the modules of livepatches that are no longer in effect
///
/// A livepatch that replaces others takes them out of effect, and klp disable does this to any
/// livepatch. Their modules stay loaded until this command or klp unload removes them. If the
/// transition was forced, they can never be removed.
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// Print JSON, as Documentation/livepatch/klp-json.md describes it
    #[arg(long)]
    pub json: bool,
}

/// What became of the modules.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// [`SCHEMA`]
    schema: u32,
    /// Those that are removed.
    removed: Vec<String>,
    /// Those that stay.
    kept: Vec<Kept>,
}

/// A module that could not be removed.
#[derive(Debug, Serialize)]
struct Kept {
    name: String,
    /// Why, for people.
    error: String,
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("prune")?;
    let names = left_over(&context.system)?;
    if args.json {
        return report(context, names);
    }
    if names.is_empty() {
        context
            .console
            .done("there is nothing to remove: no livepatch that is loaded is out of effect")?;
    }
    remove(context, &names)
}

/// Removes the modules, and tells it in JSON.
fn report(context: &mut Context, names: Vec<String>) -> Result<Outcome> {
    let mut report = Report {
        schema: SCHEMA,
        ..Report::default()
    };
    for name in names {
        match removal::remove(&context.system, &name) {
            Ok(()) => report.removed.push(name),
            Err(error) => report.kept.push(Kept {
                name,
                error: format!("{error:#}"),
            }),
        }
    }
    context.console.json(&report)?;
    Ok(match report.kept.is_empty() {
        true => Outcome::Done,
        false => Outcome::Failed,
    })
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
