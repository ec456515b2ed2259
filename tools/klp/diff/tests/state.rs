// SPDX-License-Identifier: GPL-2.0

//! What the running kernel keeps in its variables is neither lost nor made up.

mod common;

use common::{fix, fix_in, outcome, World};
use livepatch_fixtures::ARCHES;

const SETUP: &str = "void *make(void);\nvoid __init setup(void) { helper(1); /*init*/ }\n\
                     void *get(int x) { helper(x); return make(); /*get*/ }\n";

fn with_new_variable(init: &str) -> String {
    SETUP
        .replace("void __init", "static void *cache;\nvoid __init")
        .replace("/*init*/", init)
        .replace("return make(); /*get*/", "return cache;")
}

#[test]
fn a_new_variable_that_init_code_sets_up_is_refused() {
    for arch in ARCHES {
        let after = with_new_variable("cache = make();");
        let found = outcome(arch, SETUP, &after, &World::new());
        let message = found.refused("cache", "setup is to set it up");
        assert!(message.contains("in a callback"), "{message}");
    }
}

#[test]
fn a_new_variable_that_new_init_code_sets_up_is_refused() {
    for arch in ARCHES {
        let after = with_new_variable("prepare();").replace(
            "void __init",
            "static void __init apart prepare(void) { cache = make(); }\nvoid __init",
        );
        let found = outcome(arch, SETUP, &after, &World::new());
        found.refused("cache", "setup is to set it up");
    }
}

#[test]
fn a_new_variable_that_a_callback_sets_up_is_fine() {
    let callback = "static apart void set(void) { cache = make(); }\n\
                    static int before(void *object) { set(); return 0; }\n\
                    void *__klp_pre_patch_callback_vmlinux \
                    __attribute__((used, section(\".discard.klp_callback_ptrs\"))) = before;\n";
    for arch in ARCHES {
        let after = with_new_variable("cache = make();") + callback;
        let found = outcome(arch, SETUP, &after, &World::new());
        assert_eq!(found.data(), ["cache"]);
        assert_eq!(found.patch.left_out[0].what, "setup");
        found.emitted();
    }
}

#[test]
fn a_new_variable_that_has_its_value_is_fine() {
    for arch in ARCHES {
        let after = with_new_variable("cache = make();").replace("*cache;", "*cache = &helper;");
        outcome(arch, SETUP, &after, &World::new()).emitted();
    }
}

#[test]
fn a_new_constant_that_init_code_reads_is_fine() {
    for arch in ARCHES {
        let after = SETUP
            .replace(
                "void __init",
                "static const int table[4] = { 5, 6, 7, 8 };\nvoid __init",
            )
            .replace("/*init*/", "helper(table[helper(2)]);")
            .replace("helper(x);", "helper(table[x]);");
        let found = outcome(arch, SETUP, &after, &World::new());
        assert_eq!(found.data(), ["table"]);
        found.emitted();
    }
}

#[test]
fn a_renamed_variable_is_refused() {
    let source = "static int limit = 5;\nint get(int x) { return helper(x) + limit++; }\n";
    for arch in ARCHES {
        let after = source.replace("limit", "maximum");
        let found = outcome(arch, source, &after, &World::new());
        found.refused("maximum", "limit of the same size is gone");
        // One of another size is another one.
        let after = after.replace("static int maximum", "static long maximum");
        outcome(arch, source, &after, &World::new()).emitted();
    }
}

#[test]
fn what_is_done_once_is_not_done_again() {
    let source = "int get(int x) {\n\
                  static char ___done __attribute__((section(\".data..once\")));\n\
                  static struct static_key ___once_key;\n\
                  if (static_branch(&___once_key)) exported(\"%p\", &___done);\n\
                  return helper(x) /**/; }\n";
    for arch in ARCHES {
        let found = fix_in(arch, source, "/**/", "* 3", &World::new());
        assert!(found.data().is_empty(), "{:?}", found.data());
        let symbols = found.livepatch_symbols();
        for name in ["vmlinux.___done.", "vmlinux.___once_key."] {
            assert!(
                symbols.iter().any(|symbol| symbol.starts_with(name)),
                "{symbols:?}"
            );
        }
        found.emitted();
    }
}

#[test]
fn a_table_of_functions_without_a_symbol_in_the_kernel_is_refused() {
    let source = "struct ops { int (*call)(int); };\n\
                  static const struct ops own_ops = { helper };\n\
                  int is_own(const struct ops *ops) { helper(1); return ops == &own_ops /**/; }\n";
    let world = World {
        missing: ["own_ops"].into(),
        ..World::new()
    };
    for arch in ARCHES {
        fix_in(arch, source, "/**/", "? 3 : 4", &world).refused("is_own", "it needs own_ops");
        fix_in(arch, source, "/**/", "? 3 : 4", &World::new()).emitted();
    }
}

#[test]
fn what_is_filled_in_later_is_refused() {
    let source = "int get(int x) { return helper(x); }\n";
    for arch in ARCHES {
        let after = "static int ids[2] __attribute__((section(\".BTF_ids\"))) = { 1, 2 };\n\
                     int get(int x) { return helper(ids[x]); }\n";
        let found = outcome(arch, source, after, &World::new());
        found.refused("get", "it refers to .BTF_ids");
    }
}

#[test]
fn new_per_cpu_variables_are_where_the_module_loader_looks_for_them() {
    let source = "int get(int x) { return helper(x); }\n";
    for arch in ARCHES {
        let after = "#define aligned_per_cpu \
                     __attribute__((section(\".data..percpu..shared_aligned\"), aligned(64)))\n\
                     static aligned_per_cpu int own = 5; static __per_cpu int other = 6;\n\
                     int get(int x) { return helper(x) + own++ + other++; }\n";
        let found = outcome(arch, source, after, &World::new());
        assert_eq!(found.data(), ["other", "own"]);
        let object = found.emitted();
        assert_eq!(object.data(".data..percpu").len(), 8);
        let sections = object.sections();
        let mut per_cpu = sections.iter().filter(|name| name.contains("percpu"));
        assert!(per_cpu.all(|name| name == ".data..percpu"), "{sections:?}");
    }
}

const THREADS: &str = r#"
void *kthread_create_on_node(int (*function)(void *), void *data, int node, const char *name);
static int loop(void *data) { while (!exported("stop")) ; return 0; }
apart int called(int x) { return exported("called %d", x); }
void *start(int x) { called(x); return kthread_create_on_node(loop, 0, x, "thread"); }
"#;

#[test]
fn the_function_of_a_kernel_thread_may_never_be_left() {
    for arch in ARCHES {
        let found = fix(arch, THREADS, "\"stop\"", "\"halt\"");
        assert_eq!(found.changed(), ["loop"]);
        let [told] = &found.patch.left_out[..] else {
            panic!("{:?}", found.patch.left_out);
        };
        assert_eq!(told.what, "loop");
        assert!(told.effect.contains("does not end"), "{}", told.effect);
        // One that is called beside it is none.
        let found = fix(arch, THREADS, "called %d", "was called %d");
        assert_eq!(found.changed(), ["called"]);
        assert!(found.patch.left_out.is_empty());
    }
}
