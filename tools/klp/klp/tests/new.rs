// SPDX-License-Identifier: GPL-2.0

//! `klp new`: what it writes, and what it leaves alone. That the patches work is tested where
//! there are kernels.

use assert_cmd::assert::Assert;
use assert_cmd::Command;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// On a system whose kernel tells no types.
fn new(dir: &Path, words: &str) -> Assert {
    new_on("/var/empty/no-such-system", dir, words)
}

fn new_on(root: &str, dir: &Path, words: &str) -> Assert {
    Command::cargo_bin("klp")
        .unwrap()
        .current_dir(dir)
        .env_remove("KDIR")
        .args(["--root", root, "new"])
        .args(words.split_whitespace())
        .assert()
}

/// Whether all of this is in a text.
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

fn fresh() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The message of a command that is to fail.
fn refused(assert: Assert) -> String {
    String::from_utf8(assert.failure().get_output().stderr.clone()).unwrap()
}

#[test]
fn in_c_there_are_a_source_and_a_makefile() {
    let dir = fresh();
    new(dir.path(), "my-patch").success();
    let made = dir.path().join("my-patch");
    assert_eq!(files(&made), ["Makefile", "my-patch.c"]);
    let makefile = fs::read_to_string(made.join("Makefile")).unwrap();
    assert!(makefile.contains("\nobj-m := my-patch.o\n"));
    assert!(makefile.contains("\ninclude $(LIVEPATCH)/scripts/Makefile.livepatch\n"));
}

#[test]
fn in_rust_there_are_bindings_as_well() {
    let dir = fresh();
    new(dir.path(), "my-patch --rust").success();
    let made = dir.path().join("my-patch");
    assert_eq!(files(&made), ["Makefile", "bindings.h", "my-patch.rs"]);
    let source = fs::read_to_string(made.join("my-patch.rs")).unwrap();
    assert!(source.contains("name: \"my-patch\","));
}

#[test]
fn the_makefile_names_what_klp_belongs_to() {
    let dir = fresh();
    new(dir.path(), "p").success();
    let makefile = fs::read_to_string(dir.path().join("p/Makefile")).unwrap();
    let line = makefile
        .lines()
        .find_map(|line| line.strip_prefix("LIVEPATCH ?= "));
    let livepatch = Path::new(line.unwrap());
    assert!(livepatch.is_absolute());
    assert!(livepatch.join("scripts/Makefile.livepatch").is_file());
}

#[test]
fn livepatch_can_be_named_and_has_to_be_there() {
    let dir = fresh();
    let tree = dir.path().join("tree");
    let error = refused(new(dir.path(), "p --livepatch tree"));
    assert!(error.contains("--livepatch tree: no scripts/Makefile.livepatch"));
    assert!(!dir.path().join("p").exists());

    fs::create_dir_all(tree.join("scripts")).unwrap();
    fs::write(tree.join("scripts/Makefile.livepatch"), "").unwrap();
    new(dir.path(), "p --livepatch tree").success();
    let makefile = fs::read_to_string(dir.path().join("p/Makefile")).unwrap();
    let tree = fs::canonicalize(tree).unwrap();
    assert!(makefile.contains(&format!("LIVEPATCH ?= {}\n", tree.display())));
}

#[test]
fn no_placeholder_is_left() {
    for words in [
        "p",
        "p --replace",
        "p --rust",
        "p --rust --replace",
        "p do_it",
        "p do_it --rust",
        "p do_it ext4:do_it,2 --replace",
        "p do_it ext4:do_it,2 --replace --rust",
        "p do_it --object ext4",
        "p do_it --object ext4 --rust",
    ] {
        let dir = fresh();
        new(dir.path(), words).success();
        for file in files(&dir.path().join("p")) {
            let text = fs::read_to_string(dir.path().join("p").join(&file)).unwrap();
            assert!(text.starts_with(match file.as_str() {
                "Makefile" => "# SPDX-License-Identifier: GPL-2.0\n",
                "bindings.h" => "/* SPDX-License-Identifier: GPL-2.0 */\n",
                _ => "// SPDX-License-Identifier: GPL-2.0\n",
            }));
            let left = text.split('@').nth(1);
            assert_eq!(left, None, "{words}: {file}");
        }
    }
}

