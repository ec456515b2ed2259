// SPDX-License-Identifier: GPL-2.0

//! What must hold before relocations are given to code that trusts them.

mod common;

use common::{relocation_bytes, symbol_bytes};
use livepatch_format::check;
use livepatch_format::elf::*;
use livepatch_format::error::Error;
use livepatch_format::reloc::{s390, width, x86_64};

const SYMTAB: SectionIndex = SectionIndex(7);
const TARGET_SIZE: u64 = 16;

fn relocations() -> Section {
    Section {
        sh_name: 0,
        sh_type: SHT_RELA,
        sh_flags: SHF_ALLOC | SHF_INFO_LINK | SHF_RELA_LIVEPATCH,
        sh_addr: 0,
        sh_offset: 0,
        sh_size: 24,
        sh_link: SYMTAB.0,
        sh_info: 1,
        sh_addralign: 8,
        sh_entsize: 24,
    }
}

fn text() -> Section {
    Section {
        sh_type: 1,
        sh_flags: SHF_ALLOC,
        sh_link: 0,
        sh_info: 0,
        ..relocations()
    }
}

/// Null, a livepatch symbol, an undefined one.
fn symbols(endian: Endian) -> Vec<u8> {
    [SHN_UNDEF, SHN_LIVEPATCH, SHN_UNDEF]
        .into_iter()
        .flat_map(|st_shndx| {
            let symbol = Symbol {
                st_name: 0,
                st_info: 0x10,
                st_other: 0,
                st_shndx,
                st_value: 0,
                st_size: 0,
            };
            symbol_bytes(&symbol, endian)
        })
        .collect()
}

fn rela(r_offset: u64, symbol: u32, r_type: u32) -> Relocation {
    Relocation {
        r_offset,
        symbol: SymbolIndex(symbol),
        r_type,
        r_addend: -4,
    }
}

fn check(machine: Machine, rela: Relocation) -> Result<Symbol, Error> {
    let bytes = symbols(Endian::Little);
    check::relocation(
        machine,
        3,
        &rela,
        &SymbolTable::new(&bytes, Endian::Little),
        TARGET_SIZE,
    )
}

#[test]
fn accepts_a_livepatch_section_for_a_section_in_memory() {
    assert_eq!(check::section(&relocations(), &text(), SYMTAB), Ok(()));
}

#[test]
fn rejects_sections_that_cannot_be_relocated() {
    let good = (relocations(), text(), SYMTAB);
    for (what, (section, target, symtab)) in [
        (
            "not RELA",
            (
                Section {
                    sh_type: 9,
                    ..good.0
                },
                good.1,
                good.2,
            ),
        ),
        (
            "not in memory",
            (
                good.0,
                Section {
                    sh_flags: 0,
                    ..good.1
                },
                good.2,
            ),
        ),
        (
            "no contents",
            (
                good.0,
                Section {
                    sh_type: SHT_NOBITS,
                    ..good.1
                },
                good.2,
            ),
        ),
        (
            "not kept in memory",
            (
                Section {
                    sh_flags: good.0.sh_flags & !2,
                    ..good.0
                },
                good.1,
                good.2,
            ),
        ),
        (
            "a symbol table as the target",
            (
                good.0,
                Section {
                    sh_type: 2,
                    ..good.1
                },
                good.2,
            ),
        ),
        ("another symbol table", (good.0, good.1, SectionIndex(6))),
    ] {
        let result = check::section(&section, &target, symtab);
        assert!(
            matches!(result, Err(Error::RelocationTarget(_))),
            "{what}: {result:?}"
        );
    }
}

#[test]
fn accepts_a_relocation_that_ends_where_its_section_ends() {
    assert!(check(Machine::X86_64, rela(12, 1, x86_64::PC32)).is_ok());
    assert!(check(Machine::X86_64, rela(8, 1, x86_64::ABS64)).is_ok());
    assert!(check(Machine::X86_64, rela(16, 1, x86_64::NONE)).is_ok());
    assert!(check(Machine::S390, rela(14, 1, s390::PC16DBL)).is_ok());
}

#[test]
fn rejects_rela_past_end_of_section() {
    for (offset, r_type) in [
        (13, x86_64::PC32),
        (9, x86_64::ABS64),
        (17, x86_64::NONE),
        (u64::MAX, x86_64::PC32),
        (u64::MAX - 3, x86_64::PC32),
    ] {
        let result = check(Machine::X86_64, rela(offset, 1, r_type));
        let is_offset =
            matches!(result, Err(Error::RelocationOffset { nr: 3, offset: o, .. }) if o == offset);
        assert!(is_offset, "{offset:#x}: {result:?}");
    }
}

#[test]
fn rejects_a_symbol_that_is_not_there() {
    let error = Error::RelocationSymbol {
        nr: 3,
        symbol: SymbolIndex(3),
        count: 3,
    };
    assert_eq!(check(Machine::X86_64, rela(0, 3, x86_64::PC32)), Err(error));
    assert!(check(Machine::X86_64, rela(0, u32::MAX, x86_64::PC32)).is_err());
}

