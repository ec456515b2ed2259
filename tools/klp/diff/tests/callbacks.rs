// SPDX-License-Identifier: GPL-2.0

//! Callbacks that a fix declares with `<linux/livepatch_helpers.h>`.

mod common;

use common::{compare, compile_with, outcome, Outcome, World};
use klp_diff::model::{CallbackKind, Patch};
use klp_diff::{describe, Options};
use livepatch_fixtures::{Arch, ARCHES};

const SOURCE: &str = "int f(int x) { return helper(x) /**/; }\nint __init setup(void) { return \
                      helper(1) /*init*/; }\n";

/// The header with the macros.
const HELPERS: &str = include_str!("../../../../include/linux/livepatch_helpers.h");

/// What the macros use of the kernel's headers.
const USED: &str = "struct klp_object;\n#define __used __attribute__((used))\n\
                    #define __section(name) __attribute__((section(name)))\n\
                    #define ___PASTE(a, b) a##b\n#define __PASTE(a, b) ___PASTE(a, b)\n";

/// A fix that adds to the source, and changes `/**/` in it.
fn with(arch: Arch, added: &str, change: &str, world: &World) -> Outcome {
    fixed(arch, &SOURCE.replace("/**/", change), added, world)
}

fn fixed(arch: Arch, source: &str, added: &str, world: &World) -> Outcome {
    let macros = HELPERS
        .lines()
        .filter(|line| !line.starts_with("#include"))
        .collect::<Vec<_>>()
        .join("\n");
    // As kbuild of Debian 13's kernel does.
    let name = format!("-D__KBUILD_MODNAME=kmod_{}", world.object);
    let flags = match world.object {
        "vmlinux" => vec![],
        _ => vec!["-DMODULE", &name],
    };
    let after = format!("{source}{USED}{macros}\n{added}\n");
    compare(
        &compile_with(arch, &flags, SOURCE),
        &compile_with(arch, &flags, &after),
        world,
    )
}

fn module() -> World {
    World {
        object: "ext4",
        ..World::new()
    }
}

const BOTH: &str =
    "static int times; static apart int count(int x) { return times += helper(x); }\n\
                    static int before(struct klp_object *object) { return count(1); }\n\
                    static void after(struct klp_object *object) { count(3); }\n\
                    KLP_PRE_PATCH_CALLBACK(before);\n\
                    KLP_POST_UNPATCH_CALLBACK(after);";

#[test]
fn go_along_with_what_they_need() {
    for arch in ARCHES {
        let found = with(arch, BOTH, "* 3", &World::new());
        assert_eq!(found.changed(), ["f"]);
        let object = found.emitted();
        assert_eq!(found.new_functions(), ["after", "before", "count"]);
        assert_eq!(found.data(), ["times"]);
        let callbacks = found.patch.callbacks.iter();
        let callbacks: Vec<_> = callbacks
            .map(|callback| (callback.kind, callback.function.as_str()))
            .collect();
        assert_eq!(
            callbacks,
            [
                (CallbackKind::PrePatch, "before"),
                (CallbackKind::PostUnpatch, "after")
            ]
        );
        let mut global = object.global();
        global.sort();
        assert_eq!(
            global,
            [
                "klp_callback_fs_x2f_test_x2e_c_after",
                "klp_callback_fs_x2f_test_x2e_c_before",
                "klp_new_fs_x2f_test_x2e_c_f"
            ]
        );
        let mut sections = object.sections().into_iter();
        assert!(!sections.any(|name| name.starts_with(".discard.klp")));
    }
}

#[test]
fn are_a_patch_without_a_changed_function() {
    for arch in ARCHES {
        let found = with(arch, BOTH, "/**/", &World::new());
        assert!(found.changed().is_empty() && !found.patch.is_empty());
        assert!(found.emitted().defines("before"));
        let text = describe([&found.patch], &Options::default()).unwrap();
        // The kernel wants a list of functions, and an empty one will do.
        assert!(
            text.contains("static struct klp_func functions_0[] = {\n\t{ }\n};"),
            "{text}"
        );
        common::compile(arch, &common::without_includes(&text));
    }
}

