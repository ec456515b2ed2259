// SPDX-License-Identifier: GPL-2.0

//! `klp load`: inserts a livepatch.

use super::disable::{take_out, Out};
use super::{boot, completions, file_of_argument, is_changing, prune};
use crate::cli::{Context, Outcome};
use crate::file::module_file::ModuleFile;
use crate::system::identity::Identity;
use crate::system::kmsg::Log;
use crate::system::patches::{self, State};
use crate::system::removal::{self, Hold};
use crate::system::support::{self, Core};
use crate::system::taint::Taints;
use crate::system::{modules, refusal, System};
use crate::transition::interrupt::{self, Interrupted, Watch};
use crate::transition::switch::{self, Enabled};
use crate::transition::TransitionArgs;
use anyhow::{bail, Result};
use clap::Args as ClapArgs;
use std::ffi::CString;
use std::path::PathBuf;
use std::time::Duration;

/// Insert a livepatch, and wait until it is in effect for all tasks
///
/// If the kernel has no livepatch support, klp inserts livepatch.ko first. During the transition, klp
/// shows whether the patch is in effect, and which tasks are in the way. After 60 seconds (--timeout)
/// it ends with status 3, and the transition goes on in the kernel. If the kernel rejects the patch,
/// klp shows the kernel's own messages, and removes livepatch.ko again if it inserted it for this
/// patch.
///
/// klp does not load a patch again if the same build of it is loaded: the same version, srcversion and
/// build ID. If another build is loaded, klp leaves that alone, unless you give --replace-loaded.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS_OF_WAITING)]
pub struct Args {
    /// The file of the livepatch, which may be compressed, or the name of an installed livepatch
    #[arg(value_name = "FILE", required_unless_present = "all", add = completions::files_or_installed())]
    pub file: Option<PathBuf>,

    /// Parameters of the module, NAME=VALUE
    #[arg(value_name = "PARAM=VALUE")]
    pub parameters: Vec<String>,

    /// Load all livepatches that are installed for the running kernel and not loaded
    ///
    /// klp boot does the same at boot, but --all reverses a transition only with --reverse. As at
    /// boot, it loads nothing with the word klp.boot=0 on the kernel's command line, and the exit
    /// status is 1 if one of the livepatches is not enabled, also if the time was up.
    #[arg(long, conflicts_with_all = ["file", "parameters", "core", "replace_loaded", "prune", "signal"])]
    pub all: bool,

    /// The file of livepatch.ko, if it is not where modprobe looks for modules
    #[arg(long, value_name = "PATH")]
    pub core: Option<PathBuf>,

    /// If another build of the livepatch is loaded, unload that first
    ///
    /// Neither is in effect until the new one is. A livepatch of another name that is marked as
    /// .replace takes over without that gap.
    #[arg(long)]
    pub replace_loaded: bool,

    /// When the livepatch is in effect and replaces others, remove their modules
    #[arg(long)]
    pub prune: bool,

    /// How.
    #[command(flatten)]
    pub transition: TransitionArgs,
}

/// Inserts a livepatch in the system.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("load")?;
    interrupt::check()?;
    let Some(path) = &args.file else {
        return load_installed(args, context);
    };
    let parameters = modules::parameters(&args.parameters)?;
    let file = ModuleFile::read(&file_of_argument(&context.system, path)?)?;
    file.need_module()?;
    modules::check_parameters(&file, &args.parameters)?;
    let name = file.name();
    match start(&context.system, &file, args)? {
        Start::Insert => {}
        Start::IsThere(state) => {
            let text = format!("{name} is loaded already, and {}", state.as_str());
            context.console.done(&text)?;
            return match state {
                State::Enabled => after(context, &file, args),
                _ => finish(context, &file, args),
            };
        }
        Start::Replace => match take_out(context, &name, &args.transition)? {
            Out::Disabled | Out::Before => {
                removal::remove(&context.system, &name)?;
                let text = format!("the {name} that was loaded is unloaded, to be replaced");
                context.console.note(&text);
            }
            Out::TimeIsUp => return Ok(Outcome::TimeIsUp),
        },
    }
    let taints = Taints::read(&context.system);
    let core = insert_core(context, args)?;
    let inserted = match core {
        // Ctrl-C may have come meanwhile.
        true => interrupt::check().map_err(Into::into),
        false => Ok(()),
    };
    let inserted = inserted.and_then(|()| insert(&context.system, &file, &parameters));
    if let Err(error) = inserted {
        if core {
            let why = match error.is::<Interrupted>() {
                true => "klp was interrupted",
                false => "the patch was refused",
            };
            let text = take_core_back(&context.system, why);
            context.console.note(&text);
        }
        return Err(error);
    }
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
    finish(context, &file, args)
}

