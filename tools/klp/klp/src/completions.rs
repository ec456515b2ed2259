// SPDX-License-Identifier: GPL-2.0

//! `klp completions` and `klp man`: what is made of the definition of the command itself.

use anyhow::{Context, Result};
use clap_complete::Shell;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Print a shell's completions for klp
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Write the manual pages: klp.1, and one for each command
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The directory to write to
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// `klp completions`, for the command that is given.
pub fn completions(args: &CompletionsArgs, mut command: clap::Command) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "klp", &mut text);
    io::stdout().write_all(&text)?;
    Ok(())
}

/// `klp man`, for the command that is given.
pub fn man(args: &ManArgs, command: clap::Command) -> Result<()> {
    let write = || {
        fs::create_dir_all(&args.dir)?;
        clap_mangen::generate_to(command, &args.dir)
    };
    write().with_context(|| format!("cannot write manual pages to {}", args.dir.display()))
}
