// SPDX-License-Identifier: GPL-2.0

//! A relocatable ELF file that can be changed: read, edited, written again.
//!
//! Only what is edited changes. Sections keep their order, also those of types and with flags
//! that nobody here knows; symbols keep their indices. Only file offsets and the string tables
//! are laid out anew.

use anyhow::{ensure, Context, Result};
use livepatch_format::elf::{Image, Machine, SectionIndex, SymbolIndex};
use livepatch_format::name::Text;
use object::elf;
use object::read::elf::{FileHeader as _, Rela as _, SectionHeader as _, Sym as _};
use object::write::elf::{Encoder, FileHeader, FileHeaderLayout, Rel, SectionHeader, Sym};
use object::write::StringTable;
use object::Endianness;
use std::collections::BTreeSet;

/// What the kernel puts at the end of a signed module.
const SIGNATURE_MARK: &[u8] = b"~Module signature appended~\n";

/// What a section holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// Bytes that are not looked into.
    Bytes(Vec<u8>),
    /// Nothing in the file, that many bytes at run time.
    NoBits(u64),
    /// Relocations with addends.
    Relocations(Vec<Relocation>),
    /// The members of a section group, after its flags.
    Group(u32, Vec<SectionIndex>),
    /// [`ElfFile::symbols`]
    Symbols,
    /// The names of symbols or sections, which are made when the file is written.
    Strings,
}

/// A relocation with addend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// Where to write, in bytes from the start of the target section.
    pub offset: u64,
    /// The symbol whose value is used.
    pub symbol: SymbolIndex,
    /// How it is computed; a number of the machine's own.
    pub r_type: u32,
    /// A constant that is added.
    pub addend: i64,
}

/// A section.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its name.
    pub name: Vec<u8>,
    /// `SHT_*`
    pub sh_type: elf::SectionType,
    /// `SHF_*`
    pub flags: elf::SectionFlags,
    /// An associated section.
    pub link: u32,
    /// A section for relocations, else what the type makes of it.
    pub info: u32,
    /// Alignment in bytes.
    pub align: u64,
    /// Size of an entry, for tables.
    pub entsize: u64,
    /// What it holds.
    pub contents: Contents,
}

impl Section {
    /// The section at index 0, whatever the file has there.
    fn null() -> Self {
        Section {
            name: Vec::new(),
            sh_type: elf::SHT_NULL,
            flags: elf::SectionFlags(0),
            link: 0,
            info: 0,
            align: 0,
            entsize: 0,
            contents: Contents::Bytes(Vec::new()),
        }
    }

    /// The name as text.
    pub fn display_name(&self) -> String {
        self.name.escape_ascii().to_string()
    }

    /// Whether it takes memory at run time.
    pub fn is_alloc(&self) -> bool {
        self.flags.contains(elf::SHF_ALLOC)
    }

    /// Whether it holds code.
    pub fn is_code(&self) -> bool {
        self.is_alloc() && self.flags.contains(elf::SHF_EXECINSTR)
    }

    /// The size of its contents in bytes, where they are opaque.
    pub fn size(&self) -> Option<u64> {
        match &self.contents {
            Contents::Bytes(bytes) => Some(bytes.len() as u64),
            Contents::NoBits(size) => Some(*size),
            _ => None,
        }
    }

    /// The sections that this one refers to.
    fn references(&self) -> impl Iterator<Item = SectionIndex> + '_ {
        let members: &[SectionIndex] = match &self.contents {
            Contents::Group(_, members) => members,
            _ => &[],
        };
        let info = self.info_is_section().then_some(self.info);
        [Some(self.link), info]
            .into_iter()
            .flatten()
            .map(SectionIndex)
            .chain(members.iter().copied())
    }

    /// Whether `info` is the index of a section.
    fn info_is_section(&self) -> bool {
        matches!(self.sh_type, elf::SHT_RELA | elf::SHT_REL)
            || self.flags.contains(elf::SHF_INFO_LINK)
    }
}

/// Where a symbol is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nowhere in this file.
    Undefined,
    /// In a section.
    Section(SectionIndex),
    /// One of the indices with a meaning of their own, such as `SHN_ABS`.
    Reserved(u16),
}

/// A symbol.
#[derive(Debug, Clone)]
pub struct Symbol {
    /// Its name.
    pub name: Vec<u8>,
    /// Binding and type.
    pub info: elf::SymbolInfo,
    /// Visibility, and whatever else is stored beside it.
    pub other: u8,
    /// Where it is defined.
    pub place: Place,
    /// Its value.
    pub value: u64,
    /// Its size in bytes.
    pub size: u64,
}

