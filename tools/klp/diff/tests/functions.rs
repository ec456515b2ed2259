// SPDX-License-Identifier: GPL-2.0

//! Which functions are replaced, which are new, and which stay as they are.

mod common;

use common::{compare, compile_with, fix, fix_in, outcome, World};
use klp_diff::model::{Decision, Difference};
use livepatch_fixtures::{Arch, ARCHES};

const THREE: &str = r#"
static noinline int twice(int x) { return helper(x) * 2; }
apart int first(int x) { return exported("first %d", x) + 1; }
int second(int x) { return twice(x) + first(x) + unexported_variable; }
int third(int x) { return exported("third %d", x); }
"#;

#[test]
fn finds_nothing_where_nothing_changed() {
    for arch in ARCHES {
        let found = outcome(arch, THREE, THREE, &World::new());
        assert!(found.patch.is_empty() && found.object.is_none());
        assert!(found.patch.refusals.is_empty());
        assert_eq!(found.patch.functions.len(), 4);
    }
}

#[test]
fn replaces_the_function_that_changed_and_no_other() {
    for arch in ARCHES {
        let found = fix(
            arch,
            THREE,
            "twice(x) + first(x)",
            "twice(x) - first(x) * 3",
        );
        assert_eq!(found.changed(), ["second"]);
        assert_eq!(
            found.livepatch_symbols(),
            [
                "vmlinux.first,0",
                "vmlinux.twice,0",
                "vmlinux.unexported_variable,0"
            ]
        );
        let object = found.emitted();
        assert_eq!(object.global(), ["klp_new_fs_x2f_test_x2e_c_second"]);
        let mut undefined = object.undefined();
        undefined.retain(|name| name != "__fentry__" && !name.is_empty());
        undefined.sort();
        assert_eq!(
            undefined,
            [
                ".klp.extern.vmlinux.first..0",
                ".klp.extern.vmlinux.twice..0",
                ".klp.extern.vmlinux.unexported_variable..0",
            ]
        );
    }
}

#[test]
fn a_string_makes_a_function_different() {
    for arch in ARCHES {
        let found = fix(arch, THREE, "third %d", "fourth");
        assert_eq!(found.changed(), ["third"]);
        let object = found.emitted();
        assert!(object.undefined().contains(&"exported".to_owned()));
        let strings: Vec<_> = object
            .sections()
            .into_iter()
            .filter(|name| name.starts_with(".rodata"))
            .map(|name| object.data(&name))
            .collect();
        assert_eq!(strings, [b"fourth\0"]);
    }
}

#[test]
fn a_constant_of_the_code_makes_a_function_different() {
    for arch in ARCHES {
        let found = fix(arch, THREE, "+ 1;", "+ 2;");
        assert_eq!(found.changed(), ["first"]);
        let decision = &found
            .patch
            .functions
            .iter()
            .find(|function| function.name == "first")
            .unwrap()
            .decision;
        let Decision::Changed { because, .. } = decision else {
            panic!("{decision:?}");
        };
        assert!(matches!(because, Difference::Bytes { of, .. } if of == "first"));
        found.emitted();
    }
}

#[test]
fn takes_along_a_new_function_and_what_that_needs() {
    for arch in ARCHES {
        let added = "static apart int added(int x) { return exported(\"new %d\", helper(x)); }\n\
                     static apart int not_needed(int x) { return helper(x); }\n\
                     void *keep = not_needed; int third(int x) { return added(x) + ";
        let found = fix(arch, THREE, "int third(int x) { return ", added);
        assert_eq!(found.changed(), ["third"]);
        assert_eq!(found.new_functions(), ["added"]);
        let object = found.emitted();
        assert!(object.defines("added") && !object.defines("not_needed"));
        let targets = object.targets(".text.third");
        assert!(
            targets.iter().any(|to| to.ends_with("added")),
            "{targets:?}"
        );
    }
}

#[test]
fn an_inlined_function_is_replaced_where_it_is_inlined() {
    let source =
        "static inline __attribute__((always_inline)) int limit(int x) { return x > 10; }\n\
                  int a(int x) { return limit(x) + helper(1); }\n\
                  int b(int x) { return limit(x) + helper(2); }\n\
                  int c(int x) { return helper(x); }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "x > 10", "x > 11");
        assert_eq!(found.changed(), ["a", "b"]);
        found.emitted();
    }
}

#[test]
fn changed_functions_call_each_other_directly() {
    let source = "static apart int callee(int x) { return helper(x) + 1; }\n\
                  int caller(int x) { return callee(x) + 1; }\n";
    for arch in ARCHES {
        let after = source.replace("+ 1", "+ 2");
        let found = outcome(arch, source, &after, &World::new());
        assert_eq!(found.changed(), ["callee", "caller"]);
        let object = found.emitted();
        assert!(object
            .targets(".text.caller")
            .iter()
            .any(|to| to.contains("callee")));
        assert!(!found
            .livepatch_symbols()
            .contains(&"vmlinux.callee,0".to_owned()));
    }
}

