// SPDX-License-Identifier: GPL-2.0

//! Entries of tables go with the code that they are about.

mod common;

use common::{fix, fix_in, outcome, Outcome, World};
use livepatch_fixtures::{Arch, ARCHES};

/// Two functions with the same construct, of which the second one is changed.
fn second_of_two(arch: Arch, declare: &str, construct: &str) -> Outcome {
    let source = format!(
        "{declare}\nint first(int x) {{ {construct} return helper(x) + 1; }}\nint second(int x) \
         {{ {construct} return helper(x) /**/; }}\n"
    );
    let found = fix(arch, &source, "/**/", "* helper(x + 3)");
    assert_eq!(found.changed(), ["second"], "{arch:?} {construct}");
    found
}

#[test]
fn exceptions_go_along() {
    for arch in ARCHES {
        let found = second_of_two(arch, "extern long *pointer;", "x += load(pointer);");
        assert_eq!(found.entries("__ex_table"), 1);
        let object = found.emitted();
        let entry = object.data("__ex_table");
        assert_eq!(entry.len(), 12);
        assert!(entry[8..].contains(&7), "the handler stays");
        let targets = object.targets("__ex_table");
        assert_eq!(targets, [".text.second", ".text.second"]);
    }
}

#[test]
fn warnings_go_along_with_their_file() {
    for arch in ARCHES {
        let found = second_of_two(arch, "", "if (x == 5) WARN();");
        assert_eq!(found.entries("__bug_table"), 1);
        let object = found.emitted();
        assert_eq!(object.data("__bug_table").len(), 12);
        let targets = object.targets("__bug_table");
        assert_eq!(targets[0], ".text.second");
        assert_eq!(object.data(&targets[1]), b"test.c\0");
    }
}

#[test]
fn the_line_of_a_warning_counts() {
    let source = "int f(int x) {\nif (x == 5) WARN(); return helper(x); }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "{\n", "{\n\n");
        assert_eq!(found.changed(), ["f"]);
        let found = fix(arch, source, "{\n", "{\n\n#line 2\n");
        assert!(found.changed().is_empty());
    }
}

#[test]
fn a_warning_less_is_a_change() {
    let source =
        "int f(int x) { SITE(\".discard.test,\\\"a\\\"\", \".long\"); return helper(x); }\n";
    for arch in ARCHES {
        let found = fix(
            arch,
            source,
            "SITE(\".discard.test,\\\"a\\\"\", \".long\");",
            "",
        );
        assert_eq!(found.changed(), ["f"]);
    }
}

#[test]
fn static_branches_go_along() {
    for arch in ARCHES {
        let declare = "extern struct static_key key; static struct static_key own;";
        let construct = "if (static_branch(&key)) x = helper(7); if (static_branch(&own)) x++;";
        let found = second_of_two(arch, declare, construct);
        assert_eq!(found.entries("__jump_table"), 2);
        let object = found.emitted();
        assert_eq!(object.data("__jump_table").len(), 32);
        let targets = object.targets("__jump_table");
        assert_eq!(targets[0], ".text.second");
        assert_eq!(targets[2], ".klp.extern.vmlinux.key..0");
        assert_eq!(targets[5], ".klp.extern.vmlinux.own..0");
    }
}

#[test]
fn a_static_key_of_a_module_is_refused() {
    let source = "static struct static_key own;\n\
                  int f(int x) { if (static_branch(&own)) x++; return helper(x) /**/; }\n";
    let world = World {
        object: "ext4",
        ..World::new()
    };
    for arch in ARCHES {
        let found = fix_in(arch, source, "/**/", "* 3", &world);
        let message = found.refused("f", "static key own");
        assert!(message.contains("static_key_enabled()"), "{message}");
    }
}

/// A changed function of a module with one of its tracepoints.
fn with_tracepoint(arch: Arch, branch: &str) -> Outcome {
    let source = format!(
        "struct tracepoint {{ const char *name; struct static_key key; void *funcs; }};\n\
         extern struct tracepoint __tracepoint_hit; extern void __traceiter_hit(void *, int);\n\
         void cold_path(void *, int) __attribute__((cold));\n\
         int f(int x) {{ {branch} return helper(x) /**/; }}\n"
    );
    let own = ["__tracepoint_hit", "__traceiter_hit", "cold_path"];
    let world = World {
        elsewhere: own.map(|name| (name, "ext4")).into(),
        object: "ext4",
        ..World::new()
    };
    fix_in(arch, &source, "/**/", "* 3", &world)
}

/// The branch is never taken, what it leads to is there, and the patch says so.
fn assert_silent(found: &Outcome) {
    let object = found.emitted();
    assert_eq!(found.entries("__jump_table"), 0);
    assert!(object.data("__jump_table").is_empty());
    let [left_out] = &found.patch.left_out[..] else {
        panic!("{:?}", found.patch.left_out);
    };
    assert_eq!(left_out.what, "tracepoint hit");
    assert!(
        left_out.effect.contains("does not fire in f while"),
        "{}",
        left_out.effect
    );
    let symbols = found.livepatch_symbols();
    assert!(
        symbols.contains(&"ext4.__tracepoint_hit,0".to_owned()),
        "{symbols:?}"
    );
}

/// How often bytes are in the code of `f`.
fn count(found: &Outcome, bytes: &[u8]) -> usize {
    let code = found.emitted().data(".text.f");
    code.windows(bytes.len())
        .filter(|window| *window == bytes)
        .count()
}

const SHORT_NOP: [u8; 2] = [0x66, 0x90];
const LONG_NOP: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];

