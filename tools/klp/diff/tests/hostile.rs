// SPDX-License-Identifier: GPL-2.0

//! Any two files give a patch or an error, whatever is in them.

mod common;

use common::{compile, World};
use klp_diff::{describe, diff, Options, Target};
use livepatch_fixtures::ARCHES;
use object::read::elf::ElfFile64;
use object::Endianness;
use proptest::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = r#"
static struct static_key key;
static const int table[4] = { 1, 2, 3, 4 };
static int a __read_mostly = 1, b __read_mostly = 2;
void cold_path(int) __attribute__((cold));
int replacement(int);
extern long *pointer;
static __sched apart int inner(int x) { return helper(x) + table[x & 3]; }
__sched int outer(int x) { static int count; ALTERNATIVE(); return inner(x) + ++count; }
int warn(int x) { if (x > 5) { WARN(); cold_path(x); } a += x; b *= x; return helper(x) + 1; }
int pick(int x) { switch (x) { case 0: return helper(5); case 1: return helper(71); case 2: return
 exported("2"); case 3: return helper(x * x); case 4: return helper(44) + 1; case 5: return 9; }
 if (static_branch(&key)) x = load(pointer); SITE(".smp_locks,\"a\"", ".long"); return x; }
int __init setup(int x) { return helper(x); }
"#;

/// The two objects of a fix, for both machines.
static OBJECTS: LazyLock<Vec<[Vec<u8>; 2]>> = LazyLock::new(|| {
    let after = SOURCE
        .replace("helper(71)", "helper(72)")
        .replace("+ 1;", "+ 2;");
    let after = after.replace("++count", "(++count * 3)");
    ARCHES
        .iter()
        .map(|&arch| [compile(arch, SOURCE), compile(arch, &after)])
        .collect()
});

/// Compares, and reads what came of it; whether there was something.
fn try_both(before: &[u8], after: &[u8]) -> bool {
    let target = Target {
        object: "vmlinux".to_owned(),
        unit: "test".to_owned(),
    };
    let Ok(found) = diff(before, after, &target, &World::new()) else {
        return false;
    };
    let text = describe([&found.patch], &Options::default()).unwrap();
    assert!(text.contains("klp_enable_patch"));
    if let Some(object) = &found.object {
        assert!(found.patch.refusals.is_empty() && !found.patch.is_empty());
        let file = ElfFile64::<Endianness>::parse(object.as_slice()).expect("an ELF file");
        let symbols = file.elf_symbol_table().len();
        for section in file.elf_section_table().iter() {
            let endian = file.endian();
            use object::read::elf::SectionHeader as _;
            if let Some((relocations, _)) = section.rela(endian, object.as_slice()).unwrap() {
                for relocation in relocations {
                    assert!((relocation.r_sym(endian, false) as usize) < symbols);
                }
            }
        }
    }
    found.object.is_some()
}

#[test]
fn the_undamaged_objects_make_a_patch() {
    for [before, after] in OBJECTS.iter() {
        assert!(try_both(before, after));
    }
}

#[test]
fn what_is_loaded_has_contents() {
    for (&arch, [before, after]) in ARCHES.iter().zip(OBJECTS.iter()) {
        let file = ElfFile64::<Endianness>::parse(after.as_slice()).unwrap();
        use object::read::elf::SectionHeader as _;
        for (index, section) in file.elf_section_table().enumerate() {
            if !section
                .sh_flags(file.endian())
                .contains(object::elf::SHF_ALLOC)
            {
                continue;
            }
            for kind in [
                object::elf::SHT_RELA,
                object::elf::SHT_SYMTAB,
                object::elf::SHT_NULL,
            ] {
                let mut after = after.clone();
                let at = headers(&after) + index.0 * 64 + 4;
                let kind = match file.endian() {
                    Endianness::Little => kind.0.to_le_bytes(),
                    Endianness::Big => kind.0.to_be_bytes(),
                };
                after[at..at + 4].copy_from_slice(&kind);
                assert!(!try_both(before, &after), "{arch:?}: {index} {kind:?}");
            }
        }
    }
}

/// Where the headers of sections are: damage there does more.
fn headers(object: &[u8]) -> usize {
    let file = object::File::parse(object).unwrap();
    let object::File::Elf64(file) = file else {
        panic!("no 64-bit ELF file");
    };
    use object::read::elf::FileHeader as _;
    file.elf_header().e_shoff(file.endian()) as usize
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_objects_never_make_it_panic(
        machine in 0..2_usize,
        side in 0..2_usize,
        in_headers in any::<bool>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut objects = OBJECTS[machine].clone();
        let start = if in_headers { headers(&objects[side]) } else { 64 };
        for (index, byte) in damage {
            let at = start + index.index(objects[side].len() - start);
            objects[side][at] = byte;
        }
        try_both(&objects[0], &objects[1]);
    }

    #[test]
    fn damaged_words_never_make_it_panic(
        machine in 0..2_usize,
        side in 0..2_usize,
        damage in proptest::collection::vec(
            (any::<prop::sample::Index>(), prop::sample::select(vec![
                0_u64, 1, 2, 4, 8, 0x10, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff,
                u64::MAX, u64::MAX / 2, 1 << 63,
            ])),
            1..6,
        ),
    ) {
        let mut objects = OBJECTS[machine].clone();
        for (index, word) in damage {
            let at = index.index(objects[side].len() / 8) * 8;
            let bytes = if machine == 0 { word.to_le_bytes() } else { word.to_be_bytes() };
            objects[side][at..at + 8].copy_from_slice(&bytes);
        }
        try_both(&objects[0], &objects[1]);
    }

    #[test]
    fn cut_off_objects_never_make_it_panic(
        machine in 0..2_usize,
        side in 0..2_usize,
        length in any::<prop::sample::Index>(),
    ) {
        let mut objects = OBJECTS[machine].clone();
        let length = length.index(objects[side].len());
        objects[side].truncate(length);
        prop_assert!(!try_both(&objects[0], &objects[1]));
    }

    #[test]
    fn arbitrary_bytes_never_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(!try_both(&bytes, &OBJECTS[0][1]));
    }
}
