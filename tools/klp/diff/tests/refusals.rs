// SPDX-License-Identifier: GPL-2.0

//! What a livepatch cannot do is refused, with a reason and a way out.

mod common;

use common::{fix, fix_in, outcome, World};
use livepatch_fixtures::{Arch, ARCHES};

#[test]
fn code_that_ran_when_the_kernel_started() {
    let source = "int __init setup(int x) { return helper(x) + 1; }\n";
    for arch in ARCHES {
        let message = fix(arch, source, "+ 1", "+ 2").refused("setup", "it is in .init.text");
        assert!(message.contains("callback"), "{message}");
    }
}

#[test]
fn code_that_ran_when_the_kernel_started_is_left_out_beside_other_code() {
    let source =
        "static inline __attribute__((always_inline)) int limit(int x) { return x + 1; }\n\
                  int __init setup(int x) { return helper(limit(x)); }\n\
                  int f(int x) { return helper(limit(x)) * 3; }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "x + 1", "x + 2");
        assert_eq!(found.changed(), ["f"]);
        assert_eq!(found.patch.left_out[0].what, "setup");
        assert!(!found.emitted().defines("setup"));
    }
}

#[test]
fn a_function_without_a_call_site_that_others_see() {
    let source = "notrace int quiet(int x) { return helper(x) + 1; }\n\
                  int caller(int x) { return quiet(x); }\n";
    for arch in ARCHES {
        let message = fix(arch, source, "+ 1", "+ 2").refused("quiet", "ftrace cannot reach it");
        assert!(message.contains("the functions that call it"), "{message}");
    }
}

#[test]
fn code_that_nothing_may_interrupt() {
    let source = "notrace __attribute__((section(\".noinstr.text\"))) int quiet(int x) \
                  { return helper(x) + 1; }\nint caller(int x) { return quiet(x); }\n";
    for arch in ARCHES {
        let message = fix(arch, source, "+ 1", "+ 2").refused("quiet", "it is in .noinstr.text");
        assert!(message.contains("restart with a kernel"), "{message}");
    }
}

#[test]
fn code_that_starts_the_kernel() {
    let source = "notrace __attribute__((section(\".head.text\"))) int start(int x) \
                  { return helper(x) + 1; }\n";
    for arch in ARCHES {
        fix(arch, source, "+ 1", "+ 2").refused("start", "it is in .head.text");
    }
}

#[test]
fn what_is_no_part_of_the_running_kernel() {
    let source = "notrace int f(int x) { return helper(x) + 1; }\n";
    for (unit, part) in [
        ("arch/x86/entry/vdso/vdso64/vgetcpu.c", "the vDSO"),
        ("arch/s390/kernel/vdso/vgettimeofday.c", "the vDSO"),
        ("arch/x86/boot/compressed/misc.c", "unpacks and starts"),
        ("arch/s390/boot/startup.c", "unpacks and starts"),
        ("arch/x86/purgatory/purgatory.c", "the purgatory"),
        ("drivers/firmware/efi/libstub/gop.c", "the EFI stub"),
        ("arch/x86/realmode/rm/wakemain.c", "starts a processor"),
    ] {
        for missing in [&["f"][..], &[]] {
            let world = World {
                unit,
                missing: missing.iter().copied().collect(),
                ..World::new()
            };
            for arch in ARCHES {
                fix_in(arch, source, "+ 1", "+ 2", &world).refused("f", part);
            }
        }
    }
}

#[test]
fn what_stands_beside_the_vdso_is_the_kernel() {
    let world = World {
        unit: "arch/x86/entry/vdso/vma.c",
        ..World::new()
    };
    let source = "int f(int x) { return helper(x) + 1; }\n";
    for arch in ARCHES {
        fix_in(arch, source, "+ 1", "+ 2", &world).emitted();
    }
}

const WEAK: &str = "__attribute__((weak)) int hook(int x) { return helper(x) + 1; }\n\
                    int caller(int x) { return hook(x) /**/; }\n";

