// SPDX-License-Identifier: GPL-2.0

//! Whatever the bytes are: no panic, and nothing read that is not there.

mod common;

use common::patch;
use livepatch_fixtures::{Arch, Module, ARCHES};
use livepatch_format::elf::*;
use livepatch_format::name::{SectionName, SymbolName, Text};
use livepatch_format::{check, modinfo, reloc, unchecked};
use proptest::prelude::*;
use std::sync::OnceLock;

/// What can be read of a file: each item either the bytes that were found, or nothing.
#[derive(Debug, Default, PartialEq)]
struct Seen(Vec<(String, Option<Vec<u8>>)>);

impl Seen {
    fn note<E>(&mut self, what: String, bytes: Result<&[u8], E>) {
        self.0.push((what, bytes.ok().map(<[u8]>::to_vec)));
    }
}

/// Goes through everything that a file can be asked for.
fn read_all(file: &[u8]) -> Option<Seen> {
    let _ = modinfo::locate(file).map(|range| {
        if let Some(range) = range {
            let modinfo = file.get(range).expect("the range lies in the file");
            modinfo::entries(modinfo).for_each(drop);
            modinfo::admit(&mut modinfo.to_vec());
        }
    });
    let image = Image::parse(file).ok()?;
    let _ = check::symbol_uses(&image);
    let _ = unchecked::check(&image, None);
    let mut seen = Seen::default();
    for (index, section) in image.sections.iter() {
        seen.note(format!("name {}", index.0), image.name(&section));
        seen.note(format!("data {}", index.0), image.data(&section));
    }
    let symtab = image
        .sections
        .iter()
        .find(|(_, section)| section.sh_type == SHT_SYMTAB);
    let (Ok((symbols, strings)), Some((symtab, _))) = (image.symbols(), symtab) else {
        return Some(seen);
    };
    for (index, symbol) in symbols.iter() {
        let name = strings.get(symbol.st_name);
        seen.note(format!("symbol {}", index.0), name);
        if let Ok(name) = name {
            let _ = SymbolName::parse(name, &symbol).map(|name| name.object.to_string());
            let _ = Text(name).to_string();
        }
    }
    for (_, section) in image.sections.iter() {
        if let Ok(name) = image.name(&section) {
            let _ = SectionName::parse(name);
        }
        let target = image.sections.get(SectionIndex(section.sh_info));
        let table = image
            .data(&section)
            .and_then(|data| RelocationTable::new(data, image.header.endian));
        let (Ok(target), Ok(table)) = (target, table) else {
            continue;
        };
        let _ = check::section(&section, &target, symtab);
        for machine in [Machine::X86_64, Machine::S390] {
            for (nr, rela) in table.iter() {
                if check::relocation(machine, nr, &rela, &symbols, target.sh_size).is_ok() {
                    let width = reloc::width(machine, rela.r_type).unwrap_or(0);
                    assert!(rela.r_offset + u64::from(width) <= target.sh_size);
                    assert!(rela.symbol.0 < symbols.len());
                }
            }
        }
    }
    Some(seen)
}

/// A module with livepatch names in it, with its section headers after or before its sections.
fn module(arch: Arch, headers_first: bool) -> Vec<u8> {
    let text = "extern void one(void) __asm__(\".klp.sym.vmlinux.one_1\");\n\
                extern void two(void) __asm__(\".klp.sym.ext4.two\");\n\
                void *ones __section(\".klp.rela.vmlinux.text\") = one;\n\
                void three(void) { one(); two(); }\n\
                MODULE_INFO(livepatch, \"Y\");";
    let mut file = Module::new(arch, "patch").source("patch.c", text).build();
    // The assembler wants no comma in a name.
    let name = b".klp.sym.vmlinux.one_1\0";
    let at = file
        .windows(name.len())
        .position(|bytes| bytes == name)
        .unwrap();
    file[at + name.len() - 3] = b',';
    if headers_first {
        with_headers_first(&file)
    } else {
        file
    }
}

fn with_headers_first(file: &[u8]) -> Vec<u8> {
    let image = Image::parse(file).unwrap();
    let endian = image.header.endian;
    let start = image.header.e_shoff as usize;
    let size = image.sections.len() as usize * SHDR_SIZE;
    let mut headers = file[start..start + size].to_vec();
    for (index, section) in image.sections.iter() {
        let offset = index.0 as usize * SHDR_SIZE + 24;
        patch(
            &mut headers,
            endian,
            offset,
            section.sh_offset + size as u64,
            8,
        );
    }
    let mut moved = file[..EHDR_SIZE].to_vec();
    patch(&mut moved, endian, 40, EHDR_SIZE as u64, 8);
    moved.extend_from_slice(&headers);
    let end = |section: Section| match section.sh_type {
        SHT_NOBITS => 0,
        _ => (section.sh_offset + section.sh_size) as usize,
    };
    let end = image
        .sections
        .iter()
        .map(|(_, section)| end(section))
        .max()
        .unwrap();
    moved.extend_from_slice(&file[EHDR_SIZE..end]);
    moved
}

fn modules() -> &'static [Vec<u8>] {
    static MODULES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    MODULES.get_or_init(|| {
        ARCHES
            .iter()
            .flat_map(|&arch| [module(arch, false), module(arch, true)])
            .collect()
    })
}

#[test]
fn both_layouts_of_a_module_read_the_same() {
    for pair in modules().chunks(2) {
        let seen = read_all(&pair[0]).unwrap();
        assert!(seen.0.iter().all(|(_, bytes)| bytes.is_some()));
        assert!(seen
            .0
            .iter()
            .any(|(_, bytes)| bytes.as_deref() == Some(b".klp.sym.ext4.two")));
        assert_eq!(Some(seen), read_all(&pair[1]));
    }
}

