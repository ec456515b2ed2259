// SPDX-License-Identifier: GPL-2.0

//! `klp boot`: loads what is installed for the running kernel.

use super::{installed, load, state};
use crate::cli::{Context, Outcome};
use crate::file::module_file::ModuleFile;
use crate::object_name::ObjectNameBuf;
use crate::system::patch_file::PatchFile;
use crate::system::patches::{self, State};
use crate::system::store::{self, Entry, Release, Store};
use crate::system::{identity, modules, support, System};
use crate::transition::interrupt::Interrupted;
use crate::transition::{seconds, TransitionArgs, WaitArgs};
use anyhow::{ensure, Context as _, Result};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// The word on the kernel's command line with which no patch is loaded: the way out for a
/// machine that a patch keeps from coming up.
const OPT_OUT: &str = "klp.boot=0";

/// What the statuses mean.
const STATUS: &str = "Exit status: 0 if all installed livepatches are enabled; 1 if one of them is \
not enabled, or klp failed; 2 for wrong arguments; 130 if Ctrl-C (SIGINT) ended the waiting, in which \
case the transition goes on.";

/// Load the livepatches that are installed for the running kernel
///
/// The unit klp.service runs this command at boot. It loads the livepatches in the order in which
/// they were installed, and before them livepatch.ko if the kernel has no livepatch support of its
/// own.
///
/// No livepatch holds up the others. This command skips one that cannot be loaded. If a transition
/// does not end in time, it reverses the transition, removes this livepatch again, and goes on with
/// the next one. At the end it prints the state of each livepatch.
///
/// If the word klp.boot=0 is on the kernel's command line, this command loads nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS)]
pub struct Args {
    /// How long to wait for the end of each transition, and of its reversal
    ///
    /// 'infinity' waits as long as it takes.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60")]
    pub timeout: Duration,

    /// If a transition does not end in time, let it go on
    ///
    /// The kernel loads no other livepatch until the transition has ended, so this command does not
    /// load those that come after it. Run klp boot again later to load them.
    #[arg(long)]
    pub no_reverse: bool,

    /// Begin to load no other livepatch after that long
    ///
    /// So the command ends, however many livepatches cannot finish, before systemd ends it.
    /// 'infinity' sets no limit.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "720")]
    pub limit: Duration,
}

/// What became of a patch.
enum Fate {
    /// It was loaded.
    Loaded,
    /// It was enabled before.
    Before,
    /// Another build of it was.
    OtherBefore,
    /// A patch that is enabled replaces it: it was not loaded.
    Replaced(ObjectNameBuf),
    /// Its transition had not ended in time.
    TimeIsUp,
    /// Another patch was in transition: it was not loaded.
    Held(String),
    /// Those before it had taken too long: it was not loaded.
    Late,
    /// What went wrong is told.
    Failed,
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let command_line = fs::read_to_string(context.system.path("/proc/cmdline"))
        .context("cannot read the kernel's command line")?;
    if command_line.split_whitespace().any(|word| word == OPT_OUT) {
        context.console.result(&format!(
            "no patch is loaded: {OPT_OUT} is on the kernel's command line"
        ))?;
        return Ok(Outcome::Done);
    }
    context.system.need_root("boot")?;
    let (release, entries) =
        store::of_running(&context.system)?.context("cannot tell which kernel this is")?;
    if entries.is_empty() {
        let text = installed::none_for(&Store::of(&context.system), &release)?;
        context.console.result(&text)?;
        return Ok(Outcome::Done);
    }
    let replacing = replacing(&context.system, &entries)?;
    let mut fates = Vec::new();
    let start = Instant::now();
    for (index, entry) in entries.iter().enumerate() {
        let by = replacing.clone().filter(|(last, _)| index < *last);
        let replaced = by.map(|(_, name)| name);
        let is_late = start.elapsed() >= args.limit;
        let fate = match load(args, context, &release, entry, replaced, is_late) {
            Ok(fate) => fate,
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                let error = error.context(entry.name.to_string());
                context.console.error(&error);
                Fate::Failed
            }
        };
        fates.push(fate);
    }
    summarize(args, context, &release, &entries, fates)
}

/// Loads a patch as `klp load` does.
fn load(
    args: &Args,
    context: &mut Context,
    release: &Release,
    entry: &Entry,
    replaced: Option<ObjectNameBuf>,
    is_late: bool,
) -> Result<Fate> {
    let name = entry.name.as_str();
    if patches::state(&context.system, name)? == Some(State::Enabled) {
        // What cannot be told is told when it is to be loaded.
        return Ok(
            match identity::is_loaded(&context.system, name, &entry.path) {
                Some(false) => Fate::OtherBefore,
                _ => Fate::Before,
            },
        );
    }
    // It would take effect over what came after it.
    if let Some(by) = replaced {
        return Ok(Fate::Replaced(by));
    }
    if let Some(other) = patches::in_transition(&context.system, name)? {
        return Ok(Fate::Held(other));
    }
    if is_late {
        return Ok(Fate::Late);
    }
    let patch = PatchFile::read(&entry.path)?;
    ensure!(
        patch.release == *release && patch.name == entry.name,
        "{} is the patch {} for kernel {}: install it again",
        entry.path.display(),
        patch.name,
        patch.release
    );
    for module in &patch.depends {
        let name = module.as_str();
        if name != support::MODULE && modules::find(&context.system, name)?.is_none() {
            modprobe(name)?;
        }
    }
    let args = load::Args {
        file: Some(entry.path.clone()),
        all: false,
        parameters: Vec::new(),
        core: None,
        replace_loaded: false,
        prune: false,
        transition: TransitionArgs {
            wait: WaitArgs {
                timeout: Some(args.timeout),
                signal: false,
            },
            reverse: !args.no_reverse,
        },
    };
    Ok(match load::run(&args, context)? {
        Outcome::Done => Fate::Loaded,
        _ => Fate::TimeIsUp,
    })
}

