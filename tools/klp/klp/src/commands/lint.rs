// SPDX-License-Identifier: GPL-2.0

//! `klp lint`: finds what would be refused, before it is loaded.

use super::{completions, file_of_argument};
use crate::cli::{Context, Outcome};
use crate::file::module_file::ModuleFile;
use crate::knowledge::Knowledge;
use crate::lint::check;
use crate::system::System;
use anyhow::Result;
use livepatch_format::elf::Header;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Find what would be refused, before it is loaded
///
/// Everything that livepatch.ko would refuse a module for, in the words of its log, and what a
/// person should know of the functions that are patched. What is not given cannot be checked, and
/// is said.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if nothing is found; 1 if something is; 2 if the check was not \
possible, and for wrong arguments."
)]
pub struct Args {
    /// The kernel that it is for: its vmlinux, its boot image (/boot/vmlinuz-RELEASE), its
    /// System.map, or text as in /proc/kallsyms. Only the first two tell which functions can be
    /// traced, and the vermagic; only a vmlinux which functions are inlined
    #[arg(long, value_name = "SYMBOLS", conflicts_with = "running")]
    kernel: Option<PathBuf>,

    /// It is for the running kernel, and the modules that are loaded. As root, more can be found
    #[arg(long)]
    running: bool,

    /// A module that is patched
    #[arg(long, value_name = "TARGET.ko")]
    module: Vec<PathBuf>,

    /// A Module.symvers: what it does not list is not exported
    #[arg(long, value_name = "FILE")]
    symvers: Vec<PathBuf>,

    /// Print JSON, as Documentation/livepatch/klp-json.md describes it
    #[arg(long)]
    json: bool,

    /// The file of the livepatch, or the name of an installed livepatch
    #[arg(value_name = "FILE.ko", add = completions::files_or_installed())]
    file: PathBuf,
}

/// Runs the command.
///
/// # Errors
///
/// Standard output cannot be written.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let report = match prepare(args, &context.system) {
        Ok((data, knowledge)) => check(&args.file, &data, &knowledge),
        Err(error) => {
            context.console.error(&error);
            return Ok(Outcome::Unchecked);
        }
    };
    match args.json {
        true => context.console.json(&report)?,
        false => context.console.write_with(|out| report.write(out))?,
    }
    Ok(match report.findings.is_empty() {
        true => Outcome::Done,
        false => Outcome::Failed,
    })
}

/// Reads everything that is given.
fn prepare(args: &Args, system: &System) -> Result<(Vec<u8>, Knowledge)> {
    let data = ModuleFile::read(&file_of_argument(system, &args.file)?)?.bytes;
    let mut knowledge = Knowledge::default();
    // What is no module is of no machine; nothing else is needed to say so.
    let machine = Header::parse(&data).and_then(|header| header.machine());
    if let Ok(machine) = machine {
        if let Some(kernel) = &args.kernel {
            knowledge.add_kernel(kernel, machine)?;
        }
        if args.running {
            knowledge.add_running(&system.path("/"))?;
        }
        let mut given = BTreeSet::new();
        for path in &args.module {
            knowledge.add_module(path, machine, &mut given)?;
        }
    }
    for path in &args.symvers {
        knowledge.add_symvers(path)?;
    }
    Ok((data, knowledge))
}