#[test]
fn a_weak_function_that_another_one_takes_the_place_of() {
    let world = World {
        weak: [("hook", false)].into(),
        ..World::new()
    };
    for arch in ARCHES {
        let found = fix_in(arch, WEAK, "+ 1", "+ 2", &world);
        let message = found.refused("hook", "it is weak");
        assert!(message.contains("does not need it"), "{message}");
        // Beside another change it is left out.
        let after = WEAK.replace("+ 1", "+ 2").replace("/**/", "* 3");
        let found = outcome(arch, WEAK, &after, &world);
        assert_eq!(found.changed(), ["caller"]);
        assert_eq!(found.patch.left_out[0].what, "hook");
        assert!(!found.emitted().defines("hook"));
        let symbols = found.livepatch_symbols();
        assert!(
            symbols.contains(&"vmlinux.hook,0".to_owned()),
            "{symbols:?}"
        );
    }
}

#[test]
fn a_weak_function_that_is_the_kernels() {
    let world = World {
        weak: [("hook", true)].into(),
        ..World::new()
    };
    for arch in ARCHES {
        let found = fix_in(arch, WEAK, "+ 1", "+ 2", &world);
        assert_eq!(found.changed(), ["hook"]);
        found.emitted();
        let found = fix(arch, WEAK, "+ 1", "+ 2");
        found.refused("hook", "may have another function of that name");
    }
}

#[test]
fn a_function_without_a_call_site_whose_address_is_kept() {
    let source = "static notrace apart int quiet(int x) { return helper(x) + 1; }\n\
                  int caller(int x) { return quiet(x); }\nint (*kept)(int) = quiet;\n";
    for arch in ARCHES {
        fix(arch, source, "+ 1", "+ 2").refused("quiet", "ftrace cannot reach it");
    }
}

#[test]
fn a_function_without_a_call_site_that_only_init_code_calls() {
    let source = "static notrace apart int quiet(int x) { return helper(x) + 1; }\n\
                  int __init caller(int x) { return quiet(x) * 3; }\n";
    for arch in ARCHES {
        fix(arch, source, "+ 1", "+ 2").refused("caller", "it is in .init.text");
    }
}

#[test]
fn a_function_that_the_kernel_says_it_cannot_trace() {
    let source = "int listed(int x) { return helper(x) + 1; }\n";
    let world = World {
        untraced: ["listed"].into(),
        ..World::new()
    };
    for arch in ARCHES {
        fix_in(arch, source, "+ 1", "+ 2", &world).refused("listed", "ftrace cannot reach it");
    }
}

#[test]
fn a_new_function_without_a_call_site_is_fine() {
    let source = "int f(int x) { return helper(x); }\n";
    for arch in ARCHES {
        let after = "static apart notrace int fresh(int x) { return helper(x); }\n\
                     int f(int x) { return fresh(x) + 1; }\n";
        let found = outcome(arch, source, after, &World::new());
        assert_eq!(found.new_functions(), ["fresh"]);
        found.emitted();
    }
}

#[test]
fn a_function_that_is_not_in_the_kernel() {
    let source = "int f(int x) { return helper(x) + 1; }\n";
    let world = World {
        missing: ["f"].into(),
        ..World::new()
    };
    for arch in ARCHES {
        fix_in(arch, source, "+ 1", "+ 2", &world).refused("f", "neither the kernel nor a module");
    }
}

#[test]
fn a_symbol_that_nobody_has() {
    let source = "int f(int x) { return helper(x) + 1; }\n";
    let world = World {
        missing: ["helper"].into(),
        ..World::new()
    };
    for arch in ARCHES {
        fix_in(arch, source, "+ 1", "+ 2", &world).refused("f", "it needs helper");
    }
}

#[test]
fn a_symbol_that_stands_several_times() {
    let source = "int f(int x) { return helper(x) + 1; }\n";
    let world = World {
        ambiguous: ["helper"].into(),
        ..World::new()
    };
    for arch in ARCHES {
        let message = fix_in(arch, source, "+ 1", "+ 2", &world).refused("f", "several times");
        assert!(message.contains("two of them"), "{message}");
    }
}

#[test]
fn an_entry_that_is_read_when_the_kernel_starts() {
    let source = "int f(int x) { return helper(x); }\n";
    for arch in ARCHES {
        let after = format!(
            "{source}static int late(void) {{ return helper(1); }}\nstatic int (*initcall)(void) \
             __attribute__((used, section(\".initcall6.init\"))) = late;\n"
        );
        let found = outcome(arch, source, &after, &World::new());
        found.refused("initcall", "which the kernel has read already");
    }
}

