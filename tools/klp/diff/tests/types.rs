// SPDX-License-Identifier: GPL-2.0

//! Layouts of structures and interfaces of exported functions stay what they are, as far as the
//! objects have debug information.

mod common;

use common::{compare, compile_with, Outcome, World};
use livepatch_fixtures::{Arch, ARCHES};

const SOURCE: &str = "typedef struct { int value; } counter_t; enum state { IDLE, BUSY };\n\
                      struct item { int a; union { int b; unsigned c; }; struct { char d; } e; \
                      counter_t count; enum state state; int first : 3, second : 5; \
                      int (*call)(struct item *, int); long *list[2]; };\n\
                      int service(struct item *item, unsigned long x) { return helper(item->a + \
                      item->c + item->e.d + item->count.value + item->state + item->second + \
                      item->call(item, x) + *item->list[1]); }\n\
                      int user(int x) { return helper(x) /**/; }\n";

fn fix(arch: Arch, flags: &[&str], changes: &[(&str, &str)], world: &World) -> Outcome {
    let mut after = SOURCE.replace("/**/", "* 3");
    for (from, to) in changes {
        assert!(after.contains(from), "{from:?} in the source");
        after = after.replace(from, to);
    }
    compare(
        &compile_with(arch, flags, SOURCE),
        &compile_with(arch, flags, &after),
        world,
    )
}

const DWARF_4: &[&str] = &["-gdwarf-4"];
const DWARF_5: &[&str] = &["-gdwarf-5", "-fno-var-tracking"];

#[test]
fn debug_information_does_not_count_itself() {
    for arch in ARCHES {
        for flags in [DWARF_4, DWARF_5] {
            let found = fix(arch, flags, &[], &World::new());
            assert_eq!(found.changed(), ["user"]);
            assert!(found.patch.are_types_known);
            let object = found.emitted();
            let sections = object.sections();
            assert!(
                !sections.iter().any(|name| name.contains("debug")),
                "{sections:?}"
            );
        }
    }
}

#[test]
fn another_layout_is_refused() {
    let last = "long *list[2];";
    for (from, to, what, because) in [
        (
            last,
            "long *list[2], more;",
            "struct item",
            "member more is new",
        ),
        (last, "long *list[3];", "struct item", "member list is long"),
        (
            "int a;",
            "long a;",
            "struct item",
            "member a is long int in place of int",
        ),
        ("int a;", "int z, a;", "struct item", "member z is new"),
        (
            "unsigned c;",
            "unsigned c; long d;",
            "struct item",
            "member d is new",
        ),
        (
            "char d;",
            "short d;",
            "struct item",
            "member e is struct { short int d at 0 }",
        ),
        (
            "first : 3",
            "first : 4",
            "struct item",
            "member first is at bit 160 with 4 bits in place of bit 160 with 3",
        ),
        (
            "int value;",
            "int value, other;",
            "counter_t",
            "member other is new",
        ),
        (
            "enum state state; int first : 3, second : 5;",
            "int first : 3, second : 5; enum state state;",
            "struct item",
            "member state is at byte 20 in place of byte 16",
        ),
        (
            "*, int)",
            "*, long)",
            "struct item",
            "member call is int (struct item *, long int) *",
        ),
        (
            "struct item { int a;",
            "struct item { int a; } __attribute__((aligned(64))); struct other { int a;",
            "struct item",
            "is gone",
        ),
    ] {
        for arch in ARCHES {
            for flags in [DWARF_4, DWARF_5] {
                let mut changes = vec![(from, to)];
                if because == "is gone" {
                    changes.extend([
                        (
                            "(struct item *item, unsigned",
                            "(struct other *item, unsigned",
                        ),
                        ("item->call(item,", "item->call((void *)item,"),
                        (
                            "user(int x) {",
                            "user(int x) { struct item i = { 5 }; x += i.a;",
                        ),
                    ]);
                }
                let found = fix(arch, flags, &changes, &World::new());
                let message = found.refused(what, because);
                assert!(message.contains("shadow variable"), "{message}");
            }
        }
    }
}

#[test]
fn what_is_unknown_is_not_taken_for_the_same() {
    for arch in ARCHES {
        let found = fix(
            arch,
            &[],
            &[("*list[2];", "*list[2], more;")],
            &World::new(),
        );
        assert!(!found.patch.are_types_known);
        let found = fix(arch, &["-g", "-gz=zlib"], &[], &World::new());
        assert!(!found.patch.are_types_known);
    }
}

#[test]
fn other_names_for_the_same_are_the_same() {
    for arch in ARCHES {
        let found = fix(
            arch,
            DWARF_5,
            &[
                (
                    "struct item *item, unsigned long x",
                    "const struct item *item, word x",
                ),
                ("item->call(item", "item->call((void *)item"),
                (
                    "typedef struct",
                    "typedef unsigned long word; struct fresh { int q; };\ntypedef struct",
                ),
                (
                    "int user(int x) {",
                    "int user(int x) { struct fresh f = { 3 }; x += f.q;",
                ),
            ],
            &World {
                exported: ["service", "exported", "__fentry__"].into(),
                ..World::new()
            },
        );
        found.emitted();
    }
}

