// SPDX-License-Identifier: GPL-2.0

//! What the kernel's module loader takes from a file without a look at it.
//!
//! `elf_validity_*()` in `kernel/module/main.c` of the kernel source check a part of a file. What
//! follows after them (`layout_sections()`, `move_module()`, `apply_relocations()`,
//! `add_kallsyms()`, `module_finalize()`, s390's `module_frob_arch_sections()`) takes more for
//! granted than that, and a file that is wrong there ends in an oops, or in memory that is
//! overwritten. What is checked here holds for every module that a linker made and modpost
//! finished. What the code of a module does, and what stands in the tables that the kernel knows
//! by name, is not looked at.

use super::elf::{
    Image, Machine, Relocation, RelocationTable, Section, SectionIndex, StringTable, SymbolIndex,
    SymbolTable, EHDR_SIZE, RELA_SIZE, SHDR_SIZE, SHF_ALLOC, SHF_EXECINSTR, SHF_RO_AFTER_INIT,
    SHF_WRITE, SHN_ABS, SHN_COMMON, SHN_LIVEPATCH, SHN_UNDEF, SHT_NOBITS, SHT_NOTE, SHT_NULL,
    SHT_RELA, SHT_STRTAB, SHT_SYMTAB, SYM_SIZE,
};
use super::error::{Error, LoaderFault, Result};
use super::modinfo;
use super::reloc;
use core::ops::Range;

/// The section that becomes `struct module`.
pub const RECORD: &[u8] = b".gnu.linkonce.this_module";

/// Where in it the name of the module is, which is all that a file says there: `name` in
/// `include/linux/module.h`.
pub const RECORD_NAME: Range<usize> = 24..80;

/// What its address has to be a multiple of at least: it has links of trees and numbers that are
/// changed atomically.
pub const RECORD_ALIGN: u64 = 8;

/// Sections whose contents the kernel takes from the file, whatever their flags say.
const FROM_FILE: [&[u8]; 8] = [
    modinfo::SECTION,
    RECORD,
    PER_CPU,
    VERSIONS,
    VERSION_CHECKSUMS,
    VERSION_NAMES,
    b".BTF",
    b".BTF.base",
];

/// What each processor gets a copy of.
pub const PER_CPU: &[u8] = b".data..percpu";

/// Names and checksums of the symbols that a module imports.
const VERSIONS: &[u8] = b"__versions";
/// The same, where names may be longer.
const VERSION_CHECKSUMS: &[u8] = b"__version_ext_crcs";
const VERSION_NAMES: &[u8] = b"__version_ext_names";

/// Sections that do not stay in memory, whatever their flags say: the kernel clears these.
pub const NOT_KEPT: [&[u8]; 4] = [modinfo::SECTION, VERSIONS, VERSION_CHECKSUMS, VERSION_NAMES];

/// Sections whose names begin like this are freed when the module's init function is done; those of
/// exit are so in kernels that cannot unload modules.
const FREED: [&[u8]; 2] = [b".init", b".exit"];

/// The section indices that are no section's to the kernel, whatever their number.
const NO_SECTION: [u16; 4] = [SHN_UNDEF, SHN_LIVEPATCH, SHN_ABS, SHN_COMMON];

/// Where in the kernel's own record of a module the addresses of its init and exit function are,
/// which is all that relocations may put there. That differs between kernels.
pub type RecordPlaces<'a> = &'a [u64];

/// More than this is no module, and the loader counts with 32 bits.
const MEMORY_MAX: u64 = 1 << 31;

/// The section at fault, and its fault.
type Found = core::result::Result<(), (SectionIndex, Error)>;

