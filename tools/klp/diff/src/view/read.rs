// SPDX-License-Identifier: GPL-2.0

//! Reads a relocatable ELF file.

use crate::error::{Error, Result, Side};
use livepatch_format::elf::Machine;
use livepatch_format::reloc;
use object::elf;
use object::read::elf::{FileHeader as _, Rela as _, SectionHeader as _, Sym as _};
use object::Endianness;

/// The index of a section in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionId(pub usize);

/// The index of a symbol in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolId(pub usize);

/// A section as the file has it.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// `SHT_*`
    pub sh_type: elf::SectionType,
    /// `SHF_*`
    pub flags: elf::SectionFlags,
    /// Alignment in bytes, at least 1.
    pub align: u64,
    /// The size of an entry in bytes, or 0.
    pub entsize: u64,
    /// For `SHF_LINK_ORDER`: the section that it goes with.
    pub link: SectionId,
    /// Its bytes; none where they are all zero and not in the file.
    pub data: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
    /// What is to be written into it, by offset.
    pub relocations: Vec<Relocation>,
}

impl Section {
    /// Whether it takes memory at run time.
    pub fn is_alloc(&self) -> bool {
        self.flags.contains(elf::SHF_ALLOC)
    }

    /// Whether it holds code.
    pub fn is_code(&self) -> bool {
        self.flags.contains(elf::SHF_EXECINSTR)
    }

    /// Whether it is changed at run time.
    pub fn is_writable(&self) -> bool {
        self.flags.contains(elf::SHF_WRITE)
    }

    /// The bytes from `start` to `end`; fewer, where the file has fewer.
    pub fn bytes(&self, start: u64, end: u64) -> &[u8] {
        let clamp =
            |at: u64| usize::try_from(at).map_or(self.data.len(), |at| at.min(self.data.len()));
        let (start, end) = (clamp(start), clamp(end));
        self.data.get(start..end).unwrap_or(&[])
    }
}

/// A relocation with addend.
#[derive(Debug, Clone, Copy)]
pub struct Relocation {
    /// Where to write, in bytes from the start of the section.
    pub offset: u64,
    /// A number of the machine's own.
    pub kind: u32,
    /// How many bytes it writes.
    pub width: u8,
    /// What it refers to.
    pub symbol: SymbolId,
    /// A constant that is added.
    pub addend: i64,
}

/// Where a symbol is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In another file.
    Undefined,
    /// In a section of this one.
    Section(SectionId),
    /// It is a number.
    Absolute,
}

/// A symbol.
#[derive(Debug)]
pub struct Symbol {
    /// Its name; that of its section, for the symbol of a section.
    pub name: String,
    /// `STT_*`
    pub kind: elf::SymbolType,
    /// `STB_*`
    pub binding: elf::SymbolBind,
    /// Where it is defined.
    pub place: Place,
    /// Its offset in its section, or what its value is.
    pub value: u64,
    /// Its size in bytes.
    pub size: u64,
}

impl Symbol {
    /// Whether only this file sees it.
    pub fn is_local(&self) -> bool {
        self.binding == elf::STB_LOCAL
    }

    /// Whether it names something, other than a place that the compiler or the assembler needs.
    pub fn is_name(&self) -> bool {
        !matches!(self.kind, elf::STT_SECTION | elf::STT_FILE)
            && !self.name.is_empty()
            && !self.name.starts_with(".L")
            && !self.is_room()
    }

    /// Whether it names the room before a function, which belongs to it.
    pub fn is_room(&self) -> bool {
        self.name.starts_with("__pfx_") || self.name.starts_with("__cfi_")
    }
}

/// A file, not yet cut into pieces.
#[derive(Debug)]
pub struct File {
    /// Whose code it holds.
    pub machine: Machine,
    /// The order of the bytes of its numbers.
    pub endian: Endianness,
    /// `e_flags`
    pub flags: elf::FileFlags,
    /// All sections; the first is the null section.
    pub sections: Vec<Section>,
    /// All symbols; the first is the null symbol.
    pub symbols: Vec<Symbol>,
}

/// Reads a file.
pub fn read(data: &[u8], side: Side) -> Result<File> {
    Reader { data, side }.file()
}

struct Reader<'a> {
    data: &'a [u8],
    side: Side,
}

