// SPDX-License-Identifier: GPL-2.0

//! The `.modinfo` section: `key=value` strings, each ended by one or more NULs.

use super::elf::{Image, SHT_NOBITS};
use super::error::Result;
use core::ops::Range;

/// The section that holds them.
pub const SECTION: &[u8] = b".modinfo";

/// The key by which a module says that it is a livepatch. Its value does not matter.
pub const LIVEPATCH: &[u8; 9] = b"livepatch";

/// What [`LIVEPATCH`] becomes in the loader's private copy of a file.
///
/// A kernel without `CONFIG_LIVEPATCH` refuses a module in whose information it finds the key
/// `livepatch`. The key must stay as long as it was, and no tool uses this one.
pub const ADMITTED: &[u8; 9] = b"Livepatch";

/// The `key=value` strings of a `.modinfo` section.
pub fn entries(modinfo: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    modinfo.split(|&byte| byte == 0).filter_map(|entry| {
        let equals = entry.iter().position(|&byte| byte == b'=')?;
        Some((entry.get(..equals)?, entry.get(equals.checked_add(1)?..)?))
    })
}

/// The value of the first entry with this key.
pub fn value<'a>(modinfo: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    entries(modinfo)
        .find(|(found, _)| *found == key)
        .map(|(_, value)| value)
}

/// Where the `.modinfo` section lies in `file`; `None` where there is none, or one without
/// contents.
///
/// # Errors
///
/// Those of [`Image::parse`] and [`Image::data`].
pub fn locate(file: &[u8]) -> Result<Option<Range<usize>>> {
    let image = Image::parse(file)?;
    let Some((_, section)) = image.find(SECTION) else {
        return Ok(None);
    };
    if section.sh_type == SHT_NOBITS {
        return Ok(None);
    }
    let data = image.data(&section)?;
    // `data` lies in `file`, so that both conversions hold.
    let start = usize::try_from(section.sh_offset).unwrap_or(usize::MAX);
    Ok(start.checked_add(data.len()).map(|end| start..end))
}

/// Renames every key `livepatch` in a `.modinfo` section to [`ADMITTED`]. Returns whether there
/// was one.
pub fn admit(modinfo: &mut [u8]) -> bool {
    let mut found = false;
    for entry in modinfo.split_mut(|&byte| byte == 0) {
        if let Some((key, rest)) = entry.split_at_mut_checked(LIVEPATCH.len()) {
            if key == LIVEPATCH && rest.first() == Some(&b'=') {
                key.copy_from_slice(ADMITTED);
                found = true;
            }
        }
    }
    found
}
