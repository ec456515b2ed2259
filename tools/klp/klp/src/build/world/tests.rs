// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::build::proof::{prove, Outcome, Target};
use klp_diff::model::Decision;
use livepatch_fixtures::boot_image::Packing;
use livepatch_fixtures::{Arch, Module, ARCHES};
use livepatch_format::elf::Machine;
use object::elf;
use object::read::elf::FileHeader as _;
use object::Endianness;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use tempfile::TempDir;

/// The kernel numbers all as the object does.
static NONE: LazyLock<Numbered> = LazyLock::new(Numbered::default);

/// The file that is patched, of the kernel.
const UNIT: &str = r#"
    extern int both(int), hidden(int), exported;
    __noinline static int twin(int x) { return both(x) * 3 + hidden(x); }
    int entry(int x) { return twin(x) + exported; }
"#;

/// The file that is patched, of the module.
const UNIT_OF_MODULE: &str = r#"
    extern int beside(int), of_kernel(int);
    __noinline static int twin(int x) { return beside(x) * 7; }
    int entry_of_module(int x) { return twin(x) + of_kernel(x); }
    __attribute__((no_instrument_function)) int untraced(int x) { return x - 1; }
"#;

/// A kernel of several files, its modules, and what is known of them.
struct Case {
    arch: Arch,
    directory: TempDir,
    unit: Vec<u8>,
    unit_of_module: Vec<u8>,
    knowledge: Knowledge,
}

impl Case {
    fn new(arch: Arch) -> Self {
        let object = |text| {
            let unit = Module::new(arch, "unit").source("unit.c", text);
            unit.flag("-fno-function-sections")
                .flag("-fno-data-sections")
                .object()
        };
        let (unit, unit_of_module) = (object(UNIT), object(UNIT_OF_MODULE));
        let kernel = Module::new(arch, "kernel")
            .source(
                "first.c",
                "void __fentry__(void) { }
                 __noinline static int twin(int x) { return x + 1; }
                 __noinline static int both(int x) { return twin(x) + 1; }
                 __noinline static int hidden(int x) { return both(x) + 1; }
                 __noinline static int statics(int x) { return hidden(x) + 1; }
                 int (*volatile first)(int) = statics;",
            )
            .source(
                "second.c",
                "int exported, __ksymtab_exported, __ksymtab_reserved, reserved;
                 __noinline int both(int x) { return x + 2; }
                 __noinline int hidden(int x) { return x - 2; }
                 __noinline static int statics(int x) { return hidden(x) + 2; }
                 __noinline int of_kernel(int x) { return x + 5; }
                 int (*volatile second)(int) = statics;",
            )
            .with_object(&unit)
            .build_kernel();
        let module = Module::new(arch, "target")
            .source(
                "beside.c",
                "int __this_module, __ksymtab_mod_export;
                 int mod_export(int x) { return x; }
                 __noinline static int twin(int x) { return x * 5; }
                 __noinline int beside(int x) { return twin(x) + 1; }",
            )
            .with_object(&unit_of_module)
            .build();
        let rest = Module::new(arch, "rest")
            .source(
                "rest.c",
                "int __this_module; int of_rest(int x) { return x; }",
            )
            .build();

        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let mut knowledge = Knowledge::default();
        let machine = machine(arch);
        knowledge
            .add_kernel(&write("vmlinux", &kernel), machine)
            .unwrap();
        let mut given = BTreeSet::new();
        let packed = Packing::Gzip.pack(&module);
        for path in [write("target.ko.gz", &packed), write("rest.ko", &rest)] {
            knowledge.add_module(&path, machine, &mut given).unwrap();
        }
        let symvers = "0\treserved\tvmlinux\tEXPORT_SYMBOL_GPL\tmodule:kvm\n\
                       0\tmod_export\tdrivers/target\tEXPORT_SYMBOL\t\n\
                       0\tof_others\tdrivers/others\tEXPORT_SYMBOL\t\n";
        let symvers = write("Module.symvers", symvers.as_bytes());
        knowledge.add_symvers(&symvers).unwrap();
        Case {
            arch,
            directory,
            unit,
            unit_of_module,
            knowledge,
        }
    }

    fn placement(&self, object: &str) -> Placement {
        let unit = match object {
            "vmlinux" => &self.unit,
            _ => &self.unit_of_module,
        };
        let known = self.knowledge.get(object.as_bytes()).unwrap();
        match prove(unit, &Target::of(known).unwrap()).unwrap() {
            Outcome::Proven { placement, .. } => placement,
            other => panic!("{:?}: not proven: {other:?}", self.arch),
        }
    }

