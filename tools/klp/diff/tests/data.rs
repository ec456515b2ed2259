// SPDX-License-Identifier: GPL-2.0

//! Variables and constants: whose they are, and what may change.

mod common;

use common::{fix, fix_in, outcome, Emitted, World};
use klp_diff::model::WhyTaken;
use livepatch_fixtures::ARCHES;

#[test]
fn a_static_variable_is_the_kernels_whatever_its_number() {
    let source = "int a(int x) { static int count; return ++count + helper(x) /*a*/; }\n\
                  int b(int x) { static int count; return ++count * helper(x) /*b*/; }\n";
    for arch in ARCHES {
        // The new variable moves the numbers of all that follow.
        let after = source
            .replace(
                "int a(int x) {",
                "int a(int x) { static int count_of_new; count_of_new++;",
            )
            .replace("/*b*/", "+ 77");
        let found = outcome(arch, source, &after, &World::new());
        assert_eq!(found.changed(), ["a", "b"]);
        let data = found.data();
        assert_eq!(data.len(), 1, "{data:?}");
        assert!(data[0].starts_with("count_of_new."), "{data:?}");
        let mut counts = found.livepatch_symbols();
        counts.retain(|name| name.contains("count"));
        assert_eq!(counts.len(), 2, "{counts:?}");
        found.emitted();
    }
}

#[test]
fn static_variables_of_the_same_name_are_told_apart_by_who_uses_them() {
    let source = "int a(int x) { static int count; return ++count + helper(x) /*a*/; }\n\
                  int b(int x) { static int count; return ++count * helper(x) /*b*/; }\n";
    for arch in ARCHES {
        let with_another =
            "static apart int new(int x) { static int count; return ++count + helper(x); }\n";
        let after = format!("{with_another}{}", source.replace("/*b*/", "+ new(x)"));
        let found = outcome(arch, source, &after, &World::new());
        assert_eq!(found.changed(), ["b"]);
        assert_eq!(found.new_functions(), ["new"]);
        assert_eq!(found.data().len(), 1);
        let mut counts = found.livepatch_symbols();
        counts.retain(|name| name.contains("count"));
        // Whose it is in the original, its relocations say.
        let before = Emitted {
            bytes: common::compile(arch, source),
        };
        let mut used = before.targets(".text.b");
        used.retain(|name| name.contains("count"));
        let number = used[0].rsplit('.').next().unwrap();
        assert_eq!(counts, [format!("vmlinux.count.{number},0")], "{arch:?}");
        found.emitted();
    }
}

#[test]
fn a_static_variable_goes_with_an_inlined_function() {
    let body = "int once(void) { static int count; return ++count + helper(1); }\n\
                int a(int x) { return once() + x; }\nint b(int x) { return once() * x; }\n";
    let inlined = "static inline __attribute__((always_inline)) ";
    for arch in ARCHES {
        let found = outcome(
            arch,
            &format!("{inlined}{body}"),
            &format!("static apart {body}"),
            &World::new(),
        );
        assert_eq!(found.changed(), ["a", "b"]);
        assert_eq!(found.new_functions(), ["once"]);
        assert_eq!(found.livepatch_symbols()[0], "vmlinux.count.0,0");
        assert!(found.data().is_empty());
        found.emitted();
        // And the other way round.
        let found = outcome(
            arch,
            &format!("static apart {body}"),
            &format!("{inlined}{body}"),
            &World::new(),
        );
        assert_eq!(found.changed(), ["a", "b"]);
        assert!(found.data().is_empty());
        found.emitted();
    }
}

#[test]
fn a_second_variable_of_the_same_name_in_a_function_is_unclear() {
    let source = "int a(int x) { { static int n; x += ++n; } return helper(x); }\n";
    for arch in ARCHES {
        let after = "int a(int x) { { static int n; x += ++n; } { static int n; x *= ++n; } \
                     return helper(x); }\n";
        let found = outcome(arch, source, after, &World::new());
        found.refused("a", "which variable of the kernel it is");
    }
}

