// SPDX-License-Identifier: GPL-2.0

//! Where functions and variables come from: their source files, and what the compiler left of a
//! function's parameters.

use super::{for_each_unit, name, DebugInfo, Slice};
use anyhow::Result;
use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, Operation, Unit};
use std::collections::{BTreeMap, BTreeSet};

/// A parameter of a function, as the source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Whether the function that the compiler made has a place for it.
    pub is_there: bool,
}

impl DebugInfo<'_> {
    /// The source files of functions and variables, by their addresses: paths as the compiler got
    /// them. `addresses` are those in a vmlinux, or what [`address`](super::address) makes of
    /// those in a module.
    ///
    /// # Errors
    ///
    /// The debug information is damaged.
    pub fn files(&self, addresses: &BTreeSet<u64>) -> Result<BTreeMap<u64, String>> {
        let dwarf = self.dwarf()?;
        let mut files = BTreeMap::new();
        for_each_unit(&dwarf, |unit| {
            let Some(file) = unit.name else {
                return Ok(());
            };
            let mut entries = unit.entries();
            while let Some(entry) = entries.next_dfs()? {
                let place = match entry.tag() {
                    gimli::DW_TAG_subprogram => low_pc(&dwarf, unit, entry)?,
                    gimli::DW_TAG_variable => variable(unit, entry)?,
                    _ => None,
                };
                if let Some(place) = place.filter(|place| addresses.contains(place)) {
                    files.insert(place, file.slice().escape_ascii().to_string());
                }
            }
            Ok(())
        })?;
        Ok(files)
    }

    /// The parameters of the function at `function`, an address as for [`files`](Self::files);
    /// `None` where it has no entry of its own.
    ///
    /// # Errors
    ///
    /// The debug information is damaged.
    pub fn parameters(&self, function: u64) -> Result<Option<Vec<Parameter>>> {
        let dwarf = self.dwarf()?;
        let mut found = None;
        for_each_unit(&dwarf, |unit| {
            let mut entries = unit.entries();
            while let Some(entry) = entries.next_dfs()? {
                if entry.tag() == gimli::DW_TAG_subprogram
                    && low_pc(&dwarf, unit, entry)? == Some(function)
                {
                    found = Some(parameters_below(&dwarf, unit, entry)?);
                    break;
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The parameters of a function.
fn parameters_below<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    function: &DebuggingInformationEntry<Slice<'a>>,
) -> Result<Vec<Parameter>> {
    let mut parameters = Vec::new();
    let mut tree = unit.entries_tree(Some(function.offset()))?;
    let mut children = tree.root()?.children();
    while let Some(child) = children.next()? {
        let entry = child.entry();
        if entry.tag() == gimli::DW_TAG_formal_parameter {
            parameters.push(Parameter {
                name: name(dwarf, unit, entry)?.unwrap_or_else(|| "?".into()),
                is_there: entry.attr_value(gimli::DW_AT_location).is_some(),
            });
        }
    }
    Ok(parameters)
}

/// Where a function begins that was compiled.
fn low_pc<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    entry: &DebuggingInformationEntry<Slice<'a>>,
) -> Result<Option<u64>> {
    match entry.attr_value(gimli::DW_AT_low_pc) {
        Some(value) => Ok(dwarf.attr_address(unit, value)?),
        None => Ok(None),
    }
}

/// Where a variable is that stays at one place.
fn variable<'a>(
    unit: &Unit<Slice<'a>>,
    entry: &DebuggingInformationEntry<Slice<'a>>,
) -> Result<Option<u64>> {
    let Some(AttributeValue::Exprloc(place)) = entry.attr_value(gimli::DW_AT_location) else {
        return Ok(None);
    };
    match place.operations(unit.encoding()).next()? {
        Some(Operation::Address { address }) => Ok(Some(address)),
        _ => Ok(None),
    }
}
