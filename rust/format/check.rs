// SPDX-License-Identifier: GPL-2.0

//! What must hold before a livepatch relocation section may be given to the architecture's
//! `apply_relocate_add()`, which trusts symbol indices, offsets and types as they come.

use super::elf::{
    Image, Machine, Relocation, RelocationTable, Section, SectionIndex, StringTable, Symbol,
    SymbolTable, RELA_SIZE, SHF_ALLOC, SHF_EXECINSTR, SHT_NOBITS, SHT_NULL, SHT_PROGBITS, SHT_RELA,
    SHT_STRTAB, SHT_SYMTAB,
};
use super::error::{Error, Result};
use super::name::{
    Dialect, ObjectName, SectionName, SymbolName, Text, DRAFT_SECTION_PREFIX, SECTION_PREFIX,
};
use super::refusal::Unresolved;
use super::reloc;
use super::unchecked::RECORD;
use core::fmt;

/// What keeps a livepatch relocation section from being applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault<'a> {
    /// The section or one of its relocations is wrong.
    Format(Error),
    /// Its own name is wrong.
    SectionName(Error),
    /// A relocation of the section at `index` uses a symbol that is not livepatch's.
    NotALivepatchSymbol {
        error: Error,
        index: SectionIndex,
        nr: u32,
        symbol: &'a [u8],
    },
    /// The name of a symbol is wrong.
    SymbolName { error: Error, symbol: &'a [u8] },
    /// The symbol of relocation `nr` is of the other dialect.
    Dialect { nr: u32, symbol: &'a [u8] },
    /// A section for a module uses a symbol of the kernel.
    VmlinuxSymbol { symbol: &'a [u8] },
    /// A symbol was not found.
    Unresolved(Unresolved<'a>),
}

impl From<Error> for Fault<'_> {
    fn from(error: Error) -> Self {
        Fault::Format(error)
    }
}

impl<'a> Fault<'a> {
    /// Explains what [`section`] or [`relocations`] found wrong with the section at `index`.
    pub fn new(
        error: Error,
        index: SectionIndex,
        symbols: &SymbolTable<'_>,
        strings: &StringTable<'a>,
    ) -> Self {
        match error {
            Error::NotALivepatchSymbol { nr, symbol, .. } => Fault::NotALivepatchSymbol {
                error,
                index,
                nr,
                symbol: symbols
                    .get(symbol)
                    .and_then(|symbol| strings.get(symbol.st_name))
                    .unwrap_or_default(),
            },
            _ => Fault::Format(error),
        }
    }

    /// The defect of the file, unless what the file says is at odds with something else.
    pub(super) fn error(&self) -> Option<Error> {
        match *self {
            Fault::Format(error)
            | Fault::SectionName(error)
            | Fault::NotALivepatchSymbol { error, .. }
            | Fault::SymbolName { error, .. } => Some(error),
            Fault::Dialect { .. } | Fault::VmlinuxSymbol { .. } | Fault::Unresolved(_) => None,
        }
    }

    /// The lines that stand before the one which tells module and section.
    pub(super) fn log(&self, section: &[u8], line: &mut impl FnMut(fmt::Arguments<'_>)) {
        match *self {
            Fault::Format(_) => {}
            Fault::SectionName(_) => line(format_args!(
                "section {} has an incorrectly formatted name",
                Text(section)
            )),
            Fault::NotALivepatchSymbol {
                index, nr, symbol, ..
            } => line(format_args!(
                "symbol {} at rela sec {} idx {nr} is not marked as a livepatch symbol",
                Text(symbol),
                index.0
            )),
            Fault::SymbolName { symbol, .. } => line(format_args!(
                "symbol {} has an incorrectly formatted name",
                Text(symbol)
            )),
            Fault::Dialect { nr, symbol } => {
                line(format_args!(
                    "symbol {} has an incorrectly formatted name",
                    Text(symbol)
                ));
                line(format_args!(
                    "relocation {nr}: symbol and section are of different dialects"
                ));
            }
            Fault::VmlinuxSymbol { symbol } => line(format_args!(
                "invalid access to vmlinux symbol '{}' from module-specific livepatch relocation \
                 section",
                Text(symbol)
            )),
            Fault::Unresolved(unresolved) => line(format_args!("{unresolved}")),
        }
    }
}

/// What the name and the flags of a section make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// None of livepatch's.
    Other,
    /// One that looks like a livepatch relocation section, and lacks the flag.
    Unflagged,
    /// A livepatch relocation section whose name is wrong.
    Misnamed(Error),
    /// A livepatch relocation section.
    Relocations(SectionName<'a>),
}

/// Decides what the section called `name` is.
pub fn kind<'a>(section: &Section, name: &'a [u8]) -> Kind<'a> {
    if section.is_livepatch_relocation() {
        match SectionName::parse(name) {
            Ok(name) => Kind::Relocations(name),
            Err(error) => Kind::Misnamed(error),
        }
    } else if name.starts_with(SECTION_PREFIX) || name.starts_with(DRAFT_SECTION_PREFIX) {
        Kind::Unflagged
    } else {
        Kind::Other
    }
}

/// Whether the section belongs to livepatch in a module that must then be marked as one.
pub fn needs_mark(section: &Section) -> bool {
    section.sh_type == SHT_RELA && section.is_livepatch_relocation()
}

/// Checks the name of the section that is changed.
///
/// # Errors
///
/// [`Error::RelocationTarget`]
pub fn target_name(name: &[u8]) -> Result<()> {
    if name == RECORD {
        return Err(Error::RelocationTarget(
            "the target section is the kernel's own record of the module",
        ));
    }
    Ok(())
}

/// The defect of a section for a module whose target section is freed once the patch module's
/// init function is done.
pub const FREED_AFTER_INIT: Error = Error::RelocationTarget(
    "relocations for a module can be applied late, but the target section is freed after init",
);

/// Parses the name of the symbol that relocation `nr` of a section for `object` uses, and checks
/// whether that section, whose name is of `dialect`, may use it.
///
/// # Errors
///
/// [`Fault::Format`] where it has no name, [`Fault::SymbolName`], [`Fault::Dialect`],
/// [`Fault::VmlinuxSymbol`]
pub fn symbol<'a>(
    dialect: Dialect,
    object: ObjectName<'_>,
    nr: u32,
    symbol: &Symbol,
    strings: &StringTable<'a>,
) -> core::result::Result<SymbolName<'a>, Fault<'a>> {
    let name = strings.get(symbol.st_name)?;
    let parsed = SymbolName::parse(name, symbol).map_err(|error| Fault::SymbolName {
        error,
        symbol: name,
    })?;
    if parsed.dialect != dialect {
        return Err(Fault::Dialect { nr, symbol: name });
    }
    if parsed.object.is_vmlinux() && !object.is_vmlinux() {
        return Err(Fault::VmlinuxSymbol {
            symbol: parsed.symbol,
        });
    }
    Ok(parsed)
}

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

