// SPDX-License-Identifier: GPL-2.0

//! What `klp convert` makes of a module.

mod common;

use common::{Case, Elf, SHF_RELA_LIVEPATCH, SHN_LIVEPATCH};
use livepatch_fixtures::{Arch, ARCHES};
use object::elf;

/// Refers to the kernel's unexported function and variable, to what it exports, and to itself.
const PATCH: &str = "
extern int lonely(int); extern int exported(int); extern int counter;
int own(int x) { return x; }
int *pointer = &counter;
int __noinline changed(int x) { return lonely(x) + exported(own(x)) + counter; }
";

#[test]
fn unexported_symbols_become_livepatch_symbols() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let before = Elf::read(&case.patch(PATCH));
        let after = case.convert("");
        let mut names = after.livepatch_symbols();
        names.sort_unstable();
        assert_eq!(
            names,
            [".klp.sym.vmlinux.counter,0", ".klp.sym.vmlinux.lonely,0"]
        );
        for name in ["counter", "lonely"] {
            let old = before.symbol(name);
            let new = after.symbol(&format!(".klp.sym.vmlinux.{name},0"));
            assert_eq!(new.shndx, SHN_LIVEPATCH);
            assert_eq!(new.info, elf::STB_GLOBAL.0 << 4 | elf::STT_NOTYPE.0);
            assert_eq!(
                (new.info, new.other, new.value, new.size),
                (old.info, old.other, 0, 0)
            );
        }
    }
}

#[test]
fn every_symbol_keeps_its_index() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let before = Elf::read(&case.patch(PATCH));
        let after = case.convert("");
        assert_eq!(before.symbols.len(), after.symbols.len());
        let locals = |elf: &Elf| elf.section(".symtab").info;
        assert_eq!(locals(&before), locals(&after));
        for (old, new) in before.symbols.iter().zip(&after.symbols) {
            if new.shndx == SHN_LIVEPATCH {
                assert_eq!(new.name, format!(".klp.sym.vmlinux.{},0", old.name));
            } else {
                let section = |elf: &Elf, shndx: u16| {
                    elf.sections
                        .get(usize::from(shndx))
                        .map(|section| section.name.clone())
                };
                assert_eq!(
                    (&new.name, new.info, new.other),
                    (&old.name, old.info, old.other)
                );
                assert_eq!((new.value, new.size), (old.value, old.size));
                assert_eq!(section(&before, old.shndx), section(&after, new.shndx));
            }
        }
    }
}

#[test]
fn relocations_of_livepatch_symbols_move_and_the_others_stay() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let before = Elf::read(&case.patch(PATCH));
        let after = case.convert("");
        let livepatch: Vec<_> = [".klp.sym.vmlinux.counter,0", ".klp.sym.vmlinux.lonely,0"]
            .map(|name| after.index_of_symbol(name) as u32)
            .to_vec();
        let moved = after.relocations(after.section(".klp.rela.vmlinux.text"));
        assert_eq!(moved.len(), 2);
        assert!(moved.iter().all(|rela| livepatch.contains(&rela.symbol)));
        let stayed = after.relocations(after.section(".rela.text"));
        assert!(!stayed.is_empty());
        assert!(stayed.iter().all(|rela| !livepatch.contains(&rela.symbol)));
        assert_eq!(
            before.all_relocations(".text"),
            after.all_relocations(".text")
        );
    }
}

#[test]
fn livepatch_sections_have_the_flags_link_and_info_that_the_format_wants() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.patch(PATCH);
        let after = case.convert("");
        let data = if after.has_section(".data.rel") {
            ".data.rel"
        } else {
            ".data"
        };
        let expected = [
            ".klp.rela.vmlinux.text".to_owned(),
            format!(".klp.rela.vmlinux{data}"),
        ];
        let mut names = after.livepatch_sections();
        names.sort_unstable_by_key(|name| name.contains("data"));
        assert_eq!(names, expected);
        for (name, target) in expected.iter().zip([".text", data]) {
            let section = after.section(name);
            let flags = elf::SHF_ALLOC.0 | elf::SHF_INFO_LINK.0 | SHF_RELA_LIVEPATCH;
            assert_eq!(section.sh_type, elf::SHT_RELA.0);
            assert_eq!(section.flags, flags);
            assert_eq!(after.sections[section.link as usize].name, ".symtab");
            assert_eq!(after.sections[section.info as usize].name, target);
            assert_eq!((section.align, section.entsize), (8, 24));
            assert_eq!(section.data.len() % 24, 0);
        }
    }
}

