// SPDX-License-Identifier: GPL-2.0

//! Signs a livepatch, with the kernel's own tool.

use super::kdir::Kdir;
use super::make;
use anyhow::{ensure, Result};
use std::path::Path;
use std::process::Command;

/// Signs `module` in its place, with a private key and its certificate, both in PEM, or the
/// certificate in DER.
///
/// # Errors
///
/// The kernel's tree has no tool for that, or it fails.
pub fn sign(kdir: &Kdir, key: &Path, certificate: &Path, module: &Path) -> Result<()> {
    let tool = kdir.path.join("scripts/sign-file");
    ensure!(
        tool.is_file(),
        "cannot sign the livepatch: {} is not there; it is built where the kernel has \
         CONFIG_MODULE_SIG",
        tool.display()
    );
    let hash = kdir.config.get("MODULE_SIG_HASH").unwrap_or("sha512");
    let mut command = Command::new(&tool);
    command.arg(hash).arg(key).arg(certificate).arg(module);
    make::run(&mut command, "sign the livepatch")
}
