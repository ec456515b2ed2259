// SPDX-License-Identifier: GPL-2.0

//! Patches that come back at boot, on a root directory of their own.

use anyhow::{bail, Result};
use assert_cmd::assert::Assert;
use assert_cmd::Command;
use klp::boot::{in_order, Outcome, PatchFile, Release, Store, System};
use livepatch_fixtures::{Arch, Module, ARCHES};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
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
        Store::new(&self.path("root"))
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
            "second_name: installed, for kernel {OURS}\n\
             a_first: installed, for kernel {OURS}\n\
             second_name: installed, for kernel {OTHER}\n"
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
        format!("a: replaced, for kernel {OURS}\n")
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
fn uninstall_asks_which_kernel_is_meant() {
    let case = Case::new();
    case.write("a.ko", &patch("the_patch", OURS));
    case.write("b.ko", &patch("the_patch", OTHER));
    case.klp("install a.ko b.ko").success();
    let error = case.refused("uninstall the-patch");
    assert!(
        error.contains(&format!("--kernel ({OURS}, {OTHER})")),
        "{error}"
    );
    case.klp(&format!("uninstall the-patch --kernel {OURS}"))
        .success();
    assert_eq!(case.installed(), format!("{OTHER} the_patch\n"));
    let error = case.refused(&format!("uninstall the_patch --kernel {OURS}"));
    assert!(error.contains("is not installed for kernel"), "{error}");
    case.klp("uninstall the_patch").success();
    let error = case.refused("uninstall the_patch");
    assert!(error.contains("the_patch is not installed"), "{error}");
    assert_eq!(case.installed(), "");
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
        (b"\x1f\x8bcompressed", "gunzip"),
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

/// A system that notes what is loaded into it.
#[derive(Default)]
struct Fake {
    supported: bool,
    broken: Vec<&'static str>,
    loaded: Vec<String>,
}

impl System for Fake {
    fn support(&mut self) -> Result<()> {
        match self.supported {
            true => Ok(()),
            false => bail!("no module livepatch"),
        }
    }

    fn load(&mut self, patch: &PatchFile, path: &Path) -> Result<Outcome> {
        let name = patch.name.as_str().to_owned();
        assert!(path.is_file());
        assert_eq!(patch.depends.len(), 2);
        let broken = self.broken.contains(&name.as_str());
        self.loaded.push(name);
        match broken {
            true => bail!("refused"),
            false => Ok(Outcome::Loaded),
        }
    }
}

/// The names that failed, each with its message.
fn failures(case: &Case, release: &str, system: &mut Fake) -> Vec<String> {
    let release = Release::new(release).unwrap();
    let entries = case.store().entries(&release).unwrap();
    in_order(&entries, &release, system)
        .into_iter()
        .filter_map(|(name, result)| result.err().map(|error| format!("{name}: {error:#}")))
        .collect()
}

#[test]
fn patches_are_loaded_in_order_whatever_becomes_of_those_before() {
    let case = Case::new();
    for name in ["c", "a", "b"] {
        case.write(&format!("{name}.ko"), &patch(name, OURS));
    }
    case.write("foreign.ko", &patch("foreign", OTHER));
    case.klp("install c.ko a.ko b.ko foreign.ko").success();
    let mut system = Fake {
        supported: true,
        broken: vec!["a"],
        ..Fake::default()
    };
    assert_eq!(failures(&case, OURS, &mut system), ["a: refused"]);
    assert_eq!(system.loaded, ["c", "a", "b"]);
}

#[test]
fn another_kernels_patch_is_not_loaded_even_where_its_file_is_misplaced() {
    let case = Case::new();
    case.write("a.ko", &patch("a", OURS));
    case.write("b.ko", &patch("b", OURS));
    case.klp("install a.ko b.ko").success();
    let file = "root/var/lib/livepatch-rs/7.3.4-test/patches/0001-a.ko";
    case.write(file, &patch("a", OTHER));
    let mut system = Fake {
        supported: true,
        ..Fake::default()
    };
    let failed = failures(&case, OURS, &mut system);
    assert_eq!(failed.len(), 1);
    assert!(failed[0].contains(OTHER), "{failed:?}");
    assert_eq!(system.loaded, ["b"]);
}

#[test]
fn a_damaged_file_does_not_keep_the_others_away() {
    let case = Case::new();
    case.write("a.ko", &patch("a", OURS));
    case.write("b.ko", &patch("b", OURS));
    case.klp("install a.ko b.ko").success();
    case.write(
        "root/var/lib/livepatch-rs/7.3.4-test/patches/0001-a.ko",
        b"damaged",
    );
    let mut system = Fake {
        supported: true,
        ..Fake::default()
    };
    assert_eq!(failures(&case, OURS, &mut system).len(), 1);
    assert_eq!(system.loaded, ["b"]);
}

#[test]
fn without_livepatch_support_nothing_is_loaded_and_all_have_failed() {
    let case = Case::new();
    case.write("a.ko", &patch("a", OURS));
    case.write("b.ko", &patch("b", OURS));
    case.klp("install a.ko b.ko").success();
    let mut system = Fake::default();
    let failed = failures(&case, OURS, &mut system);
    assert_eq!(
        failed,
        [
            "a: no livepatch support: no module livepatch",
            "b: no livepatch support: no module livepatch"
        ]
    );
    assert!(system.loaded.is_empty());
}

#[test]
fn where_nothing_is_installed_support_is_not_asked_for() {
    let case = Case::new();
    let mut system = Fake::default();
    assert!(failures(&case, OURS, &mut system).is_empty());
}
