// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::file::kernel::Kernel;
use crate::object_name::ObjectNameBuf;
use crate::symbols::ObjectSymbols;
use ::object::elf;
use ::object::read::elf::{FileHeader as _, SectionHeader as _};
use ::object::Endianness;
use livepatch_fixtures::{Arch, Module, ARCHES};
use livepatch_format::elf::Machine;
use livepatch_kernel::{Image, Memory};
use proptest::prelude::*;
use std::fs;

/// A file of a kernel: it has statics of names that others have, uses what they define, has
/// strings, and data that its own code alone leads to.
const FILE: &str = r#"
    extern int shared(int), counter, report(const char *);
    static int count = 7;
    __noinline static int twin(int x) { return shared(x) * 3 + count; }
    __noinline static int helper(int x) { count += x; return report("in the file") + x; }
    int entry(int x) { return twin(x) + helper(x) + counter; }
    static int on_open(int x) { return entry(x) - 1; }
    static int (*const operations[])(int) = { on_open, twin };
    int call(int which, int x) { return operations[which](x) + report("another"); }
"#;

/// What others of the same kernel have.
const OTHERS: &str = r#"
    __section(".call") void __fentry__(void) { }
    int counter = 1;
    static volatile int count = 9;
    __noinline void __sanitizer_cov_some(void) { counter++; }
    __noinline int shared(int x) { return x + 1; }
    __noinline int other(int x) { return x + 2; }
    __noinline int report(const char *text) { return text[0]; }
    __noinline static int twin(int x) { return x * 5 + count; }
    __noinline static int on_open(int x) { return twin(x) - 2; }
    int (*volatile pointer)(int) = on_open;
"#;

const PLAIN: [&str; 2] = ["-fno-function-sections", "-fno-data-sections"];

fn machine(arch: Arch) -> Machine {
    match arch {
        Arch::X86_64 => Machine::X86_64,
        Arch::S390 => Machine::S390,
    }
}

/// An object as the kernel's own command makes it; with a section for every function, or without.
fn object(arch: Arch, text: &str, own_sections: bool) -> Vec<u8> {
    let mut module = Module::new(arch, "unit").source("file.c", text);
    for flag in PLAIN.into_iter().filter(|_| !own_sections) {
        module = module.flag(flag);
    }
    module.object()
}

/// A kernel, or what stands in for one.
struct Linked {
    symbols: ObjectSymbols,
    memory: Memory,
}

impl Linked {
    /// The object, between two others.
    fn new(arch: Arch, object: &[u8]) -> Self {
        let others = Module::new(arch, "kernel").source("others.c", OTHERS);
        let before = Module::new(arch, "before")
            .source(
                "before.c",
                "static int twin(int x) { return x; } int (*volatile before)(int) = twin;",
            )
            .object();
        let kernel = others
            .with_object(&before)
            .with_object(object)
            .build_kernel();
        Linked::read(arch, kernel)
    }

    fn read(arch: Arch, kernel: Vec<u8>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vmlinux");
        fs::write(&path, &kernel).unwrap();
        Linked {
            symbols: Kernel::read(&path, machine(arch)).unwrap().symbols,
            memory: Image::read(kernel).unwrap().memory,
        }
    }

    fn target(&self) -> Target<'_> {
        Target::of_kernel(&self.symbols, Some(&self.memory))
    }

    /// Where the symbol of that name is that `file` defines.
    fn address(&self, name: &str, file: &str) -> u64 {
        let all = self.symbols.get(name.as_bytes());
        let found = all
            .iter()
            .find(|one| one.global || one.file.as_deref() == Some(file));
        found
            .unwrap_or_else(|| panic!("no {name} of {file}: {all:?}"))
            .address
    }

    /// The kernel with other bytes at an address.
    fn with(&self, arch: Arch, address: u64, bytes: &[u8]) -> Vec<u8> {
        let elf = self.memory.elf().unwrap();
        let rest = self.memory.from(address).unwrap();
        let offset = rest.as_ptr() as usize - elf.as_ptr() as usize;
        let mut changed = elf.to_vec();
        changed[offset..offset + bytes.len()].copy_from_slice(bytes);
        assert_eq!(machine(arch), self.memory.machine);
        changed
    }
}

fn proven(outcome: Outcome) -> (usize, usize, usize, Placement) {
    match outcome {
        Outcome::Proven {
            functions,
            checked,
            unchecked,
            placement,
        } => (functions, checked, unchecked, placement),
        other => panic!("not proven: {other:?}"),
    }
}

fn different(outcome: Outcome) -> Mismatch {
    match outcome {
        Outcome::Different { mismatch, .. } => mismatch,
        other => panic!("no mismatch: {other:?}"),
    }
}