#[test]
fn a_constant_is_never_unclear() {
    let first = "{ static const char n[] = \"one\"; x += helper((long)n); }";
    let second = "{ static const char n[] = \"two\"; x *= helper((long)n); }";
    for arch in ARCHES {
        let before = format!("int a(int x) {{ {first} return helper(x); }}\n");
        let after = format!("int a(int x) {{ {first} {second} return helper(x); }}\n");
        let found = outcome(arch, &before, &after, &World::new());
        assert_eq!(found.changed(), ["a"]);
        assert_eq!(found.data().len(), 2);
        found.emitted();
    }
}

#[test]
fn a_device_table_that_is_declared_as_such_is_the_same_table() {
    let table = "struct id { int a, b; };\n\
                 static const struct id ids[] = { { 1, 2 }, { 3, 4 }, { 0, 0 } };\n\
                 const struct id *volatile user = ids;\n\
                 int f(int x) { return helper(x) + 1; }\n";
    for declaration in [
        "static const struct id __mod_device_table__pci__ids[3]\n\
         __attribute__((used, alias(\"ids\")));\n",
        "extern const struct id __mod_pci__ids_device_table[3]\n\
         __attribute__((unused, alias(\"ids\")));\n",
    ] {
        for arch in ARCHES {
            let after = format!("{table}{declaration}").replace("+ 1", "+ 2");
            let found = outcome(arch, table, &after, &World::new());
            assert_eq!(found.changed(), ["f"]);
            assert!(found.data().is_empty());
            found.emitted();
        }
    }
}

#[test]
fn a_device_table_has_the_name_that_the_source_gives_it() {
    let declarations = [
        "static const struct id __mod_device_table__pci__ids[2]\n\
         __attribute__((used, alias(\"ids\")));\n",
        "extern const struct id __mod_pci__ids_device_table[2]\n\
         __attribute__((unused, alias(\"ids\")));\n",
    ];
    let source = |user: &str, declaration: &str| {
        format!(
            "struct id {{ int a, b; }};\n\
             static const struct id ids[] = {{ {{ 1, 2 }}, {{ 0, 0 }} }};\n\
             {user} int f(int x) {{ return helper((long)ids) + x; }}\n{declaration}"
        )
    };
    for (arch, declaration) in ARCHES
        .into_iter()
        .flat_map(|arch| declarations.map(|one| (arch, one)))
    {
        let driver = source("const struct id *volatile driver = ids;", declaration);
        let found = fix(arch, &driver, "+ x", "- x");
        assert_eq!(found.changed(), ["f"]);
        assert!(found.data().is_empty());
        let symbols = found.livepatch_symbols();
        assert!(symbols.contains(&"vmlinux.ids,0".to_owned()), "{symbols:?}");
        found.emitted();
        // What else than functions has it, would go on with the old one.
        fix(arch, &driver, "1, 2", "1, 3").refused("ids", "its contents change");
        let found = fix(arch, &source("", declaration), "1, 2", "1, 3");
        assert_eq!(found.changed(), ["f"]);
        assert_eq!(found.data(), ["ids"]);
        found.emitted();
    }
}

#[test]
fn constants_that_were_one_are_told_apart() {
    let source = "int a(int x) { static const int n[] = { 1, 2, 4, 8 }; return n[helper(x)]; }\n\
                  int b(int x) { static const int n[] = { 1, 2, 4, 8 }; return n[helper(x)] + 1; }\n";
    for arch in ARCHES {
        let found = outcome(arch, source, &source.replacen("8", "9", 1), &World::new());
        assert!(found.changed().contains(&"a"));
        found.emitted();
    }
}

#[test]
fn a_changed_initial_value_is_refused() {
    let source = "int limit = 5; int f(void) { return limit; }\n";
    for arch in ARCHES {
        let message = fix(arch, source, "= 5", "= 6").refused("limit", "its contents change");
        assert!(message.contains("callback"), "{message}");
    }
}

