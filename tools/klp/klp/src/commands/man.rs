// SPDX-License-Identifier: GPL-2.0

//! `klp man`: the manual pages, made of the definition of the command itself.

use crate::cli::{Cli, Context, Outcome};
use anyhow::{Context as _, Result};
use clap::builder::Resettable;
use clap::{Command, CommandFactory as _};
use clap_mangen::roff::{bold, roman, Roff};
use clap_mangen::Man;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the statuses begin with in a command's help.
const STATUS: &str = "Exit status: ";

/// Write the manual pages: klp.1, and one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// The directory to write to
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args, _context: &mut Context) -> Result<Outcome> {
    let mut klp = Cli::command().disable_help_subcommand(true);
    klp.build();
    let write = || {
        fs::create_dir_all(&args.dir)?;
        let commands = klp.get_subcommands().filter(|one| !one.is_hide_set());
        commands
            .chain([&klp])
            .try_for_each(|command| page(command, &args.dir))
    };
    write().with_context(|| format!("cannot write manual pages to {}", args.dir.display()))?;
    Ok(Outcome::Done)
}

/// Writes the page of a command. What its help ends with has sections of their own here.
fn page(command: &Command, dir: &Path) -> io::Result<()> {
    let more = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command.clone().after_help(Resettable::Reset));
    let mut page = Vec::new();
    man.render(&mut page)?;
    let mut roff = Roff::new();
    for paragraph in more.iter().flat_map(|text| text.split("\n\n")) {
        match paragraph.strip_prefix(STATUS) {
            Some(statuses) => {
                roff.control("SH", ["EXIT STATUS"]);
                for status in statuses.trim_end_matches('.').split("; ") {
                    let (number, meaning) = status.split_once(' ').unwrap_or((status, ""));
                    roff.control("TP", []);
                    roff.text([bold(number)]);
                    roff.text([roman(meaning)]);
                }
            }
            None => {
                roff.control("SH", ["NOTES"]);
                roff.text([roman(paragraph)]);
            }
        }
    }
    roff.to_writer(&mut page)?;
    fs::write(dir.join(man.get_filename()), page)
}
