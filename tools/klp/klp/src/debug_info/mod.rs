// SPDX-License-Identifier: GPL-2.0

//! What the debug information of a kernel or a module tells of its functions and variables, as
//! DWARF 5 has it.

mod function;
mod inlined;
mod origin;

pub use origin::Parameter;

use crate::file::module::Module;
use anyhow::Result;
use gimli::{
    AttributeValue, DebugInfoOffset, DebuggingInformationEntry, Dwarf, EndianSlice, Reader,
    RunTimeEndian, SectionId, Unit,
};
use livepatch_format::elf::{Endian, SectionIndex};
use livepatch_format::reloc;
use object::elf;
use object::read::elf::{FileHeader as _, SectionHeader as _};
use object::Endianness;
use std::borrow::Cow;
use std::collections::BTreeMap;

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;

/// Sections of a module that is not linked yet all begin at 0: an address says which one it is
/// in its upper half.
const SECTION_SHIFT: u32 = 32;

/// The debug information of a kernel or a module.
pub struct DebugInfo<'a> {
    sections: BTreeMap<&'static str, Cow<'a, [u8]>>,
    endian: RunTimeEndian,
}

impl<'a> DebugInfo<'a> {
    /// That of a vmlinux; `None` where it has none.
    pub fn of_vmlinux(data: &'a [u8]) -> Result<Option<Self>> {
        let header = elf::FileHeader64::<Endianness>::parse(data)?;
        let endian = header.endian()?;
        let table = header.sections(endian, data)?;
        let mut sections = BTreeMap::new();
        for section in table.iter() {
            let name = table.section_name(endian, section)?;
            if let Some(id) = id(name) {
                sections.insert(id, Cow::Borrowed(section.data(endian, data)?));
            }
        }
        Ok(Self::with(sections, endian == Endianness::Big))
    }

    /// That of a module; `None` where it has none.
    pub fn of_module(module: &Module<'a>) -> Option<Self> {
        let mut sections: BTreeMap<_, Cow<'a, [u8]>> = BTreeMap::new();
        for (_, section, name) in module.sections() {
            if let Some(id) = id(name) {
                sections.insert(id, Cow::Borrowed(module.data(&section)));
            }
        }
        for (index, _, table) in module.ordinary_relocations() {
            let Some(data) = id(module.section_name(index)).and_then(|id| sections.get_mut(id))
            else {
                continue;
            };
            for (_, rela) in table.iter() {
                relocate(module, data.to_mut(), &rela);
            }
        }
        Self::with(sections, module.image().header.endian == Endian::Big)
    }

    fn with(sections: BTreeMap<&'static str, Cow<'a, [u8]>>, big: bool) -> Option<Self> {
        let endian = if big {
            RunTimeEndian::Big
        } else {
            RunTimeEndian::Little
        };
        let has_info = sections.contains_key(SectionId::DebugInfo.name());
        has_info.then_some(DebugInfo { sections, endian })
    }

    fn dwarf(&self) -> Result<Dwarf<Slice<'_>>> {
        Ok(Dwarf::load(|id| -> Result<Slice<'_>, gimli::Error> {
            let data = self.sections.get(id.name()).map_or(&[][..], |data| data);
            Ok(EndianSlice::new(data, self.endian))
        })?)
    }
}

/// What stands for a place in a module.
pub fn address(section: SectionIndex, offset: u64) -> u64 {
    (u64::from(section.0) << SECTION_SHIFT).wrapping_add(offset)
}

/// The section, if it is one of debug information.
fn id(name: &[u8]) -> Option<&'static str> {
    const USED: [SectionId; 12] = [
        SectionId::DebugAbbrev,
        SectionId::DebugAddr,
        SectionId::DebugInfo,
        SectionId::DebugLine,
        SectionId::DebugLineStr,
        SectionId::DebugLoc,
        SectionId::DebugLocLists,
        SectionId::DebugRngLists,
        SectionId::DebugRanges,
        SectionId::DebugStr,
        SectionId::DebugStrOffsets,
        SectionId::DebugTypes,
    ];
    let used = USED.iter().map(|id| id.name());
    used.into_iter().find(|id| id.as_bytes() == name)
}

/// Writes what a relocation of debug information says.
fn relocate(module: &Module<'_>, data: &mut [u8], rela: &livepatch_format::elf::Relocation) {
    let width = match reloc::width(module.machine, rela.r_type) {
        Some(width @ (4 | 8)) => usize::from(width),
        _ => return,
    };
    let Some(target) = module.target(rela, rela.r_addend) else {
        return;
    };
    let header = module.image().sections.get(target.section);
    let value = match header {
        Ok(header) if crate::file::module::is_alloc(&header) => {
            address(target.section, target.offset)
        }
        _ => target.offset,
    };
    let big = module.image().header.endian == Endian::Big;
    let start = usize::try_from(rela.r_offset).ok();
    let place = start.and_then(|start| data.get_mut(start..start.checked_add(width)?));
    if let Some(place) = place {
        let bytes = if big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        };
        let from = if big { 8 - width } else { 0 };
        place.copy_from_slice(&bytes[from..from + width]);
    }
}

fn for_each_unit<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    mut each: impl FnMut(&Unit<Slice<'a>>) -> Result<()>,
) -> Result<()> {
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        each(&dwarf.unit(header)?)?;
    }
    Ok(())
}

/// Where an entry is.
fn offset<R: Reader<Offset = usize>>(
    unit: &Unit<R>,
    entry: &DebuggingInformationEntry<R>,
) -> Option<DebugInfoOffset> {
    entry.offset().to_debug_info_offset(&unit.header)
}

/// Which entry an attribute refers to.
fn reference<R: Reader<Offset = usize>>(
    unit: &Unit<R>,
    entry: &DebuggingInformationEntry<R>,
    attribute: gimli::DwAt,
) -> Option<DebugInfoOffset> {
    match entry.attr_value(attribute)? {
        AttributeValue::UnitRef(offset) => offset.to_debug_info_offset(&unit.header),
        AttributeValue::DebugInfoRef(offset) => Some(offset),
        _ => None,
    }
}

/// The name of a function, which may stand at the entry that it refers to.
fn name<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    entry: &DebuggingInformationEntry<Slice<'a>>,
) -> Result<Option<String>> {
    let own = |entry: &DebuggingInformationEntry<Slice<'a>>| -> Result<Option<String>> {
        let Some(value) = entry.attr_value(gimli::DW_AT_name) else {
            return Ok(None);
        };
        let text = dwarf.attr_string(unit, value)?;
        Ok(Some(text.slice().escape_ascii().to_string()))
    };
    if let Some(name) = own(entry)? {
        return Ok(Some(name));
    }
    for attribute in [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification] {
        if let Some(AttributeValue::UnitRef(offset)) = entry.attr_value(attribute) {
            return own(&unit.entry(offset)?);
        }
    }
    Ok(None)
}