#[test]
fn another_function_does_not_compile_before_it_is_written() {
    let dir = fresh();
    let assert = new(dir.path(), "c vm_stat --object my-module").success();
    let told = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert_eq!(
        told,
        "vm_stat() of my_module: type unknown: there is no /sys/kernel/btf/vmlinux: give a \
         vmlinux with BTF or debug information, with --kernel\n"
    );
    let text = fs::read_to_string(dir.path().join("c/c.c")).unwrap();
    has(
        &text,
        &[
            "#error \"c.c: declare vm_stat() with its type, then remove this line\"\n",
            "{\n#error \"c.c: write new_vm_stat(), then remove this line\"\n}\n",
            "static_assert(__same_type(vm_stat, new_vm_stat),\n",
            "\t{ .name = \"my_module\", .funcs = functions },\n",
            "\t{ .old_name = \"vm_stat\", .new_func = new_vm_stat },\n",
        ],
    );
    let makefile = fs::read_to_string(dir.path().join("c/Makefile")).unwrap();
    has(&makefile, &["\n# KLP_TARGETS := /path/to/my_module.ko\n"]);

    new(dir.path(), "r --rust vm_stat --object my_module").success();
    let text = fs::read_to_string(dir.path().join("r/bindings.h")).unwrap();
    has(
        &text,
        &["#error \"bindings.h: declare vm_stat(), then remove this line\"\n"],
    );
    let text = fs::read_to_string(dir.path().join("r/r.rs")).unwrap();
    has(
        &text,
        &[
            "        my_module {\n            functions: [\n                vm_stat() => new_vm_stat,\n",
            "compile_error!(\"r.rs: write new_vm_stat(), then remove this line\");\n",
        ],
    );
}

#[test]
fn several_functions_are_grouped_by_their_objects() {
    let words = "first ext4:read,3 second,2 ext4:write --replace";
    let dir = fresh();
    new(dir.path(), &format!("c {words}")).success();
    let text = fs::read_to_string(dir.path().join("c/c.c")).unwrap();
    has(
        &text,
        &[
            "static struct klp_func vmlinux_functions[] = {\n\
             \t{ .old_name = \"first\", .new_func = new_first },\n\
             \t{ .old_name = \"second\", .new_func = new_second, .old_sympos = 2 },\n\
             \t{ }\n};\n",
            "static struct klp_func ext4_functions[] = {\n\
             \t{ .old_name = \"read\", .new_func = new_read, .old_sympos = 3 },\n\
             \t{ .old_name = \"write\", .new_func = new_write },\n\
             \t{ }\n};\n",
            "static struct klp_object objects[] = {\n\
             \t{ .funcs = vmlinux_functions },\n\
             \t{ .name = \"ext4\", .funcs = ext4_functions },\n\
             \t{ }\n};\n",
            "\t.objs = objects,\n\t.replace = true,\n};\n",
            "MODULE_DESCRIPTION(\"Livepatch: replaces functions of vmlinux and ext4\");\n",
        ],
    );

    new(dir.path(), &format!("r --rust {words}")).success();
    let text = fs::read_to_string(dir.path().join("r/r.rs")).unwrap();
    has(
        &text,
        &[
            "    license: \"GPL\",\n    replace: true,\n    objects: [\n",
            "        vmlinux {\n            functions: [\n\
             \x20               first() => new_first,\n\
             \x20               second[2]() => new_second,\n\
             \x20           ],\n        },\n        ext4 {\n            functions: [\n\
             \x20               read[3]() => new_read,\n\
             \x20               write() => new_write,\n",
        ],
    );
}

#[test]
fn functions_of_one_name_have_names_of_their_own() {
    let words = "init,1 init,2 ext4:init 8021q:init";
    let dir = fresh();
    new(dir.path(), &format!("c {words}")).success();
    let text = fs::read_to_string(dir.path().join("c/c.c")).unwrap();
    has(
        &text,
        &[
            "{ .old_name = \"init\", .new_func = new_vmlinux_init_1, .old_sympos = 1 },\n",
            "{ .old_name = \"init\", .new_func = new_vmlinux_init_2, .old_sympos = 2 },\n",
            "{ .old_name = \"init\", .new_func = new_ext4_init },\n",
            "{ .old_name = \"init\", .new_func = new__8021q_init },\n",
            "{ .name = \"8021q\", .funcs = _8021q_functions },\n",
        ],
    );
    for words in ["f f", "f,2 f,2", "f vmlinux:f", "ext4:f f --object ext4"] {
        let error = refused(new(dir.path(), &format!("q {words}")));
        assert!(error.contains("is named twice"), "{words}: {error}");
    }
    let error = refused(new(dir.path(), "q --rust 8021q:init"));
    assert!(error.contains("8021q: a patch in Rust"), "{error}");
    assert!(!dir.path().join("q").exists());
}

#[test]
fn a_position_is_for_the_only_function() {
    let dir = fresh();
    new(dir.path(), "p twin --position 2").success();
    let text = fs::read_to_string(dir.path().join("p/p.c")).unwrap();
    has(
        &text,
        &[".old_name = \"twin\", .new_func = new_twin, .old_sympos = 2 },"],
    );
    for (words, why) in [
        ("q --position 2", "need a FUNCTION"),
        ("q one,2 --position 3", "two positions"),
        ("q one two --position 3", "write FUNCTION,N for each"),
        ("q one,", "a position, a number"),
        ("q one,first", "a position, a number"),
        ("q one,-1", "a position, a number"),
    ] {
        let error = refused(new(dir.path(), words));
        assert!(error.contains(why), "{words}: {error}");
        assert!(!dir.path().join("q").exists());
    }
}