/// Checks a file that nobody has looked at. `places` are those of the kernel that it is for, where
/// that is known.
///
/// # Errors
///
/// The section at fault, with [`Error::Unchecked`], [`Error::StringOffset`],
/// [`Error::RelocationSymbol`], [`Error::RelocationOffset`], or what keeps the section from being
/// read.
pub fn check(image: &Image<'_>, places: Option<RecordPlaces<'_>>) -> Found {
    let null = SectionIndex(0);
    let first = image.sections.get(null).map_err(|error| (null, error))?;
    if first.sh_name != 0 || first.sh_flags != 0 {
        return Err((null, Error::Unchecked(LoaderFault::NullSection)));
    }
    let mut memory = 0;
    for (index, section) in image.sections.iter() {
        let here = |error| (index, error);
        header(image, &section).map_err(here)?;
        memory = laid_out(&section, memory).map_err(here)?;
    }
    let Some((table, symtab)) = symbol_table(image) else {
        // The kernel tells it.
        return Ok(());
    };
    let (symbols, strings) = image.symbols().map_err(|error| (table, error))?;
    tables(image, (table, &symtab))?;
    names(&symbols, &strings, memory).map_err(|error| (table, error))?;
    for (index, section) in image.sections.iter() {
        if section.sh_type == SHT_RELA && !section.is_livepatch_relocation() {
            relocations(image, &section, &symtab, &symbols, places)
                .map_err(|error| (index, error))?;
        }
    }
    Ok(())
}

fn symbol_table(image: &Image<'_>) -> Option<(SectionIndex, Section)> {
    let is_table = |section: &Section| section.sh_type == SHT_SYMTAB;
    image.sections.iter().find(|(_, section)| is_table(section))
}

/// Whether the section stays in the module's memory.
fn is_kept(image: &Image<'_>, section: &Section) -> bool {
    let name = image.name(section).unwrap_or_default();
    is_allocated(section) && !NOT_KEPT.contains(&name)
}

/// Whether the section is in the module's memory, by what its own header says.
fn is_allocated(section: &Section) -> bool {
    section.sh_flags & SHF_ALLOC != 0
}

/// Checks what a section's header says, and what the kernel reads of the section as text.
fn header(image: &Image<'_>, section: &Section) -> Result<()> {
    let name = image.name(section)?;
    let fault = |fault| Err(Error::Unchecked(fault));
    let from_file = FROM_FILE.contains(&name);
    match section.sh_type {
        // Their extent is not checked, but they are copied from there like all others.
        SHT_NULL if section.sh_size != 0 => return fault(LoaderFault::NoContents),
        SHT_NOBITS if section.sh_size != 0 && (from_file || !is_allocated(section)) => {
            return fault(LoaderFault::NoContents);
        }
        // Everybody may read it in sysfs, for as long as the module is loaded.
        SHT_NOTE
            if section.sh_size != 0
                && is_allocated(section)
                && FREED.iter().any(|freed| name.starts_with(freed)) =>
        {
            return fault(LoaderFault::FreedNote);
        }
        _ => {}
    }
    if name == RECORD {
        return record(image, section);
    }
    // Strings that are read without a look at where the section ends.
    let is_text = name == modinfo::SECTION || (name == VERSIONS && is_allocated(section));
    if is_text && section.sh_size != 0 && image.data(section)?.last() != Some(&0) {
        return fault(LoaderFault::Unterminated);
    }
    Ok(())
}

/// Checks the kernel's own record of the module, of which it keeps whatever the file says.
fn record(image: &Image<'_>, section: &Section) -> Result<()> {
    let fault = |why| Err(Error::Unchecked(LoaderFault::Record(why)));
    if section.sh_flags & (SHF_WRITE | SHF_EXECINSTR | SHF_RO_AFTER_INIT) != SHF_WRITE {
        return fault("it must be in memory that can be written, and is no code");
    }
    if section.sh_addralign < RECORD_ALIGN {
        return fault("it is not aligned");
    }
    let data = image.data(section)?;
    let (Some(before), Some(name), Some(after)) = (
        data.get(..RECORD_NAME.start),
        data.get(RECORD_NAME),
        data.get(RECORD_NAME.end..),
    ) else {
        // The kernel refuses one that is not as long as its own.
        return Ok(());
    };
    let length = name.iter().position(|&byte| byte == 0);
    let (name, rest) = name
        .split_at_checked(length.unwrap_or(0))
        .unwrap_or_default();
    // Directories are made of it.
    let is_good = |byte: &u8| byte.is_ascii_graphic() && *byte != b'/';
    if name.is_empty() || !name.iter().all(is_good) {
        return fault("the name in it is no name of a module");
    }
    // A loop without an early end, over one slice: every livepatch comes by here.
    let is_zero = |part: &[u8]| part.iter().fold(0, |all, byte| all | byte) == 0;
    if ![before, rest, after].into_iter().all(is_zero) {
        return fault("it holds more than the name");
    }
    Ok(())
}