#[test]
fn a_tracepoint_of_a_module_is_silent() {
    for arch in ARCHES {
        let found = with_tracepoint(
            arch,
            "if (static_branch(&__tracepoint_hit.key)) \
             __traceiter_hit(__tracepoint_hit.funcs, x);",
        );
        assert_silent(&found);
        // On s390x, the room for ftrace at the start is one as well.
        let (nop, times) = match arch {
            Arch::X86_64 => (&LONG_NOP[..], 1),
            Arch::S390 => (&[0xc0, 0x04][..], 2),
        };
        assert_eq!(count(&found, nop), times);
        let targets = found.emitted().targets(".text.f");
        assert!(
            targets.contains(&".klp.extern.ext4.__traceiter_hit..0".to_owned()),
            "{targets:?}"
        );
    }
}

#[test]
fn the_short_jump_of_a_tracepoint_becomes_a_nop() {
    let branch = "if (static_branch_with(\".byte 0xeb; .byte %l[yes] - . - 1\", \" + 2\", \
                  &__tracepoint_hit.key)) __tracepoint_hit.funcs = 0;";
    let found = with_tracepoint(Arch::X86_64, branch);
    assert_silent(&found);
    assert_eq!(count(&found, &SHORT_NOP), 1);
    assert_eq!(count(&found, &[0xeb]), 0);
}

#[test]
fn the_jump_of_a_tracepoint_to_cold_code_becomes_a_nop() {
    let branch = "if (static_branch_with(JUMP, \" + 2\", &__tracepoint_hit.key)) \
                  cold_path(__tracepoint_hit.funcs, x);";
    let found = with_tracepoint(Arch::X86_64, branch);
    assert_silent(&found);
    assert_eq!(count(&found, &LONG_NOP), 1);
    let code = found.emitted().data(".text.f");
    let at = code.windows(5).position(|window| window == LONG_NOP);
    let at = at.expect("a NOP") as u64;
    let links = found.emitted().links(".text.f");
    assert!(
        !links
            .iter()
            .any(|(offset, ..)| (at..at + 5).contains(offset)),
        "{links:?}"
    );
    let cold = found.emitted().links(".text.unlikely.f");
    assert!(!cold.is_empty(), "the compiler has no cold part");
}

#[test]
fn a_tracepoint_of_a_module_that_may_fire_at_first_is_refused() {
    let branches = [
        ("NOP", "\" + 1\""),
        ("JUMP", "\"\""),
        ("JUMP", "\" + 1\""),
        ("JUMP", "\" + 3\""),
    ];
    for arch in ARCHES {
        for (site, flags) in branches {
            let branch = format!(
                "if (static_branch_with({site}, {flags}, &__tracepoint_hit.key)) \
                 __traceiter_hit(__tracepoint_hit.funcs, x);"
            );
            with_tracepoint(arch, &branch).refused("f", "static key __tracepoint_hit");
        }
    }
}