#[test]
fn a_relocation_section_left_empty_is_dropped() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let before = Elf::read(&case.patch("extern int counter; int *pointer = &counter;"));
        let after = case.convert("");
        let data = if after.has_section(".data.rel") {
            ".data.rel"
        } else {
            ".data"
        };
        assert!(before.has_section(&format!(".rela{data}")));
        assert!(!after.has_section(&format!(".rela{data}")));
        assert_eq!(before.sections.len(), after.sections.len());
        assert_eq!(
            after.sections[after.section(".symtab").link as usize].name,
            ".strtab"
        );
    }
}

#[test]
fn every_other_section_keeps_its_order_and_its_bytes() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let before = Elf::read(&case.patch(PATCH));
        let after = case.convert("");
        let shape = |elf: &Elf| -> Vec<_> {
            elf.sections
                .iter()
                .filter(|section| section.sh_type != elf::SHT_RELA.0)
                .map(|section| {
                    (
                        section.name.clone(),
                        section.sh_type,
                        section.flags,
                        section.align,
                    )
                })
                .collect()
        };
        assert_eq!(shape(&before), shape(&after));
        for name in [".text", ".comment"] {
            assert_eq!(before.section(name), after.section(name));
        }
    }
}

#[test]
fn bytes_that_x86_64_wants_to_be_zero_are_made_zero() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let mut bytes = case.patch("extern int counter; int *pointer = &counter;");
        let before = Elf::read(&bytes);
        let data = if before.has_section(".data.rel") {
            ".data.rel"
        } else {
            ".data"
        };
        let image = livepatch_format::elf::Image::parse(&bytes).unwrap();
        let (_, section) = image.find(data.as_bytes()).unwrap();
        let at = section.sh_offset as usize;
        bytes[at..at + 8].fill(0x5a);
        case.write("patch.ko", &bytes);
        let after = case.convert("");
        match arch {
            Arch::X86_64 => assert_eq!(after.section(data).data, [0; 8]),
            Arch::S390 => assert_eq!(after.section(data).data, [0x5a; 8]),
        }
    }
}

#[test]
fn the_module_says_that_it_is_a_livepatch_once() {
    for arch in ARCHES {
        for more in ["", "MODULE_INFO(livepatch, \"Y\");"] {
            let case = Case::new(arch);
            let before = Elf::read(&case.patch(&format!("{PATCH}{more}"))).modinfo();
            let after = case.convert("").modinfo();
            let marks = after.iter().filter(|entry| *entry == "livepatch=Y").count();
            assert_eq!(marks, 1);
            assert!(before.iter().all(|entry| after.contains(entry)));
        }
    }
}

#[test]
fn exported_and_weak_symbols_stay_ordinary() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.patch(
            "extern int exported(int), lonely(int); extern int maybe(int) __attribute__((weak));
             int f(int x) { return exported(x) + lonely(x) + (maybe ? maybe(x) : 0); }",
        );
        let after = case.convert("");
        assert_eq!(after.livepatch_symbols(), [".klp.sym.vmlinux.lonely,0"]);
        for name in ["exported", "maybe"] {
            assert_eq!(after.symbol(name).shndx, 0);
        }
    }
}

#[test]
fn what_the_kernels_symbols_show_to_be_exported_stays_ordinary() {
    let case = Case::new(Arch::X86_64);
    case.patch(PATCH);
    case.run("--kernel System.map -o out.ko patch.ko").success();
    let after = Elf::read(&case.read("out.ko"));
    assert_eq!(after.symbol("exported").shndx, 0);
    assert_eq!(after.livepatch_symbols().len(), 2);
}

