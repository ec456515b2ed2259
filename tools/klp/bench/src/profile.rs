// SPDX-License-Identifier: GPL-2.0

//! Where the instructions of a measurement went: a profile by function.

use anyhow::{Context, Result};
use clap::Args;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Prints how many instructions each function has executed in a measurement.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// The measurement
    label: String,
    /// System.map of the kernel
    #[arg(long)]
    system_map: PathBuf,
    /// What is added to the addresses there when the kernel starts
    #[arg(long, default_value_t = 0)]
    offset: i64,
    /// A directory with the files `output` and `counts` of a run
    #[arg(long)]
    run: PathBuf,
    /// How many functions to show
    #[arg(long, default_value_t = 40)]
    lines: usize,
}

/// What starts where: code ends where the next begins.
#[derive(Default)]
struct Symbols(BTreeMap<u64, String>);

impl Symbols {
    /// Takes over lines as in `/proc/kallsyms`.
    fn add<'a>(&mut self, lines: impl Iterator<Item = &'a str>, offset: i64) {
        for line in lines {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [address, kind, name, ref module @ ..] = words[..] else {
                continue;
            };
            let Ok(address) = u64::from_str_radix(address, 16) else {
                continue;
            };
            if !matches!(kind, "t" | "T" | "w" | "W") || name.starts_with("__pfx_") {
                continue;
            }
            let name = module
                .iter()
                .fold(name.to_owned(), |name, module| format!("{name} {module}"));
            self.0.insert(address.wrapping_add_signed(offset), name);
        }
    }

    fn at(&self, address: u64) -> &str {
        let found = self.0.range(..=address).next_back();
        found.map_or("(elsewhere)", |(_, name)| name)
    }
}

/// Prints the profile.
pub fn profile(args: &ProfileArgs) -> Result<()> {
    let read =
        |path: &PathBuf| fs::read_to_string(path).with_context(|| path.display().to_string());
    let map = read(&args.system_map)?;
    let output = read(&args.run.join("output"))?;
    let counts = read(&args.run.join("counts"))?;

    let mut symbols = Symbols::default();
    symbols.add(map.lines(), args.offset);
    symbols.add(
        output
            .lines()
            .filter_map(|line| line.strip_prefix("symbol ")),
        0,
    );

    let number = output
        .lines()
        .filter_map(|line| line.strip_prefix("region "))
        .filter_map(|line| line.split_once(' '))
        .rfind(|(_, rest)| rest.split(' ').next() == Some(&args.label))
        .with_context(|| format!("{} was not measured", args.label))?
        .0;
    let prefix = format!("block {number} ");
    let mut functions: BTreeMap<&str, u64> = BTreeMap::new();
    for line in counts.lines().filter_map(|line| line.strip_prefix(&prefix)) {
        let (address, instructions) = line.split_once(' ').with_context(|| line.to_owned())?;
        let address = u64::from_str_radix(address.trim_start_matches("0x"), 16)?;
        *functions.entry(symbols.at(address)).or_default() += instructions.parse::<u64>()?;
    }

    let total: u64 = functions.values().sum();
    let mut functions: Vec<_> = functions.into_iter().collect();
    functions.sort_by_key(|&(_, instructions)| std::cmp::Reverse(instructions));
    println!("{total:>14}         {}", args.label);
    for (name, instructions) in functions.iter().take(args.lines) {
        let part = *instructions as f64 * 100.0 / total.max(1) as f64;
        println!("{instructions:>14} {part:>5.1} % {name}");
    }
    Ok(())
}
