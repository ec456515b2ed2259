// SPDX-License-Identifier: GPL-2.0

//! `klp completions` and `klp man`: every command is in what they make.

use assert_cmd::Command;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn klp(words: &[&str]) -> String {
    let output = Command::cargo_bin("klp").unwrap().args(words).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands, as `klp help` lists them.
fn commands() -> BTreeSet<String> {
    let help = klp(&["help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let names = list.lines().filter(|line| line.starts_with("  "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    let names: BTreeSet<_> = names.map(str::to_owned).collect();
    assert!(names.contains("convert") && names.contains("boot"));
    names
}

/// What bash offers for the last one of these words, in a directory.
fn offered(dir: &Path, words: &[&str]) -> BTreeSet<String> {
    let file = dir.join("completions");
    fs::write(&file, klp(&["completions", "bash"])).unwrap();
    let script = r#"set -e; . "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9
        _clap_complete_klp klp "${!#}" ""; printf '%s\n' "${COMPREPLY[@]}""#;
    let klp = assert_cmd::cargo::cargo_bin("klp");
    let path = std::env::var("PATH").unwrap();
    let output = std::process::Command::new("bash")
        .args(["-c", script, "bash"])
        .arg(&file)
        .arg("klp")
        .args(words)
        .current_dir(dir)
        .env(
            "PATH",
            format!("{}:{path}", klp.parent().unwrap().display()),
        )
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.lines().filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn each_shell_asks_klp() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = klp(&["completions", shell]);
        assert!(text.contains("COMPLETE") && text.contains("klp"), "{text}");
    }
}

#[test]
fn commands_and_what_their_help_shows_are_completed() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(offered(dir.path(), &["conv"]), set(&["convert"]));
    assert!(offered(dir.path(), &[""]).is_superset(&commands()));
    // An alias hides no command.
    let begun = offered(dir.path(), &["in"]);
    let wanted = set(&["info", "inspect", "install", "installed"]);
    assert_eq!(begun, wanted);
    assert!(offered(dir.path(), &["info", "--"]).contains("--json"));
    let options = offered(dir.path(), &["load", "--"]);
    assert!(
        options.is_superset(&set(&["--timeout", "--color"])),
        "{options:?}"
    );
    assert!(!options.contains("--root"), "{options:?}");
}

#[test]
fn names_of_patches_and_module_files_are_completed() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let modules = "my_other 1 0 - Live 0x0 (OK)\nmy_plain 1 0 - Live 0x0 (O)\n";
    write("proc/modules", modules);
    write("sys/kernel/livepatch/my_patch/enabled", "1\n");
    write("sys/kernel/livepatch/my_patch/transition", "0\n");
    write("var/lib/livepatch-rs/7.3.4/patches/0001-my_kept.ko", "");
    write(
        "var/lib/livepatch-rs/7.3.5/patches/0001-my_other_kept.ko",
        "",
    );
    for file in ["my-file.ko", "my-packed.ko.zst", "my-text.txt"] {
        write(file, "");
    }
    let files = ["my-file.ko", "my-packed.ko.zst"];
    let with = |names: &[&str]| set(&[names, &files].concat());
    for command in [
        "unload", "disable", "enable", "status", "wait", "signal", "force",
    ] {
        let offered = offered(dir.path(), &["--root", ".", command, "my"]);
        assert_eq!(offered, with(&["my_other", "my_patch"]), "{command}");
    }
    let uninstall = offered(dir.path(), &["--root", ".", "uninstall", "my"]);
    assert_eq!(uninstall, with(&["my_kept", "my_other_kept"]));
    let kernel = offered(dir.path(), &["--root", ".", "uninstall", "--kernel", "7"]);
    assert_eq!(kernel, set(&["7.3.4", "7.3.5"]));
    let words = ["--root", ".", "uninstall", "--kernel", "7.3.5", "my"];
    assert_eq!(offered(dir.path(), &words), with(&["my_other_kept"]));
    write("proc/sys/kernel/osrelease", "7.3.5\n");
    let uninstall = offered(dir.path(), &["--root", ".", "uninstall", "my"]);
    assert_eq!(uninstall, with(&["my_other_kept"]));
    for command in ["load", "inspect", "info", "lint"] {
        let offered = offered(dir.path(), &["--root", ".", command, "my"]);
        assert_eq!(offered, with(&["my_other_kept"]), "{command}");
    }
    // What is given to lint is no release.
    let words = ["--root", ".", "lint", "--kernel", "vmlinux", "my"];
    assert_eq!(offered(dir.path(), &words), with(&["my_other_kept"]));
    for command in ["install", "convert"] {
        let offered = offered(dir.path(), &["--root", ".", command, "my"]);
        assert_eq!(offered, set(&files), "{command}");
    }
}

#[test]
fn an_unknown_shell_is_refused() {
    let output = Command::cargo_bin("klp")
        .unwrap()
        .args(["completions", "csh"])
        .assert();
    output.failure().code(2);
}

#[test]
fn each_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    let man = dir.path().join("new/man1");
    klp(&["man", man.to_str().unwrap()]);
    let mut wanted: BTreeSet<_> = commands()
        .iter()
        .filter(|command| *command != "help")
        .map(|command| format!("klp-{command}.1"))
        .collect();
    wanted.insert("klp.1".to_owned());
    let made: BTreeSet<_> = fs::read_dir(&man)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(made, wanted);
    for name in made.iter().filter(|name| *name != "klp.1") {
        let page = fs::read_to_string(man.join(name)).unwrap();
        assert!(
            page.contains(".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\n"),
            "{page}"
        );
        assert!(
            !page.contains("Exit status: ") && !page.contains("EXTRA"),
            "{page}"
        );
    }
    let page = fs::read_to_string(man.join("klp-load.1")).unwrap();
    assert!(
        page.contains(".TP\n\\fB3\\fR\nif the time was up"),
        "{page}"
    );
    let page = fs::read_to_string(man.join("klp-install.1")).unwrap();
    assert!(page.contains(".SH NOTES\nWith \\-\\-root DIR"), "{page}");
    let page = fs::read_to_string(man.join("klp-convert.1")).unwrap();
    assert!(page.contains(".TH klp-convert 1"));
    assert!(page.contains("\\-\\-symvers"));
}

#[test]
fn manual_pages_are_not_written_where_there_is_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let mut command = Command::cargo_bin("klp").unwrap();
    let assert = command.arg("man").arg(&file).assert().failure().code(1);
    let error = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(error.contains("cannot write manual pages"), "{error}");
}