#[test]
fn the_default_function_by_its_name_is_complete_too() {
    for words in [
        "cmdline_proc_show",
        "vmlinux:cmdline_proc_show",
        "--function cmdline_proc_show",
    ] {
        let dir = fresh();
        new(dir.path(), &format!("p {words}")).success();
        let text = fs::read_to_string(dir.path().join("p/p.c")).unwrap();
        assert!(!text.contains("#error"), "{words}");
    }
    let dir = fresh();
    new(dir.path(), "p --replace").success();
    let text = fs::read_to_string(dir.path().join("p/p.c")).unwrap();
    assert!(!text.contains("#error"));
    has(
        &text,
        &["\t.replace = true,\n", "static_assert(__same_type("],
    );
}

#[test]
fn functions_are_named_by_the_option_too() {
    let dir = fresh();
    new(dir.path(), "one --function ext4:f,2 --function g").success();
    new(dir.path(), "two ext4:f,2 g").success();
    let read = |name: &str| {
        let text = fs::read_to_string(dir.path().join(format!("{name}/{name}.c"))).unwrap();
        text.replace(&format!("{name}.c"), "")
    };
    assert_eq!(read("one"), read("two"));
}

#[test]
fn a_function_that_the_compiler_renamed_has_an_identifier() {
    let dir = fresh();
    new(dir.path(), "p shrink.isra.0").success();
    let text = fs::read_to_string(dir.path().join("p/p.c")).unwrap();
    has(
        &text,
        &[".old_name = \"shrink.isra.0\", .new_func = new_shrink_isra_0"],
    );
    new(dir.path(), "q --rust shrink.isra.0").success();
    let text = fs::read_to_string(dir.path().join("q/q.rs")).unwrap();
    has(
        &text,
        &["\"shrink.isra.0\" as shrink_isra_0() => new_shrink_isra_0,"],
    );
}

#[test]
fn nothing_is_overwritten() {
    for there in ["Makefile", "p.c"] {
        let dir = fresh();
        let made = dir.path().join("p");
        fs::create_dir(&made).unwrap();
        fs::write(made.join(there), "mine").unwrap();
        let error = refused(new(dir.path(), "p"));
        assert!(
            error.contains(&format!("p/{there} is there already")),
            "{error}"
        );
        assert_eq!(files(&made), [there]);
        assert_eq!(fs::read_to_string(made.join(there)).unwrap(), "mine");
    }
}

#[test]
fn a_link_that_leads_nowhere_is_not_followed() {
    let dir = fresh();
    let made = dir.path().join("p");
    fs::create_dir(&made).unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), made.join("p.c")).unwrap();
    refused(new(dir.path(), "p"));
    assert!(!dir.path().join("elsewhere").exists());
    assert_eq!(files(&made), ["p.c"]);
}

#[test]
fn other_files_in_the_directory_do_not_matter() {
    let dir = fresh();
    let made = dir.path().join("work");
    fs::create_dir(&made).unwrap();
    fs::write(made.join("notes"), "").unwrap();
    new(dir.path(), "p --dir work").success();
    assert_eq!(files(&made), ["Makefile", "notes", "p.c"]);
}

#[test]
fn names_that_no_module_can_have_are_refused() {
    let long = "a".repeat(56);
    for name in [
        "",
        "-p",
        "9p",
        "_p",
        "a.b",
        "a/b",
        "../a",
        "a:b",
        "ä",
        "livepatch",
        "vmlinux",
        &long,
    ] {
        let dir = fresh();
        Command::cargo_bin("klp")
            .unwrap()
            .current_dir(dir.path())
            .args(["new", "--", name])
            .assert()
            .failure();
        assert!(files(dir.path()).is_empty(), "{name:?}");
    }
    for words in ["kernel --rust", "klp-inlines --rust"] {
        let dir = fresh();
        let error = refused(new(dir.path(), words));
        assert!(error.contains("patch in Rust"), "{error}");
    }
    let dir = fresh();
    new(dir.path(), &"a".repeat(55)).success();
}

#[test]
fn functions_and_objects_that_cannot_be_are_refused() {
    for words in [
        "p 9f",
        "p f()",
        "p f\"",
        "p a.b:f",
        "p a:b:f",
        "p :f",
        "p ext4:",
        "p --object a.b f",
        "p --object a\"b f",
        "p --object ext4",
        "p f --function g",
    ] {
        let dir = fresh();
        refused(new(dir.path(), words));
        assert!(files(dir.path()).is_empty(), "{words}");
    }
}

#[test]
fn a_directory_that_kbuild_cannot_use_is_refused() {
    for bad in ["a b", "a:b"] {
        let dir = fresh();
        let inside = dir.path().join(bad);
        fs::create_dir(&inside).unwrap();
        let error = refused(new(&inside, "p"));
        assert!(error.contains("spaces or colons"), "{error}");
    }
}
