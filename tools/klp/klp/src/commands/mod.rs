// SPDX-License-Identifier: GPL-2.0

//! The commands.
//!
//! Each module has what the command line says (`Args`), and `run`, which does it.

pub mod boot;
pub mod build;
pub mod completions;
pub mod convert;
pub mod disable;
pub mod enable;
pub mod force;
pub mod inspect;
pub mod install;
pub mod installed;
pub mod lint;
pub mod list;
pub mod load;
pub mod man;
pub mod new;
pub mod prune;
mod report;
pub mod signal;
pub mod status;
pub mod uninstall;
pub mod unload;
pub mod wait;

use crate::cli::{Context, Outcome};
use crate::file::module_file::{is_path, module_name, name_of_argument};
use crate::system::patches::{self, State};
use crate::system::support::MODULE;
use crate::system::{modules, store, System};
use crate::transition::interrupt::{self, Interrupted};
use crate::transition::TransitionArgs;
use anyhow::{anyhow, bail, Context as _, Result};
use clap::Args;
use std::path::{Path, PathBuf};

/// What the statuses mean, for those that wait.
const STATUS_OF_WAITING: &str = "Exit status: 0 if all went well; 1 if it failed; 2 for wrong \
arguments; 3 if the time was up, in which case the transition goes on, or was reversed if that was \
asked for; 130 if Ctrl-C (SIGINT) ended the waiting, in which case the transition goes on.";

/// What the statuses mean, for those that do not wait.
const STATUS: &str = "Exit status: 0 if all went well; 1 if it failed; 2 for wrong arguments.";

/// The same, for those that also work on the patches of another system.
const ROOT: &str = "Exit status: 0 if all went well; 1 if it failed; 2 for wrong arguments.\n\n\
With --root DIR it works on the system whose root directory is DIR, such as an image.";

/// Which patches are taken out of effect, and how.
#[derive(Debug, Args)]
pub struct OutArgs {
    /// The patches, or their files
    #[arg(value_name = "NAME", required_unless_present = "all", add = completions::loaded())]
    pub patches: Vec<String>,

    /// All patches, beginning with the one that was loaded last
    #[arg(long, conflicts_with = "patches")]
    pub all: bool,

    /// How.
    #[command(flatten)]
    pub transition: TransitionArgs,
}

impl OutArgs {
    /// Does this to each patch, as [`each`] does it. `all` are those that `--all` stands for.
    fn each(
        &self,
        context: &mut Context,
        all: fn(&mut Context) -> Result<Vec<String>>,
        take: impl FnMut(&mut Context, &str) -> Result<Outcome>,
    ) -> Result<Outcome> {
        let names = match self.all {
            true => all(context)?,
            false => self
                .patches
                .iter()
                .map(|one| name_of_argument(one))
                .collect(),
        };
        each(context, &names, take)
    }
}

/// Does this to each patch. What fails is told, and the rest is gone on with; but while a
/// transition goes on, no other patch can be taken out.
fn each(
    context: &mut Context,
    names: &[String],
    mut take: impl FnMut(&mut Context, &str) -> Result<Outcome>,
) -> Result<Outcome> {
    if let [only] = names {
        return take(context, only);
    }
    let mut outcome = Outcome::Done;
    for name in names {
        interrupt::check()?;
        match take(context, name) {
            Ok(Outcome::Done) => {}
            Ok(other) => return Ok(other),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                context.console.error(&error);
                outcome = Outcome::Failed;
            }
        }
    }
    Ok(outcome)
}

/// The state of a patch. One of which nothing but the module is left is disabled; `None` where there
/// is not even that, or where it is coming or going.
fn state(system: &System, name: &str) -> Result<Option<State>> {
    if let Some(state) = patches::state(system, name)? {
        return Ok(Some(state));
    }
    Ok(match modules::find(system, name)? {
        // It may have been inserted between the two looks.
        Some(module) if module.is_livepatch() && module.is_live => {
            Some(patches::state(system, name)?.unwrap_or(State::Disabled))
        }
        _ => None,
    })
}

/// The state of the patch that a user names.
///
/// # Errors
///
/// One that says what there is instead.
fn find(system: &System, name: &str) -> Result<State> {
    if let Some(state) = state(system, name)? {
        return Ok(state);
    }
    match modules::find(system, name)? {
        Some(module) if module.is_livepatch() => Err(is_changing(name)),
        Some(_) if name == MODULE => {
            bail!("livepatch is no patch, but what loads them: rmmod removes it, when no patch is loaded")
        }
        Some(_) => bail!("{name} is a module, but no livepatch"),
        None if installed_file(system, name).is_some() => {
            bail!("{name} is installed, but not loaded: 'klp load {name}' loads it")
        }
        None => {
            let names = names(system)?;
            if names.is_empty() {
                bail!("there is no patch {name}: none is loaded")
            }
            bail!("there is no patch {name}; loaded are: {}", names.join(", "))
        }
    }
}

/// A module that is neither there nor gone.
fn is_changing(name: &str) -> anyhow::Error {
    anyhow!("{name} is being inserted, or removed: try again when that has ended")
}

/// The file of the patch of this name that is installed for the running kernel.
fn installed_file(system: &System, name: &str) -> Option<PathBuf> {
    let (_, entries) = store::of_running(system).ok()??;
    let mut entries = entries.into_iter();
    entries
        .find(|entry| entry.name.as_str() == name)
        .map(|entry| entry.path)
}

/// The file that a user names: by its path, or by the name of a patch that is installed for the
/// running kernel, or that modprobe finds. A file in the directory that klp runs in counts last, as
/// anybody may have put it there.
fn file_of_argument(system: &System, argument: &Path) -> Result<PathBuf> {
    let text = argument.to_string_lossy();
    if is_path(&text) {
        return Ok(argument.to_owned());
    }
    let name = module_name(&text);
    installed_file(system, &name)
        .or_else(|| modules::find_file(system, &name))
        .or_else(|| argument.is_file().then(|| argument.to_owned()))
        .with_context(|| {
            format!("there is no file {text}, and no patch of that name is installed: 'klp installed' lists those that are")
        })
}

/// The names of all patches, those among them that are disabled.
fn names(system: &System) -> Result<Vec<String>> {
    let mut names: Vec<String> = patches::all(system)?
        .into_iter()
        .map(|patch| patch.name)
        .collect();
    for module in modules::all(system)? {
        if module.is_livepatch() && !names.contains(&module.name) {
            names.push(module.name);
        }
    }
    Ok(names)
}
