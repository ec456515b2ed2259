// SPDX-License-Identifier: GPL-2.0

//! Damaged livepatches: the same ones for a seed, all kinds of faults among them, and none that
//! the reader of rust/format and the judge see differently.

use livepatch_fixtures::{Arch, Module, ARCHES};
use livepatch_format::elf::{Image, RelocationTable, SectionIndex, SHT_SYMTAB};
use livepatch_format::{check, modinfo, unchecked};
use livepatch_mutate::faults::FAULTS;
use livepatch_mutate::file::{shdr, shf, File};
use livepatch_mutate::judge::{judge, Base, Verdict};
use livepatch_mutate::{first, mutant, pack};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// What a livepatch consists of, as far as files go.
const SOURCE: &str = "
extern int one(int) __asm__(\".klp.sym.vmlinux.one_1\");
extern int two(int) __asm__(\".klp.sym.ext4.two_2\");
int *pointer __section(\".data\") = (int *)two;
int ordinary(int);
int replacement(int x) { return one(x) + two(x); }
int other(int x) { return ordinary(x); }
MODULE_INFO(livepatch, \"Y\");
__section(\".init.text\") int begin(void) { return 0; }
MODULE_INFO(vermagic, \"7.3.4 SMP\");
struct { char before[24], name[56], after[48]; } record
__section(\".gnu.linkonce.this_module\") __attribute__((aligned(64))) = { .name = \"patch\" };
";

/// A livepatch: what the compiler made, with its relocations and symbols marked.
fn livepatch(arch: Arch) -> Vec<u8> {
    let data = Module::new(arch, "patch").source("patch.c", SOURCE).build();
    let mut file = File::new(data, arch == Arch::S390);
    let sections = file.sections();
    let symtab = sections
        .iter()
        .position(|section| section.sh_type == 2)
        .unwrap();
    let table = sections[symtab];
    let strings = sections[table.link as usize];
    let names = file.get(0, livepatch_mutate::file::ehdr::SHSTRNDX).unwrap() as usize;
    for index in 0..file.entries(&table, 24) {
        let symbol = file.symbol(&table, index).unwrap();
        let name = file.string(&strings, symbol.name).unwrap();
        if !name.starts_with(b".klp.sym.") {
            continue;
        }
        // The assembler wants no comma in a name.
        let comma = strings.offset as usize + symbol.name as usize + name.len() - 2;
        file.data[comma] = b',';
        let at = table.offset as usize + index * 24;
        file.put(at, livepatch_mutate::file::sym::SHNDX, 0xff20)
            .unwrap();
    }
    // The relocations with livepatch symbols get sections of their own, at the end of the file.
    let mut added = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let target = sections.get(section.info as usize).copied();
        let name = target.and_then(|target| file.section_name(&target).map(<[u8]>::to_vec));
        if section.sh_type != 4
            || !name
                .as_ref()
                .is_some_and(|n| n == b".text" || n == b".data")
        {
            continue;
        }
        let (mut ours, mut rest) = (Vec::new(), Vec::new());
        for (nr, rela) in file.relocations(section).iter().enumerate() {
            let at = section.offset as usize + nr * 24;
            let symbol = file.symbol(&table, rela.symbol as usize).unwrap();
            let which = if symbol.shndx == 0xff20 {
                &mut ours
            } else {
                &mut rest
            };
            which.extend_from_slice(&file.data[at..at + 24]);
        }
        let header = file.header(index);
        file.data[section.offset as usize..][..rest.len()].copy_from_slice(&rest);
        file.put(header, shdr::SIZE, rest.len() as u64).unwrap();
        added.push((index, name.unwrap(), ours));
    }
    for (index, target, relocations) in added {
        let header = file.header(index);
        let header = file.data[header..header + 64].to_vec();
        file.add_header(&header).unwrap();
        let (_, count) = file.table();
        let object: &[u8] = if target == b".data" {
            b"ext4"
        } else {
            b"vmlinux"
        };
        let name = [b".klp.rela.", object, &target].concat();
        let name = file.add_string(names, &name).unwrap();
        let at = file.header(count - 1);
        let offset = file.data.len() as u64;
        file.data.extend_from_slice(&relocations);
        file.put(at, shdr::NAME, name).unwrap();
        file.put(at, shdr::FLAGS, shf::ALLOC | shf::LIVEPATCH | 0x40)
            .unwrap();
        file.put(at, shdr::OFFSET, offset).unwrap();
        file.put(at, shdr::SIZE, relocations.len() as u64).unwrap();
    }
    file.data.extend_from_slice(&[0; 128]);
    file.data
}

fn bases() -> &'static [Vec<Base>] {
    static BASES: OnceLock<Vec<Vec<Base>>> = OnceLock::new();
    BASES.get_or_init(|| {
        let base = |arch| vec![Base::new(livepatch(arch)).expect("a livepatch")];
        ARCHES.iter().map(|&arch| base(arch)).collect()
    })
}

/// What rust/format says of a file before the kernel's loader gets to it.
fn admitted_by_format(file: &[u8]) -> bool {
    // livepatch.ko does not take it for a livepatch.
    let Ok(Some(_)) = modinfo::locate(file) else {
        return true;
    };
    let image = Image::parse(file).expect("what can be read");
    check::symbol_uses(&image).is_ok() && unchecked::check(&image, None).is_ok()
}

/// What rust/format says of the livepatch relocations of a file, as livepatch.ko asks it.
fn accepted_by_format(file: &[u8]) -> bool {
    let Ok(image) = Image::parse(file) else {
        return false;
    };
    let Ok((symbols, _)) = image.symbols() else {
        return false;
    };
    let symtab = image
        .sections
        .iter()
        .find(|(_, section)| section.sh_type == SHT_SYMTAB);
    let mut places = Vec::new();
    for (index, section) in image.sections.iter() {
        if !section.is_livepatch_relocation() {
            continue;
        }
        let target = SectionIndex(section.sh_info);
        let checked = image.sections.get(target).and_then(|header| {
            check::section(
                &section,
                &header,
                symtab.map_or(SectionIndex(0), |(index, _)| index),
            )?;
            let table = RelocationTable::new(image.data(&section)?, image.header.endian)?;
            let machine = image.header.machine()?;
            check::relocations(machine, &table, &symbols, header.sh_size, |nr, rela, _| {
                places.extend(check::Place::new(machine, index, target, nr, rela));
                Ok(())
            })
        });
        if checked.is_err() {
            return false;
        }
    }
    places.sort();
    check::overlap(&places).is_ok()
}

#[test]
fn an_undamaged_livepatch_is_the_same() {
    for base in bases().iter().flatten() {
        assert_eq!(judge(base, &base.file.data), Verdict::Same);
        assert!(accepted_by_format(&base.file.data));
        assert!(base.klp.len() == 2 && base.symbols.len() == 2);
    }
}

#[test]
fn what_is_no_livepatch_is_no_base() {
    assert!(Base::new(Vec::new()).is_none());
    for &arch in &ARCHES {
        let module = Module::new(arch, "plain")
            .source("plain.c", "int x;")
            .build();
        assert!(Base::new(module).is_none());
    }
}

#[test]
fn a_seed_makes_the_same_mutants() {
    for bases in bases() {
        for number in [1, 2, 77, 500] {
            let one = mutant(bases, 5, number).unwrap();
            let two = mutant(bases, 5, number).unwrap();
            assert_eq!((one.data, one.faults), (two.data, two.faults));
            assert_ne!(mutant(bases, 6, number).unwrap().data, bases[0].file.data);
        }
        let of = |seed| -> Vec<_> {
            (1..50)
                .map(|n| mutant(bases, seed, n).unwrap().data)
                .collect()
        };
        assert_ne!(of(1), of(2));
    }
}

#[test]
fn every_kind_of_fault_is_among_them_and_most_are_refused() {
    for bases in bases() {
        let (mut kinds, mut refused, mut reasons) = (BTreeSet::new(), 0, BTreeSet::new());
        for number in 0..3000 {
            let mutant = mutant(bases, 1, number).unwrap();
            let kind = |fault: &String| fault.split(':').next().unwrap().to_owned();
            kinds.extend(mutant.faults.iter().map(kind));
            if let Verdict::Refused(why) | Verdict::RefusedFirst(why) = mutant.verdict {
                refused += 1;
                reasons.insert(why);
            }
        }
        let all: BTreeSet<String> = FAULTS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(
            all.difference(&kinds).collect::<Vec<_>>(),
            Vec::<&String>::new()
        );
        assert!(
            refused > 2500 && refused < 3000,
            "{refused} of 3000 are refused"
        );
        assert!(reasons.len() > 25, "{reasons:?}");
    }
}

#[test]
fn what_may_be_loaded_is_what_the_format_accepts() {
    for bases in bases() {
        for number in 0..3000 {
            let mutant = mutant(bases, 3, number).unwrap();
            // The kernel reads a file in its own byte order, whatever the file says.
            let ident = mutant.data.get(4..6) == bases[0].file.data.get(4..6);
            if mutant.verdict == Verdict::Same && ident {
                assert!(admitted_by_format(&mutant.data), "{:?}", mutant.faults);
                assert!(accepted_by_format(&mutant.data), "{:?}", mutant.faults);
            }
        }
    }
}

#[test]
fn what_would_harm_the_loader_is_refused_before_it_and_for_every_reason() {
    for bases in bases() {
        let mut reasons = BTreeSet::new();
        for number in 0..6000 {
            let mutant = mutant(bases, 4, number).unwrap();
            if let Verdict::RefusedFirst(why) = mutant.verdict {
                reasons.insert(why);
                assert!(
                    !admitted_by_format(&mutant.data),
                    "{why}: {:?}",
                    mutant.faults
                );
            }
        }
        let all = BTreeSet::from(first::REASONS);
        assert_eq!(
            all.difference(&reasons).collect::<Vec<_>>(),
            Vec::<&&str>::new()
        );
    }
}

#[test]
fn any_bytes_are_judged_without_panic() {
    let mut rng = fastrand::Rng::with_seed(1);
    for base in bases().iter().flatten() {
        for _ in 0..20_000 {
            let mut data = base.file.data.clone();
            for _ in 0..rng.usize(1..30) {
                let at = rng.usize(..data.len());
                data[at] = rng.u8(..);
            }
            if rng.bool() {
                data.truncate(rng.usize(..data.len()));
            }
            let _ = judge(base, &data);
            let _ = Base::new(data);
        }
    }
}

/// Reads a record as the program in the guest does.
fn unpack(record: &[u8], base: &[u8]) -> Vec<u8> {
    let number = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap()) as usize;
    let mut data = base.to_vec();
    data.resize(number(11), 0);
    let mut at = 19;
    for _ in 0..number(15) {
        let (offset, length) = (number(at), number(at + 4));
        data[offset..offset + length].copy_from_slice(&record[at + 8..at + 8 + length]);
        at += 8 + length;
    }
    assert_eq!(at, record.len());
    data
}

#[test]
fn a_packed_mutant_is_put_together_again() {
    for bases in bases() {
        for number in 0..500 {
            let mutant = mutant(bases, 2, number).unwrap();
            let base = &bases[mutant.base].file.data;
            let mut record = Vec::new();
            pack::record(&mut record, number, mutant.base, true, base, &mutant.data);
            assert!(unpack(&record, base) == mutant.data);
        }
    }
}
