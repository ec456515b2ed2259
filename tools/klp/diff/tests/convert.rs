// SPDX-License-Identifier: GPL-2.0

//! What is emitted becomes a livepatch: linked with its description, and converted.

mod common;

use common::{fix_in, World};
use klp::convert::Conversion;
use klp::knowledge::Knowledge;
use klp_diff::{describe, Options};
use livepatch_fixtures::{Module, ARCHES};
use livepatch_format::name::Dialect;

const SOURCE: &str = r#"
extern struct static_key key;
static noinline int twice(int x) { return helper(x) * 2; }
apart int first(int x) { static int count; return exported("first %d", x) + twice(x) + ++count; }
int second(int x) { if (x == 5) WARN(); if (static_branch(&key)) x++; return twice(x) /**/; }
"#;

#[test]
fn the_emitted_object_is_linked_and_converted() {
    let symvers = tempfile::NamedTempFile::new().unwrap();
    let text = ["exported", "__fentry__", "klp_enable_patch"]
        .map(|name| format!("0x00000000\t{name}\tvmlinux\tEXPORT_SYMBOL\t\n"));
    std::fs::write(symvers.path(), text.concat()).unwrap();
    let mut knowledge = Knowledge::default();
    knowledge.add_symvers(symvers.path()).unwrap();
    let world = World {
        positions: [("twice", 2)].into(),
        ..World::new()
    };
    for arch in ARCHES {
        let source = SOURCE.replace("++count;", "++count + unexported_variable;");
        let found = fix_in(
            arch,
            &source,
            "/**/",
            "+ first(x) + unexported_variable",
            &world,
        );
        let description = describe([&found.patch], &Options::default()).unwrap();
        let lines = description
            .lines()
            .filter(|line| !line.starts_with("#include"));
        let description = lines.collect::<Vec<_>>().join("\n");
        let module = Module::new(arch, "patch")
            .flag("-w")
            .source("describe.c", &common::without_includes(&description))
            .with_object(&found.emitted().bytes)
            .build();
        let converted = Conversion::new(&module, &knowledge, Dialect::Mainline);
        let converted = converted.unwrap().expect("a livepatch");
        converted.verify(&module, &converted.bytes).unwrap();
        let mut symbols: Vec<_> = converted
            .resolved
            .values()
            .map(ToString::to_string)
            .collect();
        symbols.sort();
        assert_eq!(
            symbols,
            [
                "KLP_SYM(vmlinux, first, 0)",
                "KLP_SYM(vmlinux, key, 0)",
                "KLP_SYM(vmlinux, twice, 2)",
                "KLP_SYM(vmlinux, unexported_variable, 0)",
            ],
            "{arch:?}"
        );
        assert!(converted.moved >= 4);
    }
}
