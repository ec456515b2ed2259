// SPDX-License-Identifier: GPL-2.0

//! Where functions and variables come from: their source files, and what the compiler left of a
//! function's parameters.

use super::{for_each_unit, name, DebugInfo, Slice};
use anyhow::Result;
use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, Operation, Unit, UnitOffset};
use std::collections::{BTreeMap, BTreeSet};

/// A parameter of a function, as the source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Whether it is passed to the function that the compiler made.
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
                    found = Some(parameters_below(&dwarf, unit, entry, function)?);
                    break;
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The parameters of a function that begins at `start`, in the source's order.
fn parameters_below<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    function: &DebuggingInformationEntry<Slice<'a>>,
    start: u64,
) -> Result<Vec<Parameter>> {
    let mut parameters = Vec::new();
    for_each_parameter(unit, function.offset(), |entry| {
        parameters.push(Parameter {
            name: name(dwarf, unit, entry)?.unwrap_or_else(|| "?".into()),
            is_there: is_passed(dwarf, unit, entry, start)?,
        });
        Ok(())
    })?;
    // What is left of them comes first.
    let origin = function.attr_value(gimli::DW_AT_abstract_origin);
    if let Some(AttributeValue::UnitRef(origin)) = origin {
        let mut order = Vec::new();
        for_each_parameter(unit, origin, |entry| {
            order.extend(name(dwarf, unit, entry)?);
            Ok(())
        })?;
        parameters.sort_by_key(|one| order.iter().position(|name| *name == one.name));
    }
    Ok(parameters)
}

fn for_each_parameter<'a>(
    unit: &Unit<Slice<'a>>,
    function: UnitOffset,
    mut each: impl FnMut(&DebuggingInformationEntry<Slice<'a>>) -> Result<()>,
) -> Result<()> {
    let mut tree = unit.entries_tree(Some(function))?;
    let mut children = tree.root()?.children();
    while let Some(child) = children.next()? {
        if child.entry().tag() == gimli::DW_TAG_formal_parameter {
            each(child.entry())?;
        }
    }
    Ok(())
}

/// Whether a parameter is in a register or on the stack when the function begins. Of one that is
/// not passed, what is known may still be told, as a value.
fn is_passed<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    parameter: &DebuggingInformationEntry<Slice<'a>>,
    start: u64,
) -> Result<bool> {
    let Some(place) = parameter.attr_value(gimli::DW_AT_location) else {
        return Ok(false);
    };
    let expression = match place {
        AttributeValue::Exprloc(expression) => Some(expression),
        place => {
            let Some(mut list) = dwarf.attr_locations(unit, place)? else {
                return Ok(false);
            };
            let mut found = None;
            while let Some(entry) = list.next()? {
                if (entry.range.begin..entry.range.end).contains(&start) {
                    found = Some(entry.data);
                    break;
                }
            }
            found
        }
    };
    let Some(expression) = expression else {
        return Ok(false);
    };
    let first = expression.operations(unit.encoding()).next()?;
    Ok(matches!(
        first,
        Some(Operation::Register { .. } | Operation::FrameOffset { .. } | Operation::CallFrameCFA)
    ))
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