/// Loads a module that a patch uses.
fn modprobe(module: &str) -> Result<()> {
    let output = Command::new("modprobe").arg(module).output();
    let output = output.with_context(|| format!("cannot run modprobe for {module}"))?;
    ensure!(
        output.status.success(),
        "it needs {module}, and modprobe says: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// The last patch that is enabled and replaces all earlier ones, and its place.
fn replacing(system: &System, entries: &[Entry]) -> Result<Option<(usize, ObjectNameBuf)>> {
    for (index, entry) in entries.iter().enumerate().rev() {
        let name = entry.name.as_str();
        // Kernels before 6.11 do not tell.
        let file = || match identity::is_loaded(system, name, &entry.path) {
            Some(false) => None,
            _ => ModuleFile::read(&entry.path).ok()?.replaces(),
        };
        let patch = patches::one(system, name)?;
        if patch.is_some_and(|one| one.state == State::Enabled && one.replaces(file)) {
            return Ok(Some((index, entry.name.clone())));
        }
    }
    Ok(None)
}

/// Tells the state of each patch.
fn summarize(
    args: &Args,
    context: &mut Context,
    release: &Release,
    entries: &[Entry],
    fates: Vec<Fate>,
) -> Result<Outcome> {
    let count = entries.len();
    let mut lines = vec![format!("patches installed for kernel {release}: {count}")];
    let replacing = replacing(&context.system, entries)?;
    let (mut missing, mut in_transition) = (0, None);
    for (index, (entry, mut fate)) in entries.iter().zip(fates).enumerate() {
        let state = state(&context.system, entry.name.as_str())?;
        let is_enabled = state == Some(State::Enabled);
        // Whether it was loaded now or before.
        let was_enabled = !matches!(fate, Fate::Failed | Fate::Held(_) | Fate::Late);
        if let (true, false, Some((last, by))) = (was_enabled, is_enabled, &replacing) {
            if index < *last {
                fate = Fate::Replaced(by.clone());
            }
        }
        missing += usize::from(match fate {
            Fate::Replaced(_) => false,
            Fate::Failed | Fate::OtherBefore => true,
            _ => !is_enabled,
        });
        let word = state.map_or("not loaded", State::as_str);
        let remark = fate.remark(&entry.name, state, args);
        lines.push(format!("  {}: {word}{remark}", entry.name));
        if let Fate::Held(other) = fate {
            in_transition = Some(other);
        }
    }
    context.console.done(&lines.join("\n"))?;
    if missing == 0 {
        return Ok(Outcome::Done);
    }
    if let Some(other) = in_transition {
        context.console.note(&format!(
            "the kernel loads no patch during a transition: 'klp wait {other}' waits for its end, and 'klp boot' then loads the others"
        ));
    }
    let are = if missing == 1 { "is" } else { "are" };
    context.console.note(&format!(
        "error: of {count} patches installed for kernel {release}, {missing} {are} not enabled"
    ));
    Ok(Outcome::Failed)
}

impl Fate {
    /// What there is to say of a patch that is in this state now, after that.
    fn remark(&self, name: &ObjectNameBuf, state: Option<State>, args: &Args) -> String {
        match (self, state) {
            (Fate::Before, Some(State::Enabled)) => " already".to_owned(),
            (Fate::OtherBefore, Some(State::Enabled)) => format!(
                " already, but another build than the one that is installed: 'klp load --replace-loaded {name}' loads that"
            ),
            (Fate::Replaced(by), _) => format!(", as {by} replaces it"),
            (Fate::Held(other), _) => format!(", as {other} was in transition"),
            (Fate::Late, _) => format!(
                ", as those before it took {} s: 'klp boot' loads it",
                args.limit.as_secs_f64()
            ),
            (Fate::TimeIsUp, Some(State::Enabled)) => String::new(),
            (Fate::TimeIsUp, Some(State::Enabling)) => ": the transition goes on".to_owned(),
            (Fate::TimeIsUp, Some(State::Disabling)) => {
                ": the transition was reversed, and goes on".to_owned()
            }
            (Fate::TimeIsUp, Some(State::Disabled) | None) => {
                let reversed = if args.no_reverse { "" } else { ", and was reversed" };
                format!(": the transition had not ended after {} s{reversed}", args.timeout.as_secs_f64())
            }
            (Fate::Loaded | Fate::Before | Fate::OtherBefore | Fate::Failed, _) => String::new(),
        }
    }
}