#[test]
fn another_interface_of_an_exported_function_is_refused() {
    let world = World {
        exported: ["service", "exported", "__fentry__"].into(),
        ..World::new()
    };
    let change = [("unsigned long x)", "unsigned int x)")];
    for arch in ARCHES {
        let found = fix(arch, DWARF_5, &change, &world);
        let message = found.refused("service", "int (struct item *, long unsigned int)");
        assert!(
            message.contains("becomes int (struct item *, unsigned int)"),
            "{message}"
        );
        // The callers of other functions are compiled as well.
        fix(arch, DWARF_5, &change, &World::new()).emitted();
    }
}

/// With the numbers of three enumerations in memory and in calls.
const NUMBERS: &str = "enum state { IDLE, BUSY, DEAD, NR_STATES };\n\
                       enum { NOBODY = -1, FIRST = 200, SECOND, __OWNER_MAX, OWNER_MAX = \
                       __OWNER_MAX - 1 };\n\
                       typedef enum { ON, OFF } power_t;\n\
                       struct thing { enum state state; int owner; } *thing;\n\
                       int set(struct thing *thing, power_t power) { enum { COLD, WARM } heat = \
                       helper(power == OFF); thing->state = DEAD; return heat == WARM; }\n\
                       int own(int x) { return helper(x == SECOND || x == NOBODY || x < \
                       OWNER_MAX) /**/; }\n\
                       int all(void) { return helper(NR_STATES); }\n";

fn renumber(arch: Arch, flags: &[&str], from: &str, to: &str) -> Outcome {
    assert!(NUMBERS.contains(from), "{from:?} in the source");
    let after = NUMBERS.replace("/**/", "* 3").replace(from, to);
    compare(
        &compile_with(arch, flags, NUMBERS),
        &compile_with(arch, flags, &after),
        &World::new(),
    )
}

#[test]
fn other_numbers_of_enumerators_are_refused() {
    for (from, to, what, because) in [
        (
            "BUSY, DEAD",
            "DEAD, BUSY",
            "enum state",
            "DEAD becomes 1 in place of 2",
        ),
        (
            "IDLE, BUSY",
            "IDLE, NAPPING, BUSY",
            "enum state",
            "BUSY becomes 2 in place of 1",
        ),
        (
            "FIRST = 200",
            "FIRST = 300",
            "enum { NOBODY, ... }",
            "FIRST becomes 300 in place of 200",
        ),
        (
            "NOBODY = -1",
            "NOBODY = -2",
            "enum { NOBODY, ... }",
            "NOBODY becomes -2 in place of -1",
        ),
        (
            "ON, OFF",
            "OFF, ON",
            "power_t",
            "OFF becomes 0 in place of 1",
        ),
        (
            "COLD, WARM",
            "COLD, TEPID, WARM",
            "enum { COLD, ... }",
            "WARM becomes 2 in place of 1",
        ),
        (
            "DEAD, NR_STATES",
            "DEAD, NR_STATES, MANY = 0x100000000",
            "enum state",
            "it has 8 bytes in place of 4",
        ),
    ] {
        for arch in ARCHES {
            for flags in [DWARF_4, DWARF_5] {
                renumber(arch, flags, from, to).refused(what, because);
            }
        }
    }
}

#[test]
fn new_enumerators_at_the_end_are_let_through() {
    for (from, to, told) in [
        (
            "DEAD, NR_STATES",
            "DEAD, UNDEAD, NR_STATES",
            &["NR_STATES of enum state"][..],
        ),
        (
            "SECOND, __",
            "SECOND, THIRD, __",
            &[
                "OWNER_MAX of enum { NOBODY, ... }",
                "__OWNER_MAX of enum { NOBODY, ... }",
            ],
        ),
        ("ON, OFF", "ON, OFF, BROKEN", &[]),
        ("NR_STATES }", "NR_STATES, OTHER = 77 }", &[]),
    ] {
        for arch in ARCHES {
            for flags in [DWARF_4, DWARF_5] {
                let found = renumber(arch, flags, from, to);
                found.emitted();
                let left_out = found.patch.left_out.iter();
                let left_out: Vec<_> = left_out.map(|left| left.what.as_str()).collect();
                assert_eq!(left_out, told, "{to}");
            }
        }
    }
}

#[test]
fn damaged_debug_information_is_an_error_or_understood() {
    let world = World::new();
    let object = compile_with(Arch::X86_64, DWARF_5, SOURCE);
    let after = SOURCE.replace("/**/", "* 3");
    let patched = compile_with(Arch::X86_64, DWARF_5, &after);
    let target = klp_diff::Target {
        object: "vmlinux".to_owned(),
        unit: "x".to_owned(),
    };
    let mut errors = 0;
    for at in (64..object.len()).step_by(7) {
        let mut damaged = object.clone();
        damaged[at] ^= 0xff;
        if let Err(error) = klp_diff::diff(&damaged, &patched, &target, &world) {
            errors += usize::from(error.to_string().contains("debug information"));
        }
    }
    assert!(errors > 0, "no damage was noticed");
}
