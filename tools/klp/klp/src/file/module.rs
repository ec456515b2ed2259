// SPDX-License-Identifier: GPL-2.0

//! A module as it is, whatever is wrong with it: what `klp inspect` and `klp lint` look at.
//!
//! Unlike [`ElfFile`](super::elf::ElfFile), which must be able to write the file again, it takes
//! everything that the kernel's loader can find its way in.

use anyhow::anyhow;
use livepatch_format::elf::{
    Image, Machine, Relocation, RelocationTable, Section, SectionIndex, StringTable, Symbol,
    SymbolTable, SHF_ALLOC, SHN_LORESERVE, SHN_UNDEF, SHT_NOBITS, SHT_RELA,
};
use livepatch_format::error::{Error, Result as FormatResult};
use livepatch_format::{modinfo, reloc};
use object::elf;
use std::path::Path;

/// `SHF_EXECINSTR`
const SHF_EXECINSTR: u64 = 1 << 2;

/// A place in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The section.
    pub section: SectionIndex,
    /// In bytes from its start.
    pub offset: u64,
}

/// A module.
#[derive(Debug)]
pub struct Module<'a> {
    file: &'a [u8],
    image: Image<'a>,
    /// Whose code it holds.
    pub machine: Machine,
    symbols: SymbolTable<'a>,
    strings: StringTable<'a>,
}

impl<'a> Module<'a> {
    /// Finds the tables of the file.
    ///
    /// # Errors
    ///
    /// What would keep the kernel's module loader from it as well.
    pub fn parse(file: &'a [u8]) -> FormatResult<Self> {
        let image = Image::parse(file)?;
        let machine = image.header.machine()?;
        for (_, section) in image.sections.iter() {
            image.name(&section)?;
            image.data(&section)?;
        }
        let (symbols, strings) = image.symbols()?;
        Ok(Module {
            file,
            image,
            machine,
            symbols,
            strings,
        })
    }

