// SPDX-License-Identifier: GPL-2.0

//! `klp prune`: removes the modules of patches that are not in effect any more.

use crate::cli::{Context, Outcome};
use crate::console::SCHEMA;
use crate::system::patches::{self, State};
use crate::system::removal::{self, Hold, UNTIL_BOOT};
use crate::system::{modules, System};
use anyhow::Result;
use serde::Serialize;

/// Remove the modules of livepatches that are no longer in effect
///
/// A livepatch that replaces others takes them out of effect, and klp disable does this to any
/// livepatch. Their modules stay loaded until this command or klp unload removes them. If tasks were
/// forced out of a livepatch, the kernel keeps its module until the next boot: klp says which these
/// are, and that is no failure.
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
    /// Whether the kernel keeps it until the next boot, where that is known.
    until_boot: Option<bool>,
    /// Why, for people.
    error: String,
}

/// The modules of livepatches that are not in effect any more.
#[derive(Debug, Default)]
pub(super) struct LeftOver {
    /// Those that can be removed, by what is known: first those that nothing holds.
    pub removable: Vec<String>,
    /// Those among them that something may hold for longer.
    pub held: Vec<String>,
    /// Those that the kernel keeps until the next boot.
    pub until_boot: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("prune")?;
    let left_over = left_over(&context.system)?;
    if args.json {
        return report(context, left_over);
    }
    left_over.tell_kept(context);
    if left_over.removable.is_empty() {
        let text = match left_over.until_boot.is_empty() {
            true => "there is nothing to remove: no livepatch that is loaded is out of effect",
            false => "there is nothing else to remove",
        };
        context.console.done(text)?;
    }
    remove(context, &left_over.removable)
}

/// Removes the modules, and tells it in JSON.
fn report(context: &mut Context, left_over: LeftOver) -> Result<Outcome> {
    let mut report = Report {
        schema: SCHEMA,
        ..Report::default()
    };
    let mut outcome = Outcome::Done;
    for name in left_over.removable {
        match removal::remove(&context.system, &name) {
            Ok(()) => report.removed.push(name),
            Err(error) => {
                outcome = Outcome::Failed;
                let hold = Hold::find(&context.system, &name).ok();
                let until_boot = hold.and_then(|hold| hold.is_until_boot());
                report.kept.push(Kept {
                    name,
                    until_boot,
                    error: format!("{error:#}"),
                });
            }
        }
    }
    let kept = left_over.until_boot.into_iter().map(|name| Kept {
        name,
        until_boot: Some(true),
        error: UNTIL_BOOT.to_owned(),
    });
    report.kept.extend(kept);
    context.console.json(&report)?;
    Ok(outcome)
}

impl LeftOver {
    /// Tells which modules stay until the next boot.
    pub(super) fn tell_kept(&self, context: &mut Context) {
        for name in &self.until_boot {
            context.console.note(&format!("{name} stays: {UNTIL_BOOT}"));
        }
    }
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
pub(super) fn left_over(system: &System) -> Result<LeftOver> {
    let mut left_over = LeftOver::default();
    for module in modules::all(system)? {
        // While a module is being inserted, its patch is not there yet.
        if !module.is_livepatch() || !module.is_live {
            continue;
        }
        if let None | Some(State::Disabled) = patches::state(system, &module.name)? {
            match Hold::of(system, &module) {
                Hold::UntilBoot => left_over.until_boot.push(module.name),
                Hold::Free => left_over.removable.push(module.name),
                _ => left_over.held.push(module.name),
            }
        }
    }
    left_over.removable.extend_from_slice(&left_over.held);
    Ok(left_over)
}
