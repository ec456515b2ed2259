// SPDX-License-Identifier: GPL-2.0

//! What commands say: results on standard output, all else on standard error. On a terminal the
//! progress is a few lines that change; elsewhere it is a line now and then.

use crate::terminal::{can_move, Color};
use anstream::adapter::strip_str;
use anyhow::{Context, Result};
use serde::Serialize;
use std::borrow::Cow;
use std::fs;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use thiserror::Error;

/// The version of all JSON that is printed: `Documentation/livepatch/klp-json.md`. It grows when a
/// member changes its meaning or goes, not when one is added.
pub const SCHEMA: u32 = 1;

/// How often progress is told where it does not go to a terminal.
const PERIOD: Duration = Duration::from_secs(10);

/// How many lines of a terminal the progress takes at most.
const ROWS: usize = 3;

/// Where a command says what it does.
pub struct Console {
    out: Stream,
    err: Stream,
    /// Where answers come from; `None` where nobody is there to give them.
    answers: Option<Box<dyn BufRead>>,
    /// The columns of a terminal.
    width: Option<usize>,
    /// How many lines of it the progress may take.
    rows: usize,
    told: Option<Instant>,
    /// How many lines of progress are to be overwritten.
    open: usize,
}

/// Nobody reads results any more, as in `klp list | head -1`.
#[derive(Debug, Error)]
#[error("nobody reads the standard output")]
pub struct Closed;

/// Where text goes.
struct Stream {
    to: Box<dyn Write>,
    /// Whether colours are wanted there.
    colors: bool,
}

impl Stream {
    fn write(&mut self, text: &str) -> io::Result<()> {
        let text = match self.colors {
            true => Cow::from(text),
            false => Cow::from(strip_str(text).to_string()),
        };
        self.to.write_all(text.as_bytes())?;
        self.to.flush()
    }
}

