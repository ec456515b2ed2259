// SPDX-License-Identifier: GPL-2.0

//! What can be wrong with a file, in the words that the user gets to read.

use super::elf::{SectionIndex, SymbolIndex};
use core::fmt;

/// The result of reading a part of a file.
pub type Result<T> = core::result::Result<T, Error>;

/// A defect of a file. Names are not part of it: whoever reports an error knows the module, and
/// most often the section, and says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Fewer bytes than the structure at `offset` needs.
    Truncated { what: &'static str, offset: u64 },
    /// Not an ELF file, or not one of the class, byte order or type that is read here.
    NotElf(&'static str),
    /// An `e_machine` that is neither x86_64 nor s390.
    UnknownMachine(u16),
    /// An entry size that differs from the size of the structure.
    EntrySize {
        what: &'static str,
        found: u64,
        expected: u64,
    },
    /// A section index past the end of the section header table.
    SectionIndex { index: SectionIndex, count: u32 },
    /// A symbol index past the end of the symbol table.
    SymbolIndex { index: SymbolIndex, count: u32 },
    /// A string offset outside of its string table, or a string without its NUL.
    StringOffset { offset: u32, size: u64 },
    /// A name that should be that of a livepatch relocation section.
    SectionName(NameFault),
    /// A name that should be that of a livepatch symbol.
    SymbolName(NameFault),
    /// A relocation `nr` whose symbol is not marked `SHN_LIVEPATCH`.
    NotALivepatchSymbol {
        nr: u32,
        symbol: SymbolIndex,
        shndx: u16,
    },
    /// A relocation `nr` whose symbol is marked `SHN_LIVEPATCH`, in a section that the kernel
    /// applies before livepatch gives such a symbol its address.
    LivepatchSymbol { nr: u32, symbol: SymbolIndex },
    /// A relocation `nr` whose symbol is in a section of objtool's, where livepatch symbols have no
    /// addresses.
    ObjtoolSection { nr: u32, symbol: SymbolIndex },
    /// A relocation `nr` of a type that its machine's loader does not apply.
    RelocationType { nr: u32, r_type: u32 },
    /// A relocation `nr` that would write outside of its target section.
    RelocationOffset {
        nr: u32,
        offset: u64,
        width: u8,
        section_size: u64,
    },
    /// A relocation `nr` that names a symbol which is not there.
    RelocationSymbol {
        nr: u32,
        symbol: SymbolIndex,
        count: u32,
    },
    /// A relocation `nr` that writes where relocation `other`, maybe of another section, writes.
    RelocationOverlap { nr: u32, other: u32 },
    /// A relocation `nr` that would write over something.
    RelocationPlace { nr: u32 },
    /// A relocation section that has no valid target section.
    RelocationTarget(&'static str),
    /// What the kernel's loader does not check, but takes as it is.
    Unchecked(LoaderFault),
}

/// What is wrong with a file where the kernel's loader does not look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoaderFault {
    /// Section 0 has a name or flags.
    NullSection,
    /// A section that the kernel copies has a size, but no contents in the file.
    NoContents,
    /// A note in memory that is freed when the module's init function is done.
    FreedNote,
    /// An alignment that is no power of two.
    Alignment { align: u64 },
    /// All sections together take more memory than the kernel can count.
    Memory,
    /// The kernel's own record of the module is wrong.
    Record(&'static str),
    /// A section of strings that ends amid one.
    Unterminated,
    /// A section that lies over what the kernel goes on reading in the file: headers, tables, what
    /// it changes there.
    Overlap,
    /// Symbol 0 is defined in a section.
    NullSymbol { shndx: u16 },
    /// A relocation `nr` whose symbol is in a section that does not stay in memory.
    NotInMemory { nr: u32, symbol: SymbolIndex },
}

impl fmt::Display for LoaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoaderFault::NullSection => f.write_str("section 0 has a name or flags"),
            LoaderFault::NoContents => {
                f.write_str("it has a size, but its type says that it has no contents in the file")
            }
            LoaderFault::FreedNote => f.write_str(
                "it is a note, which is read for as long as the module is loaded, in memory that is freed",
            ),
            LoaderFault::Alignment { align } => {
                write!(f, "its alignment {align:#x} is no power of two")
            }
            LoaderFault::Memory => f.write_str("the module is larger than memory for modules"),
            LoaderFault::Record(why) => write!(f, "the kernel's own record of the module: {why}"),
            LoaderFault::Unterminated => f.write_str("its last string has no end"),
            LoaderFault::Overlap => f.write_str(
                "it lies over a header, a table of names or symbols, or what the kernel changes in the file",
            ),
            LoaderFault::NullSymbol { shndx } => {
                write!(
                    f,
                    "symbol 0 has section index {shndx:#x}, but must not be defined"
                )
            }
            LoaderFault::NotInMemory { nr, symbol } => write!(
                f,
                "relocation {nr}: symbol {} is in a section that does not stay in memory",
                symbol.0
            ),
        }
    }
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// It does not start as such a name does.
    Prefix,
    /// The object part is empty.
    EmptyObject,
    /// The object part is longer than a module name can be.
    ObjectTooLong,
    /// The object part has a character that no module name has.
    ObjectCharacter,
    /// Nothing follows the object part.
    MissingPart,
    /// The symbol part is empty.
    EmptySymbol,
    /// The symbol part is longer than a symbol name can be.
    SymbolTooLong,
    /// The position is missing, is no number, or is too large.
    Position,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameFault::Prefix => "unknown prefix",
            NameFault::EmptyObject => "the object name is empty",
            NameFault::ObjectTooLong => "the object name is too long",
            NameFault::ObjectCharacter => "the object name has a character that no module name has",
            NameFault::MissingPart => "nothing follows the object name",
            NameFault::EmptySymbol => "the symbol name is empty",
            NameFault::SymbolTooLong => "the symbol name is too long",
            NameFault::Position => "the symbol position is missing or is not a number",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Truncated { what, offset } => {
                write!(
                    f,
                    "truncated: {what} at offset {offset:#x} ends past the file"
                )
            }
            Error::NotElf(why) => write!(f, "not a usable ELF file: {why}"),
            Error::UnknownMachine(machine) => write!(f, "unknown machine {machine}"),
            Error::EntrySize {
                what,
                found,
                expected,
            } => {
                write!(f, "{what} has entry size {found} instead of {expected}")
            }
            Error::SectionIndex { index, count } => {
                write!(
                    f,
                    "section index {} is out of range ({count} sections)",
                    index.0
                )
            }
            Error::SymbolIndex { index, count } => {
                write!(
                    f,
                    "symbol index {} is out of range ({count} symbols)",
                    index.0
                )
            }
            Error::StringOffset { offset, size } => {
                write!(
                    f,
                    "no string at offset {offset} of a string table of {size} bytes"
                )
            }
            Error::SectionName(fault) | Error::SymbolName(fault) => write!(f, "{fault}"),
            Error::NotALivepatchSymbol { nr, symbol, shndx } => write!(
                f,
                "relocation {nr}: symbol {} (section index {shndx:#x}) is not a livepatch symbol",
                symbol.0
            ),
            Error::LivepatchSymbol { nr, symbol } => write!(
                f,
                "relocation {nr}: symbol {} is a livepatch symbol, but this is no livepatch \
                 relocation section",
                symbol.0
            ),
            Error::ObjtoolSection { nr, symbol } => write!(
                f,
                "relocation {nr}: symbol {} is in a section that is objtool's own, in which \
                 livepatch symbols have no addresses",
                symbol.0
            ),
            Error::RelocationType { nr, r_type } => {
                write!(f, "relocation {nr}: unknown type {r_type}")
            }
            Error::RelocationOffset {
                nr,
                offset,
                width,
                section_size,
            } => write!(
                f,
                "relocation {nr}: {width} bytes at offset {offset:#x} are outside of the target \
                 section of {section_size:#x} bytes"
            ),
            Error::RelocationSymbol { nr, symbol, count } => write!(
                f,
                "relocation {nr}: symbol index {} is out of range ({count} symbols)",
                symbol.0
            ),
            Error::RelocationOverlap { nr, other } => {
                write!(
                    f,
                    "relocation {nr} writes to the place of livepatch relocation {other}"
                )
            }
            Error::RelocationPlace { nr } => {
                write!(f, "relocation {nr}: something else is at its place already")
            }
            Error::RelocationTarget(why) => write!(f, "{why}"),
            Error::Unchecked(fault) => write!(f, "{fault}"),
        }
    }
}

impl core::error::Error for Error {}
