// SPDX-License-Identifier: GPL-2.0

//! What `klp convert` refuses, and what it says.

mod common;

use common::livepatch::{ENABLE, LIVEPATCH_H};
use common::Case;
use livepatch_fixtures::boot_image::Packing;
use livepatch_fixtures::{Arch, Module, ARCHES};

fn assert_all(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is missing in:\n{error}");
    }
}

#[test]
fn an_ambiguous_name_lists_what_there_is_to_choose_from() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.patch("extern int twin(int); int f(int x) { return twin(x) + 1; }");
        let error = case.refuse("");
        assert_all(
            &error,
            &[
                "patch.ko: cannot be converted",
                "twin: 3 symbols have that name",
                "object   position  address",
                "vmlinux         1  ffffffff81000020  t",
                "vmlinux         2  ffffffff81000040  t",
                "vmlinux         3  ffffffff82000010  d",
                "KLP_SYM(OBJECT, twin, POSITION)",
                "linux/klp_sym.h",
            ],
        );
    }
}

#[test]
fn a_name_in_two_objects_is_ambiguous() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let text = "int lonely(int x) { return x; }";
        case.write(
            "target.ko",
            Module::new(arch, "my_target").source("a.c", text).build(),
        );
        case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
        let error = case.refuse("--module target.ko");
        assert_all(&error, &["lonely: 2 symbols", "vmlinux ", "my_target "]);
        let line = error
            .lines()
            .find(|line| line.trim_start().starts_with("my_target"))
            .unwrap();
        assert_all(line, &[" 1 ", "function", ".text"]);
    }
}

#[test]
fn an_unknown_name_says_what_was_searched_and_what_is_similar() {
    let case = Case::new(Arch::X86_64);
    case.patch("extern int lonley(int); int f(int x) { return lonley(x) + 1; }");
    let error = case.refuse("");
    assert_all(
        &error,
        &[
            "lonley: found nowhere",
            "vmlinux (",
            "System.map",
            "similar names: lonely",
        ],
    );
}

#[test]
fn what_the_compiler_renamed_is_suggested() {
    let case = Case::new(Arch::X86_64);
    case.patch("extern int shrunk(int); int f(int x) { return shrunk(x) + 1; }");
    assert_all(&case.refuse(""), &["similar names: shrunk.isra.0"]);
}

#[test]
fn without_any_symbols_the_options_are_named() {
    let case = Case::new(Arch::X86_64);
    case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
    assert_all(
        &case.refuse_with(""),
        &["lonely: found nowhere", "--kernel"],
    );
}