/// Loads what is installed, as at boot.
fn load_installed(args: &Args, context: &mut Context) -> Result<Outcome> {
    let args = boot::Args {
        timeout: args.transition.limited().timeout.unwrap_or(Duration::MAX),
        no_reverse: !args.transition.reverse,
        limit: Duration::MAX,
    };
    boot::run(&args, context)
}

/// How loading a file begins.
enum Start {
    /// By inserting it.
    Insert,
    /// It was inserted before, and is enabled, or on the way to that.
    IsThere(State),
    /// By unloading the other module of its name.
    Replace,
}

/// What can be told before anything is done.
fn start(system: &System, file: &ModuleFile, args: &Args) -> Result<Start> {
    let path = file.path.display();
    if file.is_livepatch() == Some(false) {
        bail!("{path} does not say that it is a livepatch: 'klp convert' makes one of it, insmod inserts it as the module that it is");
    }
    let name = &file.name();
    let Some(module) = modules::find(system, name)? else {
        return Ok(Start::Insert);
    };
    if !module.is_livepatch() {
        bail!("a module {name} is loaded that is no livepatch: 'rmmod {name}' removes it");
    }
    let (old, new) = (Identity::of_loaded(system, name), Identity::of_file(file));
    let same = old.is_same(&new);
    let advice = "--replace-loaded unloads it first, so that none is in effect meanwhile; a livepatch of another name that is marked as .replace takes over without that gap";
    match patches::state(system, name)? {
        Some(state @ (State::Enabled | State::Enabling)) if same == Some(true) => {
            Ok(Start::IsThere(state))
        }
        None if !module.is_live => Err(is_changing(name)),
        Some(State::Disabled) | None if Hold::of(system, &module) == Hold::UntilBoot => {
            bail!("{name} is loaded already, and disabled: {}", removal::until_boot_advice())
        }
        _ if args.replace_loaded => Ok(Start::Replace),
        Some(State::Enabled | State::Enabling) if same.is_none() => bail!(
            "{name} is loaded already, and whether {path} is the same cannot be told, without a srcversion or a build ID: {advice}"
        ),
        Some(State::Enabled | State::Enabling) => {
            bail!("another {name} is loaded ({old}; {path} is {new}): {advice}")
        }
        Some(State::Disabling) => bail!(
            "{name} is loaded already, and is being disabled: 'klp enable {name}' keeps it, 'klp wait {name}' waits for the end of that"
        ),
        Some(State::Disabled) | None => bail!(
            "{name} is loaded already, but disabled: 'klp unload {name}' removes it, and with --replace-loaded klp load does"
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

/// Removes livepatch.ko, which was inserted for a patch that is not, and tells it.
fn take_core_back(system: &System, why: &str) -> String {
    match modules::remove(system, support::MODULE) {
        Ok(()) => format!("livepatch.ko was removed again, as {why}"),
        Err(error) => format!("livepatch.ko stays, though {why}: {error}"),
    }
}

fn insert(system: &System, file: &ModuleFile, parameters: &CString) -> Result<()> {
    let _watch = Watch::begin();
    let mut log = Log::from_now(system);
    modules::insert(system, file, parameters)
        .map_err(|error| refusal::error(system, file, &error, log.read()))
}

/// Waits for the transition.
fn finish(context: &mut Context, file: &ModuleFile, args: &Args) -> Result<Outcome> {
    let name = &file.name();
    let outcome = switch::see_enabled(context, name, &args.transition)?;
    match outcome {
        Enabled::Yes => return after(context, file, args),
        Enabled::NotYet => {}
        Enabled::Reversed => {
            removal::remove(&context.system, name)?;
            context.console.note(&format!("{name} was unloaded again"));
        }
    }
    Ok(outcome.into())
}

/// Sees to what a patch that is in effect has replaced.
fn after(context: &mut Context, file: &ModuleFile, args: &Args) -> Result<Outcome> {
    let patch = patches::one(&context.system, &file.name())?;
    if !patch.is_some_and(|patch| patch.replaces(|| file.replaces())) {
        return Ok(Outcome::Done);
    }
    let left_over = prune::left_over(&context.system)?;
    let replaced = &left_over.removable;
    if args.prune {
        left_over.tell_kept(context);
        return prune::remove(context, replaced);
    }
    if !replaced.is_empty() {
        context.console.note(&format!(
            "not in effect any more: {}; 'klp prune' removes their modules",
            replaced.join(", ")
        ));
    }
    Ok(Outcome::Done)
}
