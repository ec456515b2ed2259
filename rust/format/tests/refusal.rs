// SPDX-License-Identifier: GPL-2.0

//! Positions, descriptions of patches, and the words of refusals.

use livepatch_format::check::{self, Fault, Kind};
use livepatch_format::elf::{
    Section, SectionIndex, StringTable, Symbol, SymbolTable, SHF_RELA_LIVEPATCH, SHT_RELA,
};
use livepatch_format::name::{ObjectName, SectionName, SymPos};
use livepatch_format::patch;
use livepatch_format::refusal::{Errno, Refusal, Unresolved};
use livepatch_format::search::Search;
use livepatch_format::Error;

fn find(count: u64, position: u64) -> Result<u64, Unresolved<'static>> {
    let mut search = Search::new(SymPos(position));
    for number in 1..=count {
        if search.saw(number).is_break() {
            break;
        }
    }
    search.result(ObjectName::VMLINUX, b"name")
}

#[test]
fn positions_count_from_1_and_0_is_for_a_name_that_stands_once() {
    let (symbol, object) = (&b"name"[..], ObjectName::VMLINUX);
    for position in 0..4 {
        assert_eq!(find(0, position), Err(Unresolved::NotFound { symbol }));
    }
    assert_eq!(find(1, 0), Ok(1));
    assert_eq!(find(2, 0), Err(Unresolved::Ambiguous { symbol, object }));
    for count in 1..5 {
        for position in 1..8 {
            let expected = if position <= count {
                Ok(position)
            } else {
                let position = SymPos(position);
                Err(Unresolved::Position {
                    symbol,
                    object,
                    position,
                })
            };
            assert_eq!(find(count, position), expected);
        }
    }
}

#[test]
fn a_search_ignores_what_comes_after_its_end() {
    let mut search = Search::new(SymPos(1));
    assert!(search.saw(1).is_break());
    assert!(search.saw(2).is_break());
    assert_eq!(search.result(ObjectName::VMLINUX, b"name"), Ok(1));
}

fn lines(refusal: &Refusal<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    refusal.log(|line| lines.push(line.to_string()));
    lines
}

#[test]
fn a_defect_is_told_with_module_and_section() {
    let refusal = |fault| Refusal::Section {
        module: b"patch",
        section: b".klp.rela.vmlinux.text",
        fault,
    };
    let place = "module 'patch': section .klp.rela.vmlinux.text:";
    let type_200 = Error::RelocationType { nr: 3, r_type: 200 };
    assert_eq!(
        lines(&refusal(Fault::Format(type_200))),
        [format!("{place} relocation 3: unknown type 200")]
    );
    let not_found = Unresolved::NotFound { symbol: b"x" };
    assert_eq!(
        lines(&refusal(Fault::Unresolved(not_found))),
        [
            "symbol 'x' not found in symbol table".to_owned(),
            format!("{place} relocations not applied (-22)"),
        ]
    );
    let (nr, symbol) = (3, &b".klp.sym.a.b"[..]);
    assert_eq!(
        lines(&refusal(Fault::Dialect { nr, symbol })),
        [
            "symbol .klp.sym.a.b has an incorrectly formatted name".to_owned(),
            "relocation 3: symbol and section are of different dialects".to_owned(),
            format!("{place} relocations not applied (-22)"),
        ]
    );
    assert_eq!(refusal(Fault::Format(type_200)).errno(), Errno::Invalid);
}

#[test]
fn names_in_a_message_are_printable() {
    let refusal = Refusal::Unmarked {
        module: b"a\nb\x1b",
    };
    assert_eq!(
        lines(&refusal),
        ["module a\\nb\\x1b is not marked as a livepatch module"]
    );
}

#[test]
fn errnos_are_those_of_the_kernel() {
    assert_eq!(
        (Errno::Invalid.name(), Errno::Invalid.number()),
        ("EINVAL", 22)
    );
    assert_eq!(
        (Errno::NoExec.name(), Errno::NoExec.number()),
        ("ENOEXEC", 8)
    );
    let unflagged = Refusal::Unflagged {
        module: b"m",
        section: b"s",
    };
    assert_eq!(unflagged.errno(), Errno::NoExec);
    assert_eq!(Refusal::NoModule.errno(), Errno::Invalid);
}

fn section(sh_flags: u64) -> Section {
    Section {
        sh_name: 0,
        sh_type: SHT_RELA,
        sh_flags,
        sh_addr: 0,
        sh_offset: 0,
        sh_size: 0,
        sh_link: 0,
        sh_info: 0,
        sh_addralign: 8,
        sh_entsize: 24,
    }
}