/// What comes of a file of which the kernel has another version.
fn after(arch: Arch, own_sections: bool, change: (&str, &str)) -> Mismatch {
    let kernel = Linked::new(arch, &object(arch, FILE, own_sections));
    let changed = FILE.replace(change.0, change.1);
    assert_ne!(changed, FILE);
    let outcome = prove(&object(arch, &changed, own_sections), &kernel.target()).unwrap();
    different(outcome)
}

#[test]
fn a_file_is_found_in_its_kernel_and_proven() {
    for (arch, own_sections) in ARCHES
        .into_iter()
        .flat_map(|arch| [(arch, false), (arch, true)])
    {
        let bytes = object(arch, FILE, own_sections);
        let kernel = Linked::new(arch, &bytes);
        let (functions, checked, unchecked, placement) =
            proven(prove(&bytes, &kernel.target()).unwrap());
        assert_eq!((functions, unchecked), (5, 0), "{arch:?} {own_sections}");
        assert!(checked > 10, "{checked}");
        assert!(placement.is_proven());
        // What another file has, too, is told apart.
        for name in ["twin", "on_open", "count", "entry", "helper"] {
            let expected = kernel.address(name, "file.c");
            assert_eq!(
                placement.of(name).map(|spot| spot.address),
                Some(expected),
                "{name}"
            );
            let all = kernel.symbols.get(name.as_bytes());
            let position = placement.position(name, &kernel.symbols).unwrap();
            match position {
                0 => assert_eq!(all.len(), 1, "{name}"),
                _ => assert_eq!(all[position as usize - 1].address, expected, "{name}"),
            }
        }
        assert_eq!(kernel.symbols.get(b"twin").len(), 3);
        assert_eq!(
            placement.position_of_other("shared", &kernel.symbols),
            Some(0)
        );
        assert_eq!(placement.position("shared", &kernel.symbols), None);
    }
}

#[test]
fn another_version_of_a_function_is_named_and_those_behind_it_are_not() {
    for arch in ARCHES {
        for own_sections in [false, true] {
            let change = ("count += x;", "count += x * 113 + (x ^ count);");
            let mismatch = after(arch, own_sections, change);
            assert_eq!(
                mismatch.function, "helper",
                "{arch:?} {own_sections}: {mismatch}"
            );
            assert_eq!(
                (mismatch.differing, mismatch.functions),
                (1, 5),
                "{mismatch}"
            );
            assert!(matches!(mismatch.difference.what, What::Bytes { .. }));
            let text = mismatch.to_string();
            assert!(
                text.contains("1 of 5 functions differ, the first is helper: at 0x"),
                "{text}"
            );
        }
    }
}

/// Where the contents of the first section of that name are in a file.
fn range_of(file: &[u8], name: &str) -> std::ops::Range<usize> {
    let header = elf::FileHeader64::<Endianness>::parse(file).unwrap();
    let endian = header.endian().unwrap();
    let sections = header.sections(endian, file).unwrap();
    let (_, section) = sections.section_by_name(endian, name.as_bytes()).unwrap();
    let (offset, size) = section.file_range(endian).unwrap();
    offset as usize..(offset + size) as usize
}

#[test]
fn every_byte_and_every_relocation_of_a_function_counts() {
    for arch in ARCHES {
        let bytes = object(arch, FILE, false);
        let kernel = Linked::new(arch, &bytes);
        let module = Module::new(arch, "mod").with_object(&bytes).build();
        let targets = [kernel.target(), Target::of_module(&module).unwrap()];
        let read = Object::read(&bytes).unwrap();
        let text = read.file.sections.iter().find(|one| one.name == ".text");
        let relocations = &text.unwrap().relocations;
        let is_filled_in = |offset: u64| {
            let mut all = relocations.iter();
            all.any(|one| (one.offset..one.offset + u64::from(one.width)).contains(&offset))
        };
        let is_code = |offset: u64| {
            let mut all = read.functions.iter();
            all.any(|one| (one.start..one.start + one.size).contains(&offset))
        };
        let mut tried = [0, 0];
        let code = range_of(&bytes, ".text");
        let table = range_of(&bytes, ".rela.text");
        // The last byte of an addend, in the order of the machine.
        let addend = if arch == Arch::S390 { 23 } else { 16 };
        let in_code = code.clone().filter(|place| {
            let offset = (place - code.start) as u64;
            is_code(offset) && !is_filled_in(offset)
        });
        let in_table = table.clone().step_by(24).map(|entry| entry + addend);
        for (which, place) in in_code
            .map(|place| (0, place))
            .chain(in_table.map(|place| (1, place)))
        {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            tried[which] += 1;
            for target in &targets {
                let outcome = prove(&changed, target).unwrap();
                let is_different = matches!(outcome, Outcome::Different { .. });
                assert!(is_different, "{arch:?} {which} {place:#x}: {outcome:?}");
            }
        }
        assert!(tried[0] > 100 && tried[1] > 10, "{tried:?}");
    }
}