impl Symbol {
    /// Whether it is undefined and may stay so.
    pub fn is_weak(&self) -> bool {
        self.info.st_bind() == elf::STB_WEAK
    }

    /// Whether other files see it.
    pub fn is_global(&self) -> bool {
        self.info.st_bind() != elf::STB_LOCAL
    }
}

/// A relocatable file.
#[derive(Debug, Clone)]
pub struct ElfFile {
    /// Whose code it holds.
    pub machine: Machine,
    endian: Endianness,
    header: FileHeader,
    /// All sections; the first is the null section.
    pub sections: Vec<Section>,
    /// All symbols; the first is the null symbol.
    pub symbols: Vec<Symbol>,
    symtab: SectionIndex,
    section_names: SectionIndex,
}

impl ElfFile {
    /// Reads a file.
    pub fn parse(data: &[u8]) -> Result<Self> {
        // The same checks as in the kernel come first.
        let image = Image::parse(data)?;
        let machine = image.header.machine()?;
        for (_, section) in image.sections.iter() {
            let name = Text(image.name(&section)?);
            image
                .data(&section)
                .with_context(|| format!("section {name}"))?;
        }

        let raw = elf::FileHeader64::<Endianness>::parse(data)?;
        let endian = raw.endian()?;
        let sections = raw.sections(endian, data)?;
        let symbols = sections.symbols(endian, data, elf::SHT_SYMTAB)?;
        ensure!(!symbols.is_empty(), "the file has no symbol table");
        ensure!(
            symbols.shndx_section().0 == 0,
            "files with an SHT_SYMTAB_SHNDX are not supported"
        );
        let symtab = section_index(symbols.section().0)?;
        let strings = section_index(symbols.string_section().0)?;
        let section_names = section_index(raw.section_strings_index(endian, data)?.0)?;

        for index in [strings, section_names] {
            let section = sections.section(object::SectionIndex(index.0 as usize))?;
            let is_table = section.sh_type(endian) == elf::SHT_STRTAB;
            ensure!(
                is_table,
                "section {}, which is to hold names, is no SHT_STRTAB",
                index.0
            );
        }

        let mut parsed = Vec::with_capacity(sections.len());
        parsed.push(Section::null());
        for (index, section) in sections.enumerate().skip(1) {
            let index = section_index(index.0)?;
            let name = sections.section_name(endian, section)?;
            let contents = if index == symtab {
                Contents::Symbols
            } else if index == strings || index == section_names {
                Contents::Strings
            } else {
                contents(endian, data, section, symtab)
                    .with_context(|| format!("section {}", name.escape_ascii()))?
            };
            parsed.push(Section {
                name: name.to_vec(),
                sh_type: section.sh_type(endian),
                flags: section.sh_flags(endian),
                link: section.sh_link(endian),
                info: section.sh_info(endian),
                align: section.sh_addralign(endian),
                entsize: section.sh_entsize(endian),
                contents,
            });
        }

        let symbols = symbols
            .iter()
            .map(|symbol| {
                let shndx = symbol.st_shndx(endian);
                let place = if shndx == elf::SHN_UNDEF {
                    Place::Undefined
                } else if shndx.0 >= elf::SHN_LORESERVE {
                    Place::Reserved(shndx.0)
                } else {
                    Place::Section(SectionIndex(shndx.0.into()))
                };
                Ok(Symbol {
                    name: symbols.symbol_name(endian, symbol)?.to_vec(),
                    info: symbol.st_info(),
                    other: symbol.st_other().0,
                    place,
                    value: symbol.st_value(endian),
                    size: symbol.st_size(endian),
                })
            })
            .collect::<Result<Vec<_>>>()?;

        let file = ElfFile {
            machine,
            endian,
            header: FileHeader::from_raw(endian, raw),
            sections: parsed,
            symbols,
            symtab,
            section_names,
        };
        file.check_references()?;
        Ok(file)
    }

    /// Whatever refers to a section by its index, refers to one that is there.
    fn check_references(&self) -> Result<()> {
        for section in &self.sections {
            for index in section.references() {
                self.section(index)
                    .with_context(|| format!("section {}", section.display_name()))?;
            }
        }
        for symbol in &self.symbols {
            if let Place::Section(index) = symbol.place {
                self.section(index)
                    .with_context(|| format!("symbol {}", symbol.name.escape_ascii()))?;
            }
        }
        Ok(())
    }

    /// The index of the symbol table.
    pub fn symtab(&self) -> SectionIndex {
        self.symtab
    }

    /// A section.
    pub fn section(&self, index: SectionIndex) -> Result<&Section> {
        self.sections
            .get(index.0 as usize)
            .with_context(|| format!("there is no section {}", index.0))
    }

