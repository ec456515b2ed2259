// SPDX-License-Identifier: GPL-2.0

//! `klp completions` and `klp man`: every command is in what they make.

use assert_cmd::Command;
use std::collections::BTreeSet;
use std::fs;

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

#[test]
fn each_shell_completes_each_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = klp(&["completions", shell]);
        for command in commands() {
            assert!(text.contains(&command), "{shell}: {command}");
        }
        assert!(text.contains("color"), "{shell}: {text}");
        // What the help hides.
        assert!(
            !text.contains("-root") && !text.contains("-l root"),
            "{shell}: {text}"
        );
    }
}

#[test]
fn bash_takes_its_completions() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("klp");
    fs::write(&file, klp(&["completions", "bash"])).unwrap();
    let script = "set -e; . \"$1\"; COMP_WORDS=(klp conv); COMP_CWORD=1; \
        _klp klp conv klp; echo \"${COMPREPLY[@]}\"";
    let output = std::process::Command::new("bash")
        .args(["-c", script, "bash"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "convert\n");
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
