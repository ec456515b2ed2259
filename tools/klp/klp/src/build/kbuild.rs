// SPDX-License-Identifier: GPL-2.0

//! Has kbuild compile single objects, for their records.

use super::compiler;
use super::kdir::Config;
use super::tree::Tree;
use anyhow::{bail, Context, Result};
use livepatch_format::elf::Machine;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// How many objects one make is asked for: kbuild hands their names on in the environment, where
/// one variable can have 128 KiB.
const AT_A_TIME: usize = 500;

/// Compiles `objects`, named from the build directory, which this writes to: it has to be one that
/// was prepared for this. Objects that cannot be made do not keep it from making the others: then
/// kbuild's messages are returned. `count` is told how many were begun.
///
/// # Errors
///
/// If make cannot be run.
pub fn compile(
    tree: &Tree,
    objects: &[PathBuf],
    jobs: usize,
    mut count: impl FnMut(usize),
) -> Result<Option<String>> {
    let mut said = String::new();
    let mut done = 0;
    for objects in objects.chunks(AT_A_TIME) {
        let mut make = make(tree);
        make.arg(format!("-j{jobs}"))
            .args(["-k", "--no-print-directory"])
            .args(arguments(tree)?)
            .args(objects)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = match make.spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("klp build needs make to find out how the kernel's files are compiled: install make")
            }
            child => child.context("cannot run make")?,
        };
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let complaint = thread::scope(|scope| {
            let complaint = scope.spawn(|| {
                let mut text = Vec::new();
                let read = stderr.as_mut().map(|stderr| stderr.read_to_end(&mut text));
                read.unwrap_or(Ok(0)).map(|_| text)
            });
            // A line for each command, which names what it makes.
            let mut at = done;
            for line in stdout
                .take()
                .map(BufReader::new)
                .into_iter()
                .flat_map(BufRead::lines)
            {
                let line = line?;
                let name = line.split_whitespace().last().map(Path::new);
                if name.is_some_and(|name| objects.iter().any(|object| object == name)) {
                    at += 1;
                    count(at);
                }
            }
            complaint
                .join()
                .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        });
        let complaint = complaint.context("cannot read what make says")?;
        if !child.wait().context("cannot run make")?.success() {
            said.push_str(&String::from_utf8_lossy(&complaint));
        }
        done += objects.len();
    }
    let said = said.trim_end();
    Ok((!said.is_empty()).then(|| said.to_owned()))
}

/// make in the build directory.
pub fn make(tree: &Tree) -> Command {
    let mut make = Command::new("make");
    // A make that runs klp is not this one's parent.
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "KBUILD_OUTPUT", "O"] {
        make.env_remove(variable);
    }
    make.arg("-C").arg(&tree.build).env("LC_ALL", "C");
    make
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

/// What make has to be told of the architecture and the compiler, so that it finds the tree
/// configured as it is.
///
/// # Errors
///
/// If the build directory has no configuration.
pub fn arguments(tree: &Tree) -> Result<Vec<String>> {
    let mut arguments = vec![format!("ARCH={}", arch(tree.machine))];
    let configured = compiler::configured(&tree.build)?;
    if configured.contains("clang") {
        arguments.push("LLVM=1".to_owned());
    } else if let Some(name) = configured.split_whitespace().next() {
        match name.strip_suffix("gcc") {
            Some("") => {}
            Some(prefix) => arguments.push(format!("CROSS_COMPILE={prefix}")),
            None => arguments.push(format!("CC={name}")),
        }
    }
    // What is found here of Rust would get into the configuration.
    let config = ["include/config/auto.conf", ".config"].map(|name| tree.build.join(name));
    let has_rust = |path: &PathBuf| Config::read(path).is_ok_and(|config| config.is_set("RUST"));
    if !config.iter().any(has_rust) {
        arguments.push("RUSTC=false".to_owned());
    }
    // A distribution's release is not in its source.
    if let Ok(release) = fs::read_to_string(tree.build.join("include/config/kernel.release")) {
        arguments.push(format!("KERNELRELEASE={}", release.trim()));
    }
    Ok(arguments)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing::{write, Kernel, Layout};

    #[test]
    fn make_is_told_the_architecture_and_the_compiler() {
        let mut kernel = Kernel::new(Layout::Apart);
        for (version, mut expected) in [
            ("gcc (Debian 14.2.0-19) 14.2.0", vec!["ARCH=x86_64"]),
            ("gcc-13 (Debian) 13.1", vec!["ARCH=x86_64", "CC=gcc-13"]),
            (
                "x86_64-linux-gnu-gcc-13 (Debian) 13.1",
                vec!["ARCH=x86_64", "CC=x86_64-linux-gnu-gcc-13"],
            ),
            (
                "s390x-linux-gnu-gcc (Debian) 14.2",
                vec!["ARCH=x86_64", "CROSS_COMPILE=s390x-linux-gnu-"],
            ),
            ("Debian clang version 19.1.7", vec!["ARCH=x86_64", "LLVM=1"]),
        ] {
            let text = format!("CONFIG_CC_VERSION_TEXT=\"{version}\"\n");
            write(&kernel.tree.build.join(".config"), &text);
            expected.push("RUSTC=false");
            assert_eq!(arguments(&kernel.tree).expect(version), expected);
        }
        kernel.tree.machine = Machine::S390;
        let arguments = arguments(&kernel.tree).expect("it has a configuration");
        assert_eq!(arguments.first().map(String::as_str), Some("ARCH=s390"));
    }
}