/// Adds what a section takes of the module's memory to the `memory` of those before it.
fn laid_out(section: &Section, memory: u64) -> Result<u64> {
    // The kernel keeps these two for a while, whatever their flags say.
    if !is_allocated(section) && !matches!(section.sh_type, SHT_SYMTAB | SHT_STRTAB) {
        return Ok(memory);
    }
    let align = section.sh_addralign;
    if align != 0 && !align.is_power_of_two() {
        return Err(Error::Unchecked(LoaderFault::Alignment { align }));
    }
    memory
        .checked_add(align)
        .and_then(|memory| memory.checked_add(section.sh_size))
        .filter(|&memory| memory <= MEMORY_MAX)
        .ok_or(Error::Unchecked(LoaderFault::Memory))
}

/// Checks that nothing lies over what the kernel goes on reading in the file, and in part writes.
fn tables(image: &Image<'_>, (table, symtab): (SectionIndex, &Section)) -> Found {
    let extent = |start: u64, size: u64| start..start.saturating_add(size);
    let overlap = |one: &Range<u64>, two: &Range<u64>| {
        !one.is_empty() && !two.is_empty() && one.start < two.end && two.start < one.end
    };
    let headers = u64::from(image.header.e_shnum).saturating_mul(SHDR_SIZE as u64);
    let headers = extent(image.header.e_shoff, headers);
    // The kernel fills its record in here before it moves that, and relocates what each processor
    // gets a copy of here.
    let is_per_cpu =
        |section: &Section| is_allocated(section) && image.name(section) == Ok(PER_CPU);
    let mut sections = image.sections.iter();
    let per_cpu = sections.find(|(_, section)| is_per_cpu(section));
    let record = image.find(RECORD);
    let none = SectionIndex(0);
    let special = [
        table,
        SectionIndex(symtab.sh_link),
        SectionIndex(image.header.e_shstrndx.into()),
        per_cpu.map_or(none, |(index, _)| index),
        record.map_or(none, |(index, _)| index),
    ];
    let extents = special.map(|index| match image.sections.get(index) {
        Ok(section) if !matches!(section.sh_type, SHT_NULL | SHT_NOBITS) => {
            extent(section.sh_offset, section.sh_size)
        }
        _ => 0..0,
    });
    let header = 0..EHDR_SIZE as u64;
    for (index, section) in image.sections.iter() {
        if matches!(section.sh_type, SHT_NULL | SHT_NOBITS) {
            continue;
        }
        let here = extent(section.sh_offset, section.sh_size);
        let over_table = special
            .iter()
            .zip(&extents)
            .any(|(&other, extent)| other != index && overlap(&here, extent));
        if over_table || overlap(&here, &headers) || overlap(&here, &header) {
            return Err((index, Error::Unchecked(LoaderFault::Overlap)));
        }
    }
    Ok(())
}