#[test]
fn the_address_of_a_changed_function_is_the_kernels() {
    let source = "int callee(int x) { return helper(x) + 1; }\n\
                  void keep_it(int (*)(int));\n\
                  int caller(void) { keep_it(callee); return 1; }\n";
    for arch in ARCHES {
        let after = source.replace("+ 1", "+ 2").replace("return 1", "return 2");
        let found = outcome(arch, source, &after, &World::new());
        assert_eq!(found.changed(), ["callee", "caller"]);
        assert!(found
            .livepatch_symbols()
            .contains(&"vmlinux.callee,0".to_owned()));
        let targets = found.emitted().targets(".text.caller");
        assert!(
            targets.contains(&".klp.extern.vmlinux.callee..0".to_owned()),
            "{targets:?}"
        );
    }
}

#[test]
fn namesakes_are_referred_to_by_position() {
    let world = World {
        positions: [("twice", 3), ("second", 2)].into(),
        ..World::new()
    };
    for arch in ARCHES {
        let found = fix_in(arch, THREE, "twice(x) + ", "twice(x) - ", &world);
        let changed = found.patch.changed().next().unwrap();
        assert!(matches!(
            changed.decision,
            Decision::Changed { position: 2, .. }
        ));
        assert!(found
            .livepatch_symbols()
            .contains(&"vmlinux.twice,3".to_owned()));
        let undefined = found.emitted().undefined();
        assert!(undefined.contains(&".klp.extern.vmlinux.twice..3".to_owned()));
    }
}

#[test]
fn clones_are_replaced_under_their_own_names() {
    let source =
        "static noinline int clone(int x, int *unused) { return helper(x) + helper(x * 3); }\n\
                  int a(int x) { return clone(x, 0) + 1; }\n\
                  int b(int x) { return clone(x + 1, 0) + 2; }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "x * 3", "x * 5");
        let changed = found.changed();
        assert_eq!(changed.len(), 1, "{changed:?}");
        assert!(changed[0].starts_with("clone."), "{changed:?}");
        found.emitted();
    }
}

#[test]
fn the_rarely_used_part_belongs_to_its_function() {
    let source = "void cold_path(int) __attribute__((cold));\n\
                  int f(int x) { if (x > 5) { cold_path(7); cold_path(x); } return helper(x); }\n\
                  int g(int x) { return helper(x) + 1; }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "cold_path(7)", "cold_path(8)");
        assert_eq!(found.changed(), ["f"]);
        let object = found.emitted();
        if arch == Arch::X86_64 {
            assert!(object.defines("f.cold"));
            let targets = object.targets(".text.unlikely.f");
            assert!(
                targets.iter().any(|to| to.contains("cold_path")),
                "{targets:?}"
            );
        }
    }
}

#[test]
fn functions_that_share_a_section_are_told_apart() {
    let source = "static apart __sched int inner(int x) { return helper(x) + 3; }\n\
                  __sched int outer(int x) { return inner(x) + inner(x + 1) * 2 + 5; }\n\
                  __sched int other(int x) { return inner(x) * 7; }\n";
    for arch in ARCHES {
        // What follows is moved, and calls over another distance.
        let found = fix(
            arch,
            source,
            "inner(x + 1) * 2",
            "inner(x + 1) * helper(x * 3)",
        );
        assert_eq!(found.changed(), ["outer"], "{arch:?}");
        let object = found.emitted();
        let inner = ".klp.extern.vmlinux.inner..0".to_owned();
        let targets = object.targets(".sched.text");
        assert_eq!(
            targets.iter().filter(|to| **to == inner).count(),
            2,
            "{targets:?}"
        );
        // And a change of the first one is one of it alone.
        let found = fix(arch, source, "helper(x) + 3", "helper(x) + helper(x + 4)");
        assert_eq!(found.changed(), ["inner"], "{arch:?}");
        found.emitted();
    }
}

#[test]
fn a_switch_keeps_its_table() {
    let source = "int pick(int x) { switch (x) {\n\
                  case 0: return helper(5); case 1: return helper(71); case 2: return exported(\"2\");\n\
                  case 3: return helper(x * x); case 4: return helper(44) + 1; case 5: return 9;\n\
                  case 6: return helper(8) - 3; case 7: return exported(\"7\"); } return 0; }\n\
                  int same(int x) { return helper(x); }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "helper(71)", "helper(72) + helper(73)");
        assert_eq!(found.changed(), ["pick"]);
        let object = found.emitted();
        let tables = object.targets(".rodata.pick");
        let tables = if tables.is_empty() {
            object.targets(".rodata")
        } else {
            tables
        };
        let inside = tables.iter().filter(|to| to.contains("pick")).count();
        assert!(
            inside >= 6,
            "{arch:?}: {tables:?} in {:?}",
            object.sections()
        );
    }
}

