// SPDX-License-Identifier: GPL-2.0

//! `klp man`: the manual pages, made of the definition of the command itself.

use crate::cli::{Cli, Context, Outcome};
use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use std::fs;
use std::path::PathBuf;

/// Write the manual pages: klp.1, and one for each command
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory to write to
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args, _context: &mut Context) -> Result<Outcome> {
    let write = || {
        fs::create_dir_all(&args.dir)?;
        clap_mangen::generate_to(Cli::command(), &args.dir)
    };
    write().with_context(|| format!("cannot write manual pages to {}", args.dir.display()))?;
    Ok(Outcome::Done)
}
