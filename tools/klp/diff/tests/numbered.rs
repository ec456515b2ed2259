// SPDX-License-Identifier: GPL-2.0

//! Which numbered variable or function of an object is which one of the kernel's.

mod common;

use common::compile_with;
use klp_diff::Numbered;
use livepatch_fixtures::{Arch, ARCHES};
use object::{Object as _, ObjectSymbol as _};

/// Two functions with a variable each.
const ONE: &str = "int one(int x) { static int count = 3; return helper(count += x); }\n";
const TWO: &str = "int two(int x) { static int count = 4; return helper(count -= x * 3); }\n";
/// One with two.
const BOTH: &str = "int both(int x) { int y; { static int count = 5; y = helper(count++); }\n\
                    { static int count = 6; return helper(count++) + y; } }\n";

const PLAIN: &[&str] = &["-fno-function-sections", "-fno-data-sections"];

/// The numbered variables of an object by their first byte.
fn variables(object: &[u8]) -> Vec<(u8, String)> {
    let file = object::File::parse(object).unwrap();
    let mut found = Vec::new();
    for symbol in file.symbols() {
        let name = symbol.name().unwrap();
        if !name.starts_with("count.") {
            continue;
        }
        let section = file
            .section_by_index(symbol.section_index().unwrap())
            .unwrap();
        let data = object::ObjectSection::data(&section).unwrap();
        // None where all are zero.
        let at = data.get(symbol.address() as usize..).unwrap_or(&[]);
        let last = if file.is_little_endian() { 0 } else { 3 };
        let first = at.get(last).copied().unwrap_or(0);
        found.push((first, name.to_owned()));
    }
    found.sort();
    found
}

/// Checks that each variable has the name of the one with the same value.
fn is_told_apart(as_built: &[u8], before: &[u8]) {
    let numbered = Numbered::of(as_built, before).unwrap();
    let (there, here) = (variables(as_built), variables(before));
    assert!(here.len() > 1, "{here:?}");
    for ((value, name), (same, other)) in std::iter::zip(&there, &here) {
        assert_eq!(value, same);
        assert_eq!(numbered.name(other), Some(name.as_str()), "{other}");
    }
}

/// The object, with two numbers the other way round.
fn swapped(object: &[u8], one: &str, other: &str) -> Vec<u8> {
    let mut object = object.to_vec();
    let find = |name: &str| {
        let name = format!("\0{name}\0");
        let mut all = object.windows(name.len());
        let found = all.position(|window| window == name.as_bytes());
        found.expect("the symbol is there") + 1
    };
    let (first, second) = (find(one), find(other));
    for at in 0..one.len() {
        object.swap(first + at, second + at);
    }
    object
}

#[test]
fn variables_are_known_by_their_users() {
    for arch in ARCHES {
        let as_built = compile_with(arch, PLAIN, &[ONE, TWO, BOTH].concat());
        let same = compile_with(arch, &[], &[ONE, TWO, BOTH].concat());
        is_told_apart(&as_built, &same);
        let reordered = compile_with(arch, &[], &[BOTH, TWO, ONE].concat());
        assert_ne!(variables(&as_built), variables(&reordered));
        is_told_apart(&as_built, &reordered);
    }
}

#[test]
fn variables_without_values_are_known_by_their_users() {
    // gcc for s390x does not tell.
    let arch = Arch::X86_64;
    let plain = |text: &str| text.replace(" = 3", "").replace(" = 4", "");
    let as_built = compile_with(arch, PLAIN, &plain(&[ONE, TWO].concat()));
    let before = compile_with(arch, &[], &plain(&[TWO, ONE].concat()));
    let numbered = Numbered::of(&as_built, &before).unwrap();
    assert_eq!(numbered.name("count.0"), Some("count.1"));
    assert_eq!(numbered.name("count.1"), Some("count.0"));
}

#[test]
fn variables_that_nothing_tells_apart_have_the_numbers_that_they_have() {
    let text = [ONE, TWO, BOTH].concat();
    let text = [3, 4, 5, 6]
        .iter()
        .fold(text, |text, value| text.replace(&format!(" = {value}"), ""));
    for arch in ARCHES {
        let as_built = compile_with(arch, PLAIN, &text);
        let before = compile_with(arch, &[], &text);
        let numbered = Numbered::of(&as_built, &before).unwrap();
        for name in ["count.0", "count.1", "count.2", "count.3"] {
            assert_eq!(numbered.name(name), Some(name));
        }
    }
}