#[test]
fn a_stated_position_is_used() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.patch(
            "#include <klp_sym.h>
             extern int first(int) KLP_SYM(vmlinux, twin, 1), second(int) KLP_SYM(vmlinux, twin, 2);
             extern int third KLP_SYM(vmlinux, twin, 3);
             extern int shrunk(int) KLP_SYM(vmlinux, shrunk.isra.0, 0);
             extern int only(int) KLP_SYM(vmlinux, lonely, 1);
             int *pointer = &third;
             int f(int x) { return first(x) + second(x) + shrunk(x) + only(x); }",
        );
        let after = case.convert("");
        let mut names = after.livepatch_symbols();
        names.sort_unstable();
        let expected = [
            ".klp.sym.vmlinux.lonely,1",
            ".klp.sym.vmlinux.shrunk.isra.0,0",
            ".klp.sym.vmlinux.twin,1",
            ".klp.sym.vmlinux.twin,2",
            ".klp.sym.vmlinux.twin,3",
        ];
        assert_eq!(names, expected);
    }
}

#[test]
fn clang_accepts_stated_names_too() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let text = "#include <klp_sym.h>
             extern int second(int) KLP_SYM(vmlinux, twin, 2);
             extern int third KLP_SYM(vmlinux, twin, 3);
             int f(int x) { return second(x) + third; }";
        let module = case.module("patch").source("patch.c", text);
        case.write("patch.ko", module.clang().build());
        let after = case.convert("");
        let mut names = after.livepatch_symbols();
        names.sort_unstable();
        assert_eq!(
            names,
            [".klp.sym.vmlinux.twin,2", ".klp.sym.vmlinux.twin,3"]
        );
    }
}

#[test]
fn an_object_that_is_not_given_is_accepted_where_all_is_stated() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.patch(
            "#include <klp_sym.h>
             extern int there(int) KLP_SYM(some_module, helper, 4);
             int f(int x) { return there(x) + 1; }",
        );
        let after = case.convert("");
        assert_eq!(after.livepatch_symbols(), [".klp.sym.some_module.helper,4"]);
        assert_eq!(after.livepatch_sections(), [".klp.rela.some_module.text"]);
    }
}

#[test]
fn the_draft_dialect_keeps_positions_beside_visibility() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.patch(
            "#include <klp_sym.h>
             extern int second(int) KLP_SYM(vmlinux, twin, 2);
             extern int hidden(int) KLP_SYM(some_module, far, 63);
             __asm__(\".hidden .klp.extern.some_module.far..63\");
             extern int lonely(int);
             int f(int x) { return second(x) + hidden(x) + lonely(x); }",
        );
        let after = case.convert("--dialect draft");
        let other = |name: &str| after.symbol(name).other;
        assert_eq!(other(".klp.sym.vmlinux.twin"), 2 << 2);
        assert_eq!(
            other(".klp.sym.some_module.far"),
            63 << 2 | elf::STV_HIDDEN.0
        );
        assert_eq!(other(".klp.sym.vmlinux.lonely"), 0);
        assert_eq!(after.livepatch_symbols().len(), 3);
        let mut sections = after.livepatch_sections();
        sections.sort_unstable();
        assert_eq!(
            sections,
            [".klp.rel.some_module.text", ".klp.rel.vmlinux.text"]
        );
        for name in sections {
            assert_eq!(after.section(name).sh_type, elf::SHT_RELA.0);
        }
    }
}

#[test]
fn the_draft_dialect_has_no_position_beyond_63() {
    let case = Case::new(Arch::X86_64);
    case.patch(
        "#include <klp_sym.h>
         extern int there(int) KLP_SYM(some_module, helper, 64);
         int f(int x) { return there(x) + 1; }",
    );
    let error = case.refuse("--dialect draft");
    assert!(
        error.contains("KLP_SYM(some_module, helper, 64)"),
        "{error}"
    );
    assert!(error.contains("no position beyond 63"), "{error}");
    assert_eq!(
        case.convert("").livepatch_symbols(),
        [".klp.sym.some_module.helper,64"]
    );
}