#[test]
fn another_callee_is_named() {
    for arch in ARCHES {
        let kernel = Linked::new(arch, &object(arch, FILE, false));
        let changed = FILE.replace("shared(", "other(");
        let outcome = prove(&object(arch, &changed, false), &kernel.target()).unwrap();
        let mismatch = different(outcome);
        assert_eq!(mismatch.function, "twin");
        let what = What::Destination {
            expected: "other".to_owned(),
            found: "shared".to_owned(),
        };
        assert_eq!(mismatch.difference.what, what, "{arch:?}");
    }
}

#[test]
fn another_string_of_the_same_length_is_another_function() {
    for arch in ARCHES {
        let mismatch = after(arch, false, ("in the file", "in the fire"));
        assert_eq!(mismatch.function, "helper", "{arch:?}: {mismatch}");
        assert!(
            matches!(mismatch.difference.what, What::Destination { .. }),
            "{mismatch}"
        );
    }
}

#[test]
fn a_function_that_is_not_there_is_named() {
    for arch in ARCHES {
        let added = (
            "int call(",
            "int added(int x) { return shared(x) - 5; } int call(",
        );
        for own_sections in [false, true] {
            let kernel = Linked::new(arch, &object(arch, FILE, own_sections));
            let changed = FILE.replace(added.0, added.1);
            let outcome = prove(&object(arch, &changed, own_sections), &kernel.target()).unwrap();
            if own_sections {
                // The linker drops what nobody uses.
                assert_eq!(proven(outcome).0, 5);
            } else {
                let mismatch = different(outcome);
                assert_eq!(mismatch.function, "added", "{mismatch}");
                assert_eq!(mismatch.difference.what, What::Missing);
            }
        }
    }
}

#[test]
fn a_file_that_the_kernel_leaves_out_is_not_there() {
    for arch in ARCHES {
        let kernel = Linked::new(arch, &object(arch, FILE, false));
        let alien = "int alien(int x) { return x * 3; } static int far; int *alien_far(void) { return &far; }";
        let outcome = prove(&object(arch, alien, false), &kernel.target()).unwrap();
        assert!(matches!(outcome, Outcome::NotThere), "{outcome:?}");
        // A name alone does not make it another version.
        let alien = format!(
            "{alien} __noinline static int twin(int x) {{ return x * 17; }}
            int (*volatile alien_pointer)(int) = twin; int alien_three(int x) {{ return x / 7; }}"
        );
        let outcome = prove(&object(arch, &alien, false), &kernel.target()).unwrap();
        assert!(matches!(outcome, Outcome::NotThere), "{outcome:?}");
    }
}

#[test]
fn an_object_for_another_machine_is_refused() {
    let kernel = Linked::new(Arch::X86_64, &object(Arch::X86_64, FILE, false));
    let error = prove(&object(Arch::S390, FILE, false), &kernel.target()).unwrap_err();
    assert!(matches!(error, klp_diff::Error::Machines), "{error}");
}

#[test]
fn a_list_of_symbols_places_and_does_not_prove() {
    for arch in ARCHES {
        let bytes = object(arch, FILE, false);
        let kernel = Linked::new(arch, &bytes);
        let target = Target::of_kernel(&kernel.symbols, None);
        let Outcome::Unproven { placement } = prove(&bytes, &target).unwrap() else {
            panic!("{arch:?}");
        };
        assert!(!placement.is_proven());
        let expected = kernel.address("twin", "file.c");
        assert_eq!(
            placement.of("twin").map(|spot| spot.address),
            Some(expected)
        );
    }
}

#[test]
fn names_that_do_not_agree_place_nothing() {
    for arch in ARCHES {
        let kernel = Linked::new(arch, &object(arch, FILE, false));
        let target = Target::of_kernel(&kernel.symbols, None);
        let changed = FILE.replace("count += x;", "count += x * 113 + (x ^ count);");
        let Outcome::Unproven { placement } =
            prove(&object(arch, &changed, false), &target).unwrap()
        else {
            panic!("{arch:?}");
        };
        assert_eq!(placement.of("twin"), None, "{arch:?}");
    }
}