#[test]
fn variables_of_one_function_are_known_by_the_order_of_their_use() {
    for arch in ARCHES {
        let as_built = compile_with(arch, PLAIN, BOTH);
        let before = compile_with(arch, &[], BOTH);
        let names = variables(&before);
        let [(5, one), (6, other)] = &names[..] else {
            panic!("{names:?}");
        };
        let before = swapped(&before, one, other);
        assert_ne!(variables(&before), names);
        is_told_apart(&as_built, &before);
    }
}

#[test]
fn variables_are_known_where_only_a_table_leads_to_them() {
    let source = "int *first(int x) { static int count = 3, other; static int *list[] = { &count, \
                  &other }; return list[x]; }\n\
                  int *second(int x) { static int count = 4, other; static int *list[] = { &other, \
                  &count }; return list[x]; }\n";
    let (first, second) = source.split_once('\n').unwrap();
    for arch in ARCHES {
        let as_built = compile_with(arch, PLAIN, source);
        is_told_apart(&as_built, &compile_with(arch, &[], source));
        let reordered = format!("{second}\n{first}\n");
        is_told_apart(&as_built, &compile_with(arch, &[], &reordered));
    }
}

#[test]
fn what_is_not_clear_is_not_guessed() {
    let is_unclear = |as_built: &[u8], before: &[u8]| {
        let numbered = Numbered::of(as_built, before).unwrap();
        let names = variables(before);
        assert!(!names.is_empty());
        for (_, name) in names {
            assert_eq!(numbered.name(&name), None, "{name}");
        }
    };
    for arch in ARCHES {
        let long = "int user(int x) { static long count = 3; return helper(count++); }\n";
        let short = long.replace("static long", "static int");
        is_unclear(
            &compile_with(arch, PLAIN, long),
            &compile_with(arch, &[], &short),
        );
    }
    // Two functions with one each, and with one for both.
    let two = "int f(int x) { static int count; return helper(count += x); }\n\
               int g(int x) { static int count; return helper(count += x); }\n";
    let common =
        "static inline __attribute__((always_inline)) int common(int x) { static int count; \
                  return helper(count += x); }\n\
                  int f(int x) { return common(x); }\n\
                  int g(int x) { return common(x); }\n";
    is_unclear(
        &compile_with(Arch::X86_64, PLAIN, two),
        &compile_with(Arch::X86_64, &[], common),
    );
}

#[test]
fn clones_are_known_by_their_callers() {
    let source = "static noinline int work(int x, int y) { return helper(x * y) + \
                  helper(y) + helper(x - y); }\n\
                  int three(int x) { return work(x, 3); }\n\
                  int seven(int x) { return work(x, 3) + 1; }\n";
    for arch in ARCHES {
        let before = compile_with(arch, &[], source);
        let as_built = compile_with(arch, PLAIN, source);
        let file = object::File::parse(&before[..]).unwrap();
        let clones = file.symbols().filter_map(|symbol| symbol.name().ok());
        let clones: Vec<_> = clones.filter(|name| name.starts_with("work.")).collect();
        assert!(!clones.is_empty(), "{arch:?}: the compiler made no clone");
        let numbered = Numbered::of(&as_built, &before).unwrap();
        for name in clones {
            assert_eq!(numbered.name(name), Some(name));
        }
    }
}

#[test]
fn what_is_no_object_is_an_error() {
    let good = compile_with(Arch::X86_64, &[], ONE);
    for bad in [&b""[..], b"\x7fELF", &good[..100]] {
        assert!(Numbered::of(&good, bad).is_err());
        assert!(Numbered::of(bad, &good).is_err());
    }
}

#[test]
fn the_same_number_is_not_the_same_where_all_are_counted_anew() {
    let zero = |text: &str| text.replace(" = 3;", ";").replace(" = 4;", ";");
    let more = "int more(int x) { static int other; return helper(other ^= x); }\n";
    let text = zero(&[ONE, TWO].concat());
    for arch in ARCHES {
        let as_built = compile_with(arch, PLAIN, &text);
        let names = |object: &[u8]| -> Vec<_> {
            let all = variables(object).into_iter();
            all.map(|(_, name)| name).collect()
        };
        let there = names(&as_built);
        let others = [[more, &text].concat(), [&text, more].concat()];
        let before = others.map(|text| compile_with(arch, &[], &text));
        let before = before.iter().find(|object| names(object) != there);
        let before = before.expect("it is counted anew");
        let here = names(before);
        let numbered = Numbered::of(&as_built, before).unwrap();
        for (right, name) in std::iter::zip(&there, &here) {
            let found = numbered.name(name);
            assert!(found.is_none() || found == Some(right), "{name}: {found:?}");
        }
    }
}