    /// The position that a name has in a file of the kernel.
    fn position(&self, object: &str, name: &str, file: &str) -> u64 {
        let known = self.knowledge.get(object.as_bytes()).unwrap();
        let all = known.symbols.get(name.as_bytes());
        let found = all.iter().position(|one| one.file.as_deref() == Some(file));
        found.unwrap_or_else(|| panic!("no {name} of {file}: {all:?}")) as u64 + 1
    }
}

fn machine(arch: Arch) -> Machine {
    match arch {
        Arch::X86_64 => Machine::X86_64,
        Arch::S390 => Machine::S390,
    }
}

fn wanted(name: &str, is_of_file: bool) -> Wanted<'_> {
    Wanted {
        name,
        is_function: true,
        is_of_file,
        is_local: is_of_file,
        source: Some("unit.c"),
        beside: &[],
    }
}

fn at(object: &str, position: u64) -> Result<Location, NotLocated> {
    Ok(Location {
        object: object.to_owned(),
        position,
    })
}

#[test]
fn what_the_file_defines_is_found_where_the_file_is() {
    for case in ARCHES.map(Case::new) {
        let shared = Names::default();
        for object in ["vmlinux", "target"] {
            let placement = case.placement(object);
            let world = World::new(&case.knowledge, object, &placement, &NONE, &shared);
            let position = case.position(object, "twin", "unit.c");
            assert_eq!(
                world.locate(&wanted("twin", true)),
                at(object, position),
                "{object}"
            );
            // The original file has none of that name, but another one has.
            assert_eq!(
                world.locate(&wanted("no_such", true)),
                Err(NotLocated::Missing)
            );
        }
    }
}

#[test]
fn what_other_files_define_is_theirs_that_others_see() {
    for case in ARCHES.map(Case::new) {
        let shared = Names::default();
        let nothing = Placement::default();
        let world = World::new(&case.knowledge, "target", &nothing, &NONE, &shared);
        let kernel = case.knowledge.kernel().unwrap();
        let both = kernel
            .symbols
            .get(b"both")
            .iter()
            .position(|one| one.global);
        let both = both.unwrap() as u64 + 1;
        for (name, expected) in [
            // The target's own come before those of others.
            ("beside", at("target", 0)),
            ("__this_module", at("target", 0)),
            ("both", at("vmlinux", both)),
            ("of_kernel", at("vmlinux", 0)),
            ("of_rest", at("rest", 0)),
            ("mod_export", at("target", 0)),
            ("nowhere", Err(NotLocated::Missing)),
        ] {
            let wanted = Wanted {
                is_function: name != "__this_module",
                ..wanted(name, false)
            };
            assert_eq!(world.locate(&wanted), expected, "{:?} {name}", case.arch);
        }
    }
}

#[test]
fn what_names_do_not_tell_is_ambiguous_and_shows_the_files() {
    for case in ARCHES.map(Case::new) {
        let shared = Names::default();
        let nothing = Placement::default();
        let world = World::new(&case.knowledge, "vmlinux", &nothing, &NONE, &shared);
        let Err(NotLocated::Ambiguous { candidates }) = world.locate(&wanted("statics", false))
        else {
            panic!("{:?}", case.arch);
        };
        for file in ["first.c", "second.c"] {
            assert!(candidates.contains(file), "{candidates}");
        }
        // Without a place, the symbol table of the kernel still tells files.
        let position = case.position("vmlinux", "twin", "unit.c");
        assert_eq!(world.locate(&wanted("twin", true)), at("vmlinux", position));
        let of_no_file = Wanted {
            source: Some("other.c"),
            ..wanted("twin", true)
        };
        let result = world.locate(&of_no_file);
        assert!(
            matches!(result, Err(NotLocated::Ambiguous { .. })),
            "{result:?}"
        );
    }
}

/// The kernel with a symbol that only its own file sees, as linkers make those of hidden ones.
fn hide(kernel: &[u8], name: &str) -> Vec<u8> {
    let header = elf::FileHeader64::<Endianness>::parse(kernel).unwrap();
    let endian = header.endian().unwrap();
    let sections = header.sections(endian, kernel).unwrap();
    let symbols = sections.symbols(endian, kernel, elf::SHT_SYMTAB).unwrap();
    let is_it = |symbol: &elf::Sym64<Endianness>| {
        let is_global = symbol.st_bind() == elf::STB_GLOBAL;
        is_global && symbols.symbol_name(endian, symbol).unwrap() == name.as_bytes()
    };
    let found = symbols.iter().find(|symbol| is_it(symbol)).unwrap();
    let info = std::ptr::from_ref(&found.st_info) as usize - kernel.as_ptr() as usize;
    let mut hidden = kernel.to_vec();
    // STB_LOCAL, and the type as it was.
    hidden[info] &= 0xf;
    hidden
}

