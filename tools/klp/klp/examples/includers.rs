// SPDX-License-Identifier: GPL-2.0

//! Compares the files that may include a header, as they are found by the text of the sources, with
//! those that were compiled with it, by the records of a built kernel: each of these has to be among
//! the others.
//!
//!     cargo run --example includers -- x86|s390 SOURCE BUILD [HEADER...]
//!
//! Without headers, every one of the source that a record names is looked at. The exit status is 1
//! if one is missing.

use anyhow::{bail, ensure, Context as _, Result};
use klp::build::command::{object_of, Record};
use klp::build::includes::Includes;
use klp::build::tree::{Of, Tree};
use livepatch_format::elf::Machine;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [machine, source, build, headers @ ..] = arguments.as_slice() else {
        bail!("the arguments are x86|s390 SOURCE BUILD [HEADER...]");
    };
    let tree = Tree {
        source: Path::new(source).canonicalize().context("no source")?,
        build: Path::new(build).canonicalize().context("no build")?,
        kernel: Path::new(build).canonicalize().context("no build")?,
        of: Of::Kernel,
        machine: match machine.as_str() {
            "x86" => Machine::X86_64,
            "s390" => Machine::S390,
            _ => bail!("{machine} is neither x86 nor s390"),
        },
    };
    let recorded = recorded(&tree)?;
    let began = Instant::now();
    let includes = Includes::read(&tree)?;
    println!("read in {:?}", began.elapsed());
    let headers: Vec<PathBuf> = match headers {
        [] => recorded.keys().cloned().collect(),
        headers => headers.iter().map(PathBuf::from).collect(),
    };
    let nothing = BTreeSet::new();
    let mut missing = 0;
    let mut sum = (0, 0);
    for header in &headers {
        let began = Instant::now();
        let found = includes.includers(header);
        let took = began.elapsed();
        let compiled = recorded.get(header).unwrap_or(&nothing);
        sum = (sum.0 + found.len(), sum.1 + compiled.len());
        if !arguments[3..].is_empty() {
            let (header, found) = (header.display(), found.len());
            println!(
                "{header}: {found} found in {took:?}, {} compiled",
                compiled.len()
            );
        }
        for source in compiled.difference(&found) {
            println!("{} is missing for {}", source.display(), header.display());
            missing += 1;
        }
    }
    println!(
        "{} headers: {} found, {} compiled, {missing} missing",
        headers.len(),
        sum.0,
        sum.1
    );
    ensure!(missing == 0, "files that include a header are not found");
    Ok(())
}

/// By header, which sources were compiled with it; without sources that were generated.
fn recorded(tree: &Tree) -> Result<BTreeMap<PathBuf, BTreeSet<PathBuf>>> {
    let mut recorded: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
    for entry in walkdir::WalkDir::new(&tree.build) {
        let entry = entry?;
        let Some(object) = object_of(entry.path()) else {
            continue;
        };
        let object = object.strip_prefix(&tree.build)?;
        let Ok(Some(record)) = Record::read(tree, object) else {
            continue;
        };
        let source = record.command.source();
        // Of what is only made to build, nothing is looked for.
        if source.starts_with("scripts") || source.starts_with("tools") {
            continue;
        }
        if !tree.source.join(source).is_file() {
            println!("not in the source: {}", source.display());
            continue;
        }
        let files = record.dependencies.iter();
        for header in files.filter_map(|file| record.command.in_source(tree, file)) {
            if header != source && tree.source.join(&header).is_file() {
                recorded
                    .entry(header)
                    .or_default()
                    .insert(source.to_owned());
            }
        }
    }
    Ok(recorded)
}
