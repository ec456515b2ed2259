// SPDX-License-Identifier: GPL-2.0

//! Other programs, such as compilers and make, and what keeps any of them from doing its work.

use super::interrupt;
use anyhow::{bail, Context, Result};
use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

/// What programs print, in the language that they are asked for, where nothing can be written.
const NO_SPACE: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

/// Runs a program and collects what it prints. `cannot` says what it is for and what to do if it is
/// not there.
///
/// # Errors
///
/// It cannot be run; the disk is full; the build is to end.
pub fn output(command: &mut Command, cannot: impl FnOnce() -> String) -> Result<Output> {
    command.stdin(Stdio::null());
    collect(interrupt::run(piped(command), |_| Ok(())), cannot)
}

/// The same, for a program that reads its input.
///
/// # Errors
///
/// As above.
pub fn output_of(
    command: &mut Command,
    input: &[u8],
    cannot: impl FnOnce() -> String,
) -> Result<Output> {
    command.stdin(Stdio::piped());
    let feed = |child: &mut Child| match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(input),
        None => Ok(()),
    };
    collect(interrupt::run(piped(command), feed), cannot)
}

/// The same, where each line is passed on as it is printed; the output has none of them.
///
/// # Errors
///
/// As above.
pub fn output_by_line(
    command: &mut Command,
    mut line: impl FnMut(&str),
    cannot: impl FnOnce() -> String,
) -> Result<Output> {
    command.stdin(Stdio::null());
    let mut said = Vec::new();
    let follow = |child: &mut Child| {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        thread::scope(|scope| {
            // A full pipe would stop the program.
            let errors = scope.spawn(|| match stderr {
                Some(mut stderr) => stderr.read_to_end(&mut said).map(drop),
                None => Ok(()),
            });
            for bytes in stdout
                .map(|stdout| BufReader::new(stdout).split(b'\n'))
                .into_iter()
                .flatten()
            {
                line(&String::from_utf8_lossy(&bytes?));
            }
            errors
                .join()
                .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        })
    };
    let result = interrupt::run(piped(command), follow);
    let result = result.map(|output| Output {
        stderr: said,
        ..output
    });
    collect(result, cannot)
}

fn piped(command: &mut Command) -> &mut Command {
    command
        .env("LC_ALL", "C")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
}

fn collect(result: io::Result<Output>, cannot: impl FnOnce() -> String) -> Result<Output> {
    let output = match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(cannot()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error.into()),
        result => result.with_context(cannot)?,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        if let Some(line) = no_space(&said) {
            bail!(
                "the disk is full: {line}; what is made is in --cache, temporary files of compilers \
                 are in {} (TMPDIR)",
                env::temp_dir().display()
            );
        }
    }
    Ok(output)
}

/// The line that tells of a full disk.
fn no_space(said: &str) -> Option<&str> {
    let mut lines = said.lines();
    let line = lines.find(|line| NO_SPACE.iter().any(|words| line.contains(words)))?;
    Some(line.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Output> {
        let mut command = Command::new("sh");
        output(command.args(["-c", script]), || "install sh".to_owned())
    }

    #[test]
    fn a_full_disk_is_not_the_program_s_fault() {
        let script = "echo >&2 'x.c: warning'; echo >&2 'as: x.o: No space left on device'; exit 1";
        let error = shell(script).expect_err("it fails").to_string();
        assert!(
            error.starts_with("the disk is full: as: x.o: No space left on device; "),
            "{error}"
        );
        // Really.
        let error = shell("cat /proc/version >/dev/full").expect_err("it fails");
        assert!(
            error.to_string().starts_with("the disk is full: "),
            "{error}"
        );
        let output = shell("echo >&2 'no space for it'; exit 3").expect("it runs");
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn lines_are_passed_on_beside_many_errors() {
        let script = "yes error | head -n 100000 >&2; echo one; echo two; exit 5";
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        let see = |line: &str| lines.push(line.to_owned());
        let output = output_by_line(command.args(["-c", script]), see, String::new);
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(5));
        assert_eq!(output.stderr.len(), 600_000);
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn what_is_not_there_is_to_be_installed() {
        let error = output(&mut Command::new("/no/such/program"), || {
            "install it".to_owned()
        });
        assert_eq!(error.expect_err("there is none").to_string(), "install it");
    }

    #[test]
    fn input_is_read_or_not() {
        let run = |program: &str| {
            let mut command = Command::new("sh");
            let input = vec![b'x'; 1 << 20];
            output_of(command.args(["-c", program]), &input, String::new).expect("it runs")
        };
        assert_eq!(run("wc -c").stdout, b"1048576\n");
        assert_eq!(run("exit 4").status.code(), Some(4));
    }
}