#[test]
fn a_kernel_that_lists_no_variables_is_proven_as_far_as_it_tells() {
    for arch in ARCHES {
        let bytes = object(arch, FILE, false);
        let mut kernel = Linked::new(arch, &bytes);
        let all = std::mem::replace(
            &mut kernel.symbols,
            ObjectSymbols::new(ObjectNameBuf::vmlinux(), "vmlinux".into()),
        );
        kernel.symbols.functions_only = true;
        for name in all.names() {
            let code = all.get(name).iter().filter(|one| one.may_be_code());
            code.for_each(|one| kernel.symbols.push(name, one.clone()));
        }
        assert!(kernel.symbols.get(b"counter").is_empty());
        let (functions, checked, unchecked, placement) =
            proven(prove(&bytes, &kernel.target()).unwrap());
        assert_eq!(functions, 5);
        assert!(checked > 5 && unchecked > 0, "{checked} {unchecked}");
        // Code leads to it, and no list has a position for it.
        let count = &all.get(b"count");
        let found = placement.of("count").map(|spot| spot.address);
        let expected = count
            .iter()
            .find(|one| one.file.as_deref() == Some("file.c"));
        assert_eq!(found, expected.map(|one| one.address), "{arch:?}");
        assert_eq!(placement.position("count", &kernel.symbols), None);
    }
}

#[test]
fn functions_that_are_the_same_in_two_files_are_told_apart_by_who_calls_them() {
    let text = r#"
        extern volatile int same;
        __noinline static int twin(void) { return same; }
        int NAME(void) { return twin() + 1; }
    "#;
    for arch in ARCHES {
        let one = object(arch, &text.replace("NAME", "one"), true);
        let other = object(arch, &text.replace("NAME", "other"), true);
        let kernel = Module::new(arch, "kernel")
            .source("same.c", "volatile int same; void __fentry__(void) { }")
            .with_object(&one)
            .with_object(&other);
        let kernel = Linked::read(arch, kernel.build_kernel());
        let [first, second] = kernel.symbols.get(b"twin") else {
            panic!("two");
        };
        for (bytes, expected) in [(one, first), (other, second)] {
            let (.., placement) = proven(prove(&bytes, &kernel.target()).unwrap());
            let found = placement.of("twin").map(|spot| spot.address);
            assert_eq!(found, Some(expected.address), "{arch:?}");
        }
    }
}

/// A static branch that is off, as `arch_static_branch()` has it, with flags in its key.
fn branch(flags: u64) -> String {
    format!(
        r#"
        extern int counter;
        int branch(int x) {{
            asm goto("1: jmp %l[yes]\n\t"
                ".pushsection __jump_table, \"aw\"\n\t"
                ".balign 8\n\t.long 1b - ., %l[yes] - .\n\t.quad counter + {flags} - .\n\t"
                ".popsection" : : : : yes);
            return x;
        yes:
            return x + counter;
        }}
        "#
    )
}

#[test]
fn what_objtool_changes_does_not_count_and_nothing_else_may_change_so() {
    const NOP: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
    let arch = Arch::X86_64;
    for (flags, is_same) in [(2, true), (0, false)] {
        let bytes = object(arch, &branch(flags), false);
        let kernel = Linked::new(arch, &bytes);
        proven(prove(&bytes, &kernel.target()).unwrap());
        let start = kernel.address("branch", "file.c");
        let code = kernel.memory.bytes(start, 16).unwrap();
        assert_eq!(code[0], 0xe8, "a call of __fentry__: {code:x?}");
        let traced = Linked::read(arch, kernel.with(arch, start, &NOP));
        proven(prove(&bytes, &traced.target()).unwrap());

        let jump = code
            .iter()
            .skip(5)
            .position(|byte| [0xeb, 0xe9].contains(byte));
        let jump = jump.expect("a jump") + 5;
        let nop = if code[jump] == 0xeb {
            &[0x66, 0x90][..]
        } else {
            &NOP
        };
        let hacked = Linked::read(arch, kernel.with(arch, start + jump as u64, nop));
        let outcome = prove(&bytes, &hacked.target()).unwrap();
        if is_same {
            proven(outcome);
        } else {
            let mismatch = different(outcome);
            assert_eq!(
                (mismatch.function.as_str(), mismatch.difference.offset),
                ("branch", jump as u64)
            );
        }
    }
}

