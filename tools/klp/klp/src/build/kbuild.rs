// SPDX-License-Identifier: GPL-2.0

//! Has kbuild compile single objects, for their records.

use super::kdir::Config;
use super::make;
use super::process;
use super::tree::Tree;
use anyhow::Result;
use livepatch_format::elf::Machine;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// How many objects one make is asked for: kbuild hands their names on in the environment, where
/// one variable can have 128 KiB.
const AT_A_TIME: usize = 500;

/// Compiles `objects`, named from the build directory, which this writes to: it has to be one that
/// was prepared for this. Objects that cannot be made do not keep it from making the others: then
/// kbuild's messages are returned. `count` is told how many were begun.
///
/// # Errors
///
/// If make cannot be run, or the disk is full.
pub fn compile(
    tree: &Tree,
    objects: &[PathBuf],
    jobs: usize,
    mut count: impl FnMut(usize),
) -> Result<Option<String>> {
    let config = Config::of(&tree.build)?;
    let release = fs::read_to_string(tree.build.join("include/config/kernel.release")).ok();
    let release = release.as_deref().map(str::trim);
    let mut said = String::new();
    let mut begun = HashSet::new();
    for objects in objects.chunks(AT_A_TIME) {
        let mut make = make::make(&tree.build, tree.machine, &config, release);
        make.arg(format!("-j{jobs}"))
            .args(["-k", "--no-print-directory"])
            .args(objects);
        // A line for each command, which names what it makes.
        let see = |line: &str| {
            let name = line.split_whitespace().last().map(Path::new);
            let object = objects.iter().find(|object| Some(object.as_path()) == name);
            if object.is_some_and(|object| begun.insert(object)) {
                count(begun.len());
            }
        };
        let output = process::output_by_line(&mut make, see, || {
            "klp build needs make to find out how the kernel's files are compiled: install make"
                .to_owned()
        })?;
        if !output.status.success() {
            said.push_str(&String::from_utf8_lossy(&output.stderr));
        }
    }
    let said = said.trim_end();
    Ok((!said.is_empty()).then(|| said.to_owned()))
}

/// The architecture as `ARCH=` names it.
pub fn arch(machine: Machine) -> &'static str {
    match machine {
        Machine::X86_64 => "x86_64",
        Machine::S390 => "s390",
    }
}

/// The directory below `arch` that has the architecture's source.
pub fn source_arch(machine: Machine) -> &'static str {
    match machine {
        Machine::X86_64 => "x86",
        Machine::S390 => "s390",
    }
}

/// The object that kbuild makes of a C file or of assembly, or the linker script that it makes of
/// `NAME.lds.S`.
pub fn object(source: &Path) -> PathBuf {
    let stem = source.with_extension("");
    match stem.extension() == Some(OsStr::new("lds")) {
        true => stem,
        false => source.with_extension("o"),
    }
}
