// SPDX-License-Identifier: GPL-2.0

//! `klp install`: keeps patches for the boot.

use super::patch_file::PatchFile;
use super::RootArgs;
use anyhow::Result;
use std::path::PathBuf;

/// Have livepatches loaded at every boot of the kernel that they were made for
///
/// A copy of each is kept, for the kernel release in its module's vermagic: no other kernel
/// loads it. Patches are loaded in the order in which they were installed; one that is installed
/// again is replaced and keeps its place. Nothing is loaded now: klp load does that. At boot it
/// is done by klp boot, which the unit klp.service runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    root: RootArgs,

    /// The livepatch modules
    #[arg(value_name = "FILE.ko", required = true)]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let store = args.root.store();
    let patches = args.files.iter().map(|path| PatchFile::read(path));
    // All are looked at before the first is installed.
    let patches = patches.collect::<Result<Vec<_>>>()?;
    for patch in &patches {
        let (_, replaced) = store.install(patch)?;
        let how = if replaced { "replaced" } else { "installed" };
        println!("{} is {how}, for kernel {}", patch.name, patch.release);
    }
    Ok(())
}
