// SPDX-License-Identifier: GPL-2.0

//! A patch's module file: what it says of itself.

use super::store::Release;
use crate::file::elf;
use crate::object_name::ObjectNameBuf;
use anyhow::{anyhow, ensure, Context, Result};
use livepatch_format::elf::Header;
use livepatch_format::modinfo;
use std::fs;
use std::path::Path;

/// A livepatch module that has been read.
#[derive(Debug)]
pub struct PatchFile {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The name under which the kernel will know it.
    pub name: ObjectNameBuf,
    /// The kernel that it was made for.
    pub release: Release,
    /// The modules whose exported symbols it uses.
    pub depends: Vec<ObjectNameBuf>,
}

impl PatchFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let read = || Self::parse(fs::read(path)?);
        read().with_context(|| path.display().to_string())
    }

    /// Reads the contents of a file.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        elf::refuse_wrapped(&bytes)?;
        Header::parse(&bytes)?.machine()?;
        let range = modinfo::locate(&bytes)?;
        let modinfo = range.and_then(|range| bytes.get(range));
        let modinfo = modinfo.context("there is no .modinfo section: no kernel module")?;
        ensure!(
            modinfo::value(modinfo, modinfo::LIVEPATCH).is_some(),
            "not a livepatch: its module information has no 'livepatch' (was it converted?)"
        );
        let vermagic = modinfo::value(modinfo, b"vermagic")
            .context("its module information has no 'vermagic': for which kernel is it?")?;
        let release = vermagic.split(|&byte| byte == b' ').next();
        let release = Release::new(&String::from_utf8_lossy(release.unwrap_or_default()))
            .with_context(|| format!("vermagic '{}'", vermagic.escape_ascii()))?;
        let name = modinfo::value(modinfo, b"name")
            .context("its module information has no 'name'")
            .and_then(object_name)?;
        let depends = modinfo::value(modinfo, b"depends").unwrap_or_default();
        let depends = depends
            .split(|&byte| byte == b',')
            .filter(|name| !name.is_empty())
            .map(object_name)
            .collect::<Result<_>>()?;
        Ok(PatchFile {
            name,
            release,
            depends,
            bytes,
        })
    }
}

fn object_name(name: &[u8]) -> Result<ObjectNameBuf> {
    ObjectNameBuf::new(name)
        .map_err(|fault| anyhow!("module name {}: {fault}", name.escape_ascii()))
}
