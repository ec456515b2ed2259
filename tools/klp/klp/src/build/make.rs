// SPDX-License-Identifier: GPL-2.0

//! Runs make in a kernel's tree, with the compiler that the kernel was built with.

use super::kbuild;
use super::kdir::Kdir;
use anyhow::{bail, Context, Result};
use livepatch_format::elf::Machine;
use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// How many lines of what failed are shown.
const SHOWN: usize = 20;

/// A make for the kernel of `kdir`, in `directory`. What the environment says of `ARCH`,
/// `CROSS_COMPILE` and `LLVM` counts more than what follows from the kernel.
pub fn make(kdir: &Kdir, directory: &Path) -> Command {
    let mut command = Command::new("make");
    command.arg("-C").arg(directory).env_remove("MAKEFLAGS");
    let mut or = |name: &str, value: &str| {
        if env::var_os(name).is_none() {
            command.env(name, value);
        }
    };
    let prefix = match kdir.machine {
        Machine::X86_64 => "x86_64-linux-gnu-",
        Machine::S390 => "s390x-linux-gnu-",
    };
    or("ARCH", kbuild::arch(kdir.machine));
    let is_clang = kdir.config.is_set("CC_IS_CLANG");
    if is_clang {
        or("LLVM", "1");
    } else if Machine::NATIVE != Some(kdir.machine) {
        or("CROSS_COMPILE", prefix);
    }
    // The first word is what the compiler was called as.
    let called = kdir.config.get("CC_VERSION_TEXT").unwrap_or_default();
    let called = called.split(' ').next().unwrap_or_default();
    if !is_clang && called.contains("gcc") && is_program(called) {
        command.arg(format!("CC={called}"));
    }
    command
}

/// Whether there is such a program.
fn is_program(name: &str) -> bool {
    let paths = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&paths).any(|dir| dir.join(name).is_file());
    found
}

/// Runs a command, of which only failures are shown. `what` says what it does, in words that can
/// follow "cannot".
///
/// # Errors
///
/// It cannot be run, or fails; what it printed last is in the error.
pub fn run(command: &mut Command, what: &str) -> Result<()> {
    let program = command.get_program().to_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot {what}: {} cannot be run", shown(&program)))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(SHOWN)..];
    bail!(
        "cannot {what}: {} failed ({})\n  {}",
        shown(&program),
        output.status,
        last.join("\n  ")
    );
}

fn shown(program: &OsStr) -> String {
    program.to_string_lossy().into_owned()
}
