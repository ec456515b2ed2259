// SPDX-License-Identifier: GPL-2.0

//! 64-bit ELF, as far as modules use it: header, sections, strings, symbols, relocations.
//!
//! Format: the System V ABI, chapter 4 "Object Files"; constants as in
//! `include/uapi/linux/elf.h`. Tables are borrowed byte slices; an entry is decoded when it is
//! asked for.

use super::error::{Error, Result};
use core::ffi::CStr;

/// Symbols of this section index are resolved by livepatch, not by the module loader.
pub const SHN_LIVEPATCH: u16 = 0xff20;
/// The symbol is not defined in this file.
pub const SHN_UNDEF: u16 = 0;
/// The first of the section indices that have a meaning of their own.
pub const SHN_LORESERVE: u16 = 0xff00;
/// The symbol's value is no address.
pub const SHN_ABS: u16 = 0xfff1;
/// The symbol is yet to be given memory.
pub const SHN_COMMON: u16 = 0xfff2;
/// The section takes memory at run time.
pub const SHF_ALLOC: u64 = 1 << 1;
/// The section is written while it is used.
pub const SHF_WRITE: u64 = 1;
/// The section is code.
pub const SHF_EXECINSTR: u64 = 1 << 2;
/// The kernel's own mark of what is read-only once a module's init function is done. To a linker
/// it says that the section is kept (`SHF_GNU_RETAIN`).
pub const SHF_RO_AFTER_INIT: u64 = 0x0020_0000;
/// `sh_info` holds a section index.
pub const SHF_INFO_LINK: u64 = 1 << 6;
/// The relocations of this section are applied by livepatch, not by the module loader.
pub const SHF_RELA_LIVEPATCH: u64 = 0x0010_0000;
/// A section header that means nothing.
pub const SHT_NULL: u32 = 0;
/// Code or data.
pub const SHT_PROGBITS: u32 = 1;
/// A section without contents in the file.
pub const SHT_NOBITS: u32 = 8;
/// A symbol table.
pub const SHT_SYMTAB: u32 = 2;
/// A string table.
pub const SHT_STRTAB: u32 = 3;
/// Relocations with addends.
pub const SHT_RELA: u32 = 4;
/// A note.
pub const SHT_NOTE: u32 = 7;
/// `e_type` of a relocatable file, which every module is.
pub const ET_REL: u16 = 1;

/// Size of a section header.
pub const SHDR_SIZE: usize = 64;
/// Size of a symbol.
pub const SYM_SIZE: usize = 24;
/// Size of a relocation with addend.
pub const RELA_SIZE: usize = 24;
/// Size of the file header.
pub const EHDR_SIZE: usize = 64;

/// An index into the section header table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SectionIndex(pub u32);

/// An index into the symbol table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SymbolIndex(pub u32);

/// What is said of a file whose class or byte order is none of a kernel's.
pub const FOREIGN: &str = "not 64-bit, or of an unknown byte order";

/// The byte order of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endian {
    /// Least significant byte first: x86_64.
    Little,
    /// Most significant byte first: s390.
    Big,
}

impl Endian {
    /// The byte order of the machine that this code runs on.
    pub const NATIVE: Endian = if cfg!(target_endian = "big") {
        Endian::Big
    } else {
        Endian::Little
    };

    /// What the first 16 bytes of a 64-bit ELF file say.
    pub fn of_header(ident: &[u8]) -> Option<Endian> {
        match ident.get(4..6)? {
            [2, 1] => Some(Endian::Little),
            [2, 2] => Some(Endian::Big),
            _ => None,
        }
    }
}

/// The machines whose livepatches are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// `EM_X86_64`
    X86_64,
    /// `EM_S390`, of which only the 64-bit form exists here.
    S390,
}

impl Machine {
    /// The machine that this code runs on, if it is one of them.
    pub const NATIVE: Option<Machine> = if cfg!(target_arch = "x86_64") {
        Some(Machine::X86_64)
    } else if cfg!(target_arch = "s390x") {
        Some(Machine::S390)
    } else {
        None
    };
}

impl TryFrom<u16> for Machine {
    type Error = Error;

    fn try_from(e_machine: u16) -> Result<Machine> {
        match e_machine {
            62 => Ok(Machine::X86_64),
            22 => Ok(Machine::S390),
            other => Err(Error::UnknownMachine(other)),
        }
    }
}

