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

/// Where in the file the relocations are that use `symbol`, outside of livepatch's sections.
fn uses_of(file: &[u8], symbol: SymbolIndex) -> Vec<(SectionIndex, u32, usize)> {
    let image = Image::parse(file).unwrap();
    let sections = image.sections.iter();
    let tables = sections.filter(|(_, section)| section.sh_type == SHT_RELA);
    tables
        .flat_map(|(index, section)| {
            let data = image.data(&section).unwrap();
            let table = RelocationTable::new(data, image.header.endian).unwrap();
            let used = table.iter().filter(|(_, rela)| rela.symbol == symbol);
            used.map(|(nr, _)| {
                let at = section.sh_offset as usize + nr as usize * RELA_SIZE;
                (index, nr, at)
            })
            .collect::<Vec<_>>()
        })
        .collect()
}

/// A type of relocation, by what it is called on each architecture.
fn types(arch: Arch, x86_64: u32, s390: u32) -> u32 {
    match arch {
        Arch::X86_64 => x86_64,
        Arch::S390 => s390,
    }
}

/// Marks the symbol as livepatch's; returns its index and the order of bytes.
fn mark(file: &mut [u8]) -> (SymbolIndex, Endian) {
    let endian = Image::parse(file).unwrap().header.endian;
    let (_, symbol, at) = find(file);
    patch(file, endian, at + 6, SHN_LIVEPATCH.into(), 2);
    (symbol, endian)
}

#[test]
fn a_relocation_that_was_switched_off_may_use_a_livepatch_symbol() {
    for arch in ARCHES {
        let text = "void elsewhere(void);\n\
                    void one(void) { elsewhere(); }\n\
                    void *two = elsewhere;\n";
        let mut file = Module::new(arch, "patch").source("patch.c", text).build();
        let (symbol, endian) = mark(&mut file);
        let found = uses_of(&file, symbol);
        assert_eq!(found.len(), 2);
        // Each one that is still applied is found, also behind one that is not.
        for &(section, nr, at) in &found {
            let error = Error::LivepatchSymbol { nr, symbol };
            assert_eq!(uses(&file), Err((section, error)));
            // The low half of r_info is the type; none is 0 on both.
            let r_type = at + 8 + if endian == Endian::Big { 4 } else { 0 };
            patch(&mut file, endian, r_type, 0, 4);
        }
        assert_eq!(uses(&file), Ok(()));
    }
}

/// What `objtool klp post-link` leaves: a section of its own with addresses of livepatch symbols.
fn with_objtools_section(arch: Arch, section: &str, more: &str) -> Vec<u8> {
    let text = format!(
        "void elsewhere(void);\n\
         struct {{ void *place, *symbol; unsigned int type; }} entry\n\
         __section(\"{section}\") = {{ 0, elsewhere, 1 }};\n{more}"
    );
    Module::new(arch, "patch").source("patch.c", &text).build()
}

#[test]
fn what_objtool_leaves_behind_may_use_livepatch_symbols() {
    for arch in ARCHES {
        let mut file = with_objtools_section(arch, "__klp_relocs.vmlinux", "");
        let (symbol, endian) = mark(&mut file);
        let [(section, nr, at)] = uses_of(&file, symbol)[..] else {
            panic!("not one use of the symbol");
        };
        assert_eq!(uses(&file), Ok(()));

        // No other kind of relocation: one of s390 makes an entry that code goes through.
        let r_type = at + 8 + if endian == Endian::Big { 4 } else { 0 };
        let error = Error::LivepatchSymbol { nr, symbol };
        for other in [types(arch, 2, 23), types(arch, 4, 25), types(arch, 10, 24)] {
            patch(&mut file, endian, r_type, other.into(), 4);
            assert_eq!(uses(&file), Err((section, error)));
        }
        patch(&mut file, endian, r_type, types(arch, 1, 22).into(), 4);
        assert_eq!(uses(&file), Ok(()));

        // It is no section of data any more.
        let image = Image::parse(&file).unwrap();
        let target = SectionIndex(image.sections.get(section).unwrap().sh_info);
        let was = image.sections.get(target).unwrap().sh_flags;
        let flags = field(&file, target, 8);
        patch(&mut file, endian, flags, was | SHF_EXECINSTR, 8);
        assert_eq!(uses(&file), Err((section, error)));
    }
}

#[test]
fn other_data_may_not_use_livepatch_symbols() {
    for arch in ARCHES {
        for name in [
            "__klp_relocs",
            "__klp_relocs_.vmlinux",
            ".klp_relocs.vmlinux",
            ".data",
        ] {
            let mut file = with_objtools_section(arch, name, "");
            let (symbol, _) = mark(&mut file);
            let (_, error) = uses(&file).unwrap_err();
            assert_eq!(error, Error::LivepatchSymbol { nr: 0, symbol });
        }
    }
}

#[test]
fn nothing_may_lead_into_what_objtool_leaves_behind() {
    for arch in ARCHES {
        let calls = "void call(void) { void (*function)(void) = entry.symbol; function(); }\n";
        for more in [calls, "void *pointer = &entry;\n"] {
            let mut file = with_objtools_section(arch, "__klp_relocs.vmlinux", more);
            // Without livepatch symbols it is like any section.
            assert_eq!(uses(&file), Ok(()));
            mark(&mut file);
            let (_, error) = uses(&file).unwrap_err();
            assert!(matches!(error, Error::ObjtoolSection { .. }), "{error}");
        }
    }
}