#[test]
fn an_entry_under_another_name_is_the_same_entry() {
    let source = "static int late(void) { return helper(1); }\n\
                  static int (*call_17)(void) \
                  __attribute__((used, section(\".initcall6.init\"))) = late;\n\
                  int f(int x) { return helper(x) /**/; }\n";
    for arch in ARCHES {
        let after = source.replace("call_17", "call_18").replace("/**/", "* 3");
        let found = outcome(arch, source, &after, &World::new());
        assert_eq!(found.changed(), ["f"]);
        found.emitted();
    }
}

#[test]
fn a_call_of_what_is_gone_since_the_kernel_started() {
    let source = "int __init apart gone(int x) { return helper(x); }\n\
                  int f(int x) { return helper(x); }\n";
    for arch in ARCHES {
        let after = source.replace(
            "int f(int x) { return helper(x)",
            "int f(int x) { return gone(x)",
        );
        let found = outcome(arch, source, &after, &World::new());
        found.refused("f", "it is in .init.text");
    }
}

#[test]
fn a_module_in_a_table_that_is_used_up() {
    let source = "int replacement(int);\nint f(int x) { ALTERNATIVE(); return helper(x) /**/; }\n";
    let world = World {
        elsewhere: [("replacement", "ext4")].into(),
        object: "ext4",
        ..World::new()
    };
    for arch in ARCHES {
        let found = fix_in(arch, source, "/**/", "* 3", &world);
        found.refused(".altinstr_replacement+0x0", "which may be loaded later");
    }
}

#[test]
fn a_jump_into_another_function() {
    let source = "int f(int x) { return helper(x) /**/; }\n\
                  void entry(void) { asm volatile(\".globl inside\\ninside: nop\"); helper(1); }\n\
                  extern char inside[];\n\
                  void *where(int x) { helper(x); return inside + x; }\n";
    for arch in ARCHES {
        let found = fix(
            arch,
            source,
            "helper(x); return inside",
            "helper(x + 5); return inside",
        );
        found.refused("where", "the inside of entry");
    }
}

#[test]
fn a_new_export() {
    let source = "int f(int x) { return helper(x); }\n";
    for arch in ARCHES {
        let after = format!(
            "{source}asm(\".section \\\".export_symbol\\\",\\\"a\\\"\\n__export_symbol_f: .asciz \
             \\\"GPL\\\"\\n.balign 8\\n.quad f\\n.previous\");\n"
        );
        let found = outcome(arch, source, &after, &World::new());
        found.refused("__export_symbol_f", "it is in .export_symbol");
    }
}

#[test]
fn a_variable_without_a_name() {
    let source = "int f(int x) { return helper(x) + 1; }\n";
    for arch in ARCHES {
        let after = "asm(\".pushsection .data.mine,\\\"aw\\\"\\n.Lmine: .quad 5\\n.popsection\");\n\
                     extern long mine __asm__(\".Lmine\") __attribute__((visibility(\"hidden\")));\n\
                     int f(int x) { return helper(x) + mine++; }\n";
        let found = outcome(arch, source, after, &World::new());
        found.refused("f", "a variable in .data.mine that has no name");
    }
}

#[test]
fn objects_for_different_machines() {
    let text = "int f(int x) { return helper(x); }\n";
    let before = common::compile(Arch::X86_64, text);
    let after = common::compile(Arch::S390, text);
    let target = klp_diff::Target {
        object: "vmlinux".to_owned(),
        unit: "x".to_owned(),
    };
    let error = klp_diff::diff(&before, &after, &target, &World::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the two objects are for different machines"
    );
}

#[test]
fn files_that_are_no_objects() {
    let target = klp_diff::Target {
        object: "vmlinux".to_owned(),
        unit: "x".to_owned(),
    };
    let good = common::compile(Arch::X86_64, "int f(int x) { return helper(x); }\n");
    for bad in [&b""[..], b"\x7fELF", &good[..200]] {
        let error = klp_diff::diff(bad, &good, &target, &World::new()).unwrap_err();
        assert!(
            error.to_string().starts_with("the original object: "),
            "{error}"
        );
        let error = klp_diff::diff(&good, bad, &target, &World::new()).unwrap_err();
        assert!(
            error.to_string().starts_with("the patched object: "),
            "{error}"
        );
    }
}
