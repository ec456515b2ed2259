// SPDX-License-Identifier: GPL-2.0

//! Whether the compiler is the one that the kernel was configured for.

use super::kdir::Config;
use super::process;
use anyhow::{bail, Result};
use std::path::Path;
use std::process::Command;

/// The first line of what the kernel's compiler says of its version: `CONFIG_CC_VERSION_TEXT`.
///
/// # Errors
///
/// If the build directory has no configuration, or that of a kernel before Linux 4.18.
pub fn configured(build: &Path) -> Result<String> {
    for file in ["include/config/auto.conf", ".config"] {
        let config = Config::read(&build.join(file)).unwrap_or_default();
        if let Some(value) = config.get("CC_VERSION_TEXT") {
            return Ok(value.to_owned());
        }
    }
    bail!(
        "{} does not tell the kernel's compiler: it has no configuration with CONFIG_CC_VERSION_TEXT",
        build.display()
    )
}

/// Ends with an error if `compiler` is not the one that the kernel was configured for: another one
/// makes other code of the same source. It may have another name, as Debian's `gcc` is
/// `x86_64-linux-gnu-gcc-14`.
pub fn check(build: &Path, compiler: &str) -> Result<()> {
    let configured = configured(build)?;
    let here = version(compiler)?;
    if without_name(&here) != without_name(&configured) {
        bail!(
            "the kernel was compiled by '{configured}', and {compiler} here is '{here}': \
             install the kernel's compiler"
        );
    }
    Ok(())
}

/// What follows the name of the program.
fn without_name(version: &str) -> &str {
    match version.split_once(" (") {
        Some((name, rest)) if !name.contains(' ') => rest,
        _ => version,
    }
}

/// The first line of what a compiler says of its version.
fn version(compiler: &str) -> Result<String> {
    let output = process::output(Command::new(compiler).arg("--version"), || {
        format!("cannot run {compiler}, the kernel's compiler: install it")
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().next() {
        Some(line) if output.status.success() => Ok(line.trim_end().to_owned()),
        _ => bail!("{compiler} does not tell its version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing::{write, Kernel, Layout};

    #[test]
    fn another_compiler_is_told_from_the_kernel_s() {
        let kernel = Kernel::new(Layout::Apart);
        let build = &kernel.tree.build;
        check(build, "gcc").expect("it is the same");
        let configured = configured(build).expect("it is configured");
        let renamed = configured.replacen("gcc", "x86_64-linux-gnu-gcc-14", 1);
        let renamed = format!("CONFIG_CC_VERSION_TEXT=\"{renamed}\"\n");
        write(&build.join("include/config/auto.conf"), &renamed);
        check(build, "gcc").expect("it is the same, by another name");
        let error = check(build, "/no/such/gcc").expect_err("there is none");
        assert!(
            error.to_string().contains("cannot run /no/such/gcc"),
            "{error}"
        );
        // What kbuild has made of the configuration counts.
        write(
            &build.join("include/config/auto.conf"),
            "CONFIG_CC_VERSION_TEXT=\"gcc (Other) 1.2.3\"\n",
        );
        let error = check(build, "gcc")
            .expect_err("it is another one")
            .to_string();
        assert!(
            error.contains("compiled by 'gcc (Other) 1.2.3', and gcc here is '"),
            "{error}"
        );
    }

    #[test]
    fn a_directory_without_configuration_has_no_compiler() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(configured(directory.path()).is_err());
    }
}
