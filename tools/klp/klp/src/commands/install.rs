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

/// Have livepatches loaded at every boot of the kernel that they were made for
///
/// A copy of each is kept, for the kernel release in its module's vermagic: no other kernel
/// loads it. Patches are loaded in the order in which they were installed; one that is installed
/// again is replaced and keeps its place. Nothing is loaded now: klp load does that. At boot it
/// is done by klp boot, which the unit klp.service runs.
///
/// Each is checked before, as klp lint does it, those for the running kernel with --running: what
/// would be refused is not installed.
#[derive(Debug, clap::Args)]
#[command(after_help = super::ROOT)]
pub struct Args {
    /// Do not check them as klp lint does
    #[arg(long)]
    no_lint: bool,

    /// The livepatch modules
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
        context.console.result(&text)?;
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
        "{}: not installed, as it would be refused (--no-lint installs it nevertheless)",
        path.display()
    );
    Ok(())
}
