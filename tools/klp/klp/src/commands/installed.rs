// SPDX-License-Identifier: GPL-2.0

//! `klp installed`: lists what is kept for the boot.

use crate::cli::{Context, Outcome};
use crate::system::store::Store;
use anyhow::Result;

/// List the livepatches that are loaded at boot, for each kernel in their order
#[derive(Debug, clap::Args)]
#[command(after_help = super::ROOT)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: &Args, context: &mut Context) -> Result<Outcome> {
    for (release, entries) in Store::of(&context.system).all()? {
        for entry in entries {
            context
                .console
                .result(&format!("{release} {}", entry.name))?;
        }
    }
    Ok(Outcome::Done)
}
