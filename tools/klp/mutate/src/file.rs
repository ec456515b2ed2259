// SPDX-License-Identifier: GPL-2.0

//! The bytes of a 64-bit ELF file, read and written by number; what is not there reads as
//! nothing, and is not written.

/// `SHT_*`
pub mod sht {
    #![allow(missing_docs)]
    pub const NULL: u32 = 0;
    pub const PROGBITS: u32 = 1;
    pub const SYMTAB: u32 = 2;
    pub const STRTAB: u32 = 3;
    pub const RELA: u32 = 4;
    pub const NOTE: u32 = 7;
    pub const NOBITS: u32 = 8;
    pub const REL: u32 = 9;
    pub const GROUP: u32 = 17;
}

/// `SHF_*`
pub mod shf {
    #![allow(missing_docs)]
    pub const WRITE: u64 = 1;
    pub const ALLOC: u64 = 2;
    pub const EXECINSTR: u64 = 4;
    pub const LIVEPATCH: u64 = 0x0010_0000;
}

/// `SHN_*`
pub mod shn {
    #![allow(missing_docs)]
    pub const UNDEF: u16 = 0;
    pub const LORESERVE: u16 = 0xff00;
    pub const LIVEPATCH: u16 = 0xff20;
    pub const ABS: u16 = 0xfff1;
    pub const COMMON: u16 = 0xfff2;
    pub const XINDEX: u16 = 0xffff;
}

/// Sizes of the header, of a section header, of a symbol and of a relocation.
pub const EHDR: usize = 64;
/// A section header.
pub const SHDR: usize = 64;
/// A symbol.
pub const SYM: usize = 24;
/// A relocation.
pub const RELA: usize = 24;

/// A number in a structure: where it is, and how many bytes it has.
#[derive(Debug, Clone, Copy)]
pub struct Field(pub usize, pub usize);

/// Fields of the file header.
pub mod ehdr {
    #![allow(missing_docs)]
    use super::Field;
    pub const TYPE: Field = Field(16, 2);
    pub const MACHINE: Field = Field(18, 2);
    pub const SHOFF: Field = Field(40, 8);
    pub const SHENTSIZE: Field = Field(58, 2);
    pub const SHNUM: Field = Field(60, 2);
    pub const SHSTRNDX: Field = Field(62, 2);
}

/// Fields of a section header.
pub mod shdr {
    #![allow(missing_docs)]
    use super::Field;
    pub const NAME: Field = Field(0, 4);
    pub const TYPE: Field = Field(4, 4);
    pub const FLAGS: Field = Field(8, 8);
    pub const ADDR: Field = Field(16, 8);
    pub const OFFSET: Field = Field(24, 8);
    pub const SIZE: Field = Field(32, 8);
    pub const LINK: Field = Field(40, 4);
    pub const INFO: Field = Field(44, 4);
    pub const ALIGN: Field = Field(48, 8);
    pub const ENTSIZE: Field = Field(56, 8);
}

/// Fields of a symbol.
pub mod sym {
    #![allow(missing_docs)]
    use super::Field;
    pub const NAME: Field = Field(0, 4);
    pub const INFO: Field = Field(4, 1);
    pub const OTHER: Field = Field(5, 1);
    pub const SHNDX: Field = Field(6, 2);
    pub const VALUE: Field = Field(8, 8);
    pub const SIZE: Field = Field(16, 8);
}

/// Fields of a relocation; the symbol and the type are each a half of `r_info`.
pub mod rela {
    #![allow(missing_docs)]
    use super::Field;
    pub const OFFSET: Field = Field(0, 8);
    pub const INFO: Field = Field(8, 8);
    pub const ADDEND: Field = Field(16, 8);
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its bytes.
    pub data: Vec<u8>,
    big: bool,
}

/// A section header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Section {
    pub name: u32,
    pub sh_type: u32,
    pub flags: u64,
    pub offset: u64,
    pub size: u64,
    pub link: u32,
    pub info: u32,
    pub align: u64,
}

/// A symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Symbol {
    pub name: u32,
    pub info: u8,
    pub other: u8,
    pub shndx: u16,
    pub value: u64,
    pub size: u64,
}

/// A relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct Relocation {
    pub offset: u64,
    pub symbol: u32,
    pub r_type: u32,
    pub addend: u64,
}

impl File {
    /// A file whose numbers are in the order that `e_machine` has when it is read so: as a kernel
    /// reads it, whatever the file says of itself.
    pub fn new(data: Vec<u8>, big: bool) -> Self {
        File { data, big }
    }

    /// Whether the most significant byte comes first.
    pub fn is_big(&self) -> bool {
        self.big
    }

    /// The number in a field of the structure at `at`.
    pub fn get(&self, at: usize, field: Field) -> Option<u64> {
        let start = at.checked_add(field.0)?;
        let bytes = self.data.get(start..start.checked_add(field.1)?)?;
        let add = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
        Some(if self.big {
            bytes.iter().fold(0, add)
        } else {
            bytes.iter().rev().fold(0, add)
        })
    }

