// SPDX-License-Identifier: GPL-2.0

//! A patch's module file: what it says of itself.

use super::store::Release;
use crate::file::module_file::ModuleFile;
use crate::object_name::ObjectNameBuf;
use anyhow::{anyhow, ensure, Context, Result};
use livepatch_format::elf::Header;
use std::path::Path;

/// A livepatch module that has been read.
#[derive(Debug)]
pub struct PatchFile {
    /// The whole file, unpacked.
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
        let file = ModuleFile::read(path)?;
        Self::of(file).with_context(|| path.display().to_string())
    }

    fn of(file: ModuleFile) -> Result<Self> {
        Header::parse(&file.bytes)?.machine()?;
        ensure!(
            file.has_info(),
            "there is no .modinfo section: no kernel module"
        );
        ensure!(
            file.is_livepatch() == Some(true),
            "not a livepatch: its module information has no 'livepatch' (was it converted?)"
        );
        let vermagic = file
            .info(b"vermagic")
            .context("its module information has no 'vermagic': for which kernel is it?")?;
        let release = vermagic.split(|&byte| byte == b' ').next();
        let release = Release::new(&String::from_utf8_lossy(release.unwrap_or_default()))
            .with_context(|| format!("vermagic '{}'", vermagic.escape_ascii()))?;
        let name = file
            .info(b"name")
            .context("its module information has no 'name'")
            .and_then(object_name)?;
        let depends = file.info(b"depends").unwrap_or_default();
        let depends = depends
            .split(|&byte| byte == b',')
            .filter(|name| !name.is_empty())
            .map(object_name)
            .collect::<Result<_>>()?;
        Ok(PatchFile {
            name,
            release,
            depends,
            bytes: file.bytes,
        })
    }
}

fn object_name(name: &[u8]) -> Result<ObjectNameBuf> {
    ObjectNameBuf::new(name)
        .map_err(|fault| anyhow!("module name {}: {fault}", name.escape_ascii()))
}
