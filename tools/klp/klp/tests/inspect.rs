// SPDX-License-Identifier: GPL-2.0

//! What `klp inspect` says of a module.

mod common;

use common::livepatch::{ENABLE, GOOD};
use common::Case;
use livepatch_fixtures::boot_image::Packing;
use livepatch_fixtures::{Arch, ARCHES};
use serde_json::Value;

fn json(case: &Case, words: &str, status: i32) -> Value {
    let (text, _) = case.output(&format!("inspect --json {words}"), status);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_json_is_as_it_was() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.livepatch(&format!("{GOOD}{ENABLE}"));
        let (text, _) = case.output("inspect --json out.ko", 0);
        case.golden(&format!("inspect-{}.json", case.arch_name()), &text);
    }
}

#[test]
fn the_text_tells_functions_symbols_and_relocations() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.livepatch(&format!("{GOOD}{ENABLE}"));
        let (text, _) = case.output("inspect out.ko", 0);
        let line = |words: &[&str]| {
            let found = text.lines().any(|line| {
                let line: Vec<_> = line.split_whitespace().collect();
                line.starts_with(words)
            });
            assert!(found, "{words:?} is missing in:\n{text}");
        };
        line(&["livepatch", "yes"]);
        line(&["dialect", "mainline"]);
        line(&["objects", "target,", "vmlinux"]);
        line(&[
            "patched",
            "functions",
            "of",
            "'patch',",
            "which",
            "replaces",
        ]);
        line(&["vmlinux", "lonely", "0", "new_lonely", ".text"]);
        line(&["target", "shared", "2", "new_shared", ".text"]);
        line(&["target:", "callbacks", "post_patch"]);
        line(&[".klp.rela.target.text", "target", ".text", "1"]);
        let types = match arch {
            Arch::X86_64 => "R_X86_64_PLT32 1",
            Arch::S390 => "R_390_PLT32DBL 1",
        };
        assert!(text.contains(types), "{text}");
        assert!(
            !text.contains('\u{1b}'),
            "colours where there is no terminal: {text}"
        );
        let (text, _) = case.output("inspect --color always out.ko", 0);
        assert!(text.contains("\u{1b}[1m"), "{text}");
        let (text, _) = case.output("inspect --color never out.ko", 0);
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn the_draft_dialect_is_told() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.livepatch(&format!("{GOOD}{ENABLE}"));
        let words =
            "--kernel System.map --symvers Module.symvers --module target.ko --dialect draft";
        case.run(&format!("{words} -o out.ko patch.ko")).success();
        let report = json(&case, "out.ko", 0);
        let file = &report["files"][0];
        assert_eq!(file["dialects"], serde_json::json!(["draft"]));
        let symbols = file["symbols"].as_array().unwrap();
        let twin = symbols
            .iter()
            .find(|symbol| symbol["name"] == "twin")
            .unwrap();
        assert_eq!(
            (&twin["object"], &twin["position"]),
            (&"vmlinux".into(), &2.into())
        );
    }
}

#[test]
fn a_patch_that_code_fills_in_cannot_be_told() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let patch = "
            static int new_lonely(int x) { return x; }
            static struct klp_func functions[2];
            static struct klp_object objects[2];
            static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };
            int __section(\".init.text\") init_module(void) {
                functions[0].old_name = \"lonely\"; functions[0].new_func = new_lonely;
                objects[0].funcs = functions;
                return klp_enable_patch(&patch);
            }";
        case.livepatch(patch);
        let report = json(&case, "out.ko", 0);
        let why = report["files"][0]["patches"][0]["objects_unknown"].as_str();
        let why = why.unwrap_or_else(|| panic!("{report:#}"));
        assert!(
            why.contains("'objects' in .bss is filled in when the module runs"),
            "{why}"
        );
        let (text, _) = case.output("inspect out.ko", 0);
        assert!(text.contains("cannot be told: 'objects' in .bss"), "{text}");
    }
}

