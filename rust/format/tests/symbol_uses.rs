// SPDX-License-Identifier: GPL-2.0

//! Which symbols the relocations of a file may name.

mod common;

use common::patch;
use livepatch_fixtures::{Arch, Module, ARCHES};
use livepatch_format::check;
use livepatch_format::elf::*;
use livepatch_format::error::Error;

/// A module that calls a function which is not in it.
fn module(arch: Arch) -> Vec<u8> {
    let text = "void elsewhere(void);\nvoid call(void) { elsewhere(); }\n";
    Module::new(arch, "patch").source("patch.c", text).build()
}

/// The relocation section for that call, the symbol, and where in the file it is.
fn find(file: &[u8]) -> (SectionIndex, SymbolIndex, usize) {
    let image = Image::parse(file).unwrap();
    let (symbols, strings) = image.symbols().unwrap();
    let (symbol, _) = symbols
        .iter()
        .find(|(_, symbol)| strings.get(symbol.st_name) == Ok(b"elsewhere"))
        .unwrap();
    let (_, table) = image
        .sections
        .iter()
        .find(|(_, section)| section.sh_type == SHT_SYMTAB)
        .unwrap();
    let section = image
        .sections
        .iter()
        .find(|(_, section)| {
            let table = RelocationTable::new(image.data(section).unwrap(), image.header.endian);
            section.sh_type == SHT_RELA && table.unwrap().iter().any(|(_, r)| r.symbol == symbol)
        })
        .unwrap();
    let at = table.sh_offset as usize + symbol.0 as usize * SYM_SIZE;
    (section.0, symbol, at)
}

/// Where a field of a section's header is.
fn field(file: &[u8], section: SectionIndex, offset: usize) -> usize {
    let image = Image::parse(file).unwrap();
    image.header.e_shoff as usize + section.0 as usize * SHDR_SIZE + offset
}

fn uses(file: &[u8]) -> Result<(), (SectionIndex, Error)> {
    check::symbol_uses(&Image::parse(file).unwrap())
}

#[test]
fn only_livepatch_sections_use_livepatch_symbols() {
    for arch in ARCHES {
        let mut file = module(arch);
        assert_eq!(uses(&file), Ok(()));

        let endian = Image::parse(&file).unwrap().header.endian;
        let (section, symbol, at) = find(&file);
        patch(&mut file, endian, at + 6, SHN_LIVEPATCH.into(), 2);
        let (wrong, error) = uses(&file).unwrap_err();
        assert_eq!(wrong, section);
        assert!(matches!(error, Error::LivepatchSymbol { symbol: s, .. } if s == symbol));

        // A size that is no whole number of relocations hides none.
        let size = field(&file, section, 32);
        let whole = Image::parse(&file)
            .unwrap()
            .sections
            .get(section)
            .unwrap()
            .sh_size;
        patch(&mut file, endian, size, whole + 7, 8);
        assert_eq!(uses(&file).unwrap_err().0, section);
        patch(&mut file, endian, size, whole, 8);

        let flags = field(&file, section, 8);
        let livepatch = SHF_ALLOC | SHF_INFO_LINK | SHF_RELA_LIVEPATCH;
        patch(&mut file, endian, flags, livepatch, 8);
        assert_eq!(uses(&file), Ok(()));
    }
}

#[test]
fn sections_that_are_not_in_memory_are_nobodys_affair() {
    for arch in ARCHES {
        let mut file = module(arch);
        let image = Image::parse(&file).unwrap();
        let endian = image.header.endian;
        let (section, _, at) = find(&file);
        let target = SectionIndex(image.sections.get(section).unwrap().sh_info);
        let flags = field(&file, target, 8);
        patch(&mut file, endian, at + 6, SHN_LIVEPATCH.into(), 2);
        patch(&mut file, endian, flags, 0, 8);
        assert_eq!(uses(&file), Ok(()));
    }
}