/// Checks the symbol that the kernel does not, and how much memory the names of all take beside
/// the `memory` of the sections.
fn names(symbols: &SymbolTable<'_>, strings: &StringTable<'_>, mut memory: u64) -> Result<()> {
    /// A symbol, its type, and the NUL of its name, twice.
    const EACH: u64 = SYM_SIZE as u64 + 3;
    if let Ok(first) = symbols.get(SymbolIndex(0)) {
        let shndx = first.st_shndx;
        if shndx != SHN_UNDEF {
            return Err(Error::Unchecked(LoaderFault::NullSymbol { shndx }));
        }
    }
    // Each name is copied, and one can be that of many. Mostly that cannot be too much.
    let longest = (strings.len() as u64).saturating_add(EACH);
    let most = u64::from(symbols.len()).saturating_mul(longest);
    if memory.saturating_add(most) <= MEMORY_MAX {
        return Ok(());
    }
    for (_, symbol) in symbols.iter() {
        let length = strings.get(symbol.st_name)?.len() as u64;
        memory = memory.saturating_add(length).saturating_add(EACH);
        if memory > MEMORY_MAX {
            return Err(Error::Unchecked(LoaderFault::Memory));
        }
    }
    Ok(())
}

/// Checks the relocations that the kernel itself applies, or counts by.
fn relocations(
    image: &Image<'_>,
    section: &Section,
    symtab: &Section,
    symbols: &SymbolTable<'_>,
    places: Option<RecordPlaces<'_>>,
) -> Result<()> {
    let machine = image.header.machine()?;
    let target = applied_to(image, section, symtab)?;
    let is_record = |target: &Section| image.name(target) == Ok(RECORD);
    let places = places.filter(|_| target.as_ref().is_some_and(is_record));
    // s390 counts by the symbols of all relocations, those of debug information too.
    if target.is_none() && machine != Machine::S390 {
        return Ok(());
    }
    let data = image.data(section)?;
    let whole = data.get(..data.len() - data.len() % RELA_SIZE);
    let table = RelocationTable::new(whole.unwrap_or_default(), image.header.endian)?;
    for (nr, rela) in table.iter() {
        let symbol = symbols.get(rela.symbol);
        let symbol = symbol.map_err(|_| Error::RelocationSymbol {
            nr,
            symbol: rela.symbol,
            count: symbols.len(),
        })?;
        let Some(target) = &target else {
            continue;
        };
        // The kernel stops at a type that it does not know.
        let Some(width) = reloc::width(machine, rela.r_type).filter(|&width| width != 0) else {
            continue;
        };
        place(nr, &rela, width, target)?;
        let is_function =
            |place: &u64| *place == rela.r_offset && reloc::is_address(machine, rela.r_type);
        if places.is_some_and(|places| !places.iter().any(is_function)) {
            return Err(Error::Unchecked(LoaderFault::Record(
                "relocations put more there than its functions",
            )));
        }
        if !NO_SECTION.contains(&symbol.st_shndx) {
            // The kernel itself refuses one of a section that is not there.
            let defined = image.sections.get(SectionIndex(symbol.st_shndx.into()));
            if defined.is_ok_and(|defined| !is_kept(image, &defined)) {
                let symbol = rela.symbol;
                return Err(Error::Unchecked(LoaderFault::NotInMemory { nr, symbol }));
            }
        }
    }
    Ok(())
}

/// Checks that what a relocation writes is in its section.
fn place(nr: u32, rela: &Relocation, width: u8, target: &Section) -> Result<()> {
    match rela.r_offset.checked_add(width.into()) {
        Some(end) if end <= target.sh_size => Ok(()),
        _ => Err(Error::RelocationOffset {
            nr,
            offset: rela.r_offset,
            width,
            section_size: target.sh_size,
        }),
    }
}

/// The section that the kernel changes with the relocations of `section`, if it does.
fn applied_to(image: &Image<'_>, section: &Section, symtab: &Section) -> Result<Option<Section>> {
    let Ok(target) = image.sections.get(SectionIndex(section.sh_info)) else {
        return Ok(None);
    };
    // These are in memory while relocations are applied, whatever their flags say.
    let is_table = target.sh_type == SHT_SYMTAB || section.sh_info == symtab.sh_link;
    if !is_table && !is_allocated(&target) {
        return Ok(None);
    }
    match target.sh_type {
        SHT_RELA | SHT_SYMTAB | SHT_STRTAB => Err(Error::RelocationTarget(
            "the target section is no code or data",
        )),
        _ => Ok(Some(target)),
    }
}