#[test]
fn a_larger_structure_is_refused() {
    let source = "struct s { int a, b; } state = { 1, 2 }; int f(void) { return state.b; }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "int a, b;", "int a, b, c;");
        found.refused("state", "bytes in place of");
    }
}

#[test]
fn a_changed_pointer_to_a_function_is_refused() {
    let source = "static int one(int x) { return helper(x); }\n\
                  static int two(int x) { return helper(x) + 2; }\n\
                  struct ops { int (*call)(int), (*other)(int); };\n\
                  const struct ops ops = { one, two };\n";
    for arch in ARCHES {
        fix(arch, source, "{ one, two }", "{ two, two }").refused("ops", "refers to two");
    }
}

#[test]
fn a_table_of_changed_functions_stays() {
    let source = "static int one(int x) { return helper(x) + 1; }\n\
                  struct ops { int (*call)(int); };\n\
                  const struct ops ops = { one };\n";
    for arch in ARCHES {
        let found = fix(arch, source, "+ 1", "+ 2");
        assert_eq!(found.changed(), ["one"]);
        assert!(found.data().is_empty());
        found.emitted();
    }
}

#[test]
fn a_private_constant_may_change_with_those_who_use_it() {
    let source = "static const int table[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };\n\
                  int get(int x) { return table[x & 7] + helper(x); }\n\
                  int put(int x) { return helper(x); }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "3, 4", "3, 44");
        assert_eq!(found.changed(), ["get"]);
        assert_eq!(found.data(), ["table"]);
        assert_eq!(found.patch.data[0].why, WhyTaken::ChangedConstant);
        let object = found.emitted();
        assert!(object.defines("table"));
        assert_eq!(object.data(".rodata.table").len(), 32);
    }
}

#[test]
fn a_private_table_of_strings_may_change_with_those_who_use_it() {
    let source = "static const char *const names[] = { \"one\", \"two\", \"three\" };\n\
                  int get(int x) { return exported(names[x]); }\n\
                  int put(int x) { return helper(x); }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "two", "zwei");
        assert_eq!(found.changed(), ["get"]);
        assert_eq!(found.data(), ["names"]);
        found.emitted();
    }
}

#[test]
fn what_a_compiler_makes_without_a_name_is_copied() {
    let source = "asm(\".pushsection .data..Lubsan_data0,\\\"aw\\\"\\n.balign 8\\n.Lubsan_data0: \
                  .quad 7\\n.popsection\");\n\
                  extern long report __asm__(\".Lubsan_data0\") \
                  __attribute__((visibility(\"hidden\")));\n\
                  int f(int x) { return exported((char *)&report) + helper(x) /**/; }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "/**/", "* 3");
        assert_eq!(found.emitted().data(".data..Lubsan_data0").len(), 8);
    }
}

#[test]
fn a_constant_that_others_see_may_not_change() {
    let source = "const int table[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };\n\
                  int get(int x) { return table[x & 7] + helper(x); }\n";
    for arch in ARCHES {
        fix(arch, source, "3, 4", "3, 44").refused("table", "its contents change");
    }
}

#[test]
fn a_constant_without_a_symbol_in_the_kernel_is_copied() {
    let source = "static const int table[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };\n\
                  int get(int x) { return table[x & 7] + helper(x) /**/; }\n";
    let world = World {
        missing: ["table"].into(),
        ..World::new()
    };
    for arch in ARCHES {
        let found = fix_in(arch, source, "/**/", "* 3", &world);
        assert_eq!(found.patch.data[0].why, WhyTaken::ConstantWithoutSymbol);
        assert!(found.emitted().defines("table"));
    }
}

#[test]
fn a_variable_without_a_symbol_in_the_kernel_is_refused() {
    let source = "static int state; int get(int x) { return state++ + helper(x) /**/; }\n";
    let world = World {
        missing: ["state"].into(),
        ..World::new()
    };
    for arch in ARCHES {
        fix_in(arch, source, "/**/", "* 3", &world).refused("get", "it needs state");
    }
}