    /// The whole file.
    pub fn file(&self) -> &'a [u8] {
        self.file
    }

    /// The file as the shared format code sees it.
    pub fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// The symbols.
    pub fn symbols(&self) -> &SymbolTable<'a> {
        &self.symbols
    }

    /// Their names.
    pub fn strings(&self) -> &StringTable<'a> {
        &self.strings
    }

    /// The index of the symbol table.
    pub fn symtab(&self) -> SectionIndex {
        let tables = self.image.sections.iter();
        tables
            .filter(|(_, section)| section.sh_type == livepatch_format::elf::SHT_SYMTAB)
            .map(|(index, _)| index)
            .next()
            .unwrap_or(SectionIndex(0))
    }

    /// All sections but the null section, with their names.
    pub fn sections(&self) -> impl Iterator<Item = (SectionIndex, Section, &'a [u8])> + '_ {
        self.image.sections.iter().map(|(index, section)| {
            let name = self.image.name(&section).unwrap_or_default();
            (index, section, name)
        })
    }

    /// The name of a section.
    pub fn section_name(&self, index: SectionIndex) -> &'a [u8] {
        let sections = &self.image.sections;
        sections
            .get(index)
            .and_then(|section| self.image.name(&section))
            .unwrap_or_default()
    }

    /// What the file holds of a section.
    pub fn data(&self, section: &Section) -> &'a [u8] {
        self.image.data(section).unwrap_or_default()
    }

    /// What the first section of that name holds.
    pub fn contents(&self, name: &[u8]) -> Option<&'a [u8]> {
        let (_, section) = self.image.find(name)?;
        Some(self.data(&section))
    }

    /// The relocations of a section.
    ///
    /// # Errors
    ///
    /// It is no whole number of them.
    pub fn relocations(&self, section: &Section) -> FormatResult<RelocationTable<'a>> {
        RelocationTable::new(self.data(section), self.image.header.endian)
    }

    /// Every section of ordinary relocations, and the section that it changes.
    pub fn ordinary_relocations(
        &self,
    ) -> impl Iterator<Item = (SectionIndex, Section, RelocationTable<'a>)> + '_ {
        self.image.sections.iter().filter_map(|(_, section)| {
            if section.sh_type != SHT_RELA || section.is_livepatch_relocation() {
                return None;
            }
            let index = SectionIndex(section.sh_info);
            let target = self.image.sections.get(index).ok()?;
            Some((index, target, self.relocations(&section).ok()?))
        })
    }

    /// The name of a symbol.
    pub fn symbol_name(&self, symbol: &Symbol) -> &'a [u8] {
        self.strings.get(symbol.st_name).unwrap_or_default()
    }

    /// Where a symbol is defined; `None` where it is not, or not in a section.
    pub fn place(&self, symbol: &Symbol) -> Option<Place> {
        if matches!(symbol.st_shndx, SHN_UNDEF | SHN_LORESERVE..) {
            return None;
        }
        Some(Place {
            section: SectionIndex(symbol.st_shndx.into()),
            offset: symbol.st_value,
        })
    }

    /// Where a relocation leads, going by `addend`; `None` for a place that is not in this file.
    pub fn target(&self, rela: &Relocation, addend: i64) -> Option<Place> {
        let mut place = self.place(&self.symbols.get(rela.symbol).ok()?)?;
        place.offset = place.offset.checked_add_signed(addend)?;
        Some(place)
    }

    /// The name of the function or variable at a place.
    pub fn name_at(&self, place: Place) -> Option<&'a [u8]> {
        let wanted = [elf::STT_FUNC, elf::STT_OBJECT];
        self.symbols
            .iter()
            .filter(|(_, symbol)| self.place(symbol) == Some(place))
            .filter(|(_, symbol)| wanted.contains(&elf::SymbolInfo(symbol.st_info).st_type()))
            .map(|(_, symbol)| self.symbol_name(&symbol))
            .find(|name| !name.is_empty())
    }

    /// The size of the variable that begins at a place, where the file tells it.
    pub fn size_at(&self, place: Place) -> Option<u64> {
        self.symbols
            .iter()
            .filter(|(_, symbol)| symbol.st_size != 0 && self.place(symbol) == Some(place))
            .map(|(_, symbol)| symbol.st_size)
            .next()
    }

    /// Start and end of the function that a place is in.
    pub fn function_around(&self, place: Place) -> Option<(u64, u64)> {
        self.around(place, elf::STT_FUNC)
    }

    /// Start and end of the variable that a place is in.
    pub fn variable_around(&self, place: Place) -> Option<(u64, u64)> {
        self.around(place, elf::STT_OBJECT)
    }

    fn around(&self, place: Place, kind: elf::SymbolType) -> Option<(u64, u64)> {
        self.symbols
            .iter()
            .filter(|(_, symbol)| elf::SymbolInfo(symbol.st_info).st_type() == kind)
            .filter_map(|(_, symbol)| {
                let start = self.place(&symbol)?;
                let end = start.offset.checked_add(symbol.st_size)?;
                let inside =
                    start.section == place.section && (start.offset..end).contains(&place.offset);
                inside.then_some((start.offset, end))
            })
            .next()
    }

    /// Whether a symbol of that name is to be found elsewhere.
    pub fn imports(&self, name: &[u8]) -> bool {
        self.symbols
            .iter()
            .any(|(_, symbol)| symbol.st_shndx == SHN_UNDEF && self.symbol_name(&symbol) == name)
    }

    /// What the module says of itself under `key`.
    pub fn info(&self, key: &[u8]) -> Option<&'a [u8]> {
        modinfo::value(self.contents(modinfo::SECTION)?, key)
    }

    /// Everything that the module says of itself.
    pub fn infos(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        modinfo::entries(self.contents(modinfo::SECTION).unwrap_or_default())
    }

    /// Whether it says that it is a livepatch.
    pub fn is_marked(&self) -> bool {
        self.info(modinfo::LIVEPATCH).is_some()
    }

    /// The name that the kernel has for it; what the loader says where it does not know.
    pub fn name(&self) -> &'a [u8] {
        self.info(b"name").unwrap_or(b"?")
    }

    /// The type of a relocation, as the ABI has it.
    pub fn relocation_name(&self, r_type: u32) -> String {
        relocation_name(self.machine, r_type)
    }

    /// Whether a relocation of this type is an address of 64 bits.
    pub fn is_pointer(&self, r_type: u32) -> bool {
        r_type
            == match self.machine {
                Machine::X86_64 => reloc::x86_64::ABS64,
                Machine::S390 => reloc::s390::ABS64,
            }
    }

    /// Eight bytes as a number.
    pub fn number(&self, bytes: [u8; 8]) -> u64 {
        match self.image.header.endian {
            livepatch_format::elf::Endian::Little => u64::from_le_bytes(bytes),
            livepatch_format::elf::Endian::Big => u64::from_be_bytes(bytes),
        }
    }
}

/// The type of a relocation, as the ABI has it; its number where it has no name.
pub fn relocation_name(machine: Machine, r_type: u32) -> String {
    let machine = match machine {
        Machine::X86_64 => elf::EM_X86_64,
        Machine::S390 => elf::EM_S390,
    };
    match elf::machine_names(machine)
        .r
        .name(elf::RelocationType(r_type))
    {
        Some(name) => name.to_owned(),
        None => format!("type {r_type}"),
    }
}

/// Whether a section takes memory at run time.
pub fn is_alloc(section: &Section) -> bool {
    section.sh_flags & SHF_ALLOC != 0
}

/// Whether a section holds code.
pub fn is_code(section: &Section) -> bool {
    is_alloc(section) && section.sh_flags & SHF_EXECINSTR != 0
}

/// Whether a section takes no place in the file.
pub fn is_empty_in_file(section: &Section) -> bool {
    section.sh_type == SHT_NOBITS
}

/// Why a file cannot be read as a module, in words.
pub fn refusal(path: &Path, data: &[u8], error: Error) -> anyhow::Error {
    let shown = path.display();
    if data.starts_with(&elf::ELFMAG) {
        anyhow!("{shown}: no usable kernel module: {error}")
    } else {
        anyhow!("{shown}: not an ELF file, so no kernel module")
    }
}
