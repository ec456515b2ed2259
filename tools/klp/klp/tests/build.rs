// SPDX-License-Identifier: GPL-2.0

//! `klp build` where something that it needs is wrong: one clear message, and nothing is left
//! behind.

use assert_cmd::Command;
use std::fs;
use std::path::Path;

/// What `klp build` says, which has to fail.
fn fails(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::cargo_bin("klp").unwrap();
    command.current_dir(dir).arg("build").args(args);
    let assert = command
        .args(["--cache", "cache"])
        .assert()
        .failure()
        .code(1);
    let output = assert.get_output();
    assert!(output.stdout.is_empty());
    let mut left: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["cache", "fix.patch", "kdir"].contains(&name.as_str()))
        .collect();
    left.sort();
    assert!(left.is_empty(), "{left:?}");
    let cache = dir.join("cache");
    if cache.exists() {
        let mut entries = fs::read_dir(cache).unwrap();
        assert!(entries.all(|entry| !entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("build-")));
    }
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn put(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn what_is_missing_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let said = fails(dir, &["fix.patch"]);
    assert_eq!(said, "error: there is no file fix.patch\n");
    put(
        dir,
        "fix.patch",
        "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-1\n+2\n",
    );
    let said = fails(dir, &["fix.patch", "-o", "nowhere/"]);
    assert!(said.contains("there is no directory nowhere"), "{said}");
    let said = fails(dir, &["fix.patch", "--name", "a b"]);
    assert!(said.contains("cannot be called 'a b'"), "{said}");
    let said = fails(dir, &["fix.patch", "--kdir", "kdir"]);
    assert!(said.contains("install the kernel's headers"), "{said}");
}

#[test]
fn a_kernel_that_does_not_suit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    put(
        dir,
        "fix.patch",
        "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-1\n+2\n",
    );
    put(dir, "kdir/include/config/kernel.release", "7.3.4\n");
    put(
        dir,
        "kdir/include/config/auto.conf",
        "CONFIG_X86_64=y\nCONFIG_LTO_CLANG=y\n",
    );
    let said = fails(dir, &["fix.patch", "--kdir", "kdir"]);
    assert!(said.contains("CONFIG_LTO_CLANG"), "{said}");
    put(
        dir,
        "kdir/include/config/auto.conf",
        "CONFIG_X86_64=y\nCONFIG_RANDSTRUCT=y\n",
    );
    let said = fails(dir, &["fix.patch", "--kdir", "kdir"]);
    assert!(said.contains("CONFIG_RANDSTRUCT"), "{said}");
    put(dir, "kdir/include/config/auto.conf", "CONFIG_X86_64=y\n");
    let said = fails(dir, &["fix.patch", "--kdir", "kdir"]);
    assert!(said.contains("or say where it is, with --source"), "{said}");
    put(dir, "kdir/init/main.c", "");
    put(dir, "kdir/x.c", "3\n");
    let said = fails(dir, &["fix.patch", "--kdir", "kdir", "--quiet"]);
    assert!(said.contains("fix.patch does not apply"), "{said}");
    put(dir, "kdir/x.c", "1\n");
    let said = fails(dir, &["fix.patch", "--kdir", "kdir", "--quiet"]);
    assert!(said.contains("give the kernel with --kernel"), "{said}");
}
