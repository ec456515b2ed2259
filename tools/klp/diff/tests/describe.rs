// SPDX-License-Identifier: GPL-2.0

//! The source that kbuild links with the emitted objects, and the model as JSON.

mod common;

use common::{fix_in, World};
use klp_diff::model::Patch;
use klp_diff::{describe, Options};
use livepatch_fixtures::Arch;

fn patch(object: &'static str, function: &str) -> Patch {
    let source = format!("int {function}(int x) {{ return helper(x) + 1; }}\n");
    let world = World {
        object,
        positions: [("second", 2)].into(),
        ..World::new()
    };
    fix_in(Arch::X86_64, &source, "+ 1", "+ 2", &world).patch
}

#[test]
fn every_object_has_its_functions() {
    let patches = [
        patch("vmlinux", "first"),
        patch("ext4", "third"),
        patch("vmlinux", "second"),
    ];
    let options = Options {
        description: "a \"fix\"\n1".to_owned(),
        replace: true,
        namespaces: ["EFIVAR".to_owned()].into(),
    };
    let text = describe(&patches, &options).unwrap();
    for line in [
        "extern void klp_new_fs_x2f_test_x2e_c_first(void);",
        "\t{ .old_name = \"first\", .new_func = klp_new_fs_x2f_test_x2e_c_first, .old_sympos = 0 },",
        "\t{ .old_name = \"second\", .new_func = klp_new_fs_x2f_test_x2e_c_second, .old_sympos = 2 },",
        "\t{ .name = \"ext4\", .funcs = functions_0 },",
        "\t{ .funcs = functions_1 },",
        "ANNOTATE_NOENDBR_SYM(klp_new_fs_x2f_test_x2e_c_first);",
        "\t.replace = true,",
        "MODULE_INFO(import_ns, \"EFIVAR\");",
        "MODULE_DESCRIPTION(\"a \\\"fix\\\"\\0121\");",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn the_source_compiles() {
    let text = describe(
        &[patch("vmlinux", "first"), patch("ext4", "third")],
        &Options::default(),
    )
    .unwrap();
    common::compile(Arch::X86_64, &common::without_includes(&text));
}

#[test]
fn the_model_goes_through_json() {
    let patch = patch("ext4", "second");
    let json = serde_json::to_string_pretty(&patch).unwrap();
    for part in [
        "\"decision\": \"changed\"",
        "\"old_name\": \"second\"",
        "\"position\": 2",
        "\"difference\": \"bytes\"",
    ] {
        assert!(json.contains(part), "{part} in {json}");
    }
    assert_eq!(serde_json::from_str::<Patch>(&json).unwrap(), patch);
}
