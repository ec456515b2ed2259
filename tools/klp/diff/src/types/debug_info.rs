// SPDX-License-Identifier: GPL-2.0

//! Types as DWARF has them (versions 4 and 5, sections 5 and 3.3).

use super::enumerations::Enumeration;
use super::{Layout, Member, Types};
use crate::error::{Error, Result, Side};
use crate::view::read::{File, Section};
use gimli::{
    AttributeValue, DebuggingInformationEntry, DwAt, DwTag, Dwarf, EndianSlice, RunTimeEndian,
    SectionId, Unit, UnitOffset,
};
use object::{elf, Endianness};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;
type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;

/// How deep types without names may be in each other, with pointers and arrays of them.
const MAX_DEPTH: usize = 32;

/// How many types are looked at. An object of the kernel has some 100,000 entries; what refers to
/// itself again and again has to end.
const MAX_STEPS: usize = 20_000_000;

/// Whether there is any that can be read.
pub(super) fn is_there(file: &File) -> bool {
    let mut sections = file.sections.iter();
    let is_compressed = |section: &Section| section.flags.contains(elf::SHF_COMPRESSED);
    sections.any(|section| section.name == SectionId::DebugInfo.name() && !is_compressed(section))
}

/// Reads all types; `None` if there is no debug information.
pub(super) fn read(file: &File, side: Side) -> Result<Option<Types>> {
    if !is_there(file) {
        return Ok(None);
    }
    let sections: BTreeMap<&str, Cow<'_, [u8]>> = file
        .sections
        .iter()
        .filter(|section| section.name.starts_with(".debug_"))
        .map(|section| (section.name.as_str(), relocated(file, section)))
        .collect();
    let endian = match file.endian {
        Endianness::Little => RunTimeEndian::Little,
        Endianness::Big => RunTimeEndian::Big,
    };
    let load = |id: SectionId| -> gimli::Result<Slice<'_>> {
        let data = sections.get(id.name()).map_or(&[][..], |data| data);
        Ok(EndianSlice::new(data, endian))
    };
    let mut types = Types::default();
    let steps = Cell::new(MAX_STEPS);
    let malformed = |what: &dyn std::fmt::Display| Error::Malformed {
        side,
        what: format!("its debug information: {what}"),
    };
    Dwarf::load(load)
        .and_then(|dwarf| {
            let mut units = dwarf.units();
            while let Some(header) = units.next()? {
                let unit = dwarf.unit(header)?;
                let reader = Reader {
                    dwarf: &dwarf,
                    unit: &unit,
                    steps: &steps,
                };
                reader.read(&mut types)?;
            }
            Ok(())
        })
        .map_err(|error| malformed(&error))?;
    match steps.get() {
        0 => Err(malformed(&"its types have no end")),
        _ => Ok(Some(types)),
    }
}

/// The bytes of a section of debug information, with what its relocations write: numbers of bytes
/// in other such sections. Addresses count from where their section starts.
fn relocated<'a>(file: &File, section: &'a Section) -> Cow<'a, [u8]> {
    let mut data = Cow::Borrowed(section.data.as_slice());
    for relocation in &section.relocations {
        let symbol = &file.symbols[relocation.symbol.0];
        let value = symbol.value.wrapping_add_signed(relocation.addend);
        let (value, width) = (value.to_le_bytes(), usize::from(relocation.width));
        let start = usize::try_from(relocation.offset).unwrap_or(usize::MAX);
        let field = data.to_mut().get_mut(start..start.saturating_add(width));
        if let (Some(field), Some(value)) = (field, value.get(..width)) {
            field.copy_from_slice(value);
            if file.endian == Endianness::Big {
                field.reverse();
            }
        }
    }
    data
}

struct Reader<'a, 'd> {
    dwarf: &'a Dwarf<Slice<'d>>,
    unit: &'a Unit<Slice<'d>>,
    /// How many types may still be looked at.
    steps: &'a Cell<usize>,
}

