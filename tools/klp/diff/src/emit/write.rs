// SPDX-License-Identifier: GPL-2.0

//! Writes the ELF file.

use super::layout::{Layout, SymbolPlace};
use crate::error::{Error, Result};
use livepatch_format::elf::Machine;
use object::elf;
use object::write::elf::{FileHeader, Rel, SectionHeader, SectionIndex, Sym, Writer};

/// The alignment of a section is never larger in a kernel object: that of a huge page.
const MAX_ALIGN: u64 = 1 << 21;

fn failed(what: impl ToString) -> Error {
    Error::Emit(what.to_string())
}

/// Writes the object.
pub fn write(layout: &Layout) -> Result<Vec<u8>> {
    if layout.sections.len() * 2 + 4 >= usize::from(elf::SHN_LORESERVE) {
        return Err(failed("too many sections"));
    }
    let mut out = Vec::new();
    let mut writer = Writer::new(layout.endian, true, &mut out);
    let names: Vec<_> = layout
        .sections
        .iter()
        .map(|section| format!(".rela{}", section.name))
        .collect();

    writer.reserve_file_header();
    writer.reserve_null_section_index();
    let mut sections = Vec::new();
    for section in &layout.sections {
        if !section.align.is_power_of_two() || section.align > MAX_ALIGN {
            return Err(failed(format!(
                "{}: alignment {:#x}",
                section.name, section.align
            )));
        }
        let name = writer.add_section_name(section.name.as_bytes());
        let index = writer.reserve_section_index();
        let offset = writer.reserve(section.data.len() as u64, section.align);
        sections.push((name, index, offset));
    }
    let mut tables = Vec::new();
    for (section, name) in layout.sections.iter().zip(&names) {
        if section.relocations.is_empty() {
            tables.push(None);
            continue;
        }
        let name = writer.add_section_name(name.as_bytes());
        writer.reserve_section_index();
        let offset = writer.reserve_relocations(section.relocations.len(), true);
        tables.push(Some((name, offset)));
    }
    let symtab = writer.reserve_symtab_section_index();
    writer.reserve_strtab_section_index();
    writer.reserve_shstrtab_section_index();
    writer.reserve_null_symbol_index();
    let mut strings = Vec::new();
    for symbol in &layout.symbols {
        let named = !symbol.name.is_empty();
        strings.push(named.then(|| writer.add_string(symbol.name.as_bytes())));
        writer.reserve_symbol_index(None);
    }
    writer.reserve_symtab();
    writer.reserve_strtab().map_err(failed)?;
    writer.reserve_shstrtab().map_err(failed)?;
    writer.reserve_section_headers();

    let header = FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_REL,
        e_machine: match layout.machine {
            Machine::X86_64 => elf::EM_X86_64,
            Machine::S390 => elf::EM_S390,
        },
        e_entry: 0,
        e_flags: layout.flags,
    };
    writer.write_file_header(&header).map_err(failed)?;
    for section in &layout.sections {
        writer.write_align(section.align);
        writer.write(&section.data);
    }
    for section in &layout.sections {
        if section.relocations.is_empty() {
            continue;
        }
        writer.write_align_relocation();
        for relocation in &section.relocations {
            let symbol = u32::try_from(relocation.symbol + 1).map_err(failed)?;
            writer.write_relocation(
                true,
                &Rel {
                    r_offset: relocation.offset,
                    r_sym: symbol,
                    r_type: elf::RelocationType(relocation.kind),
                    r_addend: relocation.addend,
                },
            );
        }
    }
    writer.write_null_symbol();
    for (symbol, string) in layout.symbols.iter().zip(&strings) {
        let st_name = writer.string_offset(*string);
        writer.write_symbol(&Sym {
            section: match symbol.place {
                SymbolPlace::Section(index) => Some(sections[index].1 .0),
                _ => None,
            },
            st_name,
            st_info: symbol.info,
            st_other: elf::SymbolOther(0),
            st_shndx: match symbol.place {
                SymbolPlace::Absolute => elf::SHN_ABS,
                _ => elf::SHN_UNDEF,
            },
            st_value: symbol.value,
            st_size: symbol.size,
        });
    }
    writer.write_strtab();
    writer.write_shstrtab();

    writer.write_null_section_header();
    let section_index = |index: usize| sections.get(index).map_or(0, |(_, index, _)| index.0);
    for (section, (name, _, offset)) in layout.sections.iter().zip(&sections) {
        let sh_name = writer.section_name_offset(Some(*name));
        writer.write_section_header(&SectionHeader {
            sh_name,
            sh_type: section.sh_type,
            sh_flags: section.flags,
            sh_addr: 0,
            sh_offset: *offset,
            sh_size: section.size,
            sh_link: section.link.map_or(0, section_index),
            sh_info: 0,
            sh_addralign: section.align,
            sh_entsize: section.entsize,
        });
    }
    for (index, (section, table)) in layout.sections.iter().zip(&tables).enumerate() {
        let Some((name, offset)) = table else {
            continue;
        };
        writer.write_relocation_section_header(
            *name,
            SectionIndex(section_index(index)),
            symtab,
            *offset,
            section.relocations.len(),
            true,
        );
    }
    // The null symbol is local as well.
    let local = u32::try_from(layout.local + 1).map_err(failed)?;
    writer.write_symtab_section_header(local);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    Ok(out)
}
