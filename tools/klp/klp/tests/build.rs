// SPDX-License-Identifier: GPL-2.0

//! `klp build` where something that it needs is wrong: one clear message, and nothing is left
//! behind.

use assert_cmd::Command;
use rustix::process::{kill_process, Pid, Signal};
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

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
        .filter(|name| !["cache", "fix.patch", "kdir", "module", "bin"].contains(&name.as_str()))
        .collect();
    left.sort();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(builds(dir), 0);
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// How many builds have left something in the cache.
fn builds(dir: &Path) -> usize {
    let entries = fs::read_dir(dir.join("cache")).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("build-")).count()
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

const FIX: &str = "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-1\n+2\n";

/// A kernel that was built, and its source, as far as it takes to apply a fix.
fn kernel(dir: &Path) {
    put(dir, "fix.patch", FIX);
    put(dir, "kdir/include/config/kernel.release", "7.3.4\n");
    put(dir, "kdir/include/config/auto.conf", "CONFIG_X86_64=y\n");
    put(dir, "kdir/init/main.c", "");
    put(dir, "kdir/init/.main.o.cmd", "");
    put(dir, "kdir/x.c", "1\n");
}

#[test]
fn the_source_of_a_module_is_told_from_that_of_a_kernel() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    kernel(dir);
    let args = [
        "fix.patch",
        "--kdir",
        "kdir",
        "--quiet",
        "--source",
        "module",
    ];
    put(dir, "module/x.c", "3\n");
    let said = fails(dir, &args);
    assert!(
        said.contains("and no module's, which has a Kbuild or a Makefile"),
        "{said}"
    );
    put(dir, "module/Kbuild", "obj-m := x.o\n");
    let said = fails(dir, &args);
    assert!(said.contains("fix.patch does not apply to"), "{said}");
    assert!(said.contains("/module: x.c does not have"), "{said}");
    put(dir, "module/x.c", "1\n");
    let said = fails(dir, &args);
    assert!(said.contains("give the kernel with --kernel"), "{said}");
}

#[test]
fn nothing_is_made_in_the_source_of_a_module() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    kernel(dir);
    put(dir, "module/Kbuild", "obj-m := x.o\n");
    put(dir, "module/x.c", "1\n");
    for option in ["--cache", "--keep"] {
        let mut command = Command::cargo_bin("klp").unwrap();
        command.current_dir(dir.join("module"));
        let assert = command
            .args(["build", "--kdir", "../kdir", "--source", ".", "--cache"])
            .args(match option {
                "--cache" => vec!["new/cache"],
                _ => vec!["../cache", "--keep", "kept"],
            })
            .args(["--quiet", "../fix.patch"])
            .assert()
            .failure();
        let said = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(said.contains(&format!("error: {option} ")), "{said}");
        assert!(said.contains("it is in the source"), "{said}");
        assert_eq!(fs::read_dir(dir.join("module")).unwrap().count(), 2);
    }
}

#[test]
fn a_build_directory_is_no_source() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    kernel(dir);
    fs::remove_file(dir.join("kdir/init/main.c")).unwrap();
    put(dir, "kdir/Makefile", "include ../source/Makefile\n");
    let said = fails(dir, &["fix.patch", "--kdir", "kdir", "--source", "kdir"]);
    assert!(said.contains("what modules are built against"), "{said}");
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    kernel(dir);
    // Nobody can make a directory there, root neither.
    let mut command = Command::cargo_bin("klp").unwrap();
    command.current_dir(dir);
    let assert = command
        .args([
            "build",
            "--kdir",
            "kdir",
            "--cache",
            "/proc/self/none",
            "fix.patch",
        ])
        .assert()
        .failure();
    let said = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(
        said.starts_with("error: cannot make /proc/self/none: "),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// klp build, with a git that does what `script` says. Its command `ready` tells git's process.
fn with_git(dir: &Path, script: &str) -> (Child, PathBuf) {
    kernel(dir);
    let started = dir.join("started");
    let ready = format!(
        "ready() {{ echo $$ >{0}.new && mv {0}.new {0}; }}",
        started.display()
    );
    put(dir, "bin/git", &format!("#!/bin/sh\n{ready}\n{script}\n"));
    fs::set_permissions(dir.join("bin/git"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = env::var("PATH").unwrap();
    // What runs beside a shell ignores some signals, and so does what it starts.
    let child = std::process::Command::new("env")
        .arg("--default-signal=HUP,INT,TERM")
        .arg(env!("CARGO_BIN_EXE_klp"))
        .args(["build", "--kdir", "kdir", "--cache", "cache", "fix.patch"])
        .current_dir(dir)
        .env("PATH", format!("{}/bin:{path}", dir.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("env, which this test needs, runs");
    (child, started)
}

/// Waits until something is so.
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not after a minute");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process is there and does something.
fn runs(process: &str) -> bool {
    let command = fs::read(format!("/proc/{}/cmdline", process.trim()));
    command.is_ok_and(|command| !command.is_empty())
}

#[test]
fn it_goes_on_where_nobody_reads_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    kernel(dir);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_klp"));
    command
        .args(["build", "--kdir", "kdir", "--cache", "cache", "fix.patch"])
        .current_dir(dir)
        .stderr(writer);
    // Not that of a panic.
    assert_eq!(command.status().unwrap().code(), Some(1));
}

/// Sends the signal once git is ready, and looks at how klp ends.
fn ends(script: &str, signal: Signal) {
    let dir = tempfile::tempdir().unwrap();
    let (child, started) = with_git(dir.path(), script);
    wait_for("git is ready", || started.exists());
    assert_eq!(builds(dir.path()), 1);
    kill_process(Pid::from_child(&child), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(signal.as_raw()));
    assert!(output.stdout.is_empty());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "applying the fix\n"
    );
    assert_eq!(builds(dir.path()), 0);
    let git = fs::read_to_string(started).unwrap();
    wait_for("git ends", || !runs(&git));
}

#[test]
fn a_signal_ends_it_with_what_it_runs_and_leaves_nothing() {
    for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
        ends("sleep 1000 &\nready\nwait", signal);
    }
}

#[test]
fn a_program_that_ignores_signals_is_killed() {
    ends(
        "trap '' HUP INT TERM\nready\nwhile :; do sleep 1; done",
        Signal::TERM,
    );
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let told = dir.path().join("told");
    let script = format!(
        "trap 'echo >{}' TERM\nready\nwhile :; do sleep 1; done",
        told.display()
    );
    let (child, started) = with_git(dir.path(), &script);
    wait_for("git is ready", || started.exists());
    let process = Pid::from_child(&child);
    kill_process(process, Signal::TERM).unwrap();
    // Two that come at the same time have no order.
    wait_for("git learns of it", || told.exists());
    kill_process(process, Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(Signal::INT.as_raw()));
    let git = fs::read_to_string(&started).unwrap();
    let git = Pid::from_raw(git.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process_group(git, Signal::KILL).unwrap();
    // What it could not remove, the next one does.
    assert_eq!(builds(dir.path()), 1);
    let said = fails_beside(dir.path());
    assert!(said.contains("give the kernel with --kernel"), "{said}");
    assert_eq!(builds(dir.path()), 0);
}

/// What `klp build` says, whatever lies beside its cache.
fn fails_beside(dir: &Path) -> String {
    let mut command = Command::cargo_bin("klp").unwrap();
    command.current_dir(dir).args([
        "build",
        "--quiet",
        "--kdir",
        "kdir",
        "--cache",
        "cache",
        "fix.patch",
    ]);
    let assert = command.assert().failure().code(1);
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}
