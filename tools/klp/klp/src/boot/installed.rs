// SPDX-License-Identifier: GPL-2.0

//! `klp installed`: lists what is kept for the boot.

use super::RootArgs;
use anyhow::Result;

/// List the livepatches that are loaded at boot, for each kernel in their order
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    root: RootArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    for (release, entries) in args.root.store().all()? {
        for entry in entries {
            println!("{release} {}", entry.name);
        }
    }
    Ok(())
}
