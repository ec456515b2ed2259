// SPDX-License-Identifier: GPL-2.0

//! Headers, sections, symbols, strings and relocations, in both byte orders.

mod common;

use common::{relocation_bytes, section_bytes, symbol_bytes};
use livepatch_fixtures::{Arch, Module, ARCHES};
use livepatch_format::elf::*;
use livepatch_format::error::Error;

fn module(arch: Arch) -> Vec<u8> {
    let text = "extern int far; int *at = &far; int near(void) { return far; }\n\
                char hole[100] __section(\".bss.hole\");";
    Module::new(arch, "m").source("m.c", text).build()
}

fn endian(arch: Arch) -> Endian {
    match arch {
        Arch::X86_64 => Endian::Little,
        Arch::S390 => Endian::Big,
    }
}

#[test]
fn reads_the_header_of_a_module_of_either_machine() {
    for (arch, machine) in [(Arch::X86_64, Machine::X86_64), (Arch::S390, Machine::S390)] {
        let header = Header::parse(&module(arch)).unwrap();
        assert_eq!(header.endian, endian(arch));
        assert_eq!(header.machine(), Ok(machine));
        assert_eq!(header.e_type, ET_REL);
        assert_eq!(usize::from(header.e_shentsize), SHDR_SIZE);
    }
}

#[test]
fn rejects_what_is_no_64_bit_relocatable_elf_file() {
    let good = module(Arch::X86_64);
    for (offset, byte) in [
        (0, 0),
        (1, b'e'),
        (3, b'f'),
        (4, 1),
        (5, 0),
        (5, 3),
        (16, 2),
        (16, 3),
    ] {
        let mut bad = good.clone();
        bad[offset] = byte;
        let result = Header::parse(&bad);
        assert!(
            matches!(result, Err(Error::NotElf(_))),
            "byte {offset} = {byte}: {result:?}"
        );
    }
    let mut other_order = good.clone();
    other_order[5] = 2;
    assert!(Header::parse(&other_order).is_err());
}

#[test]
fn rejects_section_headers_of_another_size() {
    let mut bad = module(Arch::X86_64);
    bad[58] = 40;
    let result = Header::parse(&bad);
    assert!(
        matches!(
            result,
            Err(Error::EntrySize {
                found: 40,
                expected: 64,
                ..
            })
        ),
        "{result:?}"
    );
}

#[test]
fn names_an_unknown_machine() {
    let mut file = module(Arch::X86_64);
    file[18] = 183;
    assert_eq!(
        Header::parse(&file).unwrap().machine(),
        Err(Error::UnknownMachine(183))
    );
}

#[test]
fn rejects_section_headers_outside_of_the_file() {
    for arch in ARCHES {
        for offset in [u64::MAX, u64::MAX - 63, 1 << 40] {
            let mut bad = module(arch);
            let bytes = match arch {
                Arch::X86_64 => offset.to_le_bytes(),
                Arch::S390 => offset.to_be_bytes(),
            };
            bad[40..48].copy_from_slice(&bytes);
            let result = Image::parse(&bad);
            assert!(matches!(result, Err(Error::Truncated { .. })), "{result:?}");
        }
    }
}

#[test]
fn rejects_a_section_name_table_that_is_not_there() {
    let mut bad = module(Arch::X86_64);
    bad[62..64].copy_from_slice(&0xfff0u16.to_le_bytes());
    let result = Image::parse(&bad);
    assert!(
        matches!(result, Err(Error::SectionIndex { .. })),
        "{result:?}"
    );
}

#[test]
fn finds_sections_by_name() {
    for arch in ARCHES {
        let file = module(arch);
        let image = Image::parse(&file).unwrap();
        let (index, text) = image.find(b".text").unwrap();
        assert_eq!(image.sections.get(index), Ok(text));
        assert_ne!(text.sh_flags & SHF_ALLOC, 0);
        assert_eq!(image.data(&text).unwrap().len() as u64, text.sh_size);
        assert!(image.find(b".nonesuch").is_none());
    }
}

#[test]
fn a_section_without_contents_has_no_bytes() {
    for arch in ARCHES {
        let file = module(arch);
        let image = Image::parse(&file).unwrap();
        let holes: Vec<_> = image
            .sections
            .iter()
            .filter(|(_, section)| section.sh_type == SHT_NOBITS)
            .collect();
        assert!(holes.iter().any(|(_, section)| section.sh_size >= 100));
        for (_, section) in holes {
            assert_eq!(image.data(&section), Ok(&[][..]));
        }
    }
}

#[test]
fn finds_symbols_and_their_names() {
    for arch in ARCHES {
        let file = module(arch);
        let image = Image::parse(&file).unwrap();
        let (symbols, strings) = image.symbols().unwrap();
        let find = |name: &[u8]| {
            symbols
                .iter()
                .find(|(_, symbol)| strings.get(symbol.st_name) == Ok(name))
                .unwrap()
                .1
        };
        assert_eq!(find(b"far").st_shndx, SHN_UNDEF);
        let near = find(b"near");
        let section = image
            .sections
            .get(SectionIndex(near.st_shndx.into()))
            .unwrap();
        assert_eq!(image.name(&section), Ok(&b".text"[..]));
        assert!(near.st_size > 0);
        assert!(!near.is_livepatch());
    }
}