/// Bytes and their byte order; the one place where integers are taken out of a file.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a> {
    data: &'a [u8],
    endian: Endian,
}

impl<'a> Bytes<'a> {
    /// Reads `data` in the order `endian`.
    pub fn new(data: &'a [u8], endian: Endian) -> Self {
        Bytes { data, endian }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The bytes themselves.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    fn array<const N: usize>(&self, what: &'static str, offset: usize) -> Result<[u8; N]> {
        offset
            .checked_add(N)
            .and_then(|end| self.data.get(offset..end))
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(Error::Truncated {
                what,
                offset: offset as u64,
            })
    }

    fn u16(&self, what: &'static str, offset: usize) -> Result<u16> {
        let bytes = self.array(what, offset)?;
        Ok(match self.endian {
            Endian::Little => u16::from_le_bytes(bytes),
            Endian::Big => u16::from_be_bytes(bytes),
        })
    }

    fn u32(&self, what: &'static str, offset: usize) -> Result<u32> {
        let bytes = self.array(what, offset)?;
        Ok(match self.endian {
            Endian::Little => u32::from_le_bytes(bytes),
            Endian::Big => u32::from_be_bytes(bytes),
        })
    }

    fn u64(&self, what: &'static str, offset: usize) -> Result<u64> {
        let bytes = self.array(what, offset)?;
        Ok(match self.endian {
            Endian::Little => u64::from_le_bytes(bytes),
            Endian::Big => u64::from_be_bytes(bytes),
        })
    }

    /// The entry `index` of a table of entries of `size` bytes.
    fn entry(&self, what: &'static str, index: u32, size: usize) -> Result<Bytes<'a>> {
        let offset = (index as usize).checked_mul(size);
        offset
            .and_then(|start| self.data.get(start..start.checked_add(size)?))
            .map(|data| Bytes {
                data,
                endian: self.endian,
            })
            .ok_or(Error::Truncated {
                what,
                offset: offset.unwrap_or(usize::MAX) as u64,
            })
    }

    fn range(&self, what: &'static str, offset: u64, size: u64) -> Result<&'a [u8]> {
        let truncated = Error::Truncated { what, offset };
        let start = usize::try_from(offset).map_err(|_| truncated)?;
        let size = usize::try_from(size).map_err(|_| truncated)?;
        let end = start.checked_add(size).ok_or(truncated)?;
        self.data.get(start..end).ok_or(truncated)
    }
}

/// The file header, reduced to what is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Byte order of everything that follows.
    pub endian: Endian,
    /// Raw `e_machine`; see [`Machine`].
    pub e_machine: u16,
    /// `ET_REL` for a module.
    pub e_type: u16,
    /// Where the section headers are, in bytes from the start of the file.
    pub e_shoff: u64,
    /// Size of one section header.
    pub e_shentsize: u16,
    /// Number of section headers.
    pub e_shnum: u16,
    /// The section that holds the names of sections.
    pub e_shstrndx: u16,
}

impl Header {
    /// Reads the header at the start of `file`.
    ///
    /// # Errors
    ///
    /// [`Error::NotElf`] where it is no 64-bit relocatable ELF file, [`Error::Truncated`] where
    /// the file ends early, [`Error::EntrySize`] for section headers of an unknown size.
    pub fn parse(file: &[u8]) -> Result<Header> {
        let ident = file.get(..16).ok_or(Error::NotElf("too short"))?;
        if ident.get(..4) != Some(b"\x7fELF".as_slice()) {
            return Err(Error::NotElf("no ELF magic"));
        }
        let endian = Endian::of_header(ident).ok_or(Error::NotElf(FOREIGN))?;
        let bytes = Bytes::new(file, endian);
        let header = Header {
            endian,
            e_type: bytes.u16("ELF header", 16)?,
            e_machine: bytes.u16("ELF header", 18)?,
            e_shoff: bytes.u64("ELF header", 40)?,
            e_shentsize: bytes.u16("ELF header", 58)?,
            e_shnum: bytes.u16("ELF header", 60)?,
            e_shstrndx: bytes.u16("ELF header", 62)?,
        };
        if header.e_type != ET_REL {
            return Err(Error::NotElf("not a relocatable file"));
        }
        if usize::from(header.e_shentsize) != SHDR_SIZE {
            return Err(Error::EntrySize {
                what: "the section header table",
                found: header.e_shentsize.into(),
                expected: SHDR_SIZE as u64,
            });
        }
        Ok(header)
    }

    /// The machine of the file.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownMachine`]
    pub fn machine(&self) -> Result<Machine> {
        self.e_machine.try_into()
    }
}

/// A section header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Offset of the name in the section name table.
    pub sh_name: u32,
    /// What the section holds.
    pub sh_type: u32,
    /// `SHF_*`
    pub sh_flags: u64,
    /// In a loaded module, where the section is in memory.
    pub sh_addr: u64,
    /// Where the section is in the file.
    pub sh_offset: u64,
    /// Size in bytes.
    pub sh_size: u64,
    /// An associated section; for relocations and symbols, their symbol or string table.
    pub sh_link: u32,
    /// For relocations the section that they change.
    pub sh_info: u32,
    /// What its address in memory is a multiple of: a power of two, or 0 where it does not matter.
    pub sh_addralign: u64,
    /// Size of an entry, for tables.
    pub sh_entsize: u64,
}

impl Section {
    /// Whether its relocations are livepatch's to apply.
    pub fn is_livepatch_relocation(&self) -> bool {
        self.sh_flags & SHF_RELA_LIVEPATCH != 0
    }
}

/// The section header table.
#[derive(Debug, Clone, Copy)]
pub struct SectionTable<'a> {
    bytes: Bytes<'a>,
    count: u32,
}