#[test]
fn what_the_code_uses_says_which_one_is_meant() {
    for mut case in ARCHES.map(Case::new) {
        let shared = Names::default();
        let kernel = case.knowledge.kernel().unwrap();
        let mut all = kernel.symbols.get(b"hidden").iter();
        let position = all.position(|one| one.global).unwrap() as u64 + 1;
        let changed = hide(kernel.memory().unwrap().elf().unwrap(), "hidden");
        let path = case.directory.path().join("vmlinux");
        fs::write(&path, changed).unwrap();
        case.knowledge
            .add_kernel(&path, machine(case.arch))
            .unwrap();

        let nothing = Placement::default();
        let world = World::new(&case.knowledge, "vmlinux", &nothing, &NONE, &shared);
        let result = world.locate(&wanted("hidden", false));
        assert!(
            matches!(result, Err(NotLocated::Ambiguous { .. })),
            "{result:?}"
        );
        let placement = case.placement("vmlinux");
        let world = World::new(&case.knowledge, "vmlinux", &placement, &NONE, &shared);
        assert_eq!(
            world.locate(&wanted("hidden", false)),
            at("vmlinux", position)
        );
    }
}

#[test]
fn only_what_every_module_may_use_is_exported() {
    let case = Case::new(Arch::X86_64);
    let shared = Names {
        new: BTreeSet::from(["new_in_patch".to_owned()]),
        ..Names::default()
    };
    let nothing = Placement::default();
    let world = World::new(&case.knowledge, "target", &nothing, &NONE, &shared);
    for (name, expected) in [
        ("exported", true),
        ("of_others", true),
        ("reserved", false),
        // The patch can be loaded before the target is.
        ("mod_export", false),
        ("both", false),
    ] {
        assert_eq!(world.is_exported(name), expected, "{name}");
    }
    assert!(world.is_shared("new_in_patch"));
    assert!(!world.is_shared("both"));
}

#[test]
fn a_module_tells_which_of_its_functions_can_be_traced() {
    for case in ARCHES.map(Case::new) {
        let shared = Names::default();
        let placement = case.placement("target");
        let world = World::new(&case.knowledge, "target", &placement, &NONE, &shared);
        for (name, expected) in [
            ("twin", true),
            ("entry_of_module", true),
            ("untraced", false),
        ] {
            let mut wanted = wanted(name, true);
            wanted.is_local = name == "twin";
            let location = world.locate(&wanted).unwrap();
            let found = world.has_call_site(name, &location);
            assert_eq!(found, Some(expected), "{:?} {name}", case.arch);
        }
        // This kernel lists none.
        let location = at("vmlinux", 0).unwrap();
        assert_eq!(world.has_call_site("entry", &location), None);
    }
}

#[test]
fn the_comparison_of_objects_gets_positions_from_the_place_of_the_file() {
    for case in ARCHES.map(Case::new) {
        let object = |text: &str| {
            Module::new(case.arch, "unit")
                .source("unit.c", text)
                .object()
        };
        let (before, after) = (object(UNIT), object(&UNIT.replace("* 3", "* 9")));
        let placement = case.placement("vmlinux");
        let shared = Names::default();
        let world = World::new(&case.knowledge, "vmlinux", &placement, &NONE, &shared);
        let target = klp_diff::Target {
            object: "vmlinux".to_owned(),
            unit: "unit.c".to_owned(),
        };
        let diff = klp_diff::diff(&before, &after, &target, &world).unwrap();
        assert!(diff.patch.refusals.is_empty(), "{:?}", diff.patch.refusals);
        let twin = diff
            .patch
            .functions
            .iter()
            .find(|function| function.name == "twin");
        let Some(Decision::Changed { position, .. }) = twin.map(|function| &function.decision)
        else {
            panic!("{twin:?}");
        };
        assert_eq!(*position, case.position("vmlinux", "twin", "unit.c"));
    }
}

