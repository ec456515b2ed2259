// SPDX-License-Identifier: GPL-2.0

//! `klp install`: keeps patches for the boot.

use super::completions;
use crate::cli::{Context, Outcome};
use crate::knowledge::Knowledge;
use crate::lint;
use crate::system::patch_file::PatchFile;
use crate::system::store::Store;
use anyhow::{ensure, Result};
use std::path::{Path, PathBuf};

/// Install livepatches, to be loaded at every boot of the kernel that they were made for
///
/// This keeps a copy of each livepatch for the kernel whose release is in its vermagic. No other
/// kernel loads it. At boot, klp.service runs klp boot, which loads the livepatches in the order
/// in which they were installed. A livepatch that is installed again replaces its old copy and
/// keeps its place. Installing loads nothing now: klp load does that.
///
/// Before it installs anything, this checks each livepatch as klp lint does, with --running if it
/// is for the running kernel. If it finds an error in one of them, it installs none.
#[derive(Debug, clap::Args)]
#[command(after_help = super::ROOT)]
pub struct Args {
    /// Do not check the livepatches first
    #[arg(long)]
    no_lint: bool,

    /// The livepatches, which may be compressed
    #[arg(value_name = "FILE.ko", required = true, add = completions::files())]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let store = Store::of(&context.system);
    let patches = args.files.iter().map(|path| PatchFile::read(path));
    // All are looked at before the first is installed.
    let patches = patches.collect::<Result<Vec<_>>>()?;
    if !args.no_lint {
        for (path, patch) in args.files.iter().zip(&patches) {
            lint(context, path, patch)?;
        }
    }
    for patch in &patches {
        let (_, replaced) = store.install(patch)?;
        let how = if replaced { "replaced" } else { "installed" };
        let text = format!("{} is {how} for kernel {}", patch.name, patch.release);
        context.console.done(&text)?;
    }
    Ok(Outcome::Done)
}

/// Says what `klp lint` finds in a patch; fails where that is an error.
fn lint(context: &mut Context, path: &Path, patch: &PatchFile) -> Result<()> {
    let mut knowledge = Knowledge::default();
    // Of another kernel nothing is at hand.
    if context.system.release().as_deref() == Some(patch.release.as_str()) {
        knowledge.add_running(&context.system.path("/"))?;
    }
    let report = lint::check(path, &patch.bytes, &knowledge);
    report.note(&mut context.console);
    ensure!(
        report.errors == 0,
        "{}: not installed, as the kernel would reject it (--no-lint installs it anyway)",
        path.display()
    );
    Ok(())
}