impl Console {
    /// The process's own.
    pub fn standard(color: Color) -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let width = can_move(&stderr).then(|| {
            rustix::termios::tcgetwinsize(&stderr)
                .ok()
                .map(|size| usize::from(size.ws_col))
                .filter(|&columns| columns > 0)
                .unwrap_or(80)
        });
        let stdin = io::stdin();
        let is_answered = stderr.is_terminal() && stdin.is_terminal();
        let rows = match is_console(&stderr) {
            true => 1,
            false => ROWS,
        };
        Console {
            out: Stream {
                colors: color.is_for(&stdout),
                to: Box::new(stdout),
            },
            err: Stream {
                colors: color.is_for(&stderr),
                to: Box::new(stderr),
            },
            answers: is_answered.then(|| Box::new(BufReader::new(stdin)) as _),
            width,
            rows,
            told: None,
            open: 0,
        }
    }

    /// Results go to `out`, all else to `err`, a terminal if it has a width; both without colours.
    pub fn new(out: Box<dyn Write>, err: Box<dyn Write>, width: Option<usize>) -> Self {
        let plain = |to| Stream { to, colors: false };
        Console {
            out: plain(out),
            err: plain(err),
            answers: None,
            width,
            rows: ROWS,
            told: None,
            open: 0,
        }
    }

    /// Somebody is there who gives these answers.
    pub fn with_answers(mut self, answers: Box<dyn BufRead>) -> Self {
        self.answers = Some(answers);
        self
    }

    /// A result, without the end of its last line.
    pub fn result(&mut self, text: &str) -> Result<()> {
        self.write(&format!("{text}\n"))
    }

    /// The same of what a command has changed in the system, which does not depend on whether anybody
    /// reads of it: neither is the rest left undone, nor is a failure hidden.
    pub fn done(&mut self, text: &str) -> Result<()> {
        match self.result(text) {
            Err(error) if error.is::<Closed>() => Ok(()),
            result => result,
        }
    }

    /// A result with the ends of all its lines.
    pub fn write(&mut self, text: &str) -> Result<()> {
        self.close();
        match self.out.write(text) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
            result => result.context("cannot write to the standard output"),
        }
    }

    /// The same of what writes it.
    pub fn write_with(&mut self, text: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<()> {
        let mut bytes = Vec::new();
        text(&mut bytes)?;
        self.write(&String::from_utf8_lossy(&bytes))
    }

    /// A result that is for programs.
    pub fn json(&mut self, result: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(result).context("cannot be written as JSON")?;
        self.result(&text)
    }

    /// Something worth knowing. Who does not listen misses it.
    pub fn note(&mut self, text: &str) {
        self.close();
        let _ = self.err.write(&format!("{text}\n"));
    }

    /// What went wrong.
    pub fn error(&mut self, error: &anyhow::Error) {
        self.note(&format!("error: {error:#}"));
    }

    /// Asks something, and reads a line; `None` where nobody is there to answer.
    pub fn ask(&mut self, question: &str) -> Result<Option<String>> {
        if self.answers.is_none() {
            return Ok(None);
        }
        self.note(question);
        let mut line = String::new();
        if let Some(answers) = &mut self.answers {
            answers
                .read_line(&mut line)
                .context("cannot read the answer")?;
        }
        Ok(Some(line.trim().to_owned()))
    }

    /// How far it is. What is new is told at once, elsewhere than on a terminal, too.
    pub fn progress(&mut self, text: &str, new: bool) {
        match self.width {
            Some(width) => {
                let lines = rows(text, width.saturating_sub(1), self.rows);
                let _ = self.control(&format!("{}{}", erase(self.open), lines.join("\r\n")));
                self.open = lines.len();
            }
            None if new || self.told.is_none_or(|told| told.elapsed() >= PERIOD) => {
                self.told = Some(Instant::now());
                let _ = self.err.write(&format!("{text}\n"));
            }
            None => {}
        }
    }

    /// Ends the line of progress.
    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        if open > 0 {
            let _ = self.control(&erase(open));
        }
        self.told = None;
    }

    /// What moves the cursor is no colour.
    fn control(&mut self, text: &str) -> io::Result<()> {
        self.err.to.write_all(text.as_bytes())?;
        self.err.to.flush()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether the kernel prints its messages there, too: between any two lines of ours.
fn is_console(stream: &impl AsFd) -> bool {
    let Ok(name) = rustix::termios::ttyname(stream, Vec::new()) else {
        return false;
    };
    let name = name.to_string_lossy();
    let name = name.strip_prefix("/dev/").unwrap_or(&name);
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    name == "console" || active.split_whitespace().any(|console| console == name)
}

/// A text in so many lines of a terminal at most, broken between words.
fn rows(text: &str, room: usize, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else {
            break;
        };
        let length = line.chars().count();
        if length == 0 {
            line.push_str(word);
        } else if length.saturating_add(word.chars().count()) < room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    let is_cut = lines.len() > most;
    lines.truncate(most);
    let last = lines.len().saturating_sub(1);
    for (index, line) in lines.iter_mut().enumerate() {
        let is_cut = is_cut && index == last;
        if is_cut || line.chars().count() > room {
            *line = line.chars().take(room.saturating_sub(3)).collect();
            line.push_str("...");
        }
    }
    lines
}

/// What takes so many lines away, the last of which the cursor is in.
fn erase(lines: usize) -> String {
    let above = "\x1b[A\x1b[K".repeat(lines.saturating_sub(1));
    format!("\r\x1b[K{above}")
}

/// A time that has passed, for people.
pub fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::{elapsed, rows};
    use std::time::Duration;

    #[test]
    fn what_does_not_fit_goes_on_in_the_next_line() {
        assert_eq!(rows("", 9, 3), [""]);
        assert_eq!(rows("foo: 204 cat", 40, 3), ["foo: 204 cat"]);
        assert_eq!(rows("foo: 204 cat", 8, 3), ["foo: 204", "cat"]);
        assert_eq!(rows("foo: 204 cat", 11, 3), ["foo: 204", "cat"]);
        assert_eq!(rows("foo: 204 cat", 12, 3), ["foo: 204 cat"]);
        assert_eq!(rows("foo: 204 cat", 8, 1), ["foo: ..."]);
        assert_eq!(rows("a_long_name b", 8, 3), ["a_lon...", "b"]);
        assert_eq!(rows("a b c d", 1, 3), ["a", "b", "..."]);
    }

    #[test]
    fn times_are_told_in_two_units_at_most() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 01 s"),
            (3599, "59 min 59 s"),
            (7384, "2 h 03 min"),
        ] {
            assert_eq!(elapsed(Duration::from_secs(seconds)), text);
        }
    }
}