#[test]
fn a_truncated_module_is_never_read_as_something_else() {
    for whole in modules() {
        let expected = read_all(whole).unwrap().0;
        for length in 0..whole.len() {
            let Some(seen) = read_all(&whole[..length]) else {
                continue;
            };
            // The table of sections is there: what is found is what the whole file has.
            for (what, bytes) in seen.0.into_iter().filter(|(_, bytes)| bytes.is_some()) {
                assert!(
                    expected.contains(&(what.clone(), bytes)),
                    "{what} in {length} bytes"
                );
            }
        }
    }
}

#[test]
fn a_module_without_its_last_byte_is_incomplete() {
    for whole in modules() {
        let shorter = &whole[..whole.len() - 1];
        let seen = read_all(shorter);
        assert!(seen.is_none_or(|seen| seen.0.iter().any(|(_, bytes)| bytes.is_none())));
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        read_all(&bytes);
    }

    #[test]
    fn arbitrary_bytes_after_a_good_header_are_read_without_panic(
        which in 0usize..4,
        rest in prop::collection::vec(any::<u8>(), 0..4000),
        e_shoff in 0u64..4200,
        e_shnum in any::<u8>(),
        e_shstrndx in any::<u8>(),
    ) {
        let mut file = modules()[which][..EHDR_SIZE].to_vec();
        let endian = Header::parse(&file).unwrap().endian;
        file.extend(rest);
        patch(&mut file, endian, 40, e_shoff, 8);
        patch(&mut file, endian, 60, e_shnum.into(), 2);
        patch(&mut file, endian, 62, e_shstrndx.into(), 2);
        read_all(&file);
    }

    #[test]
    fn mutated_modules_are_read_without_panic(
        which in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut file = modules()[which].clone();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if cut {
            file.truncate(length.index(file.len()));
        }
        read_all(&file);
    }

    #[test]
    fn mutated_section_headers_are_read_without_panic(
        which in 0usize..4,
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0usize..16, prop_oneof![
                Just(0u32), Just(1), Just(u32::MAX), Just(0x8000_0000), any::<u32>(), 0u32..5000,
            ]),
            1..10,
        ),
    ) {
        let mut file = modules()[which].clone();
        let (header, count) = {
            let image = Image::parse(&file).unwrap();
            (image.header, image.sections.len() as usize)
        };
        for (section, word, value) in changes {
            let at = header.e_shoff as usize + section.index(count) * SHDR_SIZE + word * 4;
            patch(&mut file, header.endian, at, value.into(), 4);
        }
        read_all(&file);
    }

    #[test]
    fn arbitrary_names_are_parsed_without_panic(
        name in prop::collection::vec(any::<u8>(), 0..600),
        st_other in any::<u8>(),
    ) {
        let symbol =
            Symbol { st_name: 0, st_info: 0, st_other, st_shndx: SHN_LIVEPATCH, st_value: 0, st_size: 0 };
        for prefix in [&b""[..], b".klp.sym.", b".klp.sym.vmlinux.", b".klp.rela.", b".klp.rel."] {
            let name = [prefix, &name].concat();
            let _ = SymbolName::parse(&name, &symbol);
            let _ = SectionName::parse(&name);
        }
    }

    #[test]
    fn every_well_formed_symbol_name_is_read_back(
        object in "[a-zA-Z0-9_]{1,55}",
        name in "[a-zA-Z_.$][a-zA-Z0-9_.$]{0,100}",
        position in any::<u64>(),
        draft in 0u8..64,
        visibility in 0u8..4,
    ) {
        let symbol = |st_other| {
            Symbol { st_name: 0, st_info: 0, st_other, st_shndx: SHN_LIVEPATCH, st_value: 0, st_size: 0 }
        };
        let text = format!(".klp.sym.{object}.{name},{position}");
        let parsed = SymbolName::parse(text.as_bytes(), &symbol(visibility)).unwrap();
        prop_assert_eq!(parsed.object.as_str(), &object);
        prop_assert_eq!(parsed.symbol, name.as_bytes());
        prop_assert_eq!(parsed.position.0, position);

        let text = format!(".klp.sym.{object}.{name}");
        let parsed = SymbolName::parse(text.as_bytes(), &symbol(draft << 2 | visibility)).unwrap();
        prop_assert_eq!(parsed.object.as_str(), &object);
        prop_assert_eq!(parsed.symbol, name.as_bytes());
        prop_assert_eq!(parsed.position.0, u64::from(draft));
    }

    #[test]
    fn admit_changes_nothing_but_the_key(modinfo in prop::collection::vec(
        prop_oneof![
            Just("livepatch=Y".to_owned()), Just(String::new()), "[a-z]{0,3}([l\x01]ivepatch)?[a-z]?=[ -~]{0,12}",
        ],
        0..8,
    )) {
        let before = modinfo.join("\0").into_bytes();
        let mut after = before.clone();
        let has_key = [modinfo::LIVEPATCH, modinfo::ADMITTED]
            .iter()
            .any(|key| modinfo::value(&before, *key).is_some());
        prop_assert_eq!(modinfo::admit(&mut after), has_key);
        prop_assert_eq!(modinfo::value(&after, modinfo::LIVEPATCH), None);
        let of_other = |byte: &u8| if *byte == modinfo::ADMITTED[0] { b'l' } else { *byte };
        prop_assert!(before.iter().map(of_other).eq(after.iter().map(of_other)));
    }
}
