// SPDX-License-Identifier: GPL-2.0

//! `klp load`: inserts a livepatch.

use crate::cli::{Context, Outcome};
use crate::file::module_file::ModuleFile;
use crate::system::kmsg::Log;
use crate::system::patches::{self, State};
use crate::system::support::{self, Core};
use crate::system::taint::Taints;
use crate::system::{modules, refusal, removal, System};
use crate::transition::switch::{self, Enabled};
use crate::transition::TransitionArgs;
use anyhow::{bail, Result};
use clap::Args as ClapArgs;
use std::ffi::CString;
use std::path::PathBuf;

/// Insert a livepatch and wait until it is in effect for all tasks
///
/// Where the kernel has no livepatch support, livepatch.ko is inserted first. While the transition
/// lasts, it tells whether the patch is in effect, and which tasks are in the way. If the kernel
/// refuses the patch, its own messages are shown, and livepatch.ko is removed again if it was
/// inserted for it.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS_OF_WAITING)]
pub struct Args {
    /// The livepatch, which may be compressed
    pub file: PathBuf,

    /// Parameters of the module, NAME=VALUE
    #[arg(value_name = "PARAM=VALUE")]
    pub parameters: Vec<String>,

    /// livepatch.ko, if it is not where modprobe looks for modules
    #[arg(long, value_name = "PATH")]
    pub core: Option<PathBuf>,

    /// How.
    #[command(flatten)]
    pub transition: TransitionArgs,
}

/// Inserts a livepatch in the system.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("load")?;
    let parameters = modules::parameters(&args.parameters)?;
    let file = ModuleFile::read(&args.file)?;
    file.need_module()?;
    modules::check_parameters(&file, &args.parameters)?;
    check(&context.system, &file)?;
    let taints = Taints::read(&context.system);
    let core = insert_core(context, args)?;
    if let Err(error) = insert(&context.system, &file, &parameters) {
        if core {
            context.console.note(&take_core_back(&context.system));
        }
        return Err(error);
    }
    let name = file.name();
    if patches::state(&context.system, &name)?.is_none() {
        bail!(
            "{} was loaded, but enables no patch: there is none in {}",
            file.path.display(),
            patches::DIRECTORY
        );
    }
    let taints = Taints::read(&context.system).since(taints);
    if !taints.is_empty() {
        context
            .console
            .note(&format!("the kernel is tainted now: {}", taints.join(", ")));
    }
    finish(context, &name, args)
}

/// What can be told before anything is done.
fn check(system: &System, file: &ModuleFile) -> Result<()> {
    let path = file.path.display();
    if file.is_livepatch() == Some(false) {
        bail!("{path} does not say that it is a livepatch: 'klp convert' makes one of it, insmod inserts it as the module that it is");
    }
    let name = &file.name();
    if modules::find(system, name)?.is_none() {
        return Ok(());
    }
    match patches::state(system, name)? {
        Some(State::Enabled) => bail!("{name} is loaded already, and enabled"),
        Some(state @ (State::Enabling | State::Disabling)) => bail!(
            "{name} is loaded already: it is {}; 'klp wait {name}' waits for the end of that",
            state.as_str()
        ),
        Some(State::Disabled) | None => bail!(
            "a module {name} is loaded already; if it is a patch that was disabled, 'klp unload {name}' removes it"
        ),
    }
}

/// Inserts livepatch.ko where there is nothing to load livepatches. Returns whether it did.
fn insert_core(context: &mut Context, args: &Args) -> Result<bool> {
    if Core::detect(&context.system)? != Core::None {
        return Ok(false);
    }
    let path = match &args.core {
        Some(path) => path.clone(),
        None => modules::find_core(&context.system)?,
    };
    let file = ModuleFile::read(&path)?;
    file.need_module()?;
    let name = file.name();
    if name != support::MODULE {
        bail!("{} is no livepatch.ko: it is {name}", path.display());
    }
    insert(&context.system, &file, &CString::default())?;
    context
        .console
        .note(&format!("inserted {}", path.display()));
    Ok(true)
}

/// Removes livepatch.ko, which was inserted for a patch that was refused, and tells it.
fn take_core_back(system: &System) -> String {
    match modules::remove(system, support::MODULE) {
        Ok(()) => "livepatch.ko was removed again, as the patch was refused".to_owned(),
        Err(error) => format!("livepatch.ko stays, though the patch was refused: {error}"),
    }
}

fn insert(system: &System, file: &ModuleFile, parameters: &CString) -> Result<()> {
    let mut log = Log::from_now(system);
    modules::insert(system, file, parameters)
        .map_err(|error| refusal::error(system, file, &error, log.read()))
}

/// Waits for the transition.
fn finish(context: &mut Context, name: &str, args: &Args) -> Result<Outcome> {
    let outcome = switch::see_enabled(context, name, &args.transition)?;
    if outcome == Enabled::Reversed {
        removal::remove(&context.system, name)?;
        context.console.note(&format!("{name} was unloaded again"));
    }
    Ok(outcome.into())
}