impl<'a> SectionTable<'a> {
    /// A table of as many whole headers as `data` holds.
    pub fn new(data: &'a [u8], endian: Endian) -> Self {
        let count = u32::try_from(data.len() / SHDR_SIZE).unwrap_or(u32::MAX);
        SectionTable {
            bytes: Bytes::new(data, endian),
            count,
        }
    }

    /// The number of sections.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Section `index`.
    ///
    /// # Errors
    ///
    /// [`Error::SectionIndex`]
    pub fn get(&self, index: SectionIndex) -> Result<Section> {
        if index.0 >= self.count {
            return Err(Error::SectionIndex {
                index,
                count: self.count,
            });
        }
        let what = "section header";
        let entry = self.bytes.entry(what, index.0, SHDR_SIZE)?;
        Ok(Section {
            sh_name: entry.u32(what, 0)?,
            sh_type: entry.u32(what, 4)?,
            sh_flags: entry.u64(what, 8)?,
            sh_addr: entry.u64(what, 16)?,
            sh_offset: entry.u64(what, 24)?,
            sh_size: entry.u64(what, 32)?,
            sh_link: entry.u32(what, 40)?,
            sh_info: entry.u32(what, 44)?,
            sh_addralign: entry.u64(what, 48)?,
            sh_entsize: entry.u64(what, 56)?,
        })
    }

    /// The flags of section `index`, for when nothing else of it is of interest.
    ///
    /// # Errors
    ///
    /// [`Error::SectionIndex`]
    pub fn flags(&self, index: SectionIndex) -> Result<u64> {
        let what = "section header";
        let entry = self.bytes.entry(what, index.0, SHDR_SIZE);
        let entry = entry.map_err(|_| Error::SectionIndex {
            index,
            count: self.count,
        })?;
        entry.u64(what, 8)
    }

    /// The first section of that name, but for the null section.
    pub fn find(&self, names: &StringTable<'_>, name: &[u8]) -> Option<(SectionIndex, Section)> {
        // Of most sections nothing else is of interest.
        let (index, _) = self.headers().find(|(_, header)| {
            let offset = header.u32("section header", 0);
            offset.is_ok_and(|offset| names.is(offset, name))
        })?;
        Some((index, self.get(index).ok()?))
    }

    /// The sections with one of these flags, but for the null section, with their indices.
    pub fn with_flags(&self, flags: u64) -> impl Iterator<Item = (SectionIndex, Section)> + 'a {
        let table = *self;
        let found = self.headers().filter(move |(_, header)| {
            let found = header.u64("section header", 8);
            found.is_ok_and(|found| found & flags != 0)
        });
        found.filter_map(move |(index, _)| Some((index, table.get(index).ok()?)))
    }

    /// All headers but that of the null section, with their indices.
    fn headers(&self) -> impl Iterator<Item = (SectionIndex, Bytes<'a>)> + 'a {
        let endian = self.bytes.endian;
        let headers = self.bytes.data.chunks_exact(SHDR_SIZE);
        let indices = (0..self.count).map(SectionIndex);
        let all = indices.zip(headers.map(move |header| Bytes::new(header, endian)));
        all.skip(1)
    }

    /// All sections but the null section, with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (SectionIndex, Section)> + 'a {
        let table = *self;
        (1..self.count).filter_map(move |i| {
            let index = SectionIndex(i);
            table.get(index).ok().map(|section| (index, section))
        })
    }
}

