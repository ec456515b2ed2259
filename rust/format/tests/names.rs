// SPDX-License-Identifier: GPL-2.0

//! Names of livepatch symbols and sections, in both dialects.

use livepatch_format::elf::{Symbol, SHN_LIVEPATCH};
use livepatch_format::error::{Error, NameFault};
use livepatch_format::name::{
    Dialect, ObjectName, OwnedObjectName, SectionName, SymPos, SymbolName, Text, OBJECT_NAME_MAX,
    SYMBOL_NAME_MAX,
};

fn symbol(st_other: u8) -> Symbol {
    Symbol {
        st_name: 1,
        st_info: 0x10,
        st_other,
        st_shndx: SHN_LIVEPATCH,
        st_value: 0,
        st_size: 0,
    }
}

fn parsed(name: &str, st_other: u8) -> (Dialect, String, String, u64) {
    let symbol = symbol(st_other);
    let name = SymbolName::parse(name.as_bytes(), &symbol).expect(name);
    let text = String::from_utf8(name.symbol.to_vec()).unwrap();
    (name.dialect, name.object.to_string(), text, name.position.0)
}

fn symbol_fault(name: &[u8]) -> NameFault {
    match SymbolName::parse(name, &symbol(0)) {
        Err(Error::SymbolName(fault)) => fault,
        other => panic!("{}: {other:?}", Text(name)),
    }
}

fn section_fault(name: &[u8]) -> NameFault {
    match SectionName::parse(name) {
        Err(Error::SectionName(fault)) => fault,
        other => panic!("{}: {other:?}", Text(name)),
    }
}

#[test]
fn mainline_symbol_has_its_position_after_a_comma() {
    let name = parsed(".klp.sym.vmlinux.init_once,6", 0);
    assert_eq!(
        name,
        (Dialect::Mainline, "vmlinux".into(), "init_once".into(), 6)
    );
}

#[test]
fn mainline_symbol_ignores_the_bits_above_visibility() {
    assert_eq!(parsed(".klp.sym.ext4.foo,1", 3 << 2).3, 1);
}

#[test]
fn draft_symbol_has_its_position_above_visibility() {
    for visibility in 0..4 {
        for position in 0..64 {
            let name = parsed(".klp.sym.ext4.foo", position << 2 | visibility);
            assert_eq!(
                name,
                (Dialect::Draft, "ext4".into(), "foo".into(), position.into())
            );
        }
    }
}

#[test]
fn symbol_may_have_dots() {
    assert_eq!(parsed(".klp.sym.vmlinux.foo.isra.0,2", 0).2, "foo.isra.0");
    assert_eq!(parsed(".klp.sym.vmlinux.foo.isra.0", 8).2, "foo.isra.0");
    assert_eq!(parsed(".klp.sym.vmlinux..Ltmp,0", 0).2, ".Ltmp");
}

#[test]
fn largest_position_is_that_of_64_bits() {
    assert_eq!(parsed(".klp.sym.m.f,18446744073709551615", 0).3, u64::MAX);
    assert_eq!(
        symbol_fault(b".klp.sym.m.f,18446744073709551616"),
        NameFault::Position
    );
}

#[test]
fn names_of_greatest_length_are_accepted_and_longer_ones_are_not() {
    let object = "o".repeat(OBJECT_NAME_MAX);
    let name = "s".repeat(SYMBOL_NAME_MAX);
    let good = format!(".klp.sym.{object}.{name},1");
    assert_eq!(
        parsed(&good, 0),
        (Dialect::Mainline, object.clone(), name.clone(), 1)
    );
    let fault = |name: String| symbol_fault(name.as_bytes());
    assert_eq!(
        fault(format!(".klp.sym.{object}o.{name},1")),
        NameFault::ObjectTooLong
    );
    assert_eq!(
        fault(format!(".klp.sym.{object}.{name}s,1")),
        NameFault::SymbolTooLong
    );
    assert_eq!(
        fault(format!(".klp.sym.{object}.{name}s")),
        NameFault::SymbolTooLong
    );
}