/// What begins the names of the sections in which the kernel's objtool keeps livepatch relocations
/// while a module is linked (`tools/objtool/include/objtool/klp.h`). `objtool klp post-link` makes
/// livepatch sections of them and leaves them behind. Nothing reads them any more.
const OBJTOOL_SECTION_PREFIX: &[u8] = b"__klp_relocs.";

/// Checks, in a file that nobody has looked at, the symbols that relocations name: those of
/// livepatch sections must be there, as some architectures' loaders count global offset and
/// procedure linkage table entries by their indices long before livepatch sees the module. Those
/// of other sections must not be livepatch's: the kernel would relocate with an address of 0.
///
/// Two uses of a livepatch symbol do no harm, and are what `objtool klp post-link` leaves behind. A
/// relocation of type none writes nothing: that is how objtool switches off those that have
/// livepatch relocations in their place. An address in one of objtool's own sections
/// (`__klp_relocs.*`) is read by nobody, which holds because no relocation leads there.
///
/// # Errors
///
/// The section at fault, with [`Error::RelocationSymbol`], [`Error::LivepatchSymbol`],
/// [`Error::ObjtoolSection`] or what keeps it from being read.
pub fn symbol_uses(image: &Image<'_>) -> core::result::Result<(), (SectionIndex, Error)> {
    // What cannot be read is told with the first section that needs it.
    let symbols = image.symbols().map(|(symbols, _)| symbols);
    let readable = symbols.ok();
    let any =
        readable.is_some_and(|symbols| symbols.iter().any(|(_, symbol)| symbol.is_livepatch()));
    let mut sections = image.sections.iter();
    let objtools = any && sections.any(|(_, section)| is_objtools(image, &section));
    for (index, section) in image.sections.iter() {
        let here = |error| (index, error);
        if needs_mark(&section) {
            let count = symbols.map_err(here)?.len();
            let data = image.data(&section).map_err(here)?;
            let table = RelocationTable::new(data, image.header.endian).map_err(here)?;
            for (nr, rela) in table.iter() {
                if rela.symbol.0 >= count {
                    let symbol = rela.symbol;
                    return Err((index, Error::RelocationSymbol { nr, symbol, count }));
                }
            }
        } else if let Some(symbols) = readable.filter(|_| any) {
            if let Some(target) = applied_by_kernel(image, &section) {
                ordinary_uses(image, &section, &target, &symbols, objtools).map_err(here)?;
            }
        }
    }
    Ok(())
}

