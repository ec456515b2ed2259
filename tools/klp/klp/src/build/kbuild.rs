// SPDX-License-Identifier: GPL-2.0

//! Has kbuild compile single objects, for their records.

use super::kdir::Config;
use super::make;
use super::process;
use super::tree::Tree;
use anyhow::Result;
use livepatch_format::elf::Machine;
use std::fs;
use std::path::{Path, PathBuf};

/// Compiles `objects`, named from the build directory, which this writes to: it has to be one that
/// was prepared for this. Objects that cannot be made do not keep it from making the others: then
/// kbuild's messages are returned.
///
/// # Errors
///
/// If make cannot be run, or the disk is full.
pub fn compile(tree: &Tree, objects: &[PathBuf], jobs: usize) -> Result<Option<String>> {
    let config = Config::of(&tree.build)?;
    let release = fs::read_to_string(tree.build.join("include/config/kernel.release")).ok();
    let release = release.as_deref().map(str::trim);
    let mut make = make::make(&tree.build, tree.machine, &config, release);
    make.arg(format!("-j{jobs}"))
        .args(["-k", "--no-print-directory"])
        .args(objects);
    let output = process::output(&mut make, || {
        "klp build needs make to find out how the kernel's files are compiled: install make"
            .to_owned()
    })?;
    if output.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(Some(said.trim_end().to_owned()))
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

/// The object that kbuild makes of a C file.
pub fn object(source: &Path) -> PathBuf {
    source.with_extension("o")
}
