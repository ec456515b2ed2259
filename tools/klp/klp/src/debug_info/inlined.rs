// SPDX-License-Identifier: GPL-2.0

//! Which functions the compiler copied into others.
//!
//! A function that is compiled on its own has an entry with its address; where it was also
//! copied into others, these have `DW_TAG_inlined_subroutine` entries, and all of them refer to
//! one abstract entry (DWARF 5, section 3.3.8).

use super::{for_each_unit, name, offset, reference, DebugInfo, Slice};
use anyhow::Result;
use gimli::{DebugInfoOffset, Dwarf};
use std::collections::{BTreeMap, BTreeSet};

impl DebugInfo<'_> {
    /// For every function, by its address, the functions that have a copy of it. `functions` are
    /// addresses in a vmlinux, or what [`address`] makes of those in a module.
    pub fn copies(&self, functions: &BTreeSet<u64>) -> Result<BTreeMap<u64, BTreeSet<String>>> {
        let dwarf = self.dwarf()?;
        let mut origins = BTreeMap::new();
        for_each_unit(&dwarf, |unit| {
            let mut entries = unit.entries();
            while let Some(entry) = entries.next_dfs()? {
                if entry.tag() != gimli::DW_TAG_subprogram {
                    continue;
                }
                let Some(low) = entry.attr_value(gimli::DW_AT_low_pc) else {
                    continue;
                };
                let Some(low) = dwarf.attr_address(unit, low)? else {
                    continue;
                };
                if functions.contains(&low) {
                    let own = offset(unit, entry);
                    let origin = reference(unit, entry, gimli::DW_AT_abstract_origin).or(own);
                    origins.extend(origin.map(|origin| (origin, low)));
                }
            }
            Ok(())
        })?;
        inlined(&dwarf, &origins)
    }

    /// The functions that have a copy of the one that is called `name`, where the compiler made
    /// nothing else of it.
    ///
    /// # Errors
    ///
    /// The debug information is damaged.
    pub fn copies_of(&self, name: &str) -> Result<BTreeSet<String>> {
        let dwarf = self.dwarf()?;
        let mut origins = BTreeMap::new();
        for_each_unit(&dwarf, |unit| {
            let mut entries = unit.entries();
            while let Some(entry) = entries.next_dfs()? {
                let is_abstract = entry.tag() == gimli::DW_TAG_subprogram
                    && entry.attr_value(gimli::DW_AT_inline).is_some();
                if is_abstract && super::name(&dwarf, unit, entry)?.as_deref() == Some(name) {
                    origins.extend(offset(unit, entry).map(|origin| (origin, ())));
                }
            }
            Ok(())
        })?;
        let copies = inlined(&dwarf, &origins)?;
        Ok(copies.into_values().next().unwrap_or_default())
    }
}

/// For what is known of the entries of functions, the functions that have a copy of these.
fn inlined<K: Ord + Copy>(
    dwarf: &Dwarf<Slice<'_>>,
    origins: &BTreeMap<DebugInfoOffset, K>,
) -> Result<BTreeMap<K, BTreeSet<String>>> {
    let mut copies: BTreeMap<K, BTreeSet<_>> = BTreeMap::new();
    if origins.is_empty() {
        return Ok(copies);
    }
    for_each_unit(dwarf, |unit| {
        let mut entries = unit.entries();
        let mut outer = String::from("?");
        while let Some(entry) = entries.next_dfs()? {
            match entry.tag() {
                gimli::DW_TAG_subprogram => {
                    outer = name(dwarf, unit, entry)?.unwrap_or_else(|| "?".into());
                }
                gimli::DW_TAG_inlined_subroutine => {
                    let origin = reference(unit, entry, gimli::DW_AT_abstract_origin);
                    if let Some(function) = origin.and_then(|origin| origins.get(&origin)) {
                        copies.entry(*function).or_default().insert(outer.clone());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(copies)
}