#[test]
fn a_tracepoint_with_another_instruction_is_refused() {
    let branch = "if (static_branch_with(\".byte 0x74; .byte %l[yes] - . - 1\", \" + 2\", \
                  &__tracepoint_hit.key)) __tracepoint_hit.funcs = 0;";
    with_tracepoint(Arch::X86_64, branch).refused("f", "static key __tracepoint_hit");
    // That s390x has no such flag.
    let branch = "if (static_branch_with(NOP, \" + 2\", &__tracepoint_hit.key)) x++;";
    with_tracepoint(Arch::S390, branch).refused("f", "static key __tracepoint_hit");
}

#[test]
fn alternatives_go_along_with_their_replacements() {
    for arch in ARCHES {
        let found = second_of_two(arch, "int replacement(int);", "ALTERNATIVE();");
        assert_eq!(found.entries(".altinstructions"), 1);
        let object = found.emitted();
        let size = if arch == Arch::X86_64 { 14 } else { 13 };
        assert_eq!(object.data(".altinstructions").len(), size);
        let targets = object.targets(".altinstructions");
        assert_eq!(targets, [".text.second", ".altinstr_replacement"]);
        let code = object.data(".altinstr_replacement");
        assert_eq!(code.len(), if arch == Arch::X86_64 { 5 } else { 6 });
        let targets = object.targets(".altinstr_replacement");
        assert_eq!(targets, [".klp.extern.vmlinux.replacement..0"]);
    }
}

#[test]
fn an_alternative_that_only_removes_code_does_not_refer_to_that_of_another() {
    const REMOVED: &str = r#"asm volatile("0: .skip 6, 0x07\n"
        ".pushsection .altinstructions,\"a\"\n"
        ".long 0b - ., 1f - .\n.long 5\n.byte 6, 0\n"
        ".popsection\n"
        ".pushsection .altinstr_replacement,\"ax\"\n1:\n.popsection\n" : : : "memory");"#;
    const CALLS: &str = r#"asm volatile("0: .skip 6, 0x07\n"
        ".pushsection .altinstructions,\"a\"\n"
        ".long 0b - ., 1f - .\n.long 5\n.byte 6, 5\n"
        ".popsection\n"
        ".pushsection .altinstr_replacement,\"ax\"\n1: call replacement\n.popsection\n" : : : "memory");"#;
    let removes = format!("int removes(int x) {{ {REMOVED} return helper(x) + 'r'; }}\n");
    let calls = format!("int calls(int x) {{ {CALLS} return helper(x) + 1; }}\n");
    // Behind where the code would be is that of another, or nothing.
    for (one, other) in [(&removes, &calls), (&calls, &removes)] {
        let source = format!("{one}{other}");
        let found = fix(Arch::X86_64, &source, "'r'", "'R'");
        assert_eq!(found.changed(), ["removes"]);
        assert_eq!(found.entries(".altinstructions"), 1);
        let object = found.emitted();
        assert_eq!(object.targets(".altinstructions"), [".text.removes"]);
        let sections = object.sections();
        assert!(
            !sections.contains(&".altinstr_replacement".to_owned()),
            "{sections:?}"
        );

        // Only in the replacement.
        let found = fix(Arch::X86_64, &source, "call replacement", "call instead");
        assert_eq!(found.changed(), ["calls"]);
    }
}

#[test]
fn tables_of_places_go_along() {
    let tables = [
        (".smp_locks,\\\"a\\\"", ".long"),
        (".kcfi_traps,\\\"a\\\"", ".long"),
        (".retpoline_sites,\\\"a\\\"", ".long"),
        (".return_sites,\\\"a\\\"", ".long"),
        (".call_sites,\\\"a\\\"", ".long"),
        (".cfi_sites,\\\"a\\\"", ".long"),
        (".ibt_endbr_seal,\\\"a\\\"", ".long"),
        (".discard.test", ".long"),
        (".s390_indirect_branches,\\\"a\\\"", ".long"),
    ];
    for arch in ARCHES {
        for (section, kind) in tables {
            let site = format!("SITE(\"{section}\", \"{kind}\");");
            let found = second_of_two(arch, "", &site);
            let name = section.split(',').next().unwrap();
            assert_eq!(found.entries(name), 1, "{name}");
            let object = found.emitted();
            assert_eq!(object.data(name).len(), 4, "{name}");
            assert_eq!(object.targets(name), [".text.second"], "{name}");
        }
    }
}

