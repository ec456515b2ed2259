// SPDX-License-Identifier: GPL-2.0

//! Transitions: having patches change over, waiting for that, and what is said of it.

pub mod advice;
pub mod in_the_way;
pub mod interrupt;
pub mod switch;
pub mod watch;

use crate::system::patches;
use crate::system::{is_gone, System};
use anyhow::{anyhow, Result};
use clap::Args;
use rustix::io::Errno;
use std::io;
use std::time::Duration;

/// How long a command waits that begins a transition, unless it is told. The kernel itself interrupts
/// tasks in the way before that: livepatch.ko after 2 seconds, mainline's core after 15.
const LIMIT: Duration = Duration::from_secs(60);

/// How to wait for a transition.
#[derive(Debug, Clone, Default, Args)]
pub struct WaitArgs {
    /// Stop waiting after that long, with status 3; the transition goes on [default: 60; of klp
    /// wait: infinity]
    ///
    /// 0 does not wait, 'infinity' waits as long as it takes.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,

    /// Interrupt the processes in the way, at once and every 5 seconds
    ///
    /// klp sends SIGSTOP, and SIGCONT right after it. A task that sleeps and can be interrupted
    /// then leaves the function that it is in. The kernel starts most system calls again, but some
    /// return EINTR, and a shell may take notice. klp leaves alone what no signal gets out of the
    /// way: kernel threads, tasks that sleep uninterruptibly, and those that are stopped; and the first
    /// process. The kernel interrupts tasks by itself, its threads among them: livepatch.ko after
    /// signal_after milliseconds, mainline's core after 15 seconds.
    #[arg(long)]
    pub signal: bool,
}

/// How to see a transition through.
#[derive(Debug, Default, Args)]
pub struct TransitionArgs {
    /// How to wait.
    #[command(flatten)]
    pub wait: WaitArgs,

    /// When the time is up, reverse the transition, and wait as long again
    #[arg(long)]
    pub reverse: bool,
}

impl TransitionArgs {
    /// How to wait, with a limit also where none was given.
    pub(crate) fn limited(&self) -> WaitArgs {
        WaitArgs {
            timeout: Some(self.wait.timeout.unwrap_or(LIMIT)),
            signal: self.wait.signal,
        }
    }
}

/// A limit on the command line: a number of seconds, or `infinity`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    if text == "infinity" {
        return Ok(Duration::MAX);
    }
    let seconds: f64 = text
        .parse()
        .map_err(|_| "it is neither a number of seconds nor 'infinity'".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Writes `enabled`; `false` where the patch is gone.
pub(crate) fn set_enabled(system: &System, name: &str, enabled: bool) -> Result<bool> {
    let value = if enabled { "1" } else { "0" };
    match patches::write(system, name, "enabled", value) {
        Ok(()) => Ok(true),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(write_refused(system, name, enabled, &error)),
    }
}

fn write_refused(system: &System, name: &str, enabled: bool, error: &io::Error) -> anyhow::Error {
    let verb = if enabled { "enabled" } else { "disabled" };
    if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) {
        if let Ok(Some(other)) = patches::in_transition(system, name) {
            return anyhow!(
                "{name} cannot be {verb} while {other} is in transition: 'klp status {other}' says what it waits for, and how to end it"
            );
        }
    }
    anyhow!("{name} cannot be {verb}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_of_seconds_or_infinity() {
        for (text, limit) in [
            ("0", Some(Duration::ZERO)),
            ("1.5", Some(Duration::from_millis(1500))),
            ("infinity", Some(Duration::MAX)),
            ("-1", None),
            ("x", None),
        ] {
            assert_eq!(seconds(text).ok(), limit, "{text}");
        }
    }

    #[test]
    fn what_begins_a_transition_waits_for_a_minute_unless_it_is_told() {
        let limited = |timeout| {
            let wait = WaitArgs {
                timeout,
                signal: true,
            };
            let how = TransitionArgs {
                wait,
                reverse: false,
            };
            let limited = how.limited();
            assert!(limited.signal);
            limited.timeout
        };
        assert_eq!(limited(None), Some(Duration::from_secs(60)));
        for told in [Duration::ZERO, Duration::MAX] {
            assert_eq!(limited(Some(told)), Some(told));
        }
    }
}
