// SPDX-License-Identifier: GPL-2.0

//! `klp inspect`: says what is in a livepatch.

mod report;
mod text;

pub use crate::console::SCHEMA;
pub use report::Report;

use super::{completions, file_of_argument};
use crate::cli::{Context, Outcome};
use crate::file::module::{self, Module};
use crate::file::module_file::ModuleFile;
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

/// Say what is in a livepatch
///
/// The file's own words (modinfo), the functions that it replaces, its livepatch symbols and its
/// livepatch relocations. Nothing is checked: `klp lint` does that.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if all files were shown; 1 if one could not be; 2 for wrong \
arguments."
)]
pub struct Args {
    /// Print JSON, as Documentation/livepatch/klp-json.md describes it
    #[arg(long)]
    json: bool,

    /// The files of the modules, or the names of installed livepatches
    #[arg(value_name = "FILE.ko", required = true, add = completions::files_or_installed())]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Output {
    schema: u32,
    files: Vec<Report>,
}

/// Runs the command. What can be read is shown, also where another file cannot be.
///
/// # Errors
///
/// Standard output cannot be written.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let mut outcome = Outcome::Done;
    let mut files = Vec::new();
    for path in &args.files {
        let file = file_of_argument(&context.system, path);
        let report = file.and_then(|path| ModuleFile::read(&path));
        let report = report.and_then(|file| match Module::parse(&file.bytes) {
            Ok(module) => Ok(Report::new(path, &module)),
            Err(error) => Err(module::refusal(path, &file.bytes, error)),
        });
        match report {
            Ok(report) => files.push(report),
            Err(error) => {
                context.console.error(&error);
                outcome = Outcome::Failed;
            }
        }
    }
    if args.json {
        let schema = SCHEMA;
        context.console.json(&Output { schema, files })?;
        return Ok(outcome);
    }
    for (number, report) in files.iter().enumerate() {
        if number > 0 {
            context.console.result("")?;
        }
        context.console.write_with(|out| text::write(out, report))?;
    }
    Ok(outcome)
}