    /// The first section of that name.
    pub fn find(&self, name: &str) -> Option<(SectionIndex, &Section)> {
        self.iter()
            .find(|(_, section)| section.name == name.as_bytes())
    }

    /// The bytes of the first section of that name.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        match &self.find(name)?.1.contents {
            Contents::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes of the first section of that name.
    pub fn bytes_mut(&mut self, name: &str) -> Option<&mut Vec<u8>> {
        let section = self
            .sections
            .iter_mut()
            .find(|section| section.name == name.as_bytes())?;
        match &mut section.contents {
            Contents::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// All sections with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (SectionIndex, &Section)> {
        (0..).map(SectionIndex).zip(&self.sections)
    }

    /// All symbols with their indices.
    pub fn symbols(&self) -> impl Iterator<Item = (SymbolIndex, &Symbol)> {
        (0..).map(SymbolIndex).zip(&self.symbols)
    }

    /// Takes sections out. What refers to another section by its index is adapted; what referred
    /// to one of those taken out, refers to none.
    pub fn remove(&mut self, unwanted: &BTreeSet<SectionIndex>) {
        let mut next = 0..;
        let map: Vec<u32> = (0..self.sections.len() as u32)
            .map(|index| match unwanted.contains(&SectionIndex(index)) {
                true => 0,
                false => next.next().unwrap_or_default(),
            })
            .collect();
        let new_index = |old: u32| map.get(old as usize).copied().unwrap_or_default();

        let mut indices = (0..).map(SectionIndex);
        self.sections.retain(|_| {
            indices
                .next()
                .is_some_and(|index| !unwanted.contains(&index))
        });
        for section in &mut self.sections {
            section.link = new_index(section.link);
            if section.info_is_section() {
                section.info = new_index(section.info);
            }
            if let Contents::Group(_, members) = &mut section.contents {
                members
                    .iter_mut()
                    .for_each(|member| member.0 = new_index(member.0));
            }
        }
        for symbol in &mut self.symbols {
            if let Place::Section(index) = &mut symbol.place {
                index.0 = new_index(index.0);
            }
        }
        self.symtab.0 = new_index(self.symtab.0);
        self.section_names.0 = new_index(self.section_names.0);
    }

    /// Whether a symbol or another section refers to the section.
    pub fn is_referred_to(&self, index: SectionIndex) -> bool {
        self.symbols
            .iter()
            .any(|symbol| symbol.place == Place::Section(index))
            || self
                .sections
                .iter()
                .any(|section| section.references().any(|one| one == index))
    }

    /// The bytes of the file.
    pub fn write(&self) -> Result<Vec<u8>> {
        let strings_index = SectionIndex(self.section(self.symtab)?.link);
        // Some tools keep both kinds of names in one table.
        let shared = strings_index == self.section_names;
        let of_symbols = self.symbols.iter().map(|symbol| &symbol.name[..]);
        let of_sections = self.sections.iter().map(|section| &section.name[..]);
        let symbol_names = Names::new(
            of_symbols
                .clone()
                .chain(of_sections.clone().filter(|_| shared)),
        )?;
        let section_names = Names::new(of_sections.chain(of_symbols.filter(|_| shared)))?;

        let encoder = Encoder::new(self.endian, true, self.header.e_machine);
        let mut out = vec![0; encoder.file_header_size() as usize];
        let mut headers = Vec::with_capacity(self.sections.len());
        for (index, section) in self.iter().skip(1) {
            let align = section.align.max(1);
            ensure!(
                align.is_power_of_two() && align <= 1 << 24,
                "section {}: alignment {align:#x}",
                section.display_name()
            );
            pad(&mut out, align);
            let offset = out.len() as u64;
            match &section.contents {
                Contents::Bytes(bytes) => out.extend_from_slice(bytes),
                Contents::NoBits(_) => {}
                Contents::Relocations(relocations) => {
                    for rela in relocations {
                        encoder.relocation(&mut out, true, &rela.raw());
                    }
                }
                Contents::Group(flags, members) => {
                    for word in std::iter::once(*flags).chain(members.iter().map(|index| index.0)) {
                        out.extend_from_slice(&self.u32_bytes(word));
                    }
                }
                Contents::Symbols => {
                    for symbol in &self.symbols {
                        let name = symbol_names.offset(&symbol.name)?;
                        encoder.symbol(&mut out, &symbol.raw(name));
                    }
                }
                Contents::Strings if index == strings_index => {
                    out.extend_from_slice(&symbol_names.bytes)
                }
                Contents::Strings => out.extend_from_slice(&section_names.bytes),
            }
            let size = match section.contents {
                Contents::NoBits(size) => size,
                _ => out.len() as u64 - offset,
            };
            headers.push(SectionHeader {
                sh_name: section_names.offset(&section.name)?,
                sh_type: section.sh_type,
                sh_flags: section.flags,
                sh_addr: 0,
                sh_offset: offset,
                sh_size: size,
                sh_link: section.link,
                sh_info: section.info,
                sh_addralign: section.align,
                sh_entsize: section.entsize,
            });
        }

        ensure!(
            self.sections.len() < elf::SHN_LORESERVE.into(),
            "too many sections"
        );
        pad(&mut out, 8);
        let layout = FileHeaderLayout {
            e_phoff: 0,
            segment_num: 0,
            e_shoff: out.len() as u64,
            section_num: self.sections.len() as u32,
            shstrtab_index: self.section_names.0,
        };
        encoder.null_section_header(&mut out, &layout);
        for header in &headers {
            encoder.section_header(&mut out, header);
        }
        let mut start = Vec::new();
        encoder.file_header(&mut start, &self.header, &layout)?;
        out[..start.len()].copy_from_slice(&start);
        Ok(out)
    }

    /// A number out of the file.
    pub fn u64(&self, bytes: &[u8; 8]) -> u64 {
        match self.endian {
            Endianness::Little => u64::from_le_bytes(*bytes),
            Endianness::Big => u64::from_be_bytes(*bytes),
        }
    }

    /// A number in the byte order of the file.
    fn u32_bytes(&self, value: u32) -> [u8; 4] {
        match self.endian {
            Endianness::Little => value.to_le_bytes(),
            Endianness::Big => value.to_be_bytes(),
        }
    }
}

impl Relocation {
    fn raw(&self) -> Rel {
        Rel {
            r_offset: self.offset,
            r_sym: self.symbol.0,
            r_type: elf::RelocationType(self.r_type),
            r_addend: self.addend,
        }
    }
}

impl Symbol {
    fn raw(&self, st_name: u32) -> Sym {
        Sym {
            section: None,
            st_name,
            st_info: self.info,
            st_other: elf::SymbolOther(self.other),
            st_shndx: match self.place {
                Place::Undefined => elf::SHN_UNDEF,
                // Fewer than SHN_LORESERVE sections exist: see `write`.
                Place::Section(index) => elf::SymbolSection(index.0 as u16),
                Place::Reserved(index) => elf::SymbolSection(index),
            },
            st_value: self.value,
            st_size: self.size,
        }
    }
}

/// A string table.
struct Names<'a> {
    table: StringTable<'a>,
    bytes: Vec<u8>,
}