#[test]
fn a_target_module_may_be_compressed_and_not_damaged() {
    let case = Case::new(Arch::X86_64);
    let module = Module::new(Arch::X86_64, "packed")
        .source("packed.c", "int of_packed(int x) { return x; }")
        .build();
    let path: PathBuf = case.directory.path().join("packed.ko.xz");
    for packing in [Packing::Gzip, Packing::Xz, Packing::Zstd] {
        let mut packed = packing.pack(&module);
        fs::write(&path, &packed).unwrap();
        let add = || {
            let mut knowledge = Knowledge::default();
            let result = knowledge.add_module(&path, Machine::X86_64, &mut BTreeSet::new());
            result.map(|()| knowledge)
        };
        let knowledge = add().unwrap();
        let known = knowledge.get(b"packed").unwrap();
        assert_eq!(known.symbols.get(b"of_packed").len(), 1);
        assert_eq!(known.module(), Some(&module[..]));
        packed.truncate(packed.len() / 2);
        fs::write(&path, &packed).unwrap();
        let error = format!("{:#}", add().err().unwrap());
        assert!(error.starts_with("cannot unpack "), "{error}");
        assert!(error.contains("packed.ko.xz with "), "{error}");
    }
}

#[test]
fn what_was_static_is_found_where_it_was() {
    let shared = Names {
        opened: BTreeSet::from([
            "both".to_owned(),
            "statics".to_owned(),
            "of_kernel".to_owned(),
        ]),
        ..Names::default()
    };
    for case in ARCHES.map(Case::new) {
        let placement = case.placement("vmlinux");
        let world = World::new(&case.knowledge, "vmlinux", &placement, &NONE, &shared);
        // Another file has a function for all of that name.
        let position = case.position("vmlinux", "both", "first.c");
        assert_eq!(
            world.locate(&wanted("both", false)),
            at("vmlinux", position)
        );
        let several = world.locate(&wanted("statics", false));
        assert!(
            matches!(several, Err(NotLocated::Ambiguous { .. })),
            "{several:?}"
        );
        // Nobody has a static one.
        assert_eq!(
            world.locate(&wanted("of_kernel", false)),
            Err(NotLocated::Missing)
        );
    }
}

#[test]
fn numbered_variables_are_found_by_their_users() {
    // The kernel has them in one order, and the object that is compared in the other one.
    const ONE: &str = "int one(int x) { static int count = 3; return helper(count += x); }\n";
    const TWO: &str = "int two(int x) { static int count = 4; return helper(count -= x * 3); }\n";
    const HEAD: &str = "int helper(int);\n";
    const OTHERS: &str = "void __fentry__(void) { } int helper(int x) { return x; }";
    let target = klp_diff::Target {
        object: "vmlinux".to_owned(),
        unit: "unit.c".to_owned(),
    };
    for arch in ARCHES {
        let object = |parts: &[&str], flags: &[&str]| {
            let unit =
                Module::new(arch, "unit").source("unit.c", &[&[HEAD], parts].concat().concat());
            let unit = flags.iter().fold(unit, |unit, flag| unit.flag(flag));
            unit.object()
        };
        let plain = ["-fno-function-sections", "-fno-data-sections"];
        let as_built = object(&[ONE, TWO], &plain);
        let before = object(&[TWO, ONE], &[]);
        let after = object(&[&TWO.replace("x * 3", "x * 5"), ONE], &[]);
        let kernel = Module::new(arch, "kernel")
            .source("others.c", OTHERS)
            .with_object(&as_built)
            .build_kernel();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vmlinux");
        fs::write(&path, kernel).unwrap();
        let mut knowledge = Knowledge::default();
        knowledge.add_kernel(&path, machine(arch)).unwrap();
        let known = knowledge.get(b"vmlinux").unwrap();
        let placement = match prove(&as_built, &Target::of(known).unwrap()).unwrap() {
            Outcome::Proven { placement, .. } => placement,
            other => panic!("{arch:?}: not proven: {other:?}"),
        };
        let numbered = Numbered::of(&as_built, &before).unwrap();
        let shared = Names::default();
        let world = World::new(&knowledge, "vmlinux", &placement, &numbered, &shared);
        let found = klp_diff::diff(&before, &after, &target, &world).unwrap();
        assert!(
            found.patch.refusals.is_empty(),
            "{:?}",
            found.patch.refusals
        );
        let used = found.patch.references.iter();
        let used: Vec<_> = used.filter(|one| one.name.starts_with("count.")).collect();
        let [count] = used[..] else {
            panic!("{arch:?}: {used:?}");
        };
        // It begins with what two() begins with.
        let address = known.symbols.get(count.name.as_bytes())[0].address;
        let bytes = known.memory().unwrap().from(address).unwrap();
        let four = match arch {
            Arch::X86_64 => 4_i32.to_le_bytes(),
            Arch::S390 => 4_i32.to_be_bytes(),
        };
        assert_eq!(bytes[..4], four, "{arch:?}: {}", count.name);
    }
}
