// SPDX-License-Identifier: GPL-2.0

//! `klp-mutate`: makes damaged livepatches for `tools/testing/hostile.sh`.

use anyhow::{ensure, Context, Result};
use clap::Parser;
use livepatch_mutate::judge::{Base, Verdict};
use livepatch_mutate::{mutant, pack};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Makes damaged livepatches out of good ones.
///
/// The same files and the same seed make the same ones. MANIFEST in the output directory says of
/// each, separated by tabs: its number, the file that it was made of, whether it has to be
/// refused or may be loaded, and what was done to it.
#[derive(Debug, Parser)]
#[command(name = "klp-mutate", version)]
struct Args {
    /// Chooses which ones.
    #[arg(long)]
    seed: u64,
    /// How many.
    #[arg(long, default_value_t = 100)]
    count: u64,
    /// The number of the first one.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Where to write them.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Write one file `pack` for the program in the guest, and copies of the undamaged files.
    #[arg(long)]
    pack: bool,
    /// Leave out what a kernel without livepatch.ko would not survive.
    #[arg(long)]
    survived: bool,
    /// The same as a control, to be loaded without any livepatch core: take the mark of a livepatch
    /// off.
    #[arg(long)]
    control: bool,
    /// Livepatches.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

fn run(args: &Args) -> Result<()> {
    let mut bases = Vec::new();
    for path in &args.files {
        let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let base = Base::new(data)
            .with_context(|| format!("{} is no livepatch with relocations", path.display()))?;
        bases.push(base);
    }
    fs::create_dir_all(&args.output)
        .with_context(|| format!("cannot make {}", args.output.display()))?;
    let write = |name: &str, data: &[u8]| {
        let path = args.output.join(name);
        fs::write(&path, data).with_context(|| format!("cannot write {}", path.display()))
    };
    let name = |base: usize| -> String {
        let path = args.files.get(base).and_then(|path| path.file_stem());
        path.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    };
    let (mut packed, mut manifest) = (Vec::new(), String::new());
    for number in args.first..args.first.saturating_add(args.count) {
        let mut mutant =
            mutant(&bases, args.seed, number).context("no fault can be made in these files")?;
        let by_us_alone = matches!(mutant.verdict, Verdict::RefusedFirst(_));
        if by_us_alone && (args.control || args.survived) {
            continue;
        }
        if args.control {
            hide_mark(&mut mutant.data);
        }
        let base = name(mutant.base);
        let (refused, what) = match mutant.verdict {
            Verdict::Refused(why) => (true, format!("refused ({why})")),
            Verdict::RefusedFirst(why) => (true, format!("refused first ({why})")),
            _ => (false, "may be loaded".to_owned()),
        };
        writeln!(
            manifest,
            "{number}\t{base}\t{what}\t{}",
            mutant.faults.join("; ")
        )?;
        if args.pack {
            let from = bases.get(mutant.base).context("a base")?;
            pack::record(
                &mut packed,
                number,
                mutant.base,
                refused && !args.control,
                &from.file.data,
                &mutant.data,
            );
        } else {
            write(&format!("{number:06}-{base}.ko"), &mutant.data)?;
        }
    }
    write("MANIFEST", manifest.as_bytes())?;
    if args.pack {
        for (number, base) in bases.iter().enumerate() {
            write(&format!("base-{number}.ko"), &base.file.data)?;
        }
        let names: String = bases.iter().map(|base| base.name.clone() + "\n").collect();
        ensure!(bases.len() <= usize::from(u16::MAX), "too many files");
        write("names", names.as_bytes())?;
        write("pack", &packed)?;
    }
    Ok(())
}

/// Every mark of a livepatch becomes another word.
fn hide_mark(data: &mut [u8]) {
    let mark = b"livepatch=";
    let mut at = 0;
    while let Some(found) = data
        .get(at..)
        .and_then(|rest| rest.windows(mark.len()).position(|bytes| bytes == mark))
    {
        at += found;
        if let Some(byte) = data.get_mut(at + 5) {
            *byte = b'o';
        }
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
