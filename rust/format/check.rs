// SPDX-License-Identifier: GPL-2.0

//! What must hold before a livepatch relocation section may be given to the architecture's
//! `apply_relocate_add()`, which trusts symbol indices, offsets and types as they come.

use super::elf::{
    Image, Machine, Relocation, RelocationTable, Section, SectionIndex, Symbol, SymbolTable,
    SHF_ALLOC, SHT_NOBITS, SHT_NULL, SHT_RELA, SHT_STRTAB, SHT_SYMTAB,
};
use super::error::{Error, Result};
use super::reloc;

/// Checks the header of a livepatch relocation section and of the section that it changes;
/// `symbols` is the module's symbol table.
///
/// # Errors
///
/// [`Error::RelocationTarget`] for a section that is no relocation table, that is for another
/// symbol table, or whose target cannot be relocated.
pub fn section(section: &Section, target: &Section, symbols: SectionIndex) -> Result<()> {
    if section.sh_type != SHT_RELA {
        return Err(Error::RelocationTarget(
            "not a section of relocations with addends",
        ));
    }
    if section.sh_flags & SHF_ALLOC == 0 {
        return Err(Error::RelocationTarget(
            "not kept in memory: it has no flag SHF_ALLOC",
        ));
    }
    if section.sh_link != symbols.0 {
        return Err(Error::RelocationTarget(
            "linked to something else than the symbol table",
        ));
    }
    if target.sh_flags & SHF_ALLOC == 0 {
        return Err(Error::RelocationTarget(
            "the target section is not in memory",
        ));
    }
    match target.sh_type {
        SHT_NULL | SHT_NOBITS => Err(Error::RelocationTarget(
            "the target section has no contents",
        )),
        // What is read while relocations are applied must not change meanwhile.
        SHT_RELA | SHT_SYMTAB | SHT_STRTAB => Err(Error::RelocationTarget(
            "the target section is no code or data",
        )),
        _ => Ok(()),
    }
}

/// Checks one relocation against the symbol table and the size of the target section, and
/// returns its symbol.
///
/// # Errors
///
/// [`Error::RelocationSymbol`], [`Error::NotALivepatchSymbol`], [`Error::RelocationType`],
/// [`Error::RelocationOffset`]
pub fn relocation(
    machine: Machine,
    nr: u32,
    rela: &Relocation,
    symbols: &SymbolTable<'_>,
    target_size: u64,
) -> Result<Symbol> {
    let symbol = symbols
        .get(rela.symbol)
        .map_err(|_| Error::RelocationSymbol {
            nr,
            symbol: rela.symbol,
            count: symbols.len(),
        })?;
    if !symbol.is_livepatch() {
        return Err(Error::NotALivepatchSymbol {
            nr,
            symbol: rela.symbol,
            shndx: symbol.st_shndx,
        });
    }
    let width = reloc::width(machine, rela.r_type).ok_or(Error::RelocationType {
        nr,
        r_type: rela.r_type,
    })?;
    match rela.r_offset.checked_add(width.into()) {
        Some(end) if end <= target_size => Ok(symbol),
        _ => Err(Error::RelocationOffset {
            nr,
            offset: rela.r_offset,
            width,
            section_size: target_size,
        }),
    }
}

/// Checks every relocation of a section; calls `each` for every one that holds.
///
/// # Errors
///
/// That of the first relocation that does not hold, or of `each`.
pub fn relocations<E: From<Error>>(
    machine: Machine,
    table: &RelocationTable<'_>,
    symbols: &SymbolTable<'_>,
    target_size: u64,
    mut each: impl FnMut(u32, &Relocation, &Symbol) -> core::result::Result<(), E>,
) -> core::result::Result<(), E> {
    for (nr, rela) in table.iter() {
        let symbol = relocation(machine, nr, &rela, symbols, target_size)?;
        each(nr, &rela, &symbol)?;
    }
    Ok(())
}

/// Where a relocation writes. Places are ordered by where they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The section that it changes.
    pub target: SectionIndex,
    /// The first byte, counted from the start of that section.
    pub start: u64,
    /// The byte after the last one.
    pub end: u64,
    /// The section that it is in.
    pub section: SectionIndex,
    /// Its number there.
    pub nr: u32,
}

impl Place {
    /// The place of a relocation that was checked; `None` where it writes nothing.
    pub fn new(
        machine: Machine,
        section: SectionIndex,
        target: SectionIndex,
        nr: u32,
        rela: &Relocation,
    ) -> Option<Place> {
        let width = reloc::width(machine, rela.r_type).filter(|&width| width != 0)?;
        Some(Place {
            target,
            start: rela.r_offset,
            end: rela.r_offset.checked_add(width.into())?,
            section,
            nr,
        })
    }
}

/// Checks that no two relocations of a module, `places` in their order, write to the same bytes:
/// to take the one back would damage the other, which may be for another object.
///
/// # Errors
///
/// The section at fault, with [`Error::RelocationOverlap`].
pub fn overlap(places: &[Place]) -> core::result::Result<(), (SectionIndex, Error)> {
    for pair in places.windows(2) {
        if let [one, two] = pair {
            if one.target == two.target && two.start < one.end {
                let (nr, other) = (two.nr, one.nr);
                return Err((two.section, Error::RelocationOverlap { nr, other }));
            }
        }
    }
    Ok(())
}

/// Checks, in a file that nobody has looked at, that the relocations of all livepatch sections
/// name symbols that are there. Some architectures' loaders count global offset and procedure
/// linkage table entries by these indices long before livepatch sees the module.
///
/// # Errors
///
/// The section at fault, with [`Error::RelocationSymbol`] or what keeps it from being read.
pub fn symbol_indices(image: &Image<'_>) -> core::result::Result<(), (SectionIndex, Error)> {
    let mut count = None;
    for (index, section) in image.sections.iter() {
        if section.sh_type != SHT_RELA || !section.is_livepatch_relocation() {
            continue;
        }
        let here = |error| (index, error);
        let count = match count {
            Some(count) => count,
            None => *count.insert(image.symbols().map_err(here)?.0.len()),
        };
        let data = image.data(&section).map_err(here)?;
        let table = RelocationTable::new(data, image.header.endian).map_err(here)?;
        for (nr, rela) in table.iter() {
            if rela.symbol.0 >= count {
                let symbol = rela.symbol;
                return Err((index, Error::RelocationSymbol { nr, symbol, count }));
            }
        }
    }
    Ok(())
}
