// SPDX-License-Identifier: GPL-2.0

//! What a build is doing: on a terminal one line that moves, else a line for each long step.

use crate::terminal::can_move;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write as _;
use std::time::Duration;

/// How often the line moves.
const TICK: Duration = Duration::from_millis(120);

/// Tells what is being done, on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    is_quiet: bool,
}

impl Progress {
    /// Tells nothing where `is_quiet`.
    pub fn new(is_quiet: bool) -> Self {
        let is_moving = !is_quiet && can_move(&std::io::stderr());
        let bar = is_moving.then(|| {
            let bar = ProgressBar::new_spinner();
            // The template is one of ours, without a mistake.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}{msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Progress { bar, is_quiet }
    }

    /// The next step begins.
    pub fn step(&self, what: String) {
        match &self.bar {
            Some(bar) => {
                bar.reset_elapsed();
                bar.set_prefix("");
                bar.set_message(what);
            }
            None if self.is_quiet => {}
            None => say(&what),
        }
    }

    /// How much of the step is done; only a line that moves tells it.
    pub fn count(&self, done: usize, all: usize) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("[{done}/{all}] "));
        }
    }

    /// Something that stays to be read.
    pub fn note(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.println(what),
            None => say(what),
        }
    }
}

/// Says a line. That nobody reads it any more is no reason to end.
pub fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