#[test]
fn unwinding_is_kept_in_two_tables() {
    let sites = r#"
        asm volatile("0:\n.pushsection .orc_unwind_ip,\"a\"\n.long 0b - .\n.popsection\n"
                     ".pushsection .orc_unwind,\"a\"\n.short 1, 2, NUMBER\n.popsection\n");
    "#;
    let source = format!(
        "int first(int x) {{ {} return helper(x) + 1; }}\nint second(int x) {{ {} return helper(x) \
         /**/; }}\n",
        sites.replace("NUMBER", "3"),
        sites.replace("NUMBER", "4")
    );
    let found = fix(Arch::X86_64, &source, "/**/", "* 3");
    assert_eq!(found.changed(), ["second"]);
    assert_eq!(
        (
            found.entries(".orc_unwind_ip"),
            found.entries(".orc_unwind")
        ),
        (1, 1)
    );
    assert_eq!(found.emitted().data(".orc_unwind"), [1, 0, 2, 0, 4, 0]);
}

#[test]
fn static_calls_go_along() {
    let site = r#"
        asm volatile("0:\n.pushsection .static_call_sites,\"aw\"\n"
                     ".long 0b - ., __SCK__call - .\n.popsection\n");
    "#;
    let found = second_of_two(Arch::X86_64, "", site);
    assert_eq!(found.entries(".static_call_sites"), 1);
    let targets = found.emitted().targets(".static_call_sites");
    assert_eq!(
        targets,
        [".text.second", ".klp.extern.vmlinux.__SCK__call..0"]
    );
}

#[test]
fn static_calls_of_a_module_go_through_its_trampoline() {
    let source = "void __SCT__call(void);\n\
                  int f(int x) { asm volatile(\"0: call __SCT__call\\n\
                  .pushsection .static_call_sites,\\\"aw\\\"\\n\
                  .long 0b - ., __SCK__call - .\\n.popsection\"); return helper(x) /**/; }\n";
    let world = World {
        elsewhere: [("__SCT__call", "ext4"), ("__SCK__call", "ext4")].into(),
        object: "ext4",
        ..World::new()
    };
    let found = fix_in(Arch::X86_64, source, "/**/", "* 3", &world);
    assert_eq!(found.entries(".static_call_sites"), 0);
    let left_out = &found.patch.left_out[0];
    assert_eq!(left_out.what, "the place of static call call in f");
    let targets = found.emitted().targets(".text.f");
    assert!(
        targets.contains(&".klp.extern.ext4.__SCT__call..0".to_owned()),
        "{targets:?}"
    );
}

#[test]
fn the_trampoline_of_a_new_static_call_has_a_name_for_objtool() {
    let source = "int f(int x) { return helper(x); }\n";
    let after = "asm(\".pushsection .static_call.text, \\\"ax\\\"\\n.globl __SCT__fresh\\n\
                 .type __SCT__fresh, @function\\n__SCT__fresh: jmp helper\\n\
                 .size __SCT__fresh, . - __SCT__fresh\\n.popsection\");\n\
                 int __SCT__fresh(int);\nint f(int x) { return __SCT__fresh(x) + helper(x); }\n";
    let found = outcome(Arch::X86_64, source, after, &World::new());
    assert_eq!(found.new_functions(), ["__SCT__fresh"]);
    let global = found.emitted().global();
    assert!(global.contains(&"__SCT__fresh".to_owned()), "{global:?}");
}

#[test]
fn functions_that_never_return_have_a_name_for_objtool() {
    let source = "void do_group_exit(int) __attribute__((noreturn));\n\
                  void f(int x) { helper(x); do_group_exit(x /**/); }\n";
    for (position, expected) in [
        (0, "do_group_exit"),
        (2, ".klp.extern.vmlinux.do_group_exit..2"),
    ] {
        let world = World {
            positions: [("do_group_exit", position)].into(),
            ..World::new()
        };
        let found = fix_in(Arch::X86_64, source, "/**/", "* 3", &world);
        let undefined = found.emitted().undefined();
        assert!(undefined.contains(&expected.to_owned()), "{undefined:?}");
        let symbol = format!("vmlinux.do_group_exit,{position}");
        assert!(found.livepatch_symbols().contains(&symbol));
    }
}

