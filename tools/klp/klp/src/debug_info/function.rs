// SPDX-License-Identifier: GPL-2.0

//! The types of functions.

use super::{for_each_unit, DebugInfo, Slice};
use crate::prototype::{Known, Parameter, Prototype, Tag, Type, MAX_DEPTH};
use anyhow::{bail, ensure, Context, Result};
use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, Unit, UnitOffset};
use std::collections::BTreeMap;

type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;

impl DebugInfo<'_> {
    /// What is known of the types of functions, by their names. Those that it does not have are
    /// left out. The inner errors are of types that no declaration can write.
    ///
    /// # Errors
    ///
    /// It is damaged.
    pub fn functions(&self, names: &[&str]) -> Result<BTreeMap<String, Result<Known>>> {
        let dwarf = self.dwarf()?;
        let mut found: BTreeMap<String, Result<Known>> = BTreeMap::new();
        for_each_unit(&dwarf, |unit| {
            let reader = Reader {
                dwarf: &dwarf,
                unit,
            };
            let mut tree = unit.entries_tree(None)?;
            let mut children = tree.root()?.children();
            while let Some(child) = children.next()? {
                let entry = child.entry();
                if entry.tag() != gimli::DW_TAG_subprogram
                    || entry.attr_value(gimli::DW_AT_declaration).is_some()
                {
                    continue;
                }
                // What was inlined as well has an entry with its name and type, and others.
                let Some(name) = reader.name(entry)? else {
                    continue;
                };
                if names.contains(&name.as_str()) {
                    let known = found.entry(name).or_insert(Ok(Known::None));
                    match (reader.prototype(entry, 0), known) {
                        (Ok(prototype), Ok(known)) => known.add(prototype),
                        (Err(error), known) => *known = Err(error),
                        (Ok(_), Err(_)) => {}
                    }
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}

struct Reader<'u, 'a> {
    dwarf: &'u Dwarf<Slice<'a>>,
    unit: &'u Unit<Slice<'a>>,
}

impl<'a> Reader<'_, 'a> {
    fn name(&self, entry: &Entry<'a>) -> Result<Option<String>> {
        let Some(value) = entry.attr_value(gimli::DW_AT_name) else {
            return Ok(None);
        };
        let text = self.dwarf.attr_string(self.unit, value)?;
        Ok(Some(text.slice().escape_ascii().to_string()))
    }

    /// The type that an entry is of.
    fn target(&self, entry: &Entry<'a>, depth: usize) -> Result<Type> {
        match entry.attr_value(gimli::DW_AT_type) {
            Some(AttributeValue::UnitRef(offset)) => self.kind(offset, depth),
            // Only link time optimisation refers to other units.
            Some(_) => bail!("its debug information has a type in another unit"),
            None => Ok(Type::Void),
        }
    }

    fn prototype(&self, of: &Entry<'a>, depth: usize) -> Result<Prototype> {
        let mut parameters = Vec::new();
        let mut is_variadic = false;
        self.each_child(of.offset(), |entry| {
            match entry.tag() {
                gimli::DW_TAG_formal_parameter => parameters.push(Parameter {
                    name: self.name(entry)?,
                    kind: self.target(entry, depth + 1)?,
                }),
                gimli::DW_TAG_unspecified_parameters => is_variadic = true,
                _ => {}
            }
            Ok(())
        })?;
        Ok(Prototype {
            result: self.target(of, depth + 1)?,
            parameters,
            is_variadic,
        })
    }

    fn kind(&self, offset: UnitOffset, depth: usize) -> Result<Type> {
        ensure!(
            depth <= MAX_DEPTH,
            "its debug information is damaged: a type has no end"
        );
        let entry = self.unit.entry(offset)?;
        let inner = || self.target(&entry, depth + 1);
        let named = || {
            let name = self.name(&entry)?;
            name.context("its debug information is damaged: a type has no name")
        };
        let tagged = |tag: Tag| match self.name(&entry)? {
            Some(name) => Ok(Type::Tagged(tag, name)),
            None => bail!("a {} without a name", tag.word()),
        };
        Ok(match entry.tag() {
            gimli::DW_TAG_base_type => Type::base(&named()?),
            gimli::DW_TAG_structure_type => tagged(Tag::Struct)?,
            gimli::DW_TAG_union_type => tagged(Tag::Union)?,
            gimli::DW_TAG_enumeration_type => tagged(Tag::Enum)?,
            gimli::DW_TAG_typedef => Type::Typedef(named()?),
            gimli::DW_TAG_pointer_type => Type::pointer(inner()?),
            gimli::DW_TAG_const_type => Type::Qualified("const", Box::new(inner()?)),
            gimli::DW_TAG_volatile_type => Type::Qualified("volatile", Box::new(inner()?)),
            gimli::DW_TAG_subroutine_type => {
                Type::Function(Box::new(self.prototype(&entry, depth + 1)?))
            }
            gimli::DW_TAG_array_type => {
                let mut kind = inner()?;
                let mut lengths = Vec::new();
                self.each_child(offset, |range| {
                    let number = |attribute| range.attr_value(attribute)?.udata_value();
                    let count = number(gimli::DW_AT_count);
                    lengths.push(count.or_else(|| {
                        number(gimli::DW_AT_upper_bound).and_then(|last| last.checked_add(1))
                    }));
                    Ok(())
                })?;
                for length in lengths.into_iter().rev() {
                    kind = Type::Array(Box::new(kind), length);
                }
                kind
            }
            // restrict, _Atomic, and the type tags of clang.
            _ => inner()?,
        })
    }

    fn each_child(
        &self,
        of: UnitOffset,
        mut each: impl FnMut(&Entry<'a>) -> Result<()>,
    ) -> Result<()> {
        let mut tree = self.unit.entries_tree(Some(of))?;
        let mut children = tree.root()?.children();
        while let Some(child) = children.next()? {
            each(child.entry())?;
        }
        Ok(())
    }
}
