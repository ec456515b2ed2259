// SPDX-License-Identifier: GPL-2.0

//! Patches that come back at boot, on a root directory of their own.

use assert_cmd::assert::Assert;
use assert_cmd::Command;
use klp::system::store::{Release, Store};
use klp::system::System;
use livepatch_fixtures::{Arch, Module, ARCHES};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use tempfile::TempDir;

const OURS: &str = "7.3.4-test";
const OTHER: &str = "7.3.5-test";

/// A module, with what it says of itself.
fn module(arch: Arch, name: &str, infos: &[(&str, &str)]) -> Vec<u8> {
    let infos: String = infos
        .iter()
        .map(|(key, value)| format!("MODULE_INFO({key}, \"{value}\");\n"))
        .collect();
    Module::new(arch, name).source("info.c", &infos).build()
}

/// A livepatch for a kernel.
fn patch(name: &str, release: &str) -> Vec<u8> {
    let vermagic = format!("{release} SMP preempt mod_unload ");
    let infos = [
        ("livepatch", "Y"),
        ("vermagic", &vermagic),
        ("depends", "livepatch,other"),
    ];
    module(Arch::X86_64, name, &infos)
}

struct Case {
    dir: TempDir,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        Case { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn klp(&self, words: &str) -> Assert {
        let mut words = words.split_whitespace();
        Command::cargo_bin("klp")
            .unwrap()
            .current_dir(self.dir.path())
            .arg(words.next().unwrap())
            .args(["--root", "root"])
            .args(words)
            .assert()
    }

    fn refused(&self, words: &str) -> String {
        let assert = self.klp(words).failure().code(1);
        String::from_utf8(assert.get_output().stderr.clone()).unwrap()
    }

    fn installed(&self) -> String {
        let assert = self.klp("installed").success();
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    }

    fn store(&self) -> Store {
        Store::of(&System::tree(&self.path("root")))
    }

    /// The files for a kernel, those of the store's own included.
    fn files(&self, release: &str) -> Vec<String> {
        let dir = format!("root/var/lib/livepatch-rs/{release}/patches");
        let Ok(entries) = fs::read_dir(self.path(&dir)) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn what_is_installed_is_kept_for_its_kernel_and_in_its_order() {
    let case = Case::new();
    case.write("b.ko", &patch("second_name", OURS));
    case.write("a.ko", &patch("a_first", OURS));
    case.write("c.ko", &patch("second_name", OTHER));
    let out = case.klp("install b.ko a.ko c.ko").success();
    assert_eq!(
        String::from_utf8_lossy(&out.get_output().stdout),
        format!(
            "second_name is installed for kernel {OURS}\n\
             a_first is installed for kernel {OURS}\n\
             second_name is installed for kernel {OTHER}\n"
        )
    );
    assert_eq!(
        case.installed(),
        format!("{OURS} second_name\n{OURS} a_first\n{OTHER} second_name\n")
    );
    assert_eq!(
        case.files(OURS),
        [".lock", "0001-second_name.ko", "0002-a_first.ko"]
    );
    let kept = "root/var/lib/livepatch-rs/7.3.4-test/patches/0001-second_name.ko";
    assert_eq!(
        fs::read(case.path(kept)).unwrap(),
        patch("second_name", OURS)
    );
    let mode = fs::metadata(case.path(kept)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
}

#[test]
fn what_would_be_refused_is_not_installed() {
    let case = Case::new();
    let livepatch = |function: &str| {
        let text = format!(
            "struct klp_func {{ const char *old_name; void *new_func; unsigned long old_sympos; }};
             struct klp_object {{ const char *name; struct klp_func *funcs; void *more[6]; }};
             struct klp_patch {{ void *mod; struct klp_object *objs; void *states; _Bool replace; }};
             int klp_enable_patch(struct klp_patch *);
             static char module[64] __attribute__((aligned(64))) __section(\".gnu.linkonce.this_module\");
             static int new_function(int x) {{ return x; }}
             static struct klp_func functions[] = {{ {{ \"{function}\", new_function }}, {{ }} }};
             static struct klp_object objects[] = {{ {{ 0, functions }}, {{ }} }};
             static struct klp_patch patch = {{ .mod = module, .objs = objects }};
             int __section(\".init.text\") init_module(void) {{ return klp_enable_patch(&patch); }}
             MODULE_INFO(livepatch, \"Y\");
             MODULE_INFO(vermagic, \"{OURS} SMP \");"
        );
        Module::new(Arch::X86_64, function)
            .source("p.c", &text)
            .build()
    };
    case.system("");
    case.write(
        "root/proc/kallsyms",
        b"1000 T there\n1010 B __init_begin\n1020 t early\n1030 R __init_end\n",
    );
    for name in ["there", "early", "missing"] {
        case.write(&format!("{name}.ko"), &livepatch(name));
    }
    for (name, message) in [
        (
            "early",
            "early.ko: error[symbol-freed]: symbol 'early' in object 'vmlinux' is init code",
        ),
        (
            "missing",
            "missing.ko: error[symbol-not-found]: symbol 'missing' not found in symbol table",
        ),
    ] {
        let errors = case.refused(&format!("install there.ko {name}.ko"));
        assert!(errors.contains(message), "{errors}");
        assert!(
            errors.contains(&format!("{name}.ko: not installed")),
            "{errors}"
        );
        // All or nothing.
        assert_eq!(case.installed(), "");
    }
    case.klp("install there.ko").success();
    case.klp("install --no-lint missing.ko").success();
    assert_eq!(case.installed(), format!("{OURS} there\n{OURS} missing\n"));
    // Of another kernel nothing is known.
    case.write("root/proc/sys/kernel/osrelease", OTHER.as_bytes());
    case.klp("install early.ko").success();
}

#[test]
fn what_is_installed_again_is_replaced_in_its_place() {
    let case = Case::new();
    case.write("a.ko", &patch("a", OURS));
    case.write("b.ko", &patch("b", OURS));
    case.klp("install a.ko b.ko").success();
    let newer = module(
        Arch::X86_64,
        "a",
        &[("livepatch", "Y"), ("vermagic", OURS), ("version", "2")],
    );
    case.write("a.ko", &newer);
    let out = case.klp("install a.ko").success();
    assert_eq!(
        String::from_utf8_lossy(&out.get_output().stdout),
        format!("a is replaced for kernel {OURS}\n")
    );
    assert_eq!(case.files(OURS), [".lock", "0001-a.ko", "0002-b.ko"]);
    let kept = "root/var/lib/livepatch-rs/7.3.4-test/patches/0001-a.ko";
    assert_eq!(fs::read(case.path(kept)).unwrap(), newer);
}

#[test]
fn what_comes_after_a_removal_is_last() {
    let case = Case::new();
    for name in ["a", "b", "c"] {
        case.write(&format!("{name}.ko"), &patch(name, OURS));
    }
    case.klp("install a.ko b.ko").success();
    case.klp("uninstall a").success();
    case.klp("install c.ko a.ko").success();
    assert_eq!(case.installed(), format!("{OURS} b\n{OURS} c\n{OURS} a\n"));
}

#[test]
fn in_an_image_uninstall_asks_which_kernel_is_meant() {
    let case = Case::new();
    case.write("a.ko", &patch("the_patch", OURS));
    case.write("b.ko", &patch("the_patch", OTHER));
    case.klp("install a.ko b.ko").success();
    for what in ["the-patch", "--all"] {
        let error = case.refused(&format!("uninstall {what}"));
        assert!(
            error.contains(&format!("--kernel ({OURS}, {OTHER})")),
            "{error}"
        );
    }
    case.klp(&format!("uninstall the-patch --kernel {OURS}"))
        .success();
    assert_eq!(case.installed(), format!("{OTHER} the_patch\n"));
    let error = case.refused(&format!("uninstall the_patch --kernel {OURS}"));
    let advice = format!("for kernel {OURS}, but for others: name one with --kernel ({OTHER})");
    assert!(error.contains(&advice), "{error}");
    // By its file as well.
    case.klp("uninstall ./b.ko").success();
    let error = case.refused("uninstall the_patch");
    assert!(error.contains("the_patch is not installed"), "{error}");
    assert_eq!(case.installed(), "");
}

/// Patches for the running kernel, for one that was removed and for one that is there, too.
fn several_kernels() -> Case {
    let case = Case::new();
    case.system("quiet\n");
    for (file, name, release) in [
        ("1.ko", "b", OURS),
        ("2.ko", "a", OURS),
        ("3.ko", "a", OTHER),
        ("4.ko", "c", OTHER),
        ("5.ko", "a", "7.3.6-test"),
    ] {
        case.write(file, &patch(name, release));
    }
    case.klp("install 1.ko 2.ko 3.ko 4.ko 5.ko").success();
    // Of one, the package manager has left what is not its own.
    for directory in ["7.3.5-test/updates/dkms", "7.3.6-test/kernel"] {
        fs::create_dir_all(case.path("root/lib/modules").join(directory)).unwrap();
    }
    case
}

#[test]
fn installed_tells_of_the_running_kernel_and_marks_the_others() {
    let case = several_kernels();
    assert_eq!(case.installed(), format!("{OURS} b\n{OURS} a\n"));
    let all = case.klp("installed --all").success();
    assert_eq!(
        text(&all.get_output().stdout),
        format!(
            "{OURS} b (running)\n\
             {OURS} a (running)\n\
             {OTHER} a (kernel removed)\n\
             {OTHER} c (kernel removed)\n\
             7.3.6-test a\n"
        )
    );
    // A kernel without modules has an image.
    fs::create_dir_all(case.path("root/boot")).unwrap();
    case.write("root/boot/vmlinuz-7.3.5-test", b"");
    let all = case.klp("installed --all").success();
    assert!(!text(&all.get_output().stdout).contains("removed"));
}

#[test]
fn installed_says_when_only_other_kernels_have_patches() {
    let case = several_kernels();
    case.write("root/proc/sys/kernel/osrelease", b"7.4.0-test\n");
    let said = case.klp("installed").success();
    assert_eq!(text(&said.get_output().stdout), "");
    assert_eq!(
        text(&said.get_output().stderr),
        "no livepatch is installed for kernel 7.4.0-test, which is running, but 5 for other \
         kernels: 'klp installed --all' lists them\n"
    );
    for release in [OURS, OTHER, "7.3.6-test"] {
        case.klp(&format!("uninstall --all --kernel {release}"))
            .success();
    }
    let said = case.klp("installed").success();
    assert_eq!(
        text(&said.get_output().stderr),
        "no livepatch is installed\n"
    );
}

#[test]
fn installed_in_json_is_as_documented() {
    let case = several_kernels();
    let json = |words: &str| -> serde_json::Value {
        let output = case.klp(words).success();
        serde_json::from_slice(&output.get_output().stdout).unwrap()
    };
    let file =
        |release: &str, file: &str| format!("root/var/lib/livepatch-rs/{release}/patches/{file}");
    let ours = serde_json::json!({
        "release": OURS,
        "is_running": true,
        "is_installed": true,
        "patches": [
            { "name": "b", "file": file(OURS, "0001-b.ko") },
            { "name": "a", "file": file(OURS, "0002-a.ko") },
        ],
    });
    let wanted = serde_json::json!({ "schema": 1, "kernels": [ours] });
    assert_eq!(json("installed --json"), wanted);
    let all = json("installed --all --json");
    assert_eq!(all["kernels"][0], ours);
    for (index, is_installed) in [(1, false), (2, true)] {
        let kernel = &all["kernels"][index];
        assert_eq!(kernel["is_running"], false);
        assert_eq!(kernel["is_installed"], is_installed);
    }
    case.write("root/proc/sys/kernel/osrelease", b"7.4.0-test\n");
    let none = serde_json::json!({ "schema": 1, "kernels": [] });
    assert_eq!(json("installed --json"), none);
}

#[test]
fn uninstall_takes_the_running_kernels_patches_or_those_of_the_one_that_is_named() {
    let case = several_kernels();
    let all = || text(&case.klp("installed --all").get_output().stdout);
    // All or nothing.
    let error = case.refused("uninstall a c");
    let advice = format!("c is not installed for kernel {OURS}, but for others");
    assert!(error.contains(&advice), "{error}");
    assert_eq!(all().lines().count(), 5);
    let out = case.klp("uninstall a b").success();
    assert_eq!(
        text(&out.get_output().stdout),
        format!(
            "a is no longer installed for kernel {OURS}\n\
             b is no longer installed for kernel {OURS}\n"
        )
    );
    assert!(!all().contains(OURS));
    let out = case.klp("uninstall --all").success();
    assert_eq!(
        text(&out.get_output().stdout),
        format!("no livepatch is installed for kernel {OURS}\n")
    );
    case.klp(&format!("uninstall --kernel {OTHER} a")).success();
    assert!(all().contains(&format!("{OTHER} c")));
    case.klp(&format!("uninstall --kernel {OTHER} --all"))
        .success();
    assert_eq!(all(), "7.3.6-test a\n");
    case.klp("uninstall").failure().code(2);
    case.klp("uninstall --all a").failure().code(2);
    case.klp("uninstall --kernel ../x --all").failure().code(1);
}

#[test]
fn what_is_no_livepatch_for_a_kernel_is_refused() {
    let vermagic = ("vermagic", "7.3.4-test SMP ");
    let livepatch = ("livepatch", "Y");
    for arch in ARCHES {
        for (infos, part) in [
            (&[vermagic][..], "not a livepatch"),
            (&[livepatch], "no 'vermagic'"),
            (
                &[livepatch, ("vermagic", "../7.3 SMP")],
                "no kernel release",
            ),
            (&[livepatch, ("vermagic", "7.3/4 SMP")], "no kernel release"),
            (&[livepatch, ("vermagic", " SMP")], "no kernel release"),
        ] {
            let case = Case::new();
            case.write("good.ko", &patch("good", OURS));
            case.write("bad.ko", &module(arch, "bad", infos));
            let error = case.refused("install good.ko bad.ko");
            assert!(error.contains("bad.ko: "), "{error}");
            assert!(error.contains(part), "{error}");
            // All or none.
            assert_eq!(case.installed(), "");
        }
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["..", "a/b", "../../x", "", "a.b"] {
        let case = Case::new();
        // The first of two names counts; the second one is the fixtures' own.
        let infos = [("name", name), ("livepatch", "Y"), ("vermagic", OURS)];
        case.write("bad.ko", &module(Arch::X86_64, "bad", &infos));
        let error = case.refused("install bad.ko");
        assert!(error.contains("module name"), "{error}");
        assert!(!case.path("root/var").exists());
    }
}

#[test]
fn files_that_are_no_modules_are_refused() {
    let case = Case::new();
    let whole = patch("a", OURS);
    for (bytes, part) in [
        (&b""[..], "bad.ko"),
        (b"\x1f\x8b\x08compressed", "cannot unpack bad.ko with gzip"),
        (b"#!/bin/sh\n", "bad.ko"),
        (&whole[..whole.len() / 2], "bad.ko"),
    ] {
        case.write("bad.ko", bytes);
        let error = case.refused("install bad.ko");
        assert!(error.contains(part), "{error}");
    }
    let error = case.refused("install nowhere.ko");
    assert!(error.contains("nowhere.ko"), "{error}");
}

#[test]
fn what_an_interrupted_installation_left_is_no_patch() {
    let case = Case::new();
    case.write("a.ko", &patch("a", OURS));
    case.klp("install a.ko").success();
    let dir = "root/var/lib/livepatch-rs/7.3.4-test/patches";
    for name in [".new-x1", "0002-b", "2-b.ko", "00x2-b.ko", "0002-b.c.ko"] {
        case.write(&format!("{dir}/{name}"), b"");
    }
    // DKMS has its own beside it.
    case.write("root/var/lib/livepatch-rs/7.3.4-test/Module.symvers", b"");
    assert_eq!(case.installed(), format!("{OURS} a\n"));
}

#[test]
fn what_is_no_kernels_directory_is_left_out() {
    let case = Case::new();
    case.system("quiet\n");
    fs::create_dir_all(case.path("root/var/lib/livepatch-rs")).unwrap();
    case.write("root/var/lib/livepatch-rs/README", b"");
    case.klp("boot").success();
    case.klp("installed --all").success();
    case.write("a.ko", &patch("a", OURS));
    case.klp("install a.ko").success();
    assert_eq!(case.installed(), format!("{OURS} a\n"));
}

#[test]
fn who_stops_reading_does_not_stop_the_installation() {
    let case = Case::new();
    for name in ["a", "b"] {
        case.write(&format!("{name}.ko"), &patch(name, OURS));
    }
    for (words, left) in [("install a.ko b.ko", 2), ("uninstall a b", 0)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = std::process::Command::new(assert_cmd::cargo::cargo_bin("klp"))
            .current_dir(case.dir.path())
            .args(["--root", "root"])
            .args(words.split(' '))
            .stdout(writer)
            .status();
        assert!(status.unwrap().success());
        assert_eq!(case.installed().lines().count(), left, "{words}");
    }
}

#[test]
fn many_at_once_get_places_of_their_own() {
    let case = Case::new();
    let case = &case;
    std::thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || {
                let file = format!("p{number}.ko");
                case.write(&file, &patch(&format!("p{number}"), OURS));
                case.klp(&format!("install {file}")).success();
            });
        }
    });
    let mut numbers: Vec<_> = case
        .store()
        .entries(&Release::new(OURS).unwrap())
        .unwrap()
        .iter()
        .map(|entry| entry.number)
        .collect();
    numbers.dedup();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
}

impl Case {
    /// A system that `klp boot` finds files of, but no kernel.
    fn system(&self, command_line: &str) {
        fs::create_dir_all(self.path("root/proc/sys/kernel")).unwrap();
        self.write("root/proc/sys/kernel/osrelease", OURS.as_bytes());
        self.write("root/proc/cmdline", command_line.as_bytes());
        self.write("root/proc/modules", b"");
        self.write("root/proc/kallsyms", b"1000 T _stext\n");
    }

    /// Where a patch is enabled.
    fn enabled(&self, name: &str) {
        let dir = format!("root/sys/kernel/livepatch/{name}");
        fs::create_dir_all(self.path(&dir)).unwrap();
        self.write(&format!("{dir}/enabled"), b"1\n");
        self.write(&format!("{dir}/transition"), b"0\n");
    }
}

/// A patch that needs no other module.
fn alone(name: &str) -> Vec<u8> {
    let infos = [("livepatch", "Y"), ("vermagic", "7.3.4-test SMP ")];
    module(Arch::X86_64, name, &infos)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn boot_says_what_failed_and_goes_on() {
    let case = Case::new();
    case.system("quiet\n");
    for name in ["a", "b", "c"] {
        case.write(&format!("{name}.ko"), &alone(name));
    }
    case.klp("install a.ko b.ko c.ko").success();
    case.enabled("b");
    let assert = case.klp("boot").failure().code(1);
    let output = assert.get_output();
    assert_eq!(
        text(&output.stdout),
        "patches installed for kernel 7.3.4-test: 3\n  \
           a: not loaded\n  \
           b: enabled already\n  \
           c: not loaded\n"
    );
    let errors = text(&output.stderr);
    for line in [
        "error: a: ",
        "error: c: ",
        "error: of 3 patches installed for kernel 7.3.4-test, 2 are not enabled",
    ] {
        assert!(errors.contains(line), "{errors}");
    }
}

#[test]
fn boot_is_content_where_all_is_in_effect() {
    let case = Case::new();
    case.system("quiet\n");
    case.write("a.ko", &alone("a"));
    case.klp("install a.ko").success();
    case.enabled("a");
    let assert = case.klp("boot").success();
    assert_eq!(
        text(&assert.get_output().stdout),
        "patches installed for kernel 7.3.4-test: 1\n  a: enabled already\n"
    );
}

#[test]
fn boot_does_nothing_where_nothing_is_installed() {
    let case = Case::new();
    case.system("quiet\n");
    case.write("foreign.ko", &patch("foreign", OTHER));
    case.klp("install foreign.ko").success();
    let assert = case.klp("boot").success();
    assert_eq!(
        text(&assert.get_output().stdout),
        "no livepatch is installed for kernel 7.3.4-test, which is running, but 1 for other \
         kernels: 'klp installed --all' lists them\n"
    );
}

#[test]
fn boot_does_nothing_where_the_command_line_says_so() {
    for (command_line, loads) in [
        ("quiet klp.boot=0\n", false),
        ("klp.boot=0", false),
        ("klp.boot=01", true),
        ("x.klp.boot=0", true),
    ] {
        let case = Case::new();
        case.system(command_line);
        case.write("a.ko", &alone("a"));
        case.klp("install a.ko").success();
        let assert = case.klp("boot");
        match loads {
            true => assert.failure().code(1),
            false => assert.success(),
        };
    }
}