#[test]
fn rejects_malformed_symbol_names() {
    for (name, fault) in [
        (&b""[..], NameFault::Prefix),
        (b"init_once", NameFault::Prefix),
        (b".klp.sym", NameFault::Prefix),
        (b".klp.rela.vmlinux.text", NameFault::Prefix),
        (b".KLP.sym.vmlinux.f,0", NameFault::Prefix),
        (b".klp.sym.", NameFault::MissingPart),
        (b".klp.sym.vmlinux", NameFault::MissingPart),
        (b".klp.sym.vmlinux,0", NameFault::MissingPart),
        (b".klp.sym..f,0", NameFault::EmptyObject),
        (b".klp.sym.a/b.f,0", NameFault::ObjectCharacter),
        (b".klp.sym.a b.f,0", NameFault::ObjectCharacter),
        (b".klp.sym.a,b.f,0", NameFault::ObjectCharacter),
        (b".klp.sym.\xc3\xa4.f,0", NameFault::ObjectCharacter),
        (b".klp.sym.a\x7f.f,0", NameFault::ObjectCharacter),
        (b".klp.sym.vmlinux.,0", NameFault::EmptySymbol),
        (b".klp.sym.vmlinux.", NameFault::EmptySymbol),
        (b".klp.sym.vmlinux.f,", NameFault::Position),
        (b".klp.sym.vmlinux.f,-1", NameFault::Position),
        (b".klp.sym.vmlinux.f,+1", NameFault::Position),
        (b".klp.sym.vmlinux.f,0x1", NameFault::Position),
        (b".klp.sym.vmlinux.f,1 ", NameFault::Position),
        (b".klp.sym.vmlinux.f,1,2", NameFault::Position),
    ] {
        assert_eq!(symbol_fault(name), fault, "{}", Text(name));
    }
}

#[test]
fn section_name_tells_dialect_object_and_target() {
    for (name, dialect, object, target) in [
        (
            ".klp.rela.vmlinux.text",
            Dialect::Mainline,
            "vmlinux",
            "text",
        ),
        (
            ".klp.rela.ext4.text.foo",
            Dialect::Mainline,
            "ext4",
            "text.foo",
        ),
        (
            ".klp.rela.vmlinux..text",
            Dialect::Mainline,
            "vmlinux",
            ".text",
        ),
        (
            ".klp.rela.vmlinux.__jump_table",
            Dialect::Mainline,
            "vmlinux",
            "__jump_table",
        ),
        (".klp.rel.vmlinux.text", Dialect::Draft, "vmlinux", "text"),
        (".klp.rel.rela.text", Dialect::Draft, "rela", "text"),
    ] {
        let parsed = SectionName::parse(name.as_bytes()).expect(name);
        assert_eq!(parsed.dialect, dialect, "{name}");
        assert_eq!(parsed.object.as_str(), object, "{name}");
        assert_eq!(parsed.target, target.as_bytes(), "{name}");
    }
}

#[test]
fn rejects_malformed_section_names() {
    let long = [b".klp.rela.", &[b'o'; OBJECT_NAME_MAX + 1][..], b".text"].concat();
    for (name, fault) in [
        (&b""[..], NameFault::Prefix),
        (b".rela.text", NameFault::Prefix),
        (b".klp.rela", NameFault::Prefix),
        (b".klp.relax.vmlinux.text", NameFault::Prefix),
        (b".klp.sym.vmlinux.f,0", NameFault::Prefix),
        (b".klp.rela.", NameFault::MissingPart),
        (b".klp.rel.", NameFault::MissingPart),
        (b".klp.rela.vmlinux", NameFault::MissingPart),
        (b".klp.rela.vmlinux.", NameFault::MissingPart),
        (b".klp.rela..text", NameFault::EmptyObject),
        (b".klp.rela.a,b.text", NameFault::ObjectCharacter),
        (&long, NameFault::ObjectTooLong),
    ] {
        assert_eq!(section_fault(name), fault, "{}", Text(name));
    }
}

#[test]
fn only_vmlinux_is_the_kernel() {
    assert!(ObjectName::new(b"vmlinux").unwrap().is_vmlinux());
    assert!(ObjectName::VMLINUX.is_vmlinux());
    for name in [&b"vmlinu"[..], b"vmlinuxx", b"VMLINUX", b"kernel"] {
        assert!(!ObjectName::new(name).unwrap().is_vmlinux());
    }
}

#[test]
fn an_owned_name_is_the_name_that_it_was_made_of() {
    for length in 1..=OBJECT_NAME_MAX {
        let text = vec![b'x'; length];
        let name = ObjectName::new(&text).unwrap();
        let owned = OwnedObjectName::from(name);
        drop(text);
        assert_eq!(owned.get().as_bytes(), vec![b'x'; length]);
    }
    assert!(OwnedObjectName::from(ObjectName::VMLINUX)
        .get()
        .is_vmlinux());
}

#[test]
fn positions_are_ordered_as_numbers() {
    assert!(SymPos(9) < SymPos(10));
}

#[test]
fn hostile_names_are_shown_short_and_printable() {
    let shown = Text(b"a\x1b[31m\n\xff\0").to_string();
    assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()), "{shown}");
    assert_eq!(Text(&[b'x'; 100_000]).to_string().len(), SYMBOL_NAME_MAX);
}

#[test]
fn every_fault_has_a_text_of_its_own() {
    let faults = [
        NameFault::Prefix,
        NameFault::EmptyObject,
        NameFault::ObjectTooLong,
        NameFault::ObjectCharacter,
        NameFault::MissingPart,
        NameFault::EmptySymbol,
        NameFault::SymbolTooLong,
        NameFault::Position,
    ];
    let texts: std::collections::BTreeSet<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), faults.len());
}
