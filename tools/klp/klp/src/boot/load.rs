// SPDX-License-Identifier: GPL-2.0

//! `klp boot`: loads what is installed for the running kernel.

use super::{Entry, PatchFile, Release, Store};
use crate::insert;
use crate::object_name::ObjectNameBuf;
use anyhow::{bail, ensure, Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The word on the kernel's command line with which no patch is loaded: the way out for a
/// machine that a patch keeps from coming up.
const OPT_OUT: &str = "klp.boot=0";

/// Load the livepatches that are installed for the running kernel
///
/// This is what the unit klp.service runs at boot. Where the kernel has no livepatch support of
/// its own, modprobe first loads livepatch.ko. Then the patches are loaded in their order, and
/// each transition is waited for. What fails is said, and the rest is gone on with; the exit
/// status is then 1. With the word klp.boot=0 on the kernel's command line nothing is loaded.
#[derive(Debug, clap::Args)]
pub struct BootArgs {
    /// How long to wait for each transition; it goes on after that, unwatched
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
}

/// What became of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is in effect now.
    Loaded,
    /// It was there before.
    WasLoaded,
}

/// What patches are loaded into.
pub trait System {
    /// Sees to it that there is livepatch support.
    fn support(&mut self) -> Result<()>;

    /// Loads a patch and waits for its transition.
    fn load(&mut self, patch: &PatchFile, path: &Path) -> Result<Outcome>;
}

/// The running kernel.
struct Running {
    timeout: Duration,
}

impl System for Running {
    fn support(&mut self) -> Result<()> {
        if insert::has_support() {
            return Ok(());
        }
        modprobe("livepatch")?;
        ensure!(
            insert::has_support(),
            "livepatch.ko is loaded, but the kernel has no livepatch support"
        );
        Ok(())
    }

    fn load(&mut self, patch: &PatchFile, path: &Path) -> Result<Outcome> {
        if insert::is_loaded(&patch.name) {
            ensure!(
                insert::is_enabled(&patch.name),
                "its module is loaded, but the patch is disabled"
            );
            return Ok(Outcome::WasLoaded);
        }
        for module in &patch.depends {
            if !insert::is_loaded(module) {
                modprobe(module.as_str())?;
            }
        }
        insert::insert_and_wait(path, &patch.name, self.timeout)?;
        Ok(Outcome::Loaded)
    }
}

fn modprobe(module: &str) -> Result<()> {
    let output = Command::new("modprobe")
        .arg(module)
        .output()
        .context("cannot run modprobe")?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("modprobe {module}: {} ({})", error.trim(), output.status);
    }
    Ok(())
}

/// `klp boot`. Returns whether all went well.
pub fn boot(args: &BootArgs) -> Result<bool> {
    let command_line = fs::read_to_string("/proc/cmdline").context("cannot read /proc/cmdline")?;
    if command_line.split_whitespace().any(|word| word == OPT_OUT) {
        println!("no patch is loaded: {OPT_OUT} is on the kernel's command line");
        return Ok(true);
    }
    let release = Release::running()?;
    let entries = Store::new(&PathBuf::from("/")).entries(&release)?;
    let mut system = Running {
        timeout: Duration::from_secs(args.timeout.into()),
    };
    let results = in_order(&entries, &release, &mut system);
    let mut failed = 0;
    for (name, result) in &results {
        match result {
            Ok(Outcome::Loaded) => println!("{name}: in effect"),
            Ok(Outcome::WasLoaded) => println!("{name}: was loaded already"),
            Err(error) => {
                failed += 1;
                eprintln!("error: {name}: {error:#}");
            }
        }
    }
    let count = results.len();
    match failed {
        0 => println!("patches for kernel {release}: {count}"),
        _ => eprintln!("error: {failed} of {count} patches for kernel {release} failed"),
    }
    Ok(failed == 0)
}

/// Loads patches one after the other, whatever becomes of those before.
pub fn in_order(
    entries: &[Entry],
    release: &Release,
    system: &mut dyn System,
) -> Vec<(ObjectNameBuf, Result<Outcome>)> {
    if entries.is_empty() {
        return Vec::new();
    }
    let supported = system.support().map_err(|error| format!("{error:#}"));
    let mut load = |entry: &Entry| {
        if let Err(error) = &supported {
            bail!("no livepatch support: {error}");
        }
        let patch = PatchFile::read(&entry.path)?;
        ensure!(
            patch.release == *release && patch.name == entry.name,
            "{}: the file is that of {} for kernel {}",
            entry.path.display(),
            patch.name,
            patch.release
        );
        system.load(&patch, &entry.path)
    };
    entries
        .iter()
        .map(|entry| (entry.name.clone(), load(entry)))
        .collect()
}
