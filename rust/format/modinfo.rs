// SPDX-License-Identifier: GPL-2.0

//! The `.modinfo` section: `key=value` strings, each ended by one or more NULs.

use super::elf::{Image, SHT_NOBITS};
use super::error::Result;
use core::ffi::CStr;
use core::ops::Range;

/// The section that holds them.
pub const SECTION: &[u8] = b".modinfo";

/// The key by which a module says that it is a livepatch. Its value does not matter.
pub const LIVEPATCH: &[u8; 9] = b"livepatch";

/// What [`LIVEPATCH`] becomes in the loader's private copy of a file.
///
/// A kernel without `CONFIG_LIVEPATCH` refuses a module in whose information it finds the key
/// `livepatch`. The key must stay as long as it was, and no tool uses this one: it has a byte
/// ([`RARE`]) that no text has, so that modules without it are told quickly.
pub const ADMITTED: &[u8; 9] = b"\x01ivepatch";
const RARE: u8 = 1;

/// The strings of a `.modinfo` section, with their offsets, and whatever is at its end without a
/// NUL.
fn strings(modinfo: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut offset = 0;
    core::iter::from_fn(move || {
        let rest = modinfo.get(offset..).filter(|rest| !rest.is_empty())?;
        // Faster than one byte at a time: every module that is loaded is looked through.
        let string = CStr::from_bytes_until_nul(rest).map_or(rest, CStr::to_bytes);
        let start = offset;
        offset = start.saturating_add(string.len()).saturating_add(1);
        Some((start, string))
    })
}

/// The `key=value` strings of a `.modinfo` section.
pub fn entries(modinfo: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    strings(modinfo).filter_map(|(_, entry)| {
        let equals = entry.iter().position(|&byte| byte == b'=')?;
        Some((entry.get(..equals)?, entry.get(equals.checked_add(1)?..)?))
    })
}

/// The value of an entry, where it has this key.
fn value_of<'a>(entry: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    // Its end first: that settles it for most entries, and is faster than to compare keys.
    let (start, value) = entry.split_at_checked(key.len())?;
    let value = value.strip_prefix(b"=")?;
    (start == key).then_some(value)
}

/// The value of the first entry with this key.
pub fn value<'a>(modinfo: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    strings(modinfo).find_map(|(_, entry)| value_of(entry, key))
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

/// Renames every key `livepatch` in a `.modinfo` section to [`ADMITTED`]. Returns whether there is
/// one of the two.
pub fn admit(modinfo: &mut [u8]) -> bool {
    let mut found = false;
    let mut offset = 0;
    while let Some(at) = next(modinfo, offset) {
        if let Some(key) = modinfo.get_mut(at..at.saturating_add(LIVEPATCH.len())) {
            key.copy_from_slice(ADMITTED);
        }
        found = true;
        offset = at.saturating_add(LIVEPATCH.len());
    }
    found
}

/// Whether there is the key [`ADMITTED`].
pub fn is_admitted(modinfo: &[u8]) -> bool {
    modinfo.contains(&RARE) && value(modinfo, ADMITTED).is_some()
}

/// Where the next of both keys is, from the entry or part of one at `offset` on.
fn next(modinfo: &[u8], offset: usize) -> Option<usize> {
    strings(modinfo.get(offset..)?)
        .find(|(_, entry)| {
            [LIVEPATCH, ADMITTED]
                .iter()
                .any(|key| value_of(entry, *key).is_some())
        })
        .and_then(|(at, _)| offset.checked_add(at))
}
