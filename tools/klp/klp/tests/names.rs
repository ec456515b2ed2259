// SPDX-License-Identifier: GPL-2.0

//! Each command takes a patch by its name, and by its file, whatever that is called and however it
//! is compressed.

mod common;

use common::livepatch::{ENABLE, GOOD};
use common::Case;
use livepatch_fixtures::boot_image::Packing;
use livepatch_fixtures::{Arch, Module};
use std::fs;

/// The compressions of modules.
const PACKED: [(&str, Packing); 3] = [
    ("gz", Packing::Gzip),
    ("xz", Packing::Xz),
    ("zst", Packing::Zstd),
];

/// Writes a file, and compressed files of the same; returns their names.
fn write_all(case: &Case, name: &str, bytes: &[u8]) -> Vec<String> {
    let mut names = vec![format!("{name}.ko")];
    case.write(&names[0], bytes);
    for (suffix, packing) in PACKED {
        let packed = format!("{name}.ko.{suffix}");
        case.write(&packed, packing.pack(bytes));
        names.push(packed);
    }
    names
}

fn write(case: &Case, path: &str, text: &str) {
    let path = case.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A system in the directory, in which `my_patch` is enabled, and installed if that is wanted.
fn system(case: &Case, bytes: &[u8], installed: bool) {
    for directory in ["sys", "var"] {
        let _ = fs::remove_dir_all(case.path(directory));
    }
    write(case, "proc/sys/kernel/osrelease", "7.3.4-test\n");
    write(case, "proc/modules", "my_patch 1 1 - Live 0x0 (OK)\n");
    write(case, "dev/kmsg", "");
    let patch = "sys/kernel/livepatch/my_patch";
    write(case, &format!("{patch}/enabled"), "1\n");
    write(case, &format!("{patch}/transition"), "0\n");
    if installed {
        let store = "var/lib/livepatch-rs/7.3.4-test/patches";
        write(case, &format!("{store}/0001-my_patch.ko"), "");
        fs::write(case.path(store).join("0001-my_patch.ko"), bytes).unwrap();
    }
}

/// A livepatch of that name for that system.
fn my_patch() -> Vec<u8> {
    let infos = "MODULE_INFO(livepatch, \"Y\"); MODULE_INFO(vermagic, \"7.3.4-test SMP \");";
    Module::new(Arch::X86_64, "my_patch")
        .source("a.c", infos)
        .build()
}

#[test]
fn a_file_in_the_directory_does_not_pass_for_what_is_installed() {
    let case = Case::new(Arch::X86_64);
    system(&case, &my_patch(), true);
    // As anybody can put it into /tmp.
    let infos = "MODULE_INFO(livepatch, \"Y\"); MODULE_INFO(description, \"planted\");";
    let planted = Module::new(Arch::X86_64, "my_patch").source("a.c", infos);
    case.write("my_patch", planted.build());
    let (out, _) = case.output("--root . inspect --json my_patch", 0);
    assert!(!out.contains("planted"), "{out}");
    fs::remove_dir_all(case.path("var")).unwrap();
    let (out, _) = case.output("--root . inspect --json my_patch", 0);
    assert!(out.contains("planted"), "{out}");
}

#[test]
fn what_is_larger_than_any_module_is_not_read() {
    let case = Case::new(Arch::X86_64);
    system(&case, &my_patch(), false);
    let file = fs::File::create(case.path("huge.ko")).unwrap();
    file.set_len((1 << 30) + 1).unwrap();
    for command in ["load", "inspect", "install"] {
        let (_, err) = case.output(&format!("--root . {command} huge.ko"), 1);
        assert!(err.contains("larger than any module"), "{err}");
    }
}

#[test]
fn wherever_a_name_is_taken_a_file_is() {
    let case = Case::new(Arch::X86_64);
    let bytes = my_patch();
    let mut arguments = vec!["my_patch".to_owned(), "my-patch".to_owned()];
    arguments.extend(write_all(&case, "my-patch", &bytes));
    // Its name is in it.
    arguments.extend(write_all(&case, "other-name", &bytes));
    fs::create_dir(case.path("some.dir")).unwrap();
    arguments.push("./some.dir/my-patch".to_owned());
    case.write("some.dir/my-patch", &bytes);
    arguments.push("gone/my-patch.ko.xz".to_owned());

    for (command, status, says) in [
        ("status", 0, "my_patch: enabled"),
        ("wait --json", 0, "\"name\": \"my_patch\""),
        ("enable", 0, "my_patch was enabled already"),
        ("disable", 0, "my_patch is disabled"),
        // A directory has no kernel that removes modules.
        ("unload", 1, "the module my_patch cannot be removed"),
        ("force --yes", 1, "my_patch is not in transition"),
        ("signal", 1, "my_patch is not in transition"),
        ("uninstall", 0, "my_patch is no longer installed"),
    ] {
        for argument in &arguments {
            system(&case, &bytes, true);
            let (out, err) = case.output(&format!("--root . {command} {argument}"), status);
            let all = format!("{out}{err}");
            assert!(all.contains(says), "klp {command} {argument}: {all}");
        }
    }
}

#[test]
fn wherever_a_file_is_taken_it_may_be_compressed() {
    let case = Case::new(Arch::X86_64);
    let bytes = my_patch();
    let files = write_all(&case, "other-name", &bytes);
    for (command, status, says) in [
        ("load", 1, "was not loaded: this is not a running system"),
        ("install --no-lint", 0, "my_patch is installed"),
        ("inspect", 0, "my_patch"),
        ("info", 0, "my_patch"),
        ("lint", 1, "enables-nothing"),
    ] {
        for file in &files {
            system(&case, &bytes, false);
            write(&case, "proc/modules", "");
            fs::remove_dir_all(case.path("sys/kernel/livepatch/my_patch")).unwrap();
            let (out, err) = case.output(&format!("--root . {command} {file}"), status);
            let all = format!("{out}{err}").to_lowercase();
            assert!(all.contains(says), "klp {command} {file}: {all}");
        }
    }
}

#[test]
fn what_is_installed_is_taken_by_its_name() {
    let case = Case::new(Arch::X86_64);
    let bytes = my_patch();
    system(&case, &bytes, true);
    write(&case, "proc/modules", "");
    fs::remove_dir_all(case.path("sys/kernel/livepatch/my_patch")).unwrap();
    for (command, status, says) in [
        ("load", 1, "0001-my_patch.ko was not loaded"),
        ("inspect", 0, "my_patch"),
        ("info", 0, "my_patch"),
        ("lint", 1, "enables-nothing"),
    ] {
        for name in ["my_patch", "my-patch"] {
            let (out, err) = case.output(&format!("--root . {command} {name}"), status);
            let all = format!("{out}{err}");
            assert!(all.contains(says), "klp {command} {name}: {all}");
        }
        // 2 tells that lint has checked nothing.
        let status = if command == "lint" { 2 } else { 1 };
        let (_, err) = case.output(&format!("--root . {command} other"), status);
        assert!(err.contains("there is no file other"), "{err}");
    }
}

#[test]
fn what_a_livepatch_is_checked_against_and_converted_from_may_be_compressed() {
    let case = Case::new(Arch::X86_64);
    let converted = case.livepatch(&format!("{GOOD}{ENABLE}"));
    let patches = write_all(&case, "converted", &converted);
    let sources = write_all(&case, "my-patch", &case.read("patch.ko"));
    let targets = write_all(&case, "my-target", &case.read("target.ko"));
    for ((patch, source), target) in patches.iter().zip(&sources).zip(&targets) {
        let words = format!("lint --kernel vmlinux --module {target} {patch}");
        case.output(&words, 0);
        let words = format!(
            "convert --kernel System.map --symvers Module.symvers --module {target} --no-lint -o from-{source}.ko {source}"
        );
        case.output(&words, 0);
        assert!(case.read(&format!("from-{source}.ko")) == converted);
    }
}
