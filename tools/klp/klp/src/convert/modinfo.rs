// SPDX-License-Identifier: GPL-2.0

//! What a module says of itself, in its `.modinfo` section.

use super::conversion::Resolved;
use crate::file::elf::{ElfFile, Place};
use crate::knowledge::Knowledge;
use anyhow::{Context, Result};
use livepatch_format::modinfo::{value, LIVEPATCH};

const SECTION: &str = ".modinfo";

/// Whether the module says that it is a livepatch.
pub(super) fn is_livepatch(file: &ElfFile) -> bool {
    file.bytes(SECTION)
        .is_some_and(|bytes| value(bytes, LIVEPATCH).is_some())
}

/// Makes the module say that it is a livepatch.
pub(super) fn mark(file: &mut ElfFile) -> Result<()> {
    if is_livepatch(file) {
        return Ok(());
    }
    let bytes = file
        .bytes_mut(SECTION)
        .context("there is no .modinfo section: no kernel module")?;
    if bytes.last().is_some_and(|&last| last != 0) {
        bytes.push(0);
    }
    bytes.extend_from_slice(LIVEPATCH);
    bytes.extend_from_slice(b"=Y\0");
    Ok(())
}

/// Takes those modules out of `depends=` of which no ordinary symbol is used any more, so that
/// modprobe does not load a target before its patch.
pub(super) fn forget_dependencies(file: &mut ElfFile, resolved: &Resolved, knowledge: &Knowledge) {
    let used: Vec<String> = file
        .symbols()
        .filter(|(index, symbol)| symbol.place == Place::Undefined && !resolved.contains_key(index))
        .filter_map(|(_, symbol)| knowledge.exporter(&symbol.name))
        .map(str::to_owned)
        .collect();
    let unneeded = |module: &[u8]| {
        let name = String::from_utf8_lossy(module).replace('-', "_");
        let mut targets = knowledge.targets();
        targets.any(|target| target.object.as_str() == name) && !used.contains(&name)
    };
    let Some(bytes) = file.bytes_mut(SECTION) else {
        return;
    };
    // What is shorter is filled up with NULs: no symbol of the section may move.
    for entry in bytes.split_mut(|&byte| byte == 0) {
        let Some(list) = entry.strip_prefix(b"depends=") else {
            continue;
        };
        let needed: Vec<&[u8]> = list
            .split(|&byte| byte == b',')
            .filter(|module| !unneeded(module))
            .collect();
        let mut shorter = b"depends=".to_vec();
        shorter.extend(needed.join(&b','));
        shorter.resize(entry.len(), 0);
        entry.copy_from_slice(&shorter);
    }
}