    /// Writes the number, as far as there is room for it.
    pub fn put(&mut self, at: usize, field: Field, value: u64) -> Option<()> {
        let start = at.checked_add(field.0)?;
        let room = self.data.get_mut(start..start.checked_add(field.1)?)?;
        let bytes = value.to_le_bytes();
        for (number, byte) in room.iter_mut().enumerate() {
            let from = if self.big {
                field.1 - 1 - number
            } else {
                number
            };
            *byte = *bytes.get(from)?;
        }
        Some(())
    }

    /// Where the section headers are, and how many.
    pub fn table(&self) -> (usize, usize) {
        let start = self.get(0, ehdr::SHOFF).unwrap_or(0);
        let count = self.get(0, ehdr::SHNUM).unwrap_or(0);
        (usize::try_from(start).unwrap_or(usize::MAX), count as usize)
    }

    /// Where the header of section `index` is, which need not be there.
    pub fn header(&self, index: usize) -> usize {
        let (start, _) = self.table();
        index.saturating_mul(SHDR).saturating_add(start)
    }

    /// The header of section `index`.
    pub fn section(&self, index: usize) -> Option<Section> {
        let at = self.header(index);
        Some(Section {
            name: self.get(at, shdr::NAME)? as u32,
            sh_type: self.get(at, shdr::TYPE)? as u32,
            flags: self.get(at, shdr::FLAGS)?,
            offset: self.get(at, shdr::OFFSET)?,
            size: self.get(at, shdr::SIZE)?,
            link: self.get(at, shdr::LINK)? as u32,
            info: self.get(at, shdr::INFO)? as u32,
            align: self.get(at, shdr::ALIGN)?,
        })
    }

    /// All sections whose headers are there, with their indices.
    pub fn sections(&self) -> Vec<Section> {
        let (_, count) = self.table();
        (0..count).map_while(|index| self.section(index)).collect()
    }

    /// What the file holds of a section; nothing for one without contents.
    pub fn contents(&self, section: &Section) -> Option<&[u8]> {
        if section.sh_type == sht::NOBITS {
            return Some(&[]);
        }
        let start = usize::try_from(section.offset).ok()?;
        let size = usize::try_from(section.size).ok()?;
        self.data.get(start..start.checked_add(size)?)
    }

    /// The string at `offset` of a section of strings.
    pub fn string(&self, table: &Section, offset: u32) -> Option<&[u8]> {
        let tail = self.contents(table)?.get(offset as usize..)?;
        tail.split(|&byte| byte == 0).next()
    }

    /// The name of a section.
    pub fn section_name(&self, section: &Section) -> Option<&[u8]> {
        let names = self.section(self.get(0, ehdr::SHSTRNDX)? as usize)?;
        self.string(&names, section.name)
    }

    /// How many whole entries of `size` bytes a section has in the file.
    pub fn entries(&self, section: &Section, size: usize) -> usize {
        self.contents(section).map_or(0, |data| data.len() / size)
    }

    /// Symbol `index` of a symbol table.
    pub fn symbol(&self, table: &Section, index: usize) -> Option<Symbol> {
        if index >= self.entries(table, SYM) {
            return None;
        }
        let at = usize::try_from(table.offset).ok()? + index * SYM;
        Some(Symbol {
            name: self.get(at, sym::NAME)? as u32,
            info: self.get(at, sym::INFO)? as u8,
            other: self.get(at, sym::OTHER)? as u8,
            shndx: self.get(at, sym::SHNDX)? as u16,
            value: self.get(at, sym::VALUE)?,
            size: self.get(at, sym::SIZE)?,
        })
    }

    /// The relocations of a section.
    pub fn relocations(&self, section: &Section) -> Vec<Relocation> {
        let start = usize::try_from(section.offset).unwrap_or(usize::MAX);
        (0..self.entries(section, RELA))
            .filter_map(|nr| {
                let at = start.checked_add(nr * RELA)?;
                let info = self.get(at, rela::INFO)?;
                Some(Relocation {
                    offset: self.get(at, rela::OFFSET)?,
                    symbol: (info >> 32) as u32,
                    r_type: info as u32,
                    addend: self.get(at, rela::ADDEND)?,
                })
            })
            .collect()
    }

    /// Adds a string to a section of strings, which moves to the end of the file for it. Returns
    /// the string's offset.
    pub fn add_string(&mut self, table: usize, string: &[u8]) -> Option<u64> {
        let section = self.section(table)?;
        let mut contents = self.contents(&section)?.to_vec();
        let offset = contents.len() as u64;
        contents.extend_from_slice(string);
        contents.push(0);
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        let header = self.header(table);
        self.put(header, shdr::OFFSET, self.data.len() as u64)?;
        self.put(header, shdr::SIZE, contents.len() as u64)?;
        self.data.extend_from_slice(&contents);
        Some(offset)
    }

    /// Adds a section header to the table, which moves to the end of the file for it.
    pub fn add_header(&mut self, header: &[u8]) -> Option<()> {
        let (start, count) = self.table();
        let mut table = self
            .data
            .get(start..start.checked_add(count.checked_mul(SHDR)?)?)?
            .to_vec();
        table.extend_from_slice(header);
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        self.put(0, ehdr::SHOFF, self.data.len() as u64)?;
        self.put(0, ehdr::SHNUM, count as u64 + 1)?;
        self.data.extend_from_slice(&table);
        Some(())
    }
}
