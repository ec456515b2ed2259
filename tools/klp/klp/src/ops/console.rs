// SPDX-License-Identifier: GPL-2.0

//! What commands say: results on standard output, all else on standard error. On a terminal the
//! progress is one line that changes; elsewhere it is a line now and then.

use anyhow::{Context, Result};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often progress is told where it does not go to a terminal.
const PERIOD: Duration = Duration::from_secs(10);

/// Where a command says what it does.
pub struct Console {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    /// The columns of a terminal.
    width: Option<usize>,
    told: Option<Instant>,
    /// Whether there is a line of progress that is to be overwritten.
    open: bool,
}

impl Console {
    /// The process's own.
    pub fn standard() -> Self {
        let stderr = io::stderr();
        let width = stderr.is_terminal().then(|| {
            rustix::termios::tcgetwinsize(&stderr)
                .ok()
                .map(|size| usize::from(size.ws_col))
                .filter(|&columns| columns > 0)
                .unwrap_or(80)
        });
        Console::new(Box::new(io::stdout()), Box::new(stderr), width)
    }

    /// Results go to `out`, all else to `err`, a terminal if it has a width.
    pub fn new(out: Box<dyn Write>, err: Box<dyn Write>, width: Option<usize>) -> Self {
        Console {
            out,
            err,
            width,
            told: None,
            open: false,
        }
    }

    /// A result, without the end of its last line.
    pub fn result(&mut self, text: &str) -> Result<()> {
        self.close();
        writeln!(self.out, "{text}")
            .and_then(|()| self.out.flush())
            .context("cannot write to the standard output")
    }

    /// Something worth knowing. Who does not listen misses it.
    pub fn note(&mut self, text: &str) {
        self.close();
        let _ = writeln!(self.err, "{text}");
    }

    /// How far it is. What is new is told at once, elsewhere than on a terminal, too.
    pub fn progress(&mut self, text: &str, new: bool) {
        match self.width {
            Some(width) => {
                let room = width.saturating_sub(1);
                let text = if text.chars().count() <= room {
                    text.to_owned()
                } else {
                    let kept: String = text.chars().take(room.saturating_sub(3)).collect();
                    format!("{kept}...")
                };
                let _ = write!(self.err, "\r\x1b[K{text}").and_then(|()| self.err.flush());
                self.open = true;
            }
            None if new || self.told.is_none_or(|told| told.elapsed() >= PERIOD) => {
                self.told = Some(Instant::now());
                let _ = writeln!(self.err, "{text}");
            }
            None => {}
        }
    }

    /// Ends the line of progress.
    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            let _ = write!(self.err, "\r\x1b[K").and_then(|()| self.err.flush());
        }
        self.told = None;
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.close();
    }
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
    use super::elapsed;
    use std::time::Duration;

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