#[test]
fn are_described_with_their_object() {
    for arch in ARCHES {
        let added = "static void same(struct klp_object *object) { helper(2); }\n\
                     KLP_POST_PATCH_CALLBACK(same);\n\
                     KLP_PRE_UNPATCH_CALLBACK(same);";
        let patches = [
            with(arch, added, "* 3", &module()).patch,
            with(arch, BOTH, "* 3", &World::new()).patch,
        ];
        let text = describe(&patches, &Options::default()).unwrap();
        let prefix = "klp_callback_fs_x2f_test_x2e_c_";
        for line in [
            format!("extern void {prefix}same(void);"),
            format!(
                "\t{{ .name = \"ext4\", .funcs = functions_0, .callbacks.post_patch = \
                 (void *){prefix}same, .callbacks.pre_unpatch = \
                 (void *){prefix}same }},"
            ),
            format!(
                "\t{{ .funcs = functions_1, .callbacks.pre_patch = \
                 (void *){prefix}before, .callbacks.post_unpatch = \
                 (void *){prefix}after }},"
            ),
        ] {
            let lines = text.lines().filter(|found| *found == line);
            assert_eq!(lines.count(), 1, "{line}\n{text}");
        }
        common::compile(arch, &common::without_includes(&text));
    }
}

#[test]
fn may_be_a_function_that_is_replaced() {
    for arch in ARCHES {
        let added = "KLP_POST_PATCH_CALLBACK((void *)f);";
        let found = with(arch, added, "* 3", &World::new());
        assert_eq!(
            found.emitted().global(),
            ["klp_new_fs_x2f_test_x2e_c_f"],
            "one symbol is enough"
        );
        assert_eq!(
            found.patch.callbacks[0].symbol,
            "klp_new_fs_x2f_test_x2e_c_f"
        );
    }
}

#[test]
fn may_be_in_another_unit() {
    let world = World {
        shared: ["common_callback"].into(),
        ..World::new()
    };
    for arch in ARCHES {
        let added = "int common_callback(struct klp_object *);\n\
                     KLP_PRE_PATCH_CALLBACK(common_callback);";
        let found = with(arch, added, "* 3", &world);
        found.emitted();
        assert_eq!(found.patch.callbacks[0].symbol, "common_callback");
    }
}

#[test]
fn of_one_kind_are_refused_where_there_are_several() {
    let patch = |name: &str, world: &World| -> Patch {
        let added = format!(
            "static int {name}(struct klp_object *object) {{ return helper(2); }}\n\
             KLP_PRE_PATCH_CALLBACK({name});"
        );
        let mut patch = with(Arch::X86_64, &added, "* 3", world).patch;
        patch.source = Some(format!("{name}.c"));
        patch
    };
    let patches = [
        patch("one", &World::new()),
        patch("two", &module()),
        patch("three", &World::new()),
    ];
    let error = describe(&patches, &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vmlinux: it has several pre_patch callbacks, and can have one: one in one.c and three in \
         three.c: make one of them, which does what both do"
    );
    describe(&patches[..2], &Options::default()).unwrap();
}

#[test]
fn of_another_object_are_refused() {
    for arch in ARCHES {
        let added = "static int before(struct klp_object *object) { return helper(2); }\n\
                     #undef KLP_OBJNAME\n#define KLP_OBJNAME ext4\n\
                     KLP_PRE_PATCH_CALLBACK(before);";
        let found = with(arch, added, "* 3", &World::new());
        let message = found.refused(
            "__klp_pre_patch_callback_ext4",
            "a pre_patch callback of ext4",
        );
        assert!(message.contains("a part of vmlinux"), "{message}");
    }
}

#[test]
fn of_the_kernel_are_refused() {
    for arch in ARCHES {
        for function in ["f", "helper"] {
            let added = format!("KLP_POST_PATCH_CALLBACK((void *){function});");
            let found = with(arch, &added, "/**/", &World::new());
            found.refused(
                "__klp_post_patch_callback_vmlinux",
                &format!("its function {function} is the kernel's"),
            );
        }
    }
}

#[test]
fn that_are_none_are_refused() {
    for arch in ARCHES {
        for (pointer, function) in [
            ("__klp_some_callback_vmlinux", "f"),
            ("__klp_pre_patch_callback_vmlinux", "0"),
            ("__klp_pre_patch_callback_vmlinux", "(char *)f + 6"),
        ] {
            let added =
                format!("void *{pointer} __used __section(KLP_CALLBACK_PTRS) = {function};");
            let found = with(arch, &added, "* 3", &World::new());
            found.refused(pointer, "does not name a function");
        }
    }
}

#[test]
fn do_what_init_code_would_have_done() {
    let world = World::new();
    for arch in ARCHES {
        let after = SOURCE.replace("/*init*/", "+ 5");
        outcome(arch, SOURCE, &after, &world).refused("setup", "it is in .init.text");
        let found = fixed(arch, &after, BOTH, &world);
        assert_eq!(found.patch.left_out[0].what, "setup");
        found.emitted();
    }
}

#[test]
fn in_init_code_are_refused() {
    for arch in ARCHES {
        let added = "static int __init before(struct klp_object *object) { return helper(2); }\n\
                     KLP_PRE_PATCH_CALLBACK(before);";
        let found = with(arch, added, "* 3", &World::new());
        found.refused("before", "it is in .init.text");
    }
}