impl<'d> Reader<'_, 'd> {
    fn read(&self, types: &mut Types) -> gimli::Result<()> {
        let mut enumerations: BTreeMap<UnitOffset, Enumeration> = BTreeMap::new();
        let mut typedefs: BTreeMap<UnitOffset, String> = BTreeMap::new();
        let mut entries = self.unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            let is_declared = entry.attr_value(gimli::DW_AT_declaration).is_some();
            let named = match entry.tag() {
                _ if is_declared => None,
                gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type => {
                    let name = self.name(entry)?;
                    name.map(|name| (format!("{} {name}", word(entry.tag())), entry.offset()))
                }
                // Of a structure without a name, this is what it is called by.
                gimli::DW_TAG_typedef => match self.target(entry)? {
                    Some(target) if is_compound(target.tag()) && self.name(&target)?.is_none() => {
                        self.name(entry)?.map(|name| (name, target.offset()))
                    }
                    Some(target) if target.tag() == gimli::DW_TAG_enumeration_type => {
                        if let Some(name) = self.name(entry)? {
                            typedefs.entry(target.offset()).or_insert(name);
                        }
                        None
                    }
                    _ => None,
                },
                gimli::DW_TAG_enumeration_type => {
                    enumerations.insert(entry.offset(), self.enumeration(entry)?);
                    None
                }
                gimli::DW_TAG_subprogram => {
                    let is_global = entry.attr_value(gimli::DW_AT_external).is_some();
                    if let (true, Some(name)) = (is_global, self.name(entry)?) {
                        types.interfaces.insert(name, self.interface(entry, 0)?);
                    }
                    None
                }
                _ => None,
            };
            if let Some((name, offset)) = named {
                let layout = self.layout(&self.unit.entry(offset)?, 0)?;
                types.layouts.entry(name).or_default().insert(layout);
            }
        }
        for (offset, mut enumeration) in enumerations {
            enumeration.name = enumeration.name.or_else(|| typedefs.remove(&offset));
            types.enumerations.insert(enumeration);
        }
        Ok(())
    }

    fn name(&self, entry: &Entry<'d>) -> gimli::Result<Option<String>> {
        let Some(value) = entry.attr_value(gimli::DW_AT_name) else {
            return Ok(None);
        };
        let text = self.dwarf.attr_string(self.unit, value)?;
        Ok(Some(text.slice().escape_ascii().to_string()))
    }

    /// The type that an entry is of.
    fn target(&self, entry: &Entry<'d>) -> gimli::Result<Option<Entry<'d>>> {
        match entry.attr_value(gimli::DW_AT_type) {
            Some(AttributeValue::UnitRef(offset)) => self.unit.entry(offset).map(Some),
            _ => Ok(None),
        }
    }

    fn each_child(
        &self,
        of: UnitOffset,
        mut each: impl FnMut(&Entry<'d>) -> gimli::Result<()>,
    ) -> gimli::Result<()> {
        let mut tree = self.unit.entries_tree(Some(of))?;
        let mut children = tree.root()?.children();
        while let Some(child) = children.next()? {
            each(child.entry())?;
        }
        Ok(())
    }

    /// Whether one more type may be looked at.
    fn step(&self, depth: usize) -> bool {
        self.steps.set(self.steps.get().saturating_sub(1));
        self.steps.get() > 0 && depth <= MAX_DEPTH
    }

    fn layout(&self, of: &Entry<'d>, depth: usize) -> gimli::Result<Layout> {
        let mut members = Vec::new();
        let size = number(of, gimli::DW_AT_byte_size).unwrap_or(0);
        if !self.step(depth) {
            return Ok(Layout { size, members });
        }
        self.each_child(of.offset(), |entry| {
            if entry.tag() != gimli::DW_TAG_member {
                return Ok(());
            }
            let bytes = number(entry, gimli::DW_AT_data_member_location).unwrap_or(0);
            let bits = number(entry, gimli::DW_AT_data_bit_offset);
            let offset = bits.unwrap_or(bytes.wrapping_mul(8));
            match (self.name(entry)?, self.target(entry)?) {
                (None, Some(inner)) if is_compound(inner.tag()) => {
                    let inner = self.layout(&inner, depth + 1)?.members.into_iter();
                    members.extend(inner.map(|member| Member {
                        offset: member.offset.wrapping_add(offset),
                        ..member
                    }));
                }
                (name, kind) => members.push(Member {
                    name: name.unwrap_or_default(),
                    offset,
                    width: number(entry, gimli::DW_AT_bit_size),
                    kind: self.words(kind, depth + 1)?,
                }),
            }
            Ok(())
        })?;
        Ok(Layout { size, members })
    }

    fn enumeration(&self, of: &Entry<'d>) -> gimli::Result<Enumeration> {
        let name = self.name(of)?;
        let mut enumeration = Enumeration {
            name: name.map(|name| format!("{} {name}", word(of.tag()))),
            size: number(of, gimli::DW_AT_byte_size).unwrap_or(0),
            enumerators: Vec::new(),
        };
        if !self.step(0) {
            return Ok(enumeration);
        }
        self.each_child(of.offset(), |entry| {
            if let (gimli::DW_TAG_enumerator, Some(name)) = (entry.tag(), self.name(entry)?) {
                let value = entry.attr_value(gimli::DW_AT_const_value);
                // What has no sign is not negative; below zero, compilers have numbers with a sign.
                let number = value.and_then(|value| {
                    let unsigned = value.udata_value().map(i128::from);
                    unsigned.or_else(|| value.sdata_value().map(i128::from))
                });
                enumeration
                    .enumerators
                    .extend(number.map(|number| (name, number)));
            }
            Ok(())
        })?;
        Ok(enumeration)
    }

    /// What a function takes and returns.
    fn interface(&self, of: &Entry<'d>, depth: usize) -> gimli::Result<String> {
        let mut parameters = Vec::new();
        self.each_child(of.offset(), |entry| {
            match entry.tag() {
                gimli::DW_TAG_formal_parameter => {
                    parameters.push(self.words(self.target(entry)?, depth + 1)?);
                }
                gimli::DW_TAG_unspecified_parameters => parameters.push("...".to_owned()),
                _ => {}
            }
            Ok(())
        })?;
        let result = self.words(self.target(of)?, depth + 1)?;
        Ok(format!("{result} ({})", parameters.join(", ")))
    }

    /// A type in words of C. Qualifiers do not count, nor does a typedef of what has another name.
    fn words(&self, of: Option<Entry<'d>>, depth: usize) -> gimli::Result<String> {
        let Some(of) = of else {
            return Ok("void".to_owned());
        };
        if !self.step(depth) {
            return Ok("...".to_owned());
        }
        let name = self.name(&of)?;
        let inner = |depth| self.words(self.target(&of)?, depth);
        Ok(match (of.tag(), name) {
            (gimli::DW_TAG_pointer_type, _) => format!("{} *", inner(depth + 1)?),
            (gimli::DW_TAG_array_type, _) => {
                let mut lengths = String::new();
                self.each_child(of.offset(), |entry| {
                    let length = number(entry, gimli::DW_AT_count)
                        .or_else(|| number(entry, gimli::DW_AT_upper_bound)?.checked_add(1));
                    let length = length.map(|length| length.to_string());
                    lengths.push_str(&format!("[{}]", length.unwrap_or_default()));
                    Ok(())
                })?;
                format!("{} {lengths}", inner(depth + 1)?)
            }
            (gimli::DW_TAG_subroutine_type, _) => self.interface(&of, depth + 1)?,
            (gimli::DW_TAG_typedef, Some(name)) => match self.target(&of)? {
                Some(target) if is_nameless(target.tag()) && self.name(&target)?.is_none() => name,
                target => self.words(target, depth + 1)?,
            },
            (tag, Some(name)) if is_compound(tag) || tag == gimli::DW_TAG_enumeration_type => {
                format!("{} {name}", word(tag))
            }
            (tag, None) if is_compound(tag) => {
                let layout = self.layout(&of, depth + 1)?;
                let members = layout.members.iter().map(|member| {
                    let Member {
                        name, offset, kind, ..
                    } = member;
                    format!("{kind} {name} at {}", offset / 8)
                });
                let members: Vec<_> = members.collect();
                format!("{} {{ {} }}", word(tag), members.join("; "))
            }
            (gimli::DW_TAG_enumeration_type, None) => "enum".to_owned(),
            (gimli::DW_TAG_base_type, Some(name)) => name,
            // const and others
            _ => inner(depth + 1)?,
        })
    }
}

fn is_compound(tag: DwTag) -> bool {
    matches!(tag, gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type)
}

/// Whether a type may have no name but that of a typedef.
fn is_nameless(tag: DwTag) -> bool {
    is_compound(tag) || tag == gimli::DW_TAG_enumeration_type
}

fn word(tag: DwTag) -> &'static str {
    match tag {
        gimli::DW_TAG_union_type => "union",
        gimli::DW_TAG_enumeration_type => "enum",
        _ => "struct",
    }
}

fn number(entry: &Entry<'_>, attribute: DwAt) -> Option<u64> {
    entry.attr_value(attribute)?.udata_value()
}