#[test]
fn flag_and_name_of_a_section_must_agree() {
    let (flagged, plain) = (section(SHF_RELA_LIVEPATCH), section(0));
    assert_eq!(check::kind(&plain, b".rela.text"), Kind::Other);
    for name in [&b".klp.rela.vmlinux.text"[..], b".klp.rel.vmlinux.text"] {
        assert_eq!(check::kind(&plain, name), Kind::Unflagged);
        assert!(matches!(check::kind(&flagged, name), Kind::Relocations(_)));
    }
    assert!(matches!(
        check::kind(&flagged, b".rela.text"),
        Kind::Misnamed(_)
    ));
    assert!(check::needs_mark(&flagged) && !check::needs_mark(&plain));
}

#[test]
fn a_symbol_must_suit_its_section() {
    let strings =
        StringTable::new(b"\0.klp.sym.vmlinux.x,0\0.klp.sym.target.x\0.klp.sym.vmlinux.x,y\0");
    let symbol = |st_name| Symbol {
        st_name,
        st_info: 0,
        st_other: 0,
        st_shndx: 0xff20,
        st_value: 0,
        st_size: 0,
    };
    let kernel = SectionName::parse(b".klp.rela.vmlinux.text").unwrap();
    let target = SectionName::parse(b".klp.rela.target.text").unwrap();
    let check = |section: &SectionName<'_>, name| {
        check::symbol(section.dialect, section.object, 7, &symbol(name), &strings)
    };
    assert_eq!(check(&kernel, 1).unwrap().symbol, b"x");
    assert_eq!(
        check(&target, 1),
        Err(Fault::VmlinuxSymbol { symbol: b"x" })
    );
    let draft = &b".klp.sym.target.x"[..];
    assert_eq!(
        check(&target, 22),
        Err(Fault::Dialect {
            nr: 7,
            symbol: draft
        })
    );
    assert!(matches!(check(&kernel, 40), Err(Fault::SymbolName { .. })));
    assert!(matches!(check(&kernel, 4000), Err(Fault::Format(_))));
}

#[test]
fn a_symbol_that_is_not_livepatchs_is_named() {
    let symbols = [0; 48];
    let symbols = SymbolTable::new(&symbols, livepatch_format::elf::Endian::Little);
    let strings = StringTable::new(b"\0");
    let error = Error::NotALivepatchSymbol {
        nr: 2,
        symbol: livepatch_format::elf::SymbolIndex(1),
        shndx: 3,
    };
    let fault = Fault::new(error, SectionIndex(9), &symbols, &strings);
    let refusal = Refusal::Section {
        module: b"m",
        section: b"s",
        fault,
    };
    assert_eq!(
        lines(&refusal)[0],
        "symbol  at rela sec 9 idx 2 is not marked as a livepatch symbol"
    );
}

#[test]
fn descriptions_lack_nothing() {
    assert_eq!(patch::object(None), Ok(&b"vmlinux"[..]));
    assert_eq!(patch::object(Some(&[b'x'; 55])), Ok(&[b'x'; 55][..]));
    assert!(patch::object(Some(&[b'x'; 56])).is_err());
    let file = |name| patch::object(Some(name)).unwrap_err().to_string();
    for (name, module) in [
        ("snd-hda-intel", "snd_hda_intel"),
        ("ext4.ko", "ext4"),
        ("a-b.ko", "a_b"),
        ("-", "_"),
    ] {
        assert_eq!(
            file(name.as_bytes()),
            format!("no module that is loaded is called '{name}': write '{module}'")
        );
    }
    for name in [".ko", "a-b.ko.xz", "a-/b"] {
        assert_eq!(
            file(name.as_bytes()),
            format!("'{name}' cannot be an object's name")
        );
    }
    let function = |name: Option<&'static [u8]>, new: Option<u8>| patch::function(b"o", name, new);
    assert!(function(Some(b"f"), Some(1)).is_ok());
    let long: &'static [u8] = &[b'x'; 512];
    for (name, new, message) in [
        (None, Some(1), "a function of object 'o' has no name"),
        (Some(&b""[..]), Some(1), "'' cannot be a function's name"),
        (
            Some(&b"f"[..]),
            None,
            "there is nothing to replace function 'f' of object 'o' with",
        ),
    ] {
        assert_eq!(function(name, new).unwrap_err().to_string(), message);
    }
    assert!(function(Some(&long[1..]), Some(1)).is_ok());
    assert!(function(Some(long), Some(1)).is_err());
    assert!(patch::is_same_position(SymPos(0), SymPos(1)));
    for (count, replace, is_good) in [
        (None, false, false),
        (None, true, false),
        (Some(0), false, false),
        (Some(0), true, true),
        (Some(1), false, true),
    ] {
        assert_eq!(patch::objects(count, replace).is_ok(), is_good);
    }
    assert!(!patch::is_same_position(SymPos(1), SymPos(2)));
}