/// A string table.
#[derive(Debug, Clone, Copy)]
pub struct StringTable<'a>(&'a [u8]);

impl<'a> StringTable<'a> {
    /// The strings in `data`.
    pub fn new(data: &'a [u8]) -> Self {
        StringTable(data)
    }

    /// The string at `offset`, without its NUL.
    ///
    /// # Errors
    ///
    /// [`Error::StringOffset`] where nothing is there or no NUL ends it.
    pub fn get(&self, offset: u32) -> Result<&'a [u8]> {
        let error = Error::StringOffset {
            offset,
            size: self.0.len() as u64,
        };
        let start = usize::try_from(offset).map_err(|_| error)?;
        let tail = self.0.get(start..).ok_or(error)?;
        let string = CStr::from_bytes_until_nul(tail).map_err(|_| error)?;
        Ok(string.to_bytes())
    }

    /// How many bytes the table has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the string at `offset` is `string`, which has no NUL.
    pub fn is(&self, offset: u32, string: &[u8]) -> bool {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let tail = self.0.get(start..).unwrap_or_default();
        // Its end first: that settles it for most strings, and is faster than to compare them.
        tail.get(string.len()) == Some(&0) && tail.starts_with(string)
    }
}

/// A symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol {
    /// Offset of the name in the string table.
    pub st_name: u32,
    /// Binding and type.
    pub st_info: u8,
    /// Visibility in the low two bits; in the draft dialect the position above them.
    pub st_other: u8,
    /// The section that defines it, or one of `SHN_*`.
    pub st_shndx: u16,
    /// Its value; in a loaded module, its address.
    pub st_value: u64,
    /// Its size in bytes.
    pub st_size: u64,
}

impl Symbol {
    /// Whether livepatch is to resolve it.
    pub fn is_livepatch(&self) -> bool {
        self.st_shndx == SHN_LIVEPATCH
    }
}

/// A symbol table.
#[derive(Debug, Clone, Copy)]
pub struct SymbolTable<'a> {
    bytes: Bytes<'a>,
    count: u32,
}

impl<'a> SymbolTable<'a> {
    /// A table of as many whole symbols as `data` holds.
    pub fn new(data: &'a [u8], endian: Endian) -> Self {
        let count = u32::try_from(data.len() / SYM_SIZE).unwrap_or(u32::MAX);
        SymbolTable {
            bytes: Bytes::new(data, endian),
            count,
        }
    }

    /// The number of symbols.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Symbol `index`.
    ///
    /// # Errors
    ///
    /// [`Error::SymbolIndex`]
    pub fn get(&self, index: SymbolIndex) -> Result<Symbol> {
        if index.0 >= self.count {
            return Err(Error::SymbolIndex {
                index,
                count: self.count,
            });
        }
        let what = "symbol";
        let entry = self.bytes.entry(what, index.0, SYM_SIZE)?;
        let [st_info] = entry.array(what, 4)?;
        let [st_other] = entry.array(what, 5)?;
        Ok(Symbol {
            st_name: entry.u32(what, 0)?,
            st_info,
            st_other,
            st_shndx: entry.u16(what, 6)?,
            st_value: entry.u64(what, 8)?,
            st_size: entry.u64(what, 16)?,
        })
    }

    /// All symbols, with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (SymbolIndex, Symbol)> + 'a {
        let table = *self;
        (0..self.count).filter_map(move |i| {
            let index = SymbolIndex(i);
            table.get(index).ok().map(|symbol| (index, symbol))
        })
    }
}

/// A relocation with addend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// Where to write, in bytes from the start of the target section.
    pub r_offset: u64,
    /// The symbol whose value is used.
    pub symbol: SymbolIndex,
    /// How it is computed and how wide the result is; a number of the machine's own.
    pub r_type: u32,
    /// A constant that is added.
    pub r_addend: i64,
}

