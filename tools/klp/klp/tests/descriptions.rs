// SPDX-License-Identifier: GPL-2.0

//! Livepatches whose init code makes the patch of a description in the file.

mod common;

use common::livepatch::{Builder, BUILDERS};
use common::Case;
use livepatch_fixtures::ARCHES;
use serde_json::{json, Value};

fn inspect(case: &Case) -> Value {
    let (text, _) = case.output("inspect --json out.ko", 0);
    let report: Value = serde_json::from_str(&text).unwrap();
    report["files"][0].clone()
}

#[test]
fn objects_functions_and_callbacks_are_told() {
    for arch in ARCHES {
        for builder in BUILDERS {
            let case = Case::new(arch);
            case.livepatch(&builder.source(true));
            let file = inspect(&case);
            let function = |name, position, new| json!({"name": name, "position": position, "new": new, "section": ".text"});
            let lonely = function("lonely", 0, "new_lonely");
            let twin = function("twin", 2, "new_lonely");
            let expected = json!([{
                "variable": null,
                "replace": true,
                "changeable": null,
                "objects": [{
                    "name": "vmlinux",
                    "callbacks": ["pre_patch"],
                    "functions": [lonely, twin],
                    "functions_unknown": null,
                }, {
                    "name": "target",
                    "callbacks": ["post_patch", "post_unpatch"],
                    "functions": [function("shared", 2, "new_shared")],
                    "functions_unknown": null,
                }],
                "objects_unknown": null,
            }]);
            assert_eq!(file["patches"], expected, "{arch:?} {builder:?}");
            assert_eq!(file["patches_unknown"], Value::Null);
            assert_eq!(file["objects"], json!(["target", "vmlinux"]));
        }
    }
}

#[test]
fn whether_a_patch_replaces_others_is_read_from_its_code() {
    for arch in ARCHES {
        for builder in BUILDERS {
            let case = Case::new(arch);
            case.livepatch(&builder.source(false));
            assert_eq!(inspect(&case)["patches"][0]["replace"], json!(false));
            // Code that does not show it.
            let source = builder.source(true);
            case.livepatch(&source.replace("= 1;", "= counter > 5;"));
            assert_eq!(inspect(&case)["patches"][0]["replace"], Value::Null);
            let (text, _) = case.output("inspect out.ko", 0);
            assert!(text.contains("may replace all earlier patches"), "{text}");
        }
    }
}

/// What `klp lint` says.
fn lint(case: &Case, status: i32) -> String {
    let words = "lint --kernel System.map --module target.ko out.ko";
    case.output(words, status).0
}

#[test]
fn lint_looks_at_the_functions() {
    for arch in ARCHES {
        for builder in BUILDERS {
            let case = Case::new(arch);
            let source = builder.source(true);
            case.livepatch(&source);
            let text = lint(&case, 0);
            assert!(
                text.contains("nothing found"),
                "{arch:?} {builder:?} {text}"
            );

            case.livepatch(&source.replace("\"lonely\"", "\"missing\""));
            let text = lint(&case, 1);
            assert!(text.contains("symbol 'missing' not found"), "{text}");

            case.livepatch(&source.replace("\"lonely\"", "\"twin\""));
            let text = lint(&case, 1);
            assert!(text.contains("'twin'"), "{text}");
        }
    }
}

#[test]
fn a_list_of_another_version_is_not_guessed_at() {
    for arch in ARCHES {
        for (builder, change, section) in [
            (
                Builder::Mainline,
                ("unsigned nr_funcs;", "unsigned nr_funcs; long new;"),
                ".init.klp_objects",
            ),
            (
                Builder::Kpatch,
                ("*name, *objname;", "*name, *objname, *more;"),
                ".kpatch.funcs",
            ),
        ] {
            let case = Case::new(arch);
            case.livepatch(&builder.source(true).replace(change.0, change.1));
            let file = inspect(&case);
            let why = file["patches_unknown"].as_str().unwrap_or_default();
            assert!(why.contains(section) && why.contains("version"), "{file:#}");
            let text = lint(&case, 0);
            assert!(text.contains("what it patches cannot be told"), "{text}");
        }
    }
}

#[test]
fn a_list_that_is_too_long_ends_where_its_section_does() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let source = Builder::Mainline.source(true);
        case.livepatch(&source.replace(".nr_funcs = 2", ".nr_funcs = 70000000"));
        let file = inspect(&case);
        let why = file["patches"][0]["objects"][0]["functions_unknown"].as_str();
        let why = why.unwrap_or_default();
        assert!(why.contains("past the end"), "{file:#}");
    }
}