#[test]
fn debug_information_loses_its_relocations_to_livepatch_symbols() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let fake = "__asm__(\".section .debug_fake\\n .quad lonely\\n .quad own\\n .previous\");";
        let text = format!("{PATCH}{fake}");
        let bytes = case
            .module("patch")
            .source("patch.c", &text)
            .flag("-g")
            .build();
        case.write("patch.ko", &bytes);
        let before = Elf::read(&bytes);
        let after = case.convert("");
        assert_eq!(before.all_relocations(".debug_fake").len(), 2);
        let left = after.all_relocations(".debug_fake");
        assert_eq!(left.len(), 1);
        assert_eq!(after.symbols[left[0].symbol as usize].name, "own");
        assert!(!after
            .livepatch_sections()
            .iter()
            .any(|name| name.contains("debug")));
        assert_eq!(
            before.all_relocations(".debug_info"),
            after.all_relocations(".debug_info")
        );
        assert_eq!(
            before.section(".debug_info").data,
            after.section(".debug_info").data
        );
    }
}

#[test]
fn a_section_name_without_a_dot_gets_one() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.patch("extern int counter; int *key __section(\"__jump_table\") = &counter;");
        let after = case.convert("");
        assert_eq!(
            after.livepatch_sections(),
            [".klp.rela.vmlinux.__jump_table"]
        );
    }
}

#[test]
fn got_relocations_of_s390_are_kept() {
    let case = Case::new(Arch::S390);
    let before = Elf::read(&case.patch("extern int counter; int f(void) { return counter; }"));
    let got = 26;
    let is_got = |elf: &Elf| {
        elf.all_relocations(".text")
            .iter()
            .any(|rela| rela.r_type == got)
    };
    assert!(is_got(&before));
    let after = case.convert("");
    assert!(is_got(&after));
    assert_eq!(after.livepatch_sections(), [".klp.rela.vmlinux.text"]);
    if let Some(symbol) = after
        .symbols
        .iter()
        .find(|s| s.name == "_GLOBAL_OFFSET_TABLE_")
    {
        assert_eq!(symbol.shndx, 0);
    }
}

#[test]
fn a_module_that_needs_nothing_is_copied() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let before = case.patch("extern int exported(int); int f(int x) { return exported(x); }");
        let usual = "--kernel System.map --symvers Module.symvers patch.ko";
        let assert = case.run(&format!("{usual} -o out.ko")).success();
        let said = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
        assert!(said.contains("refers to no unexported symbol"), "{said}");
        assert_eq!(case.read("out.ko"), before);
        case.run(usual).success();
        assert_eq!(case.read("patch.ko"), before);
    }
}

#[test]
fn a_livepatch_that_needs_no_symbol_is_marked() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.patch(
            "extern int klp_enable_patch(void *); int f(void *p) { return klp_enable_patch(p); }",
        );
        let after = case.convert("");
        assert!(after.modinfo().contains(&"livepatch=Y".to_owned()));
        assert!(after.livepatch_sections().is_empty());
        assert_eq!(after.symbol("klp_enable_patch").shndx, 0);
    }
}

#[test]
fn versions_of_converted_symbols_are_dropped() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let versions = "
            struct version { unsigned long crc; char name[56]; };
            const struct version basic[] __section(\"__versions\") = {
                { 1, \"module_layout\" }, { 2, \"lonely\" }, { 3, \"exported\" }, { 4, \"counter\" },
            };
            const unsigned int crcs[] __section(\"__version_ext_crcs\") = { 1, 2, 3, 4 };
            const char names[] __section(\"__version_ext_names\") =
                \"module_layout\\0\" \"lonely\\0\" \"exported\\0\" \"counter\\0\";";
        let before = Elf::read(&case.patch(&format!("{PATCH}{versions}")));
        let after = case.convert("");
        let entries = |elf: &Elf, section: &str, size: usize| -> Vec<Vec<u8>> {
            elf.section(section)
                .data
                .chunks(size)
                .map(<[u8]>::to_vec)
                .collect()
        };
        let kept = |all: Vec<Vec<u8>>| vec![all[0].clone(), all[2].clone()];
        for (section, size) in [("__versions", 64), ("__version_ext_crcs", 4)] {
            assert_eq!(
                kept(entries(&before, section, size)),
                entries(&after, section, size)
            );
        }
        // What stands behind the names stays: their last end, and the linker's padding.
        let names = |elf: &Elf| elf.section("__version_ext_names").data.clone();
        let (before, after) = (names(&before), names(&after));
        let rest = before
            .strip_prefix(b"module_layout\0lonely\0exported\0counter\0")
            .expect("the names that were compiled");
        assert!(!rest.is_empty() && rest.iter().all(|&byte| byte == 0));
        assert_eq!(after, [b"module_layout\0exported\0", rest].concat());
    }
}

#[test]
fn converting_is_repeatable() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.patch(PATCH);
        case.convert("");
        let once = case.read("out.ko");
        case.convert("");
        assert_eq!(once, case.read("out.ko"));
    }
}