#[test]
fn where_a_module_is_patched_its_file_is_asked_for() {
    let case = Case::new(Arch::X86_64);
    let patch = "extern int there(int);
        static int new_function(int x) { return there(x); }
        static struct klp_func functions[] = { { \"shared\", new_function }, { } };
        static struct klp_object objects[] = { { .name = \"OBJECT\", .funcs = functions }, { } };
        static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };";
    let refusal = |patch: &str| {
        case.patch(&format!("{LIVEPATCH_H}{patch}{ENABLE}"));
        case.refuse("")
    };
    assert_all(
        &refusal(&patch.replace("OBJECT", "target")),
        &[
            "there: found nowhere",
            "also for 'target'",
            "KLP_TARGETS",
            "--module",
        ],
    );
    // What is found nowhere in a patch for the kernel alone is in no module either.
    let error = refusal(&patch.replace(".name = \"OBJECT\", ", ""));
    assert_all(&error, &["there: found nowhere"]);
    assert!(!error.contains("KLP_TARGETS"), "{error}");
}

#[test]
fn the_api_of_livepatch_asks_for_its_symvers() {
    let case = Case::new(Arch::X86_64);
    case.write("Module.symvers", "");
    case.patch(
        "extern int klp_enable_patch(void *); int f(void *p) { return klp_enable_patch(p); }",
    );
    assert_all(
        &case.refuse(""),
        &["klp_enable_patch", "livepatch.ko", "--symvers"],
    );
}

#[test]
fn all_unresolved_symbols_are_reported_together() {
    let case = Case::new(Arch::X86_64);
    case.patch(
        "#include <klp_sym.h>
         extern int nowhere(int), twin(int), lost(int);
         extern int seventh(int) KLP_SYM(vmlinux, twin, 7);
         int f(int x) { return nowhere(x) + twin(x) + lost(x) + seventh(x); }",
    );
    let error = case.refuse("");
    assert_all(
        &error,
        &[
            "for 4 reasons",
            "nowhere: found nowhere",
            "lost: found nowhere",
            "twin: 3 symbols",
            "twin, 7",
        ],
    );
}

#[test]
fn a_stated_symbol_is_checked() {
    for (symbol, parts) in [
        (
            "vmlinux, twin, 4",
            &[
                "KLP_SYM(vmlinux, twin, 4): there is no position 4",
                "82000010",
            ][..],
        ),
        (
            "vmlinux, twin, 0",
            &["KLP_SYM(vmlinux, twin, 0)", "there are 3", "82000010"],
        ),
        (
            "vmlinux, lonely, 2",
            &["there is no position 2", "81000010"],
        ),
        (
            "vmlinux, twn, 1",
            &["vmlinux has no such symbol", "similar names: twin"],
        ),
        (
            "vmlinux, twin, 1U",
            &[
                ".klp.extern.vmlinux.twin..1U",
                "KLP_SYM(object, symbol, position)",
            ],
        ),
        ("vmlinux, twin, -1", &[".klp.extern.vmlinux.twin..-1"]),
        ("vmlinux, twin, ONE", &[".klp.extern.vmlinux.twin..ONE"]),
    ] {
        let case = Case::new(Arch::X86_64);
        // As asm(), for what the macro itself would not let through to the assembler.
        let name = symbol.split(", ").collect::<Vec<_>>();
        let text = format!(
            "extern int stated __asm__(\"\\\".klp.extern.{}.{}..{}\\\"\"); int *pointer = &stated;",
            name[0], name[1], name[2]
        );
        case.patch(&text);
        assert_all(&case.refuse(""), parts);
    }
}

#[test]
fn relocations_that_no_livepatch_applies_are_refused() {
    let case = Case::new(Arch::X86_64);
    let text = "extern int counter; int f(void) { return counter; }";
    let module = case
        .module("patch")
        .source("patch.c", text)
        .flag("-mcmodel=small")
        .flag("-fPIC");
    case.write("patch.ko", module.build());
    assert_all(
        &case.refuse(""),
        &[
            "counter: relocation at offset",
            ".text",
            "type 42",
            "kbuild",
        ],
    );
}

#[test]
fn sections_that_are_used_up_by_loading_cannot_refer_to_a_target() {
    for arch in ARCHES {
        let target = "int in_target;";
        for section in [
            "__jump_table",
            ".altinstructions",
            ".altinstr_replacement",
            ".static_call_sites",
            ".init.data",
            ".init.text",
            "__param",
        ] {
            let case = Case::new(arch);
            case.write(
                "target.ko",
                Module::new(arch, "t").source("a.c", target).build(),
            );
            let refer = |name: &str| {
                format!("__asm__(\".section {section},\\\"aw\\\"\\n .quad {name}\\n .previous\");")
            };
            case.patch(&refer("in_target"));
            let error = case.refuse("--module target.ko");
            assert_all(
                &error,
                &[
                    "in_target",
                    section,
                    "while the patch is loaded",
                    "t may not be there",
                ],
            );
            // The kernel's own are there in time.
            case.patch(&refer("counter"));
            case.convert("--module target.ko");
        }
    }
}

#[test]
fn sections_that_are_read_before_livepatch_cannot_be_relocated_at_all() {
    for arch in ARCHES {
        for section in ["__ex_table", ".data..percpu"] {
            let case = Case::new(arch);
            case.patch(&format!(
                "__asm__(\".section {section},\\\"aw\\\"\\n .quad counter\\n .previous\");"
            ));
            assert_all(
                &case.refuse(""),
                &["counter", section, "before livepatch can relocate it"],
            );
        }
    }
}

#[test]
fn versions_that_are_no_table_are_refused() {
    for (section, size) in [("__versions", 65), ("__version_ext_crcs", 4)] {
        let case = Case::new(Arch::X86_64);
        case.patch(&format!(
            "extern int counter; int *pointer = &counter;
             char table[{size}] __section(\"{section}\") = {{ 1 }};
             char names[8] __section(\"__version_ext_names\") = \"a\\0b\\0c\\0d\";"
        ));
        assert_all(&case.refuse(""), &[section, "patch.ko"]);
    }
}

#[test]
fn a_livepatch_is_not_converted_again() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
        case.run("--kernel System.map patch.ko").success();
        assert_all(&case.refuse(""), &["patch.ko", "already"]);
    }
}

#[test]
fn a_signed_module_is_not_changed() {
    let case = Case::new(Arch::X86_64);
    let mut bytes = case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
    bytes.extend_from_slice(b"signature~Module signature appended~\n");
    case.write("patch.ko", bytes);
    assert_all(&case.refuse(""), &["patch.ko", "signed"]);
}

#[test]
fn what_is_no_module_is_refused() {
    let case = Case::new(Arch::X86_64);
    let kernel = Module::new(Arch::X86_64, "k")
        .source("a.c", "int x;")
        .build_kernel();
    for (bytes, expected) in [
        (&b""[..], "not a usable ELF file"),
        (b"#!/bin/sh\n", "not a usable ELF file"),
        (b"\xfd7zXZ\0\0\0\0", "cannot unpack patch.ko with xz"),
        (
            b"\x28\xb5\x2f\xfd\0\0\0\0",
            "cannot unpack patch.ko with zstd",
        ),
        (b"\x1f\x8b\x08\0\0\0\0", "cannot unpack patch.ko with gzip"),
        (&kernel, "not a relocatable file"),
    ] {
        case.write("patch.ko", bytes);
        assert_all(&case.refuse(""), &["patch.ko", expected]);
    }
}

#[test]
fn what_is_compressed_is_not_replaced_by_what_is_not() {
    let case = Case::new(Arch::X86_64);
    let bytes = case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
    let packed = Packing::Gzip.pack(&bytes);
    case.write("patch.ko.gz", &packed);
    let usual = "--kernel System.map --symvers Module.symvers";
    let assert = case.run(&format!("{usual} patch.ko.gz")).failure().code(1);
    let error = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert_all(&error, &["patch.ko.gz is compressed", "-o"]);
    assert_eq!(case.read("patch.ko.gz"), packed);

    case.run(&format!("{usual} -o from-packed.ko patch.ko.gz"))
        .success();
    case.run(&format!("{usual} -o from-plain.ko patch.ko"))
        .success();
    assert_eq!(case.read("from-packed.ko"), case.read("from-plain.ko"));
}

#[test]
fn a_module_without_modinfo_is_no_kernel_module() {
    let case = Case::new(Arch::X86_64);
    let mut bytes = case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
    let at = bytes
        .windows(9)
        .position(|bytes| bytes == b".modinfo\0")
        .unwrap();
    bytes[at + 1] = b'M';
    case.write("patch.ko", bytes);
    assert_all(&case.refuse(""), &["patch.ko", ".modinfo"]);
}

#[test]
fn a_truncated_module_is_refused() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let bytes = case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
        for length in (0..bytes.len()).step_by(97) {
            case.write("patch.ko", &bytes[..length]);
            assert_all(&case.refuse(""), &["patch.ko"]);
        }
    }
}

#[test]
fn kernel_and_targets_must_be_for_the_same_machine() {
    let case = Case::new(Arch::X86_64);
    case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
    let other = |name: &str| Module::new(Arch::S390, name).source("a.c", "int x;");
    case.write("other.ko", other("other").build());
    assert_all(
        &case.refuse("--module other.ko"),
        &["other.ko", "another machine"],
    );
    case.write("vmlinux", other("k").build_kernel());
    assert_all(
        &case.refuse_with("--kernel vmlinux"),
        &["vmlinux", "another machine"],
    );
}

#[test]
fn two_targets_of_one_name_are_refused() {
    let case = Case::new(Arch::X86_64);
    case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
    let target = Module::new(Arch::X86_64, "same")
        .source("a.c", "int x;")
        .build();
    case.write("one.ko", &target);
    case.write("two.ko", &target);
    let error = case.refuse("--module one.ko --module two.ko");
    assert_all(&error, &["one.ko", "two.ko", "both called same"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let case = Case::new(Arch::X86_64);
    case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
    for words in ["--symvers none.symvers", "--module none.ko"] {
        assert_all(&case.refuse(words), &["none.", "No such file"]);
    }
    case.run("none.ko").failure().code(1);
    case.run("").failure().code(2);
    case.run("--dialect fancy patch.ko").failure().code(2);
}

#[test]
fn an_output_that_cannot_be_written_leaves_nothing_behind() {
    let case = Case::new(Arch::X86_64);
    case.patch("extern int lonely(int); int f(int x) { return lonely(x) + 1; }");
    std::fs::create_dir(case.path("out.ko")).unwrap();
    case.run("--kernel System.map -o out.ko patch.ko")
        .failure()
        .code(1);
    case.run("--kernel System.map -o none/out.ko patch.ko")
        .failure()
        .code(1);
    assert_eq!(
        case.files(),
        ["Module.symvers", "System.map", "out.ko", "patch.ko"]
    );
}

#[test]
fn init_code_of_a_target_is_refused_as_the_kernel_would() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let target = "int __section(\".init.text\") early(int x) { return x; }";
        let target = case.module("my_target").source("a.c", target);
        case.write("target.ko", target.build());
        for declared in [
            "",
            "KLP_SYM(my_target, early, 0)",
            "KLP_SYM_FILE(my_target, early, \"a.c\")",
        ] {
            case.patch(&format!(
                "#include <klp_sym.h>
                 extern int early(int) {declared}; int f(int x) {{ return early(x) + 1; }}"
            ));
            assert_all(
                &case.refuse("--module target.ko"),
                &["symbol 'early' in object 'my_target' is init code or data, which is freed"],
            );
        }
    }
}