#[test]
fn rejects_a_symbol_that_is_no_livepatch_symbol() {
    let error = Error::NotALivepatchSymbol {
        nr: 3,
        symbol: SymbolIndex(2),
        shndx: SHN_UNDEF,
    };
    assert_eq!(check(Machine::X86_64, rela(0, 2, x86_64::PC32)), Err(error));
}

#[test]
fn rejects_types_that_the_loader_does_not_apply() {
    // R_X86_64_GOTPCREL and its relatives, R_390_COPY, R_390_TLS_LE64, and nonsense.
    for (machine, r_type) in [
        (Machine::X86_64, 9),
        (Machine::X86_64, 41),
        (Machine::X86_64, 42),
        (Machine::S390, 9),
        (Machine::S390, 51),
        (Machine::X86_64, u32::MAX),
        (Machine::S390, u32::MAX),
    ] {
        let result = check(machine, rela(0, 1, r_type));
        assert_eq!(result, Err(Error::RelocationType { nr: 3, r_type }));
    }
}

#[test]
fn no_relocation_is_wider_than_eight_bytes() {
    for machine in [Machine::X86_64, Machine::S390] {
        for r_type in 0..1000 {
            let width = width(machine, r_type);
            assert!(
                matches!(width, None | Some(0 | 1 | 2 | 4 | 8)),
                "{r_type}: {width:?}"
            );
            assert_eq!(width == Some(0), r_type == 0);
        }
    }
}

#[test]
fn visits_relocations_in_order_until_one_does_not_hold() {
    for endian in [Endian::Little, Endian::Big] {
        let table: Vec<u8> = [
            rela(0, 1, x86_64::PC32),
            rela(4, 1, x86_64::PC32),
            rela(8, 2, x86_64::PC32),
        ]
        .iter()
        .flat_map(|rela| relocation_bytes(rela, endian))
        .collect();
        let symbols = symbols(endian);
        let mut seen = Vec::new();
        let result = check::relocations(
            Machine::X86_64,
            &RelocationTable::new(&table, endian).unwrap(),
            &SymbolTable::new(&symbols, endian),
            TARGET_SIZE,
            |nr, rela, symbol| {
                assert!(symbol.is_livepatch());
                seen.push((nr, rela.r_offset));
                Ok::<_, Error>(())
            },
        );
        assert!(matches!(
            result,
            Err(Error::NotALivepatchSymbol { nr: 2, .. })
        ));
        assert_eq!(seen, [(0, 0), (1, 4)]);
    }
}

#[test]
fn hands_on_the_error_of_the_visitor() {
    let table = relocation_bytes(&rela(0, 1, x86_64::PC32), Endian::Little);
    let symbols = symbols(Endian::Little);
    let result = check::relocations(
        Machine::X86_64,
        &RelocationTable::new(&table, Endian::Little).unwrap(),
        &SymbolTable::new(&symbols, Endian::Little),
        TARGET_SIZE,
        |_, _, _| Err(Error::UnknownMachine(1)),
    );
    assert_eq!(result, Err(Error::UnknownMachine(1)));
}

/// The places of relocations, in their order.
fn places(relas: &[(u32, Relocation)]) -> Vec<check::Place> {
    let mut places: Vec<_> = (0..)
        .zip(relas)
        .filter_map(|(nr, (target, rela))| {
            let target = SectionIndex(*target);
            check::Place::new(Machine::X86_64, SectionIndex(9), target, nr, rela)
        })
        .collect();
    places.sort();
    places
}

#[test]
fn rejects_relocations_that_overlap_in_whole_or_in_part() {
    for second in [13, 16, 19] {
        let both = places(&[
            (1, rela(second, 1, x86_64::PC32)),
            (1, rela(16, 1, x86_64::PC32)),
        ]);
        let (nr, other) = if second < 16 { (1, 0) } else { (0, 1) };
        let (section, error) = check::overlap(&both).unwrap_err();
        assert_eq!(section, SectionIndex(9));
        if second != 16 {
            assert_eq!(error, Error::RelocationOverlap { nr, other });
        }
    }
    let wide = places(&[
        (1, rela(8, 1, x86_64::ABS64)),
        (1, rela(15, 1, x86_64::PC32)),
    ]);
    assert!(check::overlap(&wide).is_err());
}

#[test]
fn accepts_relocations_side_by_side_and_of_different_sections() {
    let good = places(&[
        (1, rela(8, 1, x86_64::PC32)),
        (1, rela(4, 1, x86_64::PC32)),
        (2, rela(4, 1, x86_64::PC32)),
        // It writes nothing.
        (1, rela(9, 1, x86_64::NONE)),
    ]);
    assert_eq!(good.len(), 3);
    assert_eq!(check::overlap(&good), Ok(()));
    assert_eq!(check::overlap(&[]), Ok(()));
}