#[test]
fn per_cpu_variables_are_the_kernels_or_new() {
    let source = "static __per_cpu int old_a = 1; static __per_cpu int old_b = 2;\n\
                  int get(int x) { return old_a + old_b + helper(x) /**/; }\n";
    for arch in ARCHES {
        let after = source
            .replace("int get", "static __per_cpu int fresh = 3; int get")
            .replace("/**/", "+ fresh++");
        let found = outcome(arch, source, &after, &World::new());
        assert_eq!(found.changed(), ["get"]);
        assert_eq!(found.data(), ["fresh"]);
        let symbols = found.livepatch_symbols();
        assert!(
            symbols.contains(&"vmlinux.old_b,0".to_owned()),
            "{symbols:?}"
        );
        let object = found.emitted();
        assert_eq!(object.data(".data..percpu").len(), 4);
    }
}

#[test]
fn variables_that_share_a_section_are_told_apart() {
    let source = "static int a __read_mostly = 1, b __read_mostly = 2, c __read_mostly = 3;\n\
                  void set(int x) { a = x; b = x; c = x; }\n\
                  int get(int x) { b += 1000; return c + helper(x) /**/; }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "/**/", "* 3");
        assert_eq!(found.changed(), ["get"]);
        let mut symbols = found.livepatch_symbols();
        symbols.retain(|name| name.len() == "vmlinux.a,0".len());
        assert_eq!(symbols, ["vmlinux.b,0", "vmlinux.c,0"], "{arch:?}");
        // Relative to the symbol, not to the section.
        let links = found.emitted().links(".text.get");
        let mut addends: Vec<_> = links
            .iter()
            .filter(|(_, name, _)| name.starts_with(".klp.extern.vmlinux.") && name.len() < 25)
            .map(|(_, _, addend)| *addend)
            .collect();
        addends.sort();
        assert!(
            addends.iter().all(|addend| (-8..=2).contains(addend)),
            "{links:?}"
        );
        found.emitted();
    }
}

#[test]
fn what_macros_leave_behind_is_copied() {
    let source = "int f(int x) { static char __already_done;\n\
                  if (!__already_done) { __already_done = 1; exported(__func__); } \
                  return helper(x) /**/; }\n";
    for arch in ARCHES {
        let found = fix(arch, source, "/**/", "* 3");
        assert!(found
            .patch
            .data
            .iter()
            .all(|data| data.why == WhyTaken::Copied));
        let data = found.data();
        assert!(
            data.iter().any(|name| name.starts_with("__already_done.")),
            "{data:?}"
        );
        let symbols = found.livepatch_symbols();
        assert!(
            !symbols.iter().any(|name| name.contains("__already_done")),
            "{symbols:?}"
        );
        found.emitted();
    }
}

#[test]
fn new_data_without_a_value_takes_no_room_in_the_file() {
    let source = "int f(int x) { return helper(x); }\n";
    for arch in ARCHES {
        let after = "static int big[1000]; int f(int x) { big[x] = helper(x); return big[x + 1]; }";
        let found = outcome(arch, source, after, &World::new());
        assert_eq!(found.data(), ["big"]);
        let object = found.emitted();
        assert!(object.bytes.len() < 4000);
        assert!(object.sections().contains(&".bss.big".to_owned()));
    }
}

#[test]
fn a_variable_of_any_name_keeps_what_is_in_it() {
    for arch in ARCHES {
        let source = "int get(int x) { static int descriptor; return descriptor++ + helper(x) \
                      /**/; }\n";
        let found = fix(arch, source, "/**/", "* 3");
        assert!(found.data().is_empty(), "{:?}", found.data());
        let symbols = found.livepatch_symbols();
        assert!(
            symbols.iter().any(|name| name.contains("descriptor")),
            "{symbols:?}"
        );
    }
}