/// What [`symbol_uses`] checks of a section that the kernel applies to `target`; `objtools` says
/// whether there are sections of objtool's.
fn ordinary_uses(
    image: &Image<'_>,
    section: &Section,
    target: &Section,
    symbols: &SymbolTable<'_>,
    objtools: bool,
) -> Result<()> {
    // One that ends amid a relocation is the kernel's affair, which reads whole ones.
    let data = image.data(section)?;
    let whole = data.len() - data.len() % RELA_SIZE;
    let data = data.get(..whole).unwrap_or_default();
    // The kernel refuses a module for another machine.
    let machine = image.header.machine()?;
    let writes = |rela: &Relocation| reloc::width(machine, rela.r_type) != Some(0);
    let unread = objtools && is_objtools(image, target);
    for (nr, rela) in RelocationTable::new(data, image.header.endian)?.iter() {
        // An index that is too large is the kernel's affair, too.
        let Ok(symbol) = symbols.get(rela.symbol) else {
            continue;
        };
        if symbol.is_livepatch() {
            if !writes(&rela) || (unread && reloc::is_address(machine, rela.r_type)) {
                continue;
            }
            // One that lacks its flag only is refused later on, with a better message.
            let name = image.name(section).unwrap_or_default();
            if kind(section, name) == Kind::Unflagged {
                break;
            }
            return Err(Error::LivepatchSymbol {
                nr,
                symbol: rela.symbol,
            });
        }
        if objtools && writes(&rela) {
            let defined = image.sections.get(SectionIndex(symbol.st_shndx.into()));
            if defined.is_ok_and(|section| is_objtools(image, &section)) {
                return Err(Error::ObjtoolSection {
                    nr,
                    symbol: rela.symbol,
                });
            }
        }
    }
    Ok(())
}

/// Whether it is one of objtool's own sections of data.
fn is_objtools(image: &Image<'_>, section: &Section) -> bool {
    section.sh_type == SHT_PROGBITS
        && section.sh_flags & SHF_EXECINSTR == 0
        && image
            .name(section)
            .is_ok_and(|name| name.starts_with(OBJTOOL_SECTION_PREFIX))
}

/// The section that the module loader applies this one to, which is not livepatch's.
fn applied_by_kernel(image: &Image<'_>, section: &Section) -> Option<Section> {
    let target = image.sections.get(SectionIndex(section.sh_info)).ok()?;
    (section.sh_type == SHT_RELA && target.sh_flags & SHF_ALLOC != 0).then_some(target)
}