#[test]
fn room_before_a_function_comes_along() {
    let found = fix(Arch::X86_64, THREE, "+ 1;", "+ 2;");
    let object = found.emitted();
    let text = object.data(".text.first");
    assert_eq!(text[..16], [0x90; 16]);
    assert_eq!(object.links("__mcount_loc").len(), 1);
    let (_, name, addend) = &object.links("__mcount_loc")[0];
    assert_eq!((name.as_str(), *addend), (".text.first", 16));
    let (_, name, addend) = &object.links("__patchable_function_entries")[0];
    assert_eq!((name.as_str(), *addend), (".text.first", 0));
}

#[test]
fn two_functions_of_the_same_name_have_symbols_of_their_own() {
    let source =
        "int a_b(int x) { return helper(x) + 1; }\nint a(int x) { return helper(x) + 1; }\n";
    for arch in ARCHES {
        let found = outcome(arch, source, &source.replace("+ 1", "+ 2"), &World::new());
        let mut symbols = found.emitted().global();
        symbols.sort();
        symbols.dedup();
        assert_eq!(symbols.len(), 2);
    }
}

#[test]
fn who_calls_what_cannot_be_traced_is_replaced_with_it() {
    let source = "static notrace apart int quiet(int x) { return helper(x) + 1; }\n\
                  static notrace apart int middle(int x) { return quiet(x) * 3; }\n\
                  int direct(int x) { return quiet(x) + 5; }\n\
                  int far(int x) { return middle(x) - 7; }\n\
                  int other(int x) { return helper(x); }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "+ 1", "+ 2");
        assert_eq!(found.changed(), ["direct", "far"]);
        let with_callers: Vec<_> = found
            .patch
            .functions
            .iter()
            .filter(|function| matches!(function.decision, Decision::WithCallers { .. }))
            .map(|function| function.name.as_str())
            .collect();
        assert_eq!(with_callers, ["middle", "quiet"]);
        let direct = found
            .patch
            .changed()
            .find(|function| function.name == "direct");
        let Some(Decision::Changed { because, .. }) = direct.map(|direct| &direct.decision) else {
            panic!("direct is replaced");
        };
        let because = because.to_string();
        assert!(because.starts_with("direct refers to quiet"), "{because}");
        assert!(because.contains(", which differs, at 0x"), "{because}");
        let object = found.emitted();
        assert!(object.defines("quiet") && object.defines("middle"));
        assert_eq!(object.global().len(), 2);
    }
}

#[test]
fn the_kernel_knows_best_what_can_be_traced() {
    let source = "notrace int quiet(int x) { return helper(x) + 1; }\n";
    let world = World {
        traced: ["quiet"].into(),
        ..World::new()
    };
    for arch in ARCHES {
        let found = fix_in(arch, source, "+ 1", "+ 2", &world);
        assert_eq!(found.changed(), ["quiet"]);
        found.emitted();
    }
}

#[test]
fn calls_of_ftrace_tell_where_nobody_has_noted_them() {
    let flags = ["-mno-record-mcount"];
    let source = "notrace int quiet(int x) { return helper(x) + 1; }\n\
                  int loud(int x) { return helper(x) + 1; }\n";
    let after = source.replace("+ 1", "+ 2");
    let before = compile_with(Arch::X86_64, &flags, source);
    let after = compile_with(Arch::X86_64, &flags, &after);
    let found = compare(&before, &after, &World::new());
    assert_eq!(found.changed(), ["loud"]);
    found.refused("quiet", "ftrace cannot reach it");
}

#[test]
fn thunks_of_s390_are_the_patchs_own() {
    let flags = [
        "-mindirect-branch=thunk",
        "-mfunction-return=thunk",
        "-mindirect-branch-table",
    ];
    let source = "int f(int (*call)(int), int x) { return call(x) + 1; }\n\
                  int g(int (*call)(int), int x) { return call(x) + 5; }\n";
    let after = source.replace("+ 1", "+ 2");
    let before = compile_with(Arch::S390, &flags, source);
    let after = compile_with(Arch::S390, &flags, &after);
    let found = compare(&before, &after, &World::new());
    assert_eq!(found.changed(), ["f"]);
    let object = found.emitted();
    let thunks: Vec<_> = object
        .sections()
        .into_iter()
        .filter(|name| name.contains("__s390_indirect_jump_") && !name.starts_with(".rela"))
        .collect();
    assert!(!thunks.is_empty(), "{:?}", object.sections());
    assert!(object
        .undefined()
        .iter()
        .all(|name| !name.contains("indirect")));
    for table in [".s390_indirect_call", ".s390_return_mem"] {
        assert_eq!(found.entries(table), 1, "{:?}", found.patch.entries);
    }
}

