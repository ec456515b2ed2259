// SPDX-License-Identifier: GPL-2.0

//! Symbol versions (`CONFIG_MODVERSIONS`).
//!
//! A version is checked when the module loader resolves a symbol; a livepatch symbol is never
//! resolved by it. Formats: `struct modversion_info` in `include/linux/module.h` and
//! `kernel/module/version.c` of the kernel source.

use super::conversion::Resolved;
use crate::file::elf::ElfFile;
use anyhow::{ensure, Result};
use std::collections::BTreeSet;

/// Pairs of checksum and name, of one size each.
const BASIC: &str = "__versions";
const BASIC_ENTRY: usize = 64;
const BASIC_NAME: usize = 8;
/// The checksums of the extended form, and its names.
const EXTENDED: [&str; 2] = ["__version_ext_crcs", "__version_ext_names"];

/// Drops the versions of symbols that become livepatch symbols.
pub(super) fn forget(file: &mut ElfFile, resolved: &Resolved) -> Result<()> {
    let names: BTreeSet<Vec<u8>> = file
        .symbols()
        .filter(|(index, _)| resolved.contains_key(index))
        .map(|(_, symbol)| symbol.name.clone())
        .collect();
    basic(file, &names)?;
    extended(file, &names)
}

fn basic(file: &mut ElfFile, names: &BTreeSet<Vec<u8>>) -> Result<()> {
    let Some(bytes) = file.bytes_mut(BASIC) else {
        return Ok(());
    };
    let entries = bytes.chunks_exact(BASIC_ENTRY);
    ensure!(
        entries.remainder().is_empty(),
        "{BASIC} is no table of {BASIC_ENTRY}-byte entries"
    );
    let name = |entry: &[u8]| {
        entry[BASIC_NAME..]
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or_default()
            .to_vec()
    };
    *bytes = entries
        .filter(|entry| !names.contains(&name(entry)))
        .flatten()
        .copied()
        .collect();
    Ok(())
}

fn extended(file: &mut ElfFile, names: &BTreeSet<Vec<u8>>) -> Result<()> {
    let (Some(crcs), Some(strings)) = (file.bytes(EXTENDED[0]), file.bytes(EXTENDED[1])) else {
        return Ok(());
    };
    let strings: Vec<&[u8]> = strings.split_inclusive(|&byte| byte == 0).collect();
    let crcs = crcs.chunks_exact(4);
    // modpost ends each name, and the compiler all of them once more.
    let (strings, rest) = strings.split_at(crcs.len().min(strings.len()));
    ensure!(
        crcs.remainder().is_empty()
            && crcs.len() == strings.len()
            && rest.iter().all(|string| *string == b"\0"),
        "{} and {} do not belong together",
        EXTENDED[0],
        EXTENDED[1]
    );
    let (crcs, strings): (Vec<&[u8]>, Vec<&[u8]>) = crcs
        .zip(strings.iter().copied())
        .filter(|(_, string)| !names.contains(string.strip_suffix(b"\0").unwrap_or(string)))
        .unzip();
    let (crcs, strings) = (crcs.concat(), [strings.concat(), rest.concat()].concat());
    for (section, contents) in EXTENDED.into_iter().zip([crcs, strings]) {
        if let Some(bytes) = file.bytes_mut(section) {
            *bytes = contents;
        }
    }
    Ok(())
}