#[test]
fn what_code_may_change_is_told_as_such() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let text = GOOD.replace(
            "static struct klp_func of_kernel",
            "struct klp_func of_kernel",
        );
        let init = "
            int position;
            int __section(\".init.text\") init_module(void) {
                of_kernel[0].old_sympos = position;
                return klp_enable_patch(&patch);
            }";
        case.livepatch(&format!("{text}{init}"));
        let report = json(&case, "out.ko", 0);
        let patch = &report["files"][0]["patches"][0];
        assert_eq!(patch["changeable"], "a list of functions");
    }
}

#[test]
fn structures_of_another_core_are_not_taken_for_ours() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let patch = "
            static int new_lonely(int x) { return x; }
            static struct klp_func functions[] = { { \"lonely\", new_lonely }, { } };
            static struct klp_object objects[] = { { .funcs = functions }, { } };
            static struct { struct klp_patch patch; long more[20]; } patch = {
                { .mod = THIS_MODULE, .objs = objects } };
            int __section(\".init.text\") init_module(void) {
                return klp_enable_patch(&patch.patch);
            }";
        case.livepatch(patch);
        let report = json(&case, "out.ko", 0);
        let why = report["files"][0]["patches_unknown"].as_str().unwrap();
        assert!(
            why.contains("192 bytes") && why.contains("another livepatch core"),
            "{why}"
        );
    }
}

#[test]
fn an_ordinary_module_is_no_livepatch() {
    for arch in ARCHES {
        let case = Case::new(arch);
        case.targets();
        let report = json(&case, "target.ko", 0);
        assert_eq!(report["files"][0]["livepatch"], false);
        let (text, _) = case.output("inspect target.ko", 0);
        assert!(text.contains("no: an ordinary module"), "{text}");
    }
}

#[test]
fn what_is_no_module_is_told_and_the_others_are_shown() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let module = case.livepatch(&format!("{GOOD}{ENABLE}"));
        case.write("text.ko", "not a module at all");
        case.write("empty.ko", "");
        case.write("short.ko", &module[..module.len() / 2]);
        case.write("header.ko", &module[..40]);
        case.write("packed.ko.xz", b"\xfd7zXZ\0rest");
        case.write("packed.ko.zst", b"\x28\xb5\x2f\xfdrest");
        case.write("packed.ko.gz", b"\x1f\x8b\x08rest");
        for (file, message) in [
            ("text.ko", "text.ko: not an ELF file"),
            ("empty.ko", "empty.ko: not an ELF file"),
            ("short.ko", "short.ko: no usable kernel module: truncated: "),
            (
                "header.ko",
                "header.ko: no usable kernel module: truncated: ELF header",
            ),
            ("packed.ko.xz", "cannot unpack packed.ko.xz with xz"),
            ("packed.ko.zst", "cannot unpack packed.ko.zst with zstd"),
            ("packed.ko.gz", "cannot unpack packed.ko.gz with gzip"),
            ("missing.ko", "cannot read missing.ko: No such file"),
        ] {
            let (text, errors) = case.output(&format!("inspect {file} out.ko"), 1);
            assert!(errors.contains(message), "{file}: {errors}");
            assert!(text.starts_with("out.ko\n"), "{file}: {text}");
        }
    }
}

#[test]
fn a_compressed_module_is_read_like_any_other() {
    for arch in ARCHES {
        let case = Case::new(arch);
        let module = case.livepatch(&format!("{GOOD}{ENABLE}"));
        case.write("packed.ko.gz", Packing::Gzip.pack(&module));
        let (text, _) = case.output("inspect out.ko", 0);
        let (packed, _) = case.output("inspect packed.ko.gz", 0);
        assert_eq!(packed, text.replace("out.ko\n", "packed.ko.gz\n"));
    }
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let case = Case::new(Arch::X86_64);
    case.livepatch(&format!("{GOOD}{ENABLE}"));
    let mut klp = std::process::Command::new(assert_cmd::cargo::cargo_bin("klp"))
        .args(["inspect", "out.ko"])
        .current_dir(case.dir.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(klp.stdout.take());
    let output = klp.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(output.status.success(), "{:?}", output.status);
}
