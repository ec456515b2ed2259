// SPDX-License-Identifier: GPL-2.0

//! From the module that kbuild has linked to the livepatch: converted, checked as `klp lint` does
//! it, signed.

use super::kdir::Kdir;
use super::sign;
use crate::convert::{output, Conversion};
use crate::knowledge::Knowledge;
use crate::lint;
use anyhow::{bail, Context, Result};
use livepatch_format::name::Dialect;
use std::fs;
use std::path::{Path, PathBuf};

/// A key, and the certificate of it.
#[derive(Debug)]
pub struct Signer<'a> {
    /// The private key.
    pub key: &'a Path,
    /// The certificate.
    pub certificate: &'a Path,
}

/// Makes the livepatch `to` of the module `linked`; `say` gets what `klp lint` warns of.
///
/// # Errors
///
/// It would be refused, or would crash; files cannot be read or written.
pub fn finish(
    linked: &Path,
    to: &Path,
    knowledge: &Knowledge,
    kdir: &Kdir,
    signer: Option<&Signer<'_>>,
    say: impl FnOnce(&str),
) -> Result<()> {
    let input = fs::read(linked).with_context(|| format!("cannot read {}", linked.display()))?;
    let conversion = Conversion::new(&input, knowledge, Dialect::Mainline)?;
    let bytes = match &conversion {
        Some(conversion) => {
            let verified = conversion.verify(&input, &conversion.bytes);
            verified.context("a mistake of klp, please report it")?;
            &conversion.bytes
        }
        None => &input,
    };
    let mut report = lint::check(to, bytes, knowledge);
    // The new function was compiled as the old one, so that its parameters are the same.
    report.forget("clone");
    if !report.findings.is_empty() {
        let mut text = Vec::new();
        report.write_findings(&mut text)?;
        say(&anstream::adapter::strip_str(&String::from_utf8_lossy(&text)).to_string());
    }
    if report.errors != 0 {
        bail!("the livepatch would be refused, or crash");
    }
    let ready: PathBuf = linked.with_extension("klp.ko");
    fs::write(&ready, bytes).with_context(|| format!("cannot write {}", ready.display()))?;
    if let Some(Signer { key, certificate }) = signer {
        sign::sign(kdir, key, certificate, &ready)?;
    }
    let ready = fs::read(&ready).with_context(|| format!("cannot read {}", ready.display()))?;
    output::write(to, linked, &ready, |_| Ok(()))
}
