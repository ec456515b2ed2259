// SPDX-License-Identifier: GPL-2.0

//! The symbol table of a `vmlinux`, which says more of a symbol than kallsyms does.

use super::listed;
use crate::symbols::{Candidate, Kind, ObjectSymbols};
use anyhow::{ensure, Result};
use livepatch_kernel::{Kallsyms, Symbol};
use object::elf;
use object::read::elf::{FileHeader as _, SectionHeader as _, Sym as _};
use object::Endianness;
use std::sync::Arc;

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

/// The symbols that kallsyms would have, each with its name, by address and name.
pub(super) fn table(data: &[u8]) -> Result<Vec<(&[u8], Candidate)>> {
    let header = elf::FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    ensure!(
        header.e_type(endian) != elf::ET_REL,
        "it is a module, not a kernel"
    );
    let sections = header.sections(endian, data)?;
    let table = sections.symbols(endian, data, elf::SHT_SYMTAB)?;

    let section_names = sections
        .iter()
        .map(|section| {
            let name = sections.section_name(endian, section)?;
            Ok(Arc::from(name.escape_ascii().to_string()))
        })
        .collect::<Result<Vec<Arc<str>>>>()?;

    let mut file: Option<Arc<str>> = None;
    let mut found = Vec::new();
    for (index, symbol) in table.enumerate() {
        let name = table.symbol_name(endian, symbol)?;
        match symbol.st_type() {
            elf::STT_FILE => {
                file = (!name.is_empty()).then(|| name.escape_ascii().to_string().into());
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
                section_names.get(index.0).cloned()
            }
            None if global && symbol.st_shndx(endian) == elf::SHN_ABS => None,
            None => continue,
        };
        if name.is_empty() || LEFT_OUT.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let candidate = Candidate {
            address: symbol.st_value(endian),
            kind: Kind::from(symbol.st_type()),
            section,
            // Global symbols stand after all files.
            file: file.clone().filter(|_| !global),
            global,
        };
        found.push((name, candidate));
    }
    found.sort_by(|one, other| key(one).cmp(&key(other)));
    Ok(found)
}

/// Adds what the kernel itself lists, each with what the table says of it.
pub(super) fn merge(
    symbols: &mut ObjectSymbols,
    listed_ones: Kallsyms,
    table: &[(&[u8], Candidate)],
) {
    symbols.add_exports(table.iter().map(|(name, _)| *name));
    // How many of one name and address were taken, where the first of them stands.
    let mut taken = vec![0; table.len()];
    for Symbol {
        address,
        kind,
        name,
    } in listed_ones.symbols
    {
        let wanted = (address, &name[..]);
        let first = table.partition_point(|one| key(one) < wanted);
        let told = taken.get_mut(first).and_then(|taken| {
            let one = table.get(first + *taken)?;
            *taken += 1;
            (key(one) == wanted).then(|| one.1.clone())
        });
        symbols.push(name, told.unwrap_or_else(|| listed(address, kind)));
    }
}

/// By what the table is ordered.
fn key<'a>((name, candidate): &(&'a [u8], Candidate)) -> (u64, &'a [u8]) {
    (candidate.address, name)
}
