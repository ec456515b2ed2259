// SPDX-License-Identifier: GPL-2.0

//! `klp inspect`: says what is in a livepatch.

mod report;
mod text;

pub use report::{Report, SCHEMA};

use crate::module::{self, Module};
use crate::terminal::Color;
use anyhow::Result;
use serde::Serialize;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Say what is in a livepatch
///
/// The file's own words (modinfo), the functions that it replaces, its livepatch symbols and its
/// livepatch relocations. Nothing is checked: `klp lint` does that.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON, as Documentation/livepatch/klp-json.md describes it
    #[arg(long)]
    json: bool,

    /// When to use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,

    /// The modules
    #[arg(value_name = "FILE.ko", required = true)]
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
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut status = ExitCode::SUCCESS;
    let mut files = Vec::new();
    for path in &args.files {
        let report = module::read(path).and_then(|data| match Module::parse(&data) {
            Ok(module) => Ok(Report::new(path, &module)),
            Err(error) => Err(module::refusal(path, &data, error)),
        });
        match report {
            Ok(report) => files.push(report),
            Err(error) => {
                eprintln!("error: {error:#}");
                status = ExitCode::FAILURE;
            }
        }
    }
    let mut out = args.color.stdout();
    if args.json {
        let schema = SCHEMA;
        serde_json::to_writer_pretty(&mut out, &Output { schema, files })?;
        writeln!(out)?;
    } else {
        for (number, report) in files.iter().enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            text::write(&mut out, report)?;
        }
    }
    Ok(status)
}
