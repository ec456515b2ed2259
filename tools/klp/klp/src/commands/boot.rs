// SPDX-License-Identifier: GPL-2.0

//! `klp boot`: loads what is installed for the running kernel.

use super::load;
use crate::cli::{Context, Outcome};
use crate::object_name::ObjectNameBuf;
use crate::system::patch_file::PatchFile;
use crate::system::patches::{self, State};
use crate::system::store::{Entry, Release, Store};
use crate::system::{modules, support};
use crate::transition::{TransitionArgs, WaitArgs};
use anyhow::{bail, ensure, Context as _, Result};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// The word on the kernel's command line with which no patch is loaded: the way out for a
/// machine that a patch keeps from coming up.
const OPT_OUT: &str = "klp.boot=0";

/// Load the livepatches that are installed for the running kernel
///
/// This is what the unit klp.service runs at boot. The patches are loaded in their order, and
/// each transition is waited for; where the kernel has no livepatch support of its own,
/// livepatch.ko is loaded first. What fails is said, and the rest is gone on with; the exit
/// status is then 1. With the word klp.boot=0 on the kernel's command line nothing is loaded.
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// How long to wait for each transition; it goes on after that
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
}

/// What became of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loaded {
    /// It is in effect now.
    Now,
    /// It was in effect before.
    Before,
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
    let release = context.system.release();
    let release = release.context("cannot tell which kernel this is")?;
    let release = Release::new(&release)?;
    let entries = Store::of(&context.system).entries(&release)?;
    let results = in_order(&entries, &release, |entry, patch| {
        load(context, args.timeout, entry, patch)
    });
    let mut failed = 0;
    for (name, result) in &results {
        match result {
            Ok(Loaded::Now) => {}
            Ok(Loaded::Before) => context
                .console
                .result(&format!("{name} is enabled already"))?,
            Err(error) => {
                failed += 1;
                context.console.note(&format!("error: {name}: {error:#}"));
            }
        }
    }
    let count = results.len();
    if failed == 0 {
        context
            .console
            .result(&format!("patches installed for kernel {release}: {count}"))?;
        return Ok(Outcome::Done);
    }
    context.console.note(&format!(
        "error: of {count} patches installed for kernel {release}, {failed} failed"
    ));
    Ok(Outcome::Failed)
}

/// Loads patches one after the other, whatever becomes of those before.
pub fn in_order(
    entries: &[Entry],
    release: &Release,
    mut load: impl FnMut(&Entry, &PatchFile) -> Result<Loaded>,
) -> Vec<(ObjectNameBuf, Result<Loaded>)> {
    let mut checked = |entry: &Entry| {
        let patch = PatchFile::read(&entry.path)?;
        ensure!(
            patch.release == *release && patch.name == entry.name,
            "{}: what it holds is {} for kernel {}",
            entry.path.display(),
            patch.name,
            patch.release
        );
        load(entry, &patch)
    };
    entries
        .iter()
        .map(|entry| (entry.name.clone(), checked(entry)))
        .collect()
}

/// Loads a patch as `klp load` does.
fn load(context: &mut Context, timeout: u32, entry: &Entry, patch: &PatchFile) -> Result<Loaded> {
    if patches::state(&context.system, patch.name.as_str())? == Some(State::Enabled) {
        return Ok(Loaded::Before);
    }
    for module in &patch.depends {
        let name = module.as_str();
        if name != support::MODULE && modules::find(&context.system, name)?.is_none() {
            modprobe(name)?;
        }
    }
    let args = load::Args {
        file: entry.path.clone(),
        parameters: Vec::new(),
        core: None,
        replace_loaded: false,
        prune: false,
        transition: TransitionArgs {
            wait: WaitArgs {
                timeout: Some(Duration::from_secs(timeout.into())),
                signal: false,
            },
            ..Default::default()
        },
    };
    match load::run(&args, context)? {
        Outcome::Done => Ok(Loaded::Now),
        _ => bail!("its transition has not ended after {timeout} s"),
    }
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