#[test]
fn static_calls_by_address_are_references() {
    let source =
        "struct static_call_key { void *func; }; extern struct static_call_key __SCK__call;\n\
                  int f(int x) { return ((int (*)(int))__SCK__call.func)(helper(x)) /**/; }\n";
    let world = World {
        elsewhere: [("__SCK__call", "ext4")].into(),
        object: "ext4",
        ..World::new()
    };
    for arch in ARCHES {
        let found = fix_in(arch, source, "/**/", "* 3", &world);
        found.emitted();
        let symbols = found.livepatch_symbols();
        assert!(
            symbols.contains(&"ext4.__SCK__call,0".to_owned()),
            "{symbols:?}"
        );
    }
}

#[test]
fn dynamic_debug_goes_along() {
    let declare = "struct _ddebug { const char *name; int line; struct static_key key; };\n\
                   #define DEBUG(text) do { static struct _ddebug \
                   __attribute__((section(\"__dyndbg\"))) descriptor = { text, 5 }; \
                   if (static_branch(&descriptor.key)) exported(\"%p\", &descriptor); } while (0)";
    for arch in ARCHES {
        let found = second_of_two(arch, declare, "DEBUG(\"text\");");
        assert_eq!(found.entries("__jump_table"), 1);
        assert_eq!(found.data().len(), 1);
        let object = found.emitted();
        assert_eq!(object.data("__dyndbg").len(), 32);
        let key = &object.targets("__jump_table")[2];
        assert!(key == "__dyndbg" || key.starts_with("descriptor."), "{key}");
    }
}

#[test]
fn the_index_of_messages_goes_along() {
    let declare = "struct pi_entry { const char *format, *function; int line; };\n\
                   #define PRINT(format, name) do { static const struct pi_entry _entry = { format, \
                   name, 5 }; static const struct pi_entry *_entry_ptr \
                   __attribute__((used, section(\".printk_index\"))) = &_entry; exported(format); } \
                   while (0)";
    for arch in ARCHES {
        let source = format!(
            "{declare}\nint first(int x) {{ PRINT(\"a\", \"first\"); return helper(x); }}\nint \
             second(int x) {{ PRINT(\"b\", \"second\"); return helper(x) /**/; }}\n"
        );
        let found = fix(arch, &source, "/**/", "* 3");
        assert_eq!(found.changed(), ["second"]);
        let object = found.emitted();
        assert_eq!(object.data(".printk_index").len(), 8);
        assert_eq!(object.links(".printk_index").len(), 1);
    }
}

#[test]
fn a_table_that_nobody_knows_is_refused() {
    let source = "int f(int x) { x = helper(x); SITE(\"mystery,\\\"a\\\"\", \".long\"); \
                  return helper(x) /**/; }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "/**/", "* 3");
        found.refused("f", "mystery has entries about it");
    }
}

#[test]
fn constants_that_are_filled_in_once_are_refused() {
    let source = "int f(int x) { x = helper(x); SITE(\"runtime_ptr_limit,\\\"a\\\"\", \".long\"); \
                  return helper(x) /**/; }\n";
    for arch in ARCHES {
        let message = fix(arch, source, "/**/", "* 3").refused("f", "runtime_ptr_limit");
        assert!(
            message.contains("<asm-generic/runtime-const.h>"),
            "{message}"
        );
    }
}

#[test]
fn another_function_with_an_unknown_table_is_no_obstacle() {
    let source = "int f(int x) { x = helper(x); SITE(\"mystery,\\\"a\\\"\", \".long\"); \
                  return helper(x); }\nint g(int x) { return helper(x) /**/; }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "/**/", "* 3");
        assert_eq!(found.changed(), ["g"]);
        found.emitted();
    }
}

#[test]
fn an_entry_in_cold_code_belongs_to_the_function() {
    let source = "void cold_path(int) __attribute__((cold));\n\
                  int f(int x) { if (x > 5) { WARN(); cold_path(x); } return helper(x) /**/; }\n";
    for arch in ARCHES {
        let found = outcome(arch, source, &source.replace("/**/", "* 3"), &World::new());
        assert_eq!(found.changed(), ["f"]);
        assert_eq!(found.entries("__bug_table"), 1);
        found.emitted();
    }
}
