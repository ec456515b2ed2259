// SPDX-License-Identifier: GPL-2.0

//! `klp new`: what it writes, and what it leaves alone. That the patches work is tested where
//! there are kernels.

use assert_cmd::assert::Assert;
use assert_cmd::Command;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn new(dir: &Path, words: &str) -> Assert {
    Command::cargo_bin("klp")
        .unwrap()
        .current_dir(dir)
        .arg("new")
        .args(words.split_whitespace())
        .assert()
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
        "p --rust",
        "p --function do_it",
        "p --function do_it --rust",
        "p --function do_it --object ext4",
        "p --function do_it --object ext4 --rust",
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
    new(dir.path(), "c --function vm_stat --object my-module").success();
    let text = fs::read_to_string(dir.path().join("c/c.c")).unwrap();
    assert!(text.contains("#error"));
    assert!(text.contains("{ .name = \"my_module\", .funcs = functions },"));
    assert!(text.contains(".old_name = \"vm_stat\", .new_func = new_vm_stat"));
    let makefile = fs::read_to_string(dir.path().join("c/Makefile")).unwrap();
    assert!(makefile.contains("# KLP_TARGETS := /path/to/my_module.ko\n"));

    new(dir.path(), "r --rust --function vm_stat --object my_module").success();
    let text = fs::read_to_string(dir.path().join("r/bindings.h")).unwrap();
    assert!(text.contains("#error"));
    let text = fs::read_to_string(dir.path().join("r/r.rs")).unwrap();
    assert!(text.contains("my_module { functions: [vm_stat() => replacement] },"));
}

#[test]
fn the_default_function_by_its_name_is_complete_too() {
    let dir = fresh();
    new(dir.path(), "p --function cmdline_proc_show").success();
    let text = fs::read_to_string(dir.path().join("p/p.c")).unwrap();
    assert!(!text.contains("#error"));
}

#[test]
fn a_function_that_the_compiler_renamed_has_an_identifier() {
    let dir = fresh();
    new(dir.path(), "p --function shrink.isra.0").success();
    let text = fs::read_to_string(dir.path().join("p/p.c")).unwrap();
    assert!(text.contains(".old_name = \"shrink.isra.0\", .new_func = new_shrink_isra_0"));
    let error = refused(new(dir.path(), "q --rust --function shrink.isra.0"));
    assert!(error.contains("shrink.isra.0"));
    assert!(!dir.path().join("q").exists());
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
        "p --function 9f",
        "p --function f()",
        "p --function f\"",
        "p --object a.b --function f",
        "p --object a\"b --function f",
        "p --object ext4",
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