#[test]
fn finds_relocations_and_what_they_refer_to() {
    for arch in ARCHES {
        let file = module(arch);
        let image = Image::parse(&file).unwrap();
        let (symbols, strings) = image.symbols().unwrap();
        let (_, section) = image
            .find(b".rela.data")
            .or_else(|| image.find(b".rela.data.rel"))
            .unwrap();
        assert_eq!(section.sh_type, SHT_RELA);
        let table = RelocationTable::new(image.data(&section).unwrap(), endian(arch)).unwrap();
        assert_eq!(table.len(), 1);
        let rela = table.get(0).unwrap();
        assert_eq!((rela.r_offset, rela.r_addend), (0, 0));
        let symbol = symbols.get(rela.symbol).unwrap();
        assert_eq!(strings.get(symbol.st_name), Ok(&b"far"[..]));
        assert!(matches!(table.get(1), Err(Error::Truncated { .. })));
    }
}

#[test]
fn a_file_without_symbols_says_so() {
    for arch in ARCHES {
        let mut file = module(arch);
        let image = Image::parse(&file).unwrap();
        let at = image.header.e_shoff as usize;
        let count = image.sections.len() as usize;
        for section in 0..count {
            let offset = at + section * SHDR_SIZE + 4;
            let kind = &mut file[offset..offset + 4];
            if kind.contains(&2) {
                kind.fill(0);
            }
        }
        let image = Image::parse(&file).unwrap();
        assert!(matches!(image.symbols(), Err(Error::NotElf(_))));
    }
}

#[test]
fn tables_hold_as_many_whole_entries_as_there_are_bytes_for() {
    for size in 0..3 * SHDR_SIZE {
        let bytes = vec![0; size];
        let sections = SectionTable::new(&bytes, Endian::Little);
        let symbols = SymbolTable::new(&bytes, Endian::Big);
        assert_eq!(sections.len() as usize, size / SHDR_SIZE);
        assert_eq!(symbols.len() as usize, size / SYM_SIZE);
        assert_eq!(sections.is_empty(), size < SHDR_SIZE);
        assert_eq!(symbols.is_empty(), size < SYM_SIZE);
        assert_eq!(symbols.iter().count(), size / SYM_SIZE);
        assert_eq!(
            sections.iter().count(),
            (size / SHDR_SIZE).saturating_sub(1)
        );
        let (count, index) = (sections.len(), SectionIndex(sections.len()));
        assert_eq!(
            sections.get(index),
            Err(Error::SectionIndex { index, count })
        );
        let (count, index) = (symbols.len(), SymbolIndex(u32::MAX));
        assert_eq!(symbols.get(index), Err(Error::SymbolIndex { index, count }));
        let relocations = RelocationTable::new(&bytes, Endian::Little);
        match size % RELA_SIZE {
            0 => assert_eq!(relocations.unwrap().len() as usize, size / RELA_SIZE),
            _ => assert!(matches!(relocations, Err(Error::RelocationTarget(_)))),
        }
    }
}

#[test]
fn fields_are_read_in_either_byte_order() {
    let section = Section {
        sh_name: 0x0102_0304,
        sh_type: SHT_RELA,
        sh_flags: SHF_ALLOC | SHF_INFO_LINK | SHF_RELA_LIVEPATCH,
        sh_addr: 0x1112_1314_1516_1718,
        sh_offset: 0x2122_2324_2526_2728,
        sh_size: 0x3132_3334_3536_3738,
        sh_link: 0x4142_4344,
        sh_info: 0x5152_5354,
        sh_addralign: 8,
        sh_entsize: 24,
    };
    let symbol = Symbol {
        st_name: 0x6162_6364,
        st_info: 0x12,
        st_other: 0xfe,
        st_shndx: SHN_LIVEPATCH,
        st_value: 0x7172_7374_7576_7778,
        st_size: 0x8182_8384_8586_8788,
    };
    let rela = Relocation {
        r_offset: 0x9192_9394_9596_9798,
        symbol: SymbolIndex(0xa1a2_a3a4),
        r_type: 0xb1b2_b3b4,
        r_addend: -4,
    };
    for endian in [Endian::Little, Endian::Big] {
        let bytes = section_bytes(&section, endian);
        assert_eq!(
            SectionTable::new(&bytes, endian).get(SectionIndex(0)),
            Ok(section)
        );
        assert!(section.is_livepatch_relocation());
        let bytes = symbol_bytes(&symbol, endian);
        assert_eq!(
            SymbolTable::new(&bytes, endian).get(SymbolIndex(0)),
            Ok(symbol)
        );
        assert!(symbol.is_livepatch());
        let bytes = relocation_bytes(&rela, endian);
        assert_eq!(
            RelocationTable::new(&bytes, endian).unwrap().get(0),
            Ok(rela)
        );
    }
}

#[test]
fn strings_end_at_their_nul() {
    let table = StringTable::new(b"\0one\0two\0");
    assert_eq!(table.get(0), Ok(&b""[..]));
    assert_eq!(table.get(1), Ok(&b"one"[..]));
    assert_eq!(table.get(3), Ok(&b"e"[..]));
    assert_eq!(table.get(5), Ok(&b"two"[..]));
    assert_eq!(table.get(8), Ok(&b""[..]));
}

#[test]
fn rejects_strings_outside_of_the_table_or_without_nul() {
    for (bytes, offset) in [(&b""[..], 0), (b"\0", 1), (b"\0one", 1), (b"\0one\0", 5)] {
        let error = Error::StringOffset {
            offset,
            size: bytes.len() as u64,
        };
        assert_eq!(StringTable::new(bytes).get(offset), Err(error));
    }
    assert!(StringTable::new(b"\0").get(u32::MAX).is_err());
}