#[test]
fn room_with_a_name_belongs_to_the_function_behind_it() {
    let function = |name: &str, hash: u32, body: &str| {
        format!(
            ".balign 16\\n__cfi_{name}: .skip 11, 0x90\\nmov ${hash}, %eax\\n.globl {name}\\n.type \
             {name}, @function\\n{name}: call __fentry__\\n{body}\\nret\\n.size {name}, . - {name}\\n"
        )
    };
    let source = |body: &str| {
        let functions = [function("one", 1, "nop"), function("two", 2, body)].concat();
        format!("asm(\".section .sched.text,\\\"ax\\\"\\n{functions}.previous\");\n")
    };
    let flags = ["-mno-record-mcount"];
    let before = compile_with(Arch::X86_64, &flags, &source("call helper"));
    let after = compile_with(Arch::X86_64, &flags, &source("call helper\\nnop"));
    let found = compare(&before, &after, &World::new());
    assert_eq!(found.changed(), ["two"]);
    let code = found.emitted().data(".sched.text");
    assert_eq!(
        code[..16],
        [[0x90; 11].as_slice(), &[0xb8, 2, 0, 0, 0]].concat()
    );
}

#[test]
fn what_another_unit_needs_is_there_under_its_own_name() {
    let world = World {
        missing: ["fresh", "state"].into(),
        shared: ["fresh", "state"].into(),
        ..World::new()
    };
    for arch in ARCHES {
        // One file defines it, and changes nothing else,
        let source = "int old(int x) { return helper(x); }\n";
        let after = format!(
            "{source}int state = 5; int fresh(int x) {{ return helper(x) + state; }}\n\
             int unused(int x) {{ return fresh(x); }}\n"
        );
        let found = outcome(arch, source, &after, &world);
        assert_eq!(found.new_functions(), ["fresh"]);
        let mut global = found.emitted().global();
        global.sort();
        assert_eq!(global, ["fresh", "state"]);
        // and another one uses it.
        let source = "int fresh(int); extern int state;\nint f(int x) { return helper(x); }\n";
        let after = source.replace("helper(x)", "fresh(x) + state");
        let found = outcome(arch, source, &after, &world);
        assert_eq!(found.changed(), ["f"]);
        let undefined = found.emitted().undefined();
        for name in ["fresh", "state"] {
            assert!(undefined.contains(&name.to_owned()), "{undefined:?}");
        }
    }
}

#[test]
fn an_exported_function_is_replaced_for_modules_as_well() {
    let world = |object| World {
        exported: ["exported", "__fentry__", "shared_service"].into(),
        object,
        ..World::new()
    };
    let service = "int shared_service(int x) { return helper(x) + 1; }\n\
                   asm(\".pushsection \\\".export_symbol\\\",\\\"a\\\"\\n\
                   __export_symbol_shared_service: .asciz \\\"GPL\\\"\\n.balign 8\\n\
                   .quad shared_service\\n.popsection\");\n\
                   int near(int x) { return shared_service(x) /**/; }\n";
    let user = "int shared_service(int);\n\
                int far(int x) { return shared_service(x) + 1; }\n\
                void *where(void) { helper(1); return shared_service; }\n";
    for arch in ARCHES {
        // The kernel's symbol stays what modules are linked to, and ftrace leads them on.
        let after = service.replace("+ 1", "+ 2").replace("/**/", "* 3");
        let found = outcome(arch, service, &after, &world("vmlinux"));
        assert_eq!(found.changed(), ["near", "shared_service"]);
        let object = found.emitted();
        let global = object.global();
        assert!(
            global.iter().all(|name| name.starts_with("klp_new_")),
            "{global:?}"
        );
        assert!(!object.undefined().contains(&"shared_service".to_owned()));
        let sections = object.sections();
        assert!(!sections.iter().any(|name| name.contains("export")));
        // A module's part of the same patch refers to it as any module does.
        let after = user.replace("+ 1", "+ 2").replace("helper(1)", "helper(2)");
        let found = outcome(arch, user, &after, &world("ext4"));
        assert_eq!(found.changed(), ["far", "where"]);
        for section in [".text.far", ".text.where"] {
            let targets = found.emitted().targets(section);
            assert!(
                targets.contains(&"shared_service".to_owned()),
                "{section}: {targets:?}"
            );
        }
    }
}
