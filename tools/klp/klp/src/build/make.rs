// SPDX-License-Identifier: GPL-2.0

//! Runs make in a kernel's tree, so that it finds the tree configured as it is.

use super::kbuild;
use super::kdir::Config;
use super::process;
use anyhow::{bail, Result};
use livepatch_format::elf::Machine;
use std::env;
use std::path::Path;
use std::process::Command;

/// How many lines of what failed are shown.
const SHOWN: usize = 20;

/// make in a directory, without what another make has told klp.
pub fn bare(directory: &Path) -> Command {
    let mut command = Command::new("make");
    for variable in [
        "MAKEFLAGS",
        "GNUMAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
        "KBUILD_OUTPUT",
        "O",
    ] {
        command.env_remove(variable);
    }
    command.arg("-C").arg(directory);
    command
}

/// make in a directory, for a kernel with this configuration. What the environment says of
/// `CROSS_COMPILE` and `LLVM` counts more than what follows from that. A distribution's `release` is
/// not in its source.
pub fn make(directory: &Path, machine: Machine, config: &Config, release: Option<&str>) -> Command {
    let mut command = bare(directory);
    let is_set = |name: &str| env::var_os(name).is_some();
    command.args(arguments(machine, config, is_set, is_program));
    command.args(release.map(|release| format!("KERNELRELEASE={release}")));
    command
}

/// What make has to be told of the architecture and of compilers.
fn arguments(
    machine: Machine,
    config: &Config,
    is_set: impl Fn(&str) -> bool,
    is_program: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut arguments = vec![format!("ARCH={}", kbuild::arch(machine))];
    // The first word is what the compiler was called as.
    let version = config.get("CC_VERSION_TEXT").unwrap_or_default();
    let called = version.split(' ').next().unwrap_or_default();
    let of_machine = match machine {
        Machine::X86_64 => "x86_64-linux-gnu-",
        Machine::S390 => "s390x-linux-gnu-",
    };
    if config.is_set("CC_IS_CLANG") || version.contains("clang") {
        if !is_set("LLVM") {
            arguments.push("LLVM=1".to_owned());
        }
    } else {
        let prefix = match called.strip_suffix("gcc") {
            Some(prefix) if !prefix.is_empty() && is_program(called) => Some(prefix),
            _ if Machine::NATIVE != Some(machine) => Some(of_machine),
            _ => None,
        };
        if let (Some(prefix), false) = (prefix, is_set("CROSS_COMPILE")) {
            arguments.push(format!("CROSS_COMPILE={prefix}"));
        }
        if called.contains("gcc") && !called.ends_with("gcc") && is_program(called) {
            arguments.push(format!("CC={called}"));
        }
    }
    // What is found here of Rust would get into the configuration.
    if !config.is_set("RUST") {
        arguments.push("RUSTC=false".to_owned());
    }
    arguments
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
    let program = command.get_program().to_string_lossy().into_owned();
    let output = process::output(command, || {
        format!("cannot {what}: {program} cannot be run: install it")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(SHOWN)..];
    bail!(
        "cannot {what}: {program} failed ({})\n  {}",
        output.status,
        last.join("\n  ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn make_is_told_the_architecture_and_the_compiler() {
        let there = [
            "gcc",
            "gcc-13",
            "x86_64-linux-gnu-gcc-13",
            "s390x-linux-gnu-gcc",
        ];
        for (machine, version, expected) in [
            (Machine::X86_64, "gcc (Debian 14.2.0-19) 14.2.0", vec![]),
            (Machine::X86_64, "gcc-13 (Debian) 13.1", vec!["CC=gcc-13"]),
            (
                Machine::X86_64,
                "x86_64-linux-gnu-gcc-13 (Debian) 13.1",
                vec!["CC=x86_64-linux-gnu-gcc-13"],
            ),
            // Debian's kernels are built with it; gcc is the same one.
            (
                Machine::X86_64,
                "x86_64-linux-gnu-gcc-14 (Debian) 14.2",
                vec![],
            ),
            (
                Machine::S390,
                "s390x-linux-gnu-gcc (Debian) 14.2",
                vec!["CROSS_COMPILE=s390x-linux-gnu-"],
            ),
            (
                Machine::X86_64,
                "Debian clang version 19.1.7",
                vec!["LLVM=1"],
            ),
        ] {
            let config = Config::parse(&format!("CONFIG_CC_VERSION_TEXT=\"{version}\"\n"));
            let found = arguments(machine, &config, |_| false, |name| there.contains(&name));
            let arch = format!("ARCH={}", kbuild::arch(machine));
            let mut all = vec![arch.as_str()];
            // On another machine, compilers for this one have its name.
            if Machine::NATIVE != Some(machine) && expected.is_empty() {
                all.push("CROSS_COMPILE=x86_64-linux-gnu-");
            }
            all.extend(expected);
            all.push("RUSTC=false");
            assert_eq!(found, all, "{version}");
        }
    }

    #[test]
    fn the_environment_and_the_configuration_count() {
        let config = "CONFIG_CC_VERSION_TEXT=\"s390x-linux-gnu-gcc 14\"\nCONFIG_RUST=y\n";
        let found = arguments(Machine::S390, &Config::parse(config), |_| true, |_| true);
        assert_eq!(found, ["ARCH=s390"]);
    }
}