#[test]
fn only_code_that_must_have_no_instrumentation_is_without_it() {
    let arch = Arch::X86_64;
    for (section, is_same) in [(".noinstr.text", true), (".other.text", false)] {
        let text = format!(
            "void __sanitizer_cov_some(void); extern int counter;
             __section(\"{section}\") __attribute__((no_instrument_function)) int bare(int x)
             {{ __sanitizer_cov_some(); return x + counter; }}"
        );
        let bytes = object(arch, &text, false);
        let kernel = Linked::new(arch, &bytes);
        proven(prove(&bytes, &kernel.target()).unwrap());
        let start = kernel.address("bare", "file.c");
        // The linker may have nothing behind it.
        let code = kernel.memory.from(start).unwrap();
        let call = code.iter().position(|&byte| byte == 0xe8).unwrap();
        let nop = [0x0f, 0x1f, 0x44, 0x00, 0x00];
        let hacked = Linked::read(arch, kernel.with(arch, start + call as u64, &nop));
        let outcome = prove(&bytes, &hacked.target()).unwrap();
        match is_same {
            true => assert_eq!(proven(outcome).0, 1),
            false => assert_eq!(different(outcome).function, "bare"),
        }
    }
}

#[test]
fn a_file_is_found_in_its_module() {
    for (arch, own_sections) in ARCHES
        .into_iter()
        .flat_map(|arch| [(arch, false), (arch, true)])
    {
        let bytes = object(arch, FILE, own_sections);
        let build = |bytes: &[u8]| {
            Module::new(arch, "mod")
                .source(
                    "others.c",
                    &OTHERS.replace("int shared", "int shared_no_more"),
                )
                .with_object(bytes)
                .build()
        };
        let file = build(&bytes);
        let target = Target::of_module(&file).unwrap();
        let (functions, checked, unchecked, placement) = proven(prove(&bytes, &target).unwrap());
        assert_eq!((functions, unchecked), (5, 0), "{arch:?} {own_sections}");
        assert!(checked > 10, "{checked}");
        let path = std::path::Path::new("mod.ko");
        let symbols = ObjectSymbols::of_module(path, &file, machine(arch), false).unwrap();
        for name in ["twin", "on_open", "count"] {
            let all = symbols.get(name.as_bytes());
            assert_eq!(all.len(), 2, "{name}");
            let position = placement.position(name, &symbols).unwrap();
            let found = &all[position as usize - 1];
            assert_eq!(found.file.as_deref(), Some("file.c"), "{name}");
        }
        // What the kernel defines is another name there.
        let other = build(&object(
            arch,
            &FILE.replace("shared(", "elsewhere("),
            own_sections,
        ));
        let mismatch = different(prove(&bytes, &Target::of_module(&other).unwrap()).unwrap());
        assert_eq!(mismatch.function, "twin");
        let what = What::Destination {
            expected: "shared".to_owned(),
            found: "elsewhere".to_owned(),
        };
        assert_eq!(mismatch.difference.what, what);
        let other = build(&object(arch, &FILE.replace("* 3", "* 9"), own_sections));
        let mismatch = different(prove(&bytes, &Target::of_module(&other).unwrap()).unwrap());
        assert_eq!(
            (mismatch.function.as_str(), mismatch.differing),
            ("twin", 1)
        );
    }
}

/// An object, and a kernel and a module that it is a part of.
type Whole = (Vec<u8>, Linked, Vec<u8>);

fn whole() -> &'static [Whole] {
    static ALL: std::sync::OnceLock<Vec<Whole>> = std::sync::OnceLock::new();
    ALL.get_or_init(|| {
        ARCHES
            .into_iter()
            .map(|arch| {
                let bytes = object(arch, FILE, false);
                let module = Module::new(arch, "mod").with_object(&bytes).build();
                let kernel = Linked::new(arch, &bytes);
                (bytes, kernel, module)
            })
            .collect()
    })
}

fn damage(
    bytes: &[u8],
    changes: &[(prop::sample::Index, u8)],
    end: Option<prop::sample::Index>,
) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (place, value) in changes {
        let place = place.index(bytes.len());
        bytes[place] = *value;
    }
    if let Some(end) = end {
        bytes.truncate(end.index(bytes.len()));
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_are_judged_and_nothing_panics(
        which in 0..2_usize,
        of_object in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6),
        of_module in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6),
        end in proptest::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let (object, kernel, module) = &whole()[which];
        let object = damage(object, &of_object, end);
        let outcome = prove(&object, &kernel.target());
        if of_object.is_empty() && end.is_none() {
            let is_proven = matches!(outcome, Ok(Outcome::Proven { .. }));
            prop_assert!(is_proven);
        }
        if let Ok(Outcome::Different { mismatch, .. }) = outcome {
            prop_assert!(mismatch.differing <= mismatch.functions);
        }
        let module = damage(module, &of_module, None);
        if let Ok(target) = Target::of_module(&module) {
            let _ = prove(&object, &target);
        }
    }
}