impl Reader<'_> {
    fn malformed(&self, what: impl Into<String>) -> Error {
        Error::Malformed {
            side: self.side,
            what: what.into(),
        }
    }

    fn elf<T>(&self, result: object::Result<T>) -> Result<T> {
        let side = self.side;
        result.map_err(|source| Error::Elf { side, source })
    }

    fn file(&self) -> Result<File> {
        let header = self.elf(elf::FileHeader64::<Endianness>::parse(self.data))?;
        let endian = self.elf(header.endian())?;
        let machine = match (header.e_machine(endian), endian) {
            (elf::EM_X86_64, Endianness::Little) => Machine::X86_64,
            (elf::EM_S390, Endianness::Big) => Machine::S390,
            _ => return Err(self.malformed("it is neither for x86_64 nor for s390x")),
        };
        if header.e_type(endian) != elf::ET_REL {
            return Err(self.malformed("it is no relocatable file: give what the compiler makes"));
        }
        let table = self.elf(header.sections(endian, self.data))?;
        let symtab = self.elf(table.symbols(endian, self.data, elf::SHT_SYMTAB))?;
        let count = table.len();
        let section = |index: usize| (index < count).then_some(SectionId(index));

        let mut sections = Vec::with_capacity(count);
        for (_, raw) in table.enumerate() {
            let name = self.elf(table.section_name(endian, raw))?;
            let name = String::from_utf8_lossy(name).into_owned();
            let sh_type = raw.sh_type(endian);
            let flags = raw.sh_flags(endian);
            // It would be copied as what it says to be, without what that refers to.
            if flags.contains(elf::SHF_ALLOC) && !is_memory(sh_type) {
                let what = format!("{name} has type {:#x}, and is loaded", sh_type.0);
                return Err(self.malformed(what));
            }
            let data = match sh_type {
                elf::SHT_NOBITS | elf::SHT_NULL => &[],
                _ => self.elf(raw.data(endian, self.data))?,
            };
            sections.push(Section {
                name,
                sh_type,
                flags,
                align: raw.sh_addralign(endian).max(1),
                entsize: raw.sh_entsize(endian),
                link: section(raw.sh_link(endian) as usize).unwrap_or(SectionId(0)),
                size: match sh_type {
                    elf::SHT_NOBITS => raw.sh_size(endian),
                    _ => data.len() as u64,
                },
                data: data.to_vec(),
                relocations: Vec::new(),
            });
        }
        if sections.is_empty() {
            return Err(self.malformed("it has no sections"));
        }

        let mut symbols = Vec::with_capacity(symtab.len());
        // `enumerate` leaves the null symbol out; indices count it.
        for index in 0..symtab.len() {
            let index = object::SymbolIndex(index);
            let raw = match index.0 {
                0 => {
                    symbols.push(null_symbol());
                    continue;
                }
                _ => self.elf(symtab.symbol(index))?,
            };
            let name = self.elf(symtab.symbol_name(endian, raw))?;
            let mut name = String::from_utf8_lossy(name).into_owned();
            let place = match raw.st_shndx(endian) {
                elf::SHN_UNDEF => Place::Undefined,
                elf::SHN_ABS => Place::Absolute,
                elf::SHN_COMMON => {
                    let what = format!("{name} is a common symbol: compile with -fno-common");
                    return Err(self.malformed(what));
                }
                _ => {
                    let place = self.elf(symtab.symbol_section(endian, raw, index))?;
                    let place = place.and_then(|place| section(place.0));
                    Place::Section(place.ok_or_else(|| {
                        self.malformed(format!("symbol {} ({name}) is in no section", index.0))
                    })?)
                }
            };
            if let (elf::STT_SECTION, Place::Section(place)) = (raw.st_type(), place) {
                name.clone_from(&sections[place.0].name);
            }
            symbols.push(Symbol {
                name,
                kind: raw.st_type(),
                binding: raw.st_bind(),
                place,
                value: raw.st_value(endian),
                size: raw.st_size(endian),
            });
        }

        for (_, raw) in table.enumerate() {
            if raw.sh_type(endian) == elf::SHT_REL {
                return Err(self.malformed("it has relocations without addends"));
            }
            let Some((relas, _)) = self.elf(raw.rela(endian, self.data))? else {
                continue;
            };
            let target = section(raw.sh_info(endian) as usize)
                .ok_or_else(|| self.malformed("relocations for a section that is not there"))?;
            let target = &mut sections[target.0];
            // Their offsets are those in what is not unpacked here: debug information.
            if target.flags.contains(elf::SHF_COMPRESSED) && !target.is_alloc() {
                continue;
            }
            for rela in relas {
                let kind = rela.r_type(endian, false).0;
                let symbol = rela.r_sym(endian, false) as usize;
                let (offset, size) = (rela.r_offset(endian), target.size);
                let width = match reloc::width(machine, kind) {
                    Some(width) => width,
                    // What is no part of the memory image may have any.
                    None if !target.is_alloc() => 0,
                    None => {
                        let what =
                            format!("{}: no module may have relocation type {kind}", target.name);
                        return Err(self.malformed(what));
                    }
                };
                if symbol >= symbols.len() {
                    let what = format!("{}: a relocation for symbol {symbol}", target.name);
                    return Err(self.malformed(what));
                }
                if offset > size || size - offset < width.into() {
                    let what = format!("{}: a relocation at {offset:#x} of {size:#x}", target.name);
                    return Err(self.malformed(what));
                }
                // What only the linker needs to know of.
                if kind == 0 {
                    continue;
                }
                target.relocations.push(Relocation {
                    offset,
                    kind,
                    width,
                    symbol: SymbolId(symbol),
                    addend: rela.r_addend(endian),
                });
            }
            target
                .relocations
                .sort_by_key(|relocation| relocation.offset);
        }

        Ok(File {
            machine,
            endian,
            flags: header.e_flags(endian),
            sections,
            symbols,
        })
    }
}

/// Whether sections of that type have contents, rather than something about other sections.
fn is_memory(sh_type: elf::SectionType) -> bool {
    matches!(
        sh_type,
        elf::SHT_PROGBITS
            | elf::SHT_NOBITS
            | elf::SHT_NOTE
            | elf::SHT_INIT_ARRAY
            | elf::SHT_FINI_ARRAY
            | elf::SHT_PREINIT_ARRAY
            | elf::SHT_X86_64_UNWIND
    )
}

fn null_symbol() -> Symbol {
    Symbol {
        name: String::new(),
        kind: elf::STT_NOTYPE,
        binding: elf::STB_LOCAL,
        place: Place::Undefined,
        value: 0,
        size: 0,
    }
}