#[test]
fn without_an_output_the_module_is_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let case = Case::new(Arch::X86_64);
    case.patch(PATCH);
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(case.path("patch.ko"), mode.clone()).unwrap();
    case.run("--kernel System.map --symvers Module.symvers patch.ko")
        .success();
    assert_eq!(
        Elf::read(&case.read("patch.ko")).livepatch_symbols().len(),
        2
    );
    let metadata = std::fs::metadata(case.path("patch.ko")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, mode.mode());
    assert_eq!(case.files(), ["Module.symvers", "System.map", "patch.ko"]);
}

#[test]
fn says_what_became_a_livepatch_symbol_unless_quiet() {
    let case = Case::new(Arch::X86_64);
    case.patch(PATCH);
    let usual = "--kernel System.map --symvers Module.symvers -o out.ko patch.ko";
    let said = |words: &str| {
        let assert = case.run(&format!("{usual} {words}")).success();
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    };
    let text = said("");
    assert!(
        text.contains("2 livepatch symbols in 3 relocations"),
        "{text}"
    );
    assert!(
        text.contains("counter") && text.contains("lonely"),
        "{text}"
    );
    assert_eq!(said("--quiet"), "");
}

/// Two files of one name, and one of another, each with a static function and variable `same`.
fn kernel_of_files(case: &Case, flags: &[&str]) {
    let mut kernel = case.module("k");
    for flag in flags {
        kernel = kernel.flag(flag);
    }
    for (number, name) in [(1, "one/main.c"), (2, "two/main.c"), (3, "three/other.c")] {
        let text = format!(
            "static int level = {number};
             static int __noinline same(int x) {{ return x + level++; }}
             int use_{number}(int x) {{ return same(x); }}"
        );
        kernel = kernel.source(name, &text);
    }
    case.write("vmlinux", kernel.build_kernel());
}

const BY_FILE: &str = "--kernel vmlinux --symvers Module.symvers";

