// SPDX-License-Identifier: GPL-2.0

//! A patched source that was compiled in another directory than the original one.

mod common;

use common::{compare, compile_with, World};
use klp_diff::model::Decision;
use klp_diff::{diff_moved, Diff, Moved, Target};
use livepatch_fixtures::{Arch, ARCHES};

/// A header with a check of UBSAN's, and functions that include it.
fn source(header: &str, added: &str) -> String {
    format!(
        "#line 1 \"{header}\"\nstatic inline int shift(int x) {{ return 1 << x; }}\n\
         #line 1 \"test.c\"\nint stays(int x) {{ return shift(x); }}\n\
         int changes(int x) {{ return shift(x) + {added}; }}\n"
    )
}

fn objects(arch: Arch, before: &str, after: &str) -> [Vec<u8>; 2] {
    [before, after].map(|text| compile_with(arch, &["-fsanitize=shift"], text))
}

fn moved(before: &[u8], after: &[u8]) -> Diff {
    let target = Target {
        object: "vmlinux".to_owned(),
        unit: "fs/test.c".to_owned(),
    };
    let moved = Moved {
        from: "/copy/of/it".to_owned(),
        to: "/original".to_owned(),
    };
    diff_moved(before, after, &moved, &target, &World::new()).unwrap()
}

/// The names of the functions that are replaced.
fn changed(diff: &Diff) -> Vec<&str> {
    let is_changed = |decision: &Decision| matches!(decision, Decision::Changed { .. });
    let functions = diff.patch.functions.iter();
    functions
        .filter(|function| is_changed(&function.decision))
        .map(|function| function.name.as_str())
        .collect()
}

fn has(object: &[u8], text: &str) -> bool {
    let mut parts = object.windows(text.len());
    parts.any(|part| part == text.as_bytes())
}

#[test]
fn the_path_of_a_header_is_no_change() {
    for arch in ARCHES {
        let [before, after] = objects(
            arch,
            &source("/original/h.h", "1"),
            &source("/copy/of/it/h.h", "2"),
        );
        let found = moved(&before, &after);
        assert_eq!(changed(&found), ["changes"], "{arch:?}");
        // What UBSAN says in the new function names the header that the kernel was built with.
        let object = found.object.unwrap();
        assert!(has(&object, "/original/h.h\0"), "{arch:?}");
        assert!(!has(&object, "/copy/of/it"), "{arch:?}");
        // It has to be said.
        let outcome = compare(&before, &after, &World::new());
        assert_eq!(outcome.changed(), ["changes", "stays"], "{arch:?}");
    }
}

#[test]
fn another_directory_is_a_change() {
    for arch in ARCHES {
        let [before, after] = objects(
            arch,
            &source("/original/h.h", "1"),
            &source("/copy/of/it-2/h.h", "1"),
        );
        let found = moved(&before, &after);
        assert_eq!(changed(&found), ["changes", "stays"], "{arch:?}");
        assert!(has(&found.object.unwrap(), "/copy/of/it-2/h.h\0"));
    }
}

#[test]
fn a_string_stays_as_it_is_where_code_uses_its_end() {
    let text = |path: &str| {
        format!(
            "const char *name(void) {{ return &\"{path}/name.c\"[{}]; }}\n",
            path.len() + 1
        )
    };
    for arch in ARCHES {
        let [before, after] = objects(arch, &text("/original"), &text("/copy/of/it"));
        let found = moved(&before, &after);
        assert_eq!(changed(&found), ["name"], "{arch:?}");
        assert!(has(&found.object.unwrap(), "/copy/of/it/name.c\0"));
    }
}
