// SPDX-License-Identifier: GPL-2.0

//! The symbol table of a `vmlinux`, which says more of a symbol than kallsyms does.

use super::listed;
use crate::symbols::{kind, Candidate, ObjectSymbols};
use anyhow::{ensure, Result};
use livepatch_kernel::Kallsyms;
use object::elf;
use object::read::elf::{FileHeader as _, SectionHeader as _, Sym as _};
use object::Endianness;
use std::collections::BTreeMap;

/// What the names of symbols in a vmlinux start with that kallsyms leaves out.
const LEFT_OUT: [&[u8]; 7] = [
    b".L",
    b"$",
    b"__crc_",
    b"__efistub_",
    b"__kcfi_typeid_",
    b"__kstrtab",
    b"__mod_device_table__",
];

/// The symbols that kallsyms would have, by address.
pub(super) fn table(data: &[u8]) -> Result<Vec<(Vec<u8>, Candidate)>> {
    let header = elf::FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    ensure!(
        header.e_type(endian) != elf::ET_REL,
        "it is a module, not a kernel"
    );
    let sections = header.sections(endian, data)?;
    let table = sections.symbols(endian, data, elf::SHT_SYMTAB)?;

    let mut file = None;
    let mut found = Vec::new();
    for (index, symbol) in table.enumerate() {
        let name = table.symbol_name(endian, symbol)?;
        match symbol.st_type() {
            elf::STT_FILE => {
                file = (!name.is_empty()).then(|| name.escape_ascii().to_string());
                continue;
            }
            elf::STT_SECTION => continue,
            _ => {}
        }
        let global = symbol.st_bind() != elf::STB_LOCAL;
        let section = match table.symbol_section(endian, symbol, index)? {
            Some(index) => {
                let section = sections.section(index)?;
                if !section.sh_flags(endian).contains(elf::SHF_ALLOC) {
                    continue;
                }
                Some(
                    sections
                        .section_name(endian, section)?
                        .escape_ascii()
                        .to_string(),
                )
            }
            None if global && symbol.st_shndx(endian) == elf::SHN_ABS => None,
            None => continue,
        };
        if name.is_empty() || LEFT_OUT.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let candidate = Candidate {
            address: symbol.st_value(endian),
            kind: kind(symbol.st_type()).to_owned(),
            section,
            // Global symbols stand after all files.
            file: file.clone().filter(|_| !global),
            global,
        };
        found.push((name.to_vec(), candidate));
    }
    found.sort_by_key(|(_, candidate)| candidate.address);
    Ok(found)
}

/// Adds what the kernel itself lists, each with what the table says of it.
pub(super) fn merge(
    symbols: &mut ObjectSymbols,
    listed_ones: Kallsyms,
    table: Vec<(Vec<u8>, Candidate)>,
) {
    symbols.add_exports(table.iter().map(|(name, _)| &name[..]));
    let mut known: BTreeMap<(Vec<u8>, u64), Vec<Candidate>> = BTreeMap::new();
    // The last one of the same name and address is taken first.
    for (name, candidate) in table.into_iter().rev() {
        let key = (name, candidate.address);
        known.entry(key).or_default().push(candidate);
    }
    for symbol in listed_ones.symbols {
        let key = (symbol.name, symbol.address);
        let told = known.get_mut(&key).and_then(Vec::pop);
        let candidate = told.unwrap_or_else(|| listed(symbol.address, symbol.kind));
        symbols.push(&key.0, candidate);
    }
}