#[test]
fn a_symbol_is_stated_by_its_file() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let text = "#include <klp_sym.h>
             extern int one(int) KLP_SYM_FILE(vmlinux, same, \"one/main.c\");
             extern int two(int) KLP_SYM_FILE(vmlinux, same, \"two/main.c\");
             extern int three(int) KLP_SYM_FILE(vmlinux, same, \"other.c\");
             extern int level KLP_SYM_FILE(vmlinux, level, \"two/main.c\");
             extern int global(int) KLP_SYM_FILE(vmlinux, use_3, \"three/other.c\");
             int *pointer = &level;
             int f(int x) { return one(x) + two(x) + three(x) + global(x) + level; }";
        kernel_of_files(&case, &["-g"]);
        for clang in [false, true] {
            let module = case.module("patch").source("patch.c", text);
            let module = if clang { module.clang() } else { module };
            case.write("patch.ko", module.build());
            case.run(&format!("{BY_FILE} -o out.ko patch.ko")).success();
            let after = Elf::read(&case.read("out.ko"));
            let mut names = after.livepatch_symbols();
            names.sort_unstable();
            let expected = [
                ".klp.sym.vmlinux.level,2",
                ".klp.sym.vmlinux.same,1",
                ".klp.sym.vmlinux.same,2",
                ".klp.sym.vmlinux.same,3",
                ".klp.sym.vmlinux.use_3,0",
            ];
            assert_eq!(names, expected, "clang: {clang}");
        }
    }
}

#[test]
fn without_debug_information_files_are_known_by_their_last_part() {
    for arch in ARCHES {
        let case = Case::new(arch);
        kernel_of_files(&case, &[]);
        let refer = |symbol: &str, file: &str| {
            case.patch(&format!(
                "#include <klp_sym.h>
                 extern int it KLP_SYM_FILE(vmlinux, {symbol}, \"{file}\");
                 int *pointer = &it;"
            ));
        };
        refer("level", "three/other.c");
        case.run(&format!("{BY_FILE} -o out.ko patch.ko")).success();
        let after = Elf::read(&case.read("out.ko"));
        assert_eq!(after.livepatch_symbols(), [".klp.sym.vmlinux.level,3"]);
        std::fs::remove_file(case.path("out.ko")).unwrap();

        refer("level", "one/main.c");
        let error = case.refuse_with(BY_FILE);
        let stated = "KLP_SYM_FILE(vmlinux, level, \"one/main.c\")";
        let several = format!("{stated}: 2 symbols of that name are in such a file");
        assert!(error.contains(&several), "{error}");
        assert!(
            error.contains("main.c") && !error.contains("other.c"),
            "{error}"
        );

        refer("level", "one/elsewhere.c");
        let error = case.refuse_with(BY_FILE);
        assert!(error.contains("no file of that name has it"), "{error}");
        assert!(
            error.contains("main.c") && error.contains("other.c"),
            "{error}"
        );

        refer("levle", "one/main.c");
        let error = case.refuse_with(BY_FILE);
        assert!(error.contains("similar names: level"), "{error}");

        refer("level", "one/main.c");
        let error = case.refuse_with("");
        let unknown = format!("{stated}: the symbols of vmlinux were not given");
        assert!(error.contains(&unknown), "{error}");
    }
}

#[test]
fn a_static_symbol_of_another_file_is_warned_of() {
    use common::livepatch::{ENABLE, LIVEPATCH_H};
    let file = |number: u32, level: &str| {
        format!(
            "{level} int __noinline patched_{number}(int x) {{ return x + LEVEL; }}
             static void *site __attribute__((section(\"mcount_loc\"), used)) = patched_{number};
             static int __noinline own_{number}(int x) {{ return x - 1; }}
             static void *other __attribute__((section(\"mcount_loc\"), used)) = own_{number};
             int user_{number}(int x) {{ return own_{number}(x); }}"
        )
    };
    for (arch, flags) in ARCHES
        .into_iter()
        .flat_map(|arch| [(arch, "-g"), (arch, "-g0")])
    {
        let case = Case::new(arch);
        // In the first file the compiler has made a constant of it.
        let kernel = case
            .module("k")
            .flag(flags)
            .flag("-fno-reorder-functions")
            .source(
                "a/one.c",
                &file(1, "static int level = 5;").replace("LEVEL", "level"),
            )
            .source(
                "b/two.c",
                &file(2, "static int level = 5;").replace("LEVEL", "level++"),
            );
        case.write("vmlinux", kernel.build_kernel());
        let convert = |function: &str, declared: &str| {
            let text = format!(
                "{LIVEPATCH_H} extern int level {declared};
                 static int new_function(int x) {{ return x + level; }}
                 static struct klp_func functions[] = {{ {{ \"{function}\", new_function }}, {{ }} }};
                 static struct klp_object objects[] = {{ {{ NULL, functions }}, {{ }} }};
                 static struct klp_patch patch = {{ .mod = THIS_MODULE, .objs = objects }};
                 {ENABLE}"
            );
            case.patch(&text);
            let assert = case.run(&format!("{BY_FILE} -o out.ko patch.ko")).success();
            String::from_utf8(assert.get_output().stderr.clone()).unwrap()
        };
        let warning = "warning[symbol-of-another-file]: 'level' is a static one of ";
        let said = convert("own_1", "");
        assert!(said.contains(warning), "{flags}: {said}");
        let said = convert("patched_1", "");
        // Its own file shows only in debug information.
        if flags == "-g" {
            assert!(
                said.contains(&format!(
                    "{warning}'b/two.c', and the functions that are patched are of 'a/one.c'"
                )),
                "{said}"
            );
            assert!(
                said.contains("say so: KLP_SYM_FILE(vmlinux, level, \"b/two.c\")"),
                "{said}"
            );
        }
        for (function, declared) in [
            ("own_2", ""),
            ("own_1", "KLP_SYM_FILE(vmlinux, level, \"two.c\")"),
            ("own_1", "KLP_SYM(vmlinux, level, 0)"),
        ] {
            let said = convert(function, declared);
            assert!(!said.contains("symbol-of-another-file"), "{said}");
        }
    }
}