/// A table of relocations with addends.
#[derive(Debug, Clone, Copy)]
pub struct RelocationTable<'a> {
    bytes: Bytes<'a>,
    count: u32,
}

impl<'a> RelocationTable<'a> {
    /// The relocations in `data`.
    ///
    /// # Errors
    ///
    /// [`Error::RelocationTarget`] where `data` is not a whole number of entries.
    pub fn new(data: &'a [u8], endian: Endian) -> Result<Self> {
        let wrong = Error::RelocationTarget("its size is no multiple of that of a relocation");
        if !data.chunks_exact(RELA_SIZE).remainder().is_empty() {
            return Err(wrong);
        }
        let count = u32::try_from(data.len() / RELA_SIZE).map_err(|_| wrong)?;
        Ok(RelocationTable {
            bytes: Bytes::new(data, endian),
            count,
        })
    }

    /// The number of relocations.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Relocation `nr`.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] past the end.
    pub fn get(&self, nr: u32) -> Result<Relocation> {
        let what = "relocation";
        let entry = self.bytes.entry(what, nr, RELA_SIZE)?;
        let r_info = entry.u64(what, 8)?;
        Ok(Relocation {
            r_offset: entry.u64(what, 0)?,
            symbol: SymbolIndex((r_info >> 32) as u32),
            r_type: (r_info & 0xffff_ffff) as u32,
            r_addend: entry.u64(what, 16)? as i64,
        })
    }

    /// All relocations, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Relocation)> + 'a {
        let table = *self;
        (0..self.count).filter_map(move |nr| table.get(nr).ok().map(|rela| (nr, rela)))
    }
}

/// A whole file.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// Its header.
    pub header: Header,
    /// Its section headers.
    pub sections: SectionTable<'a>,
    names: StringTable<'a>,
    bytes: Bytes<'a>,
}

impl<'a> Image<'a> {
    /// Reads the header and finds the section headers and the section names.
    ///
    /// # Errors
    ///
    /// Those of [`Header::parse`]; [`Error::Truncated`] for tables past the end of the file;
    /// [`Error::SectionIndex`] for a wrong `e_shstrndx`.
    pub fn parse(file: &'a [u8]) -> Result<Image<'a>> {
        let header = Header::parse(file)?;
        let bytes = Bytes::new(file, header.endian);
        let size = u64::from(header.e_shnum) * SHDR_SIZE as u64;
        let table = bytes.range("the section header table", header.e_shoff, size)?;
        let sections = SectionTable::new(table, header.endian);
        let strings = sections.get(SectionIndex(header.e_shstrndx.into()))?;
        let names = StringTable::new(bytes.range(
            "the section name table",
            strings.sh_offset,
            strings.sh_size,
        )?);
        Ok(Image {
            header,
            sections,
            names,
            bytes,
        })
    }

    /// The name of a section.
    ///
    /// # Errors
    ///
    /// [`Error::StringOffset`]
    pub fn name(&self, section: &Section) -> Result<&'a [u8]> {
        self.names.get(section.sh_name)
    }

    /// What the file holds of a section; nothing for `SHT_NOBITS`.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`]
    pub fn data(&self, section: &Section) -> Result<&'a [u8]> {
        if section.sh_type == SHT_NOBITS {
            return Ok(&[]);
        }
        self.bytes
            .range("a section", section.sh_offset, section.sh_size)
    }

    /// The first section of that name.
    pub fn find(&self, name: &[u8]) -> Option<(SectionIndex, Section)> {
        self.sections.find(&self.names, name)
    }

    /// The first symbol table and its strings.
    ///
    /// # Errors
    ///
    /// [`Error::NotElf`] where there is none, [`Error::Truncated`], [`Error::SectionIndex`].
    pub fn symbols(&self) -> Result<(SymbolTable<'a>, StringTable<'a>)> {
        let (_, section) = self
            .sections
            .iter()
            .find(|(_, section)| section.sh_type == SHT_SYMTAB)
            .ok_or(Error::NotElf("no symbol table"))?;
        let strings = self.sections.get(SectionIndex(section.sh_link))?;
        Ok((
            SymbolTable::new(self.data(&section)?, self.header.endian),
            StringTable::new(self.data(&strings)?),
        ))
    }
}