impl<'a> Names<'a> {
    fn new(names: impl Iterator<Item = &'a [u8]>) -> Result<Self> {
        let mut table = StringTable::new();
        for name in names.filter(|name| !name.is_empty()) {
            table.add(name);
        }
        let mut bytes = vec![0];
        table.write(&mut bytes, 1)?;
        Ok(Names { table, bytes })
    }

    fn offset(&self, name: &[u8]) -> Result<u32> {
        if name.is_empty() {
            return Ok(0);
        }
        Ok(self.table.get_offset(self.table.get_id(name)))
    }
}

fn pad(out: &mut Vec<u8>, align: u64) {
    out.resize((out.len() as u64).next_multiple_of(align) as usize, 0);
}

fn section_index(index: usize) -> Result<SectionIndex> {
    Ok(SectionIndex(index.try_into()?))
}

/// Whether the file carries a signature, which any change makes invalid.
pub fn is_signed(data: &[u8]) -> bool {
    data.ends_with(SIGNATURE_MARK)
}

fn contents(
    endian: Endianness,
    data: &[u8],
    section: &elf::SectionHeader64<Endianness>,
    symtab: SectionIndex,
) -> Result<Contents> {
    if section.sh_type(endian) == elf::SHT_NOBITS {
        return Ok(Contents::NoBits(section.sh_size(endian)));
    }
    if let Some((relocations, link)) = section.rela(endian, data)? {
        ensure!(
            section_index(link.0)? == symtab,
            "it is not linked to the symbol table"
        );
        let relocations = relocations.iter().map(|rela| Relocation {
            offset: rela.r_offset(endian),
            symbol: SymbolIndex(rela.r_sym(endian, false)),
            r_type: rela.r_type(endian, false).0,
            addend: rela.r_addend(endian),
        });
        return Ok(Contents::Relocations(relocations.collect()));
    }
    if let Some((flags, members)) = section.group(endian, data)? {
        let members = members.iter().map(|index| SectionIndex(index.get(endian)));
        return Ok(Contents::Group(flags.0, members.collect()));
    }
    Ok(Contents::Bytes(section.data(endian, data)?.to_vec()))
}
