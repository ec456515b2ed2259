// SPDX-License-Identifier: GPL-2.0

//! Signals that end a build: SIGHUP, SIGINT and SIGTERM.
//!
//! The first one ends the programs that run, and keeps others from being started, so that the build
//! fails soon; what it has made on the way goes away as after any other failure. The second one ends
//! klp at once.

use crate::signals::is_ignored;
use anyhow::{Context, Result};
use rustix::process::{kill_process_group, Pid, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a program may take to clean up, before it is killed.
const PATIENCE: Duration = Duration::from_secs(3);

/// The first signal; 0 as long as there was none.
static RECEIVED: AtomicI32 = AtomicI32::new(0);

/// The programs that run, each of which leads a process group. A signal is written down before this
/// is locked, and looked for while it is.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// The build is to end.
#[derive(Debug, thiserror::Error)]
#[error("a signal has ended the build")]
pub struct Interrupted;

/// From now on signals end the build.
///
/// # Errors
///
/// There can be no handler.
pub fn watch() -> Result<()> {
    let wanted = [SIGHUP, SIGINT, SIGTERM]
        .into_iter()
        .filter(|&signal| !is_ignored(signal));
    let mut signals = Signals::new(wanted).context("cannot wait for signals")?;
    let wait = move || {
        for signal in signals.forever() {
            let first = RECEIVED.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
            if first.is_err() {
                die(signal);
            }
            end(Signal::TERM);
            thread::spawn(|| {
                thread::sleep(PATIENCE);
                end(Signal::KILL);
            });
        }
    };
    let builder = thread::Builder::new().name("signals".to_owned());
    builder.spawn(wait).context("cannot start a thread")?;
    Ok(())
}

/// Sends a signal to all programs that run.
fn end(signal: Signal) {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    for &group in running.iter() {
        // It may have ended by itself.
        let _ = kill_process_group(group, signal);
    }
}

/// Ends klp as the signal does by itself, so that a shell sees which one it was.
fn die(signal: i32) {
    let _ = emulate_default_handler(signal);
}

/// Ends klp if a signal has come. What was made on the way has to be gone.
pub fn end_if_received() {
    match RECEIVED.load(Ordering::SeqCst) {
        0 => {}
        signal => die(signal),
    }
}

/// Fails if a signal has come: for what takes long without other programs.
///
/// # Errors
///
/// That is so.
pub fn check() -> Result<(), Interrupted> {
    match RECEIVED.load(Ordering::SeqCst) {
        0 => Ok(()),
        _ => Err(Interrupted),
    }
}

/// Starts a program, in a process group of its own: a terminal does not end it, but klp does.
fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    check().map_err(|error| io::Error::new(io::ErrorKind::Interrupted, error))?;
    let child = command.process_group(0).spawn()?;
    running.push(Pid::from_child(&child));
    Ok(child)
}

/// Runs a program, with what `feed` does to it after it has started, and waits for it. A signal ends
/// it; then it does not count what has come of it.
///
/// # Errors
///
/// It cannot be started or waited for; a signal has come ([`io::ErrorKind::Interrupted`]).
pub fn run(
    command: &mut Command,
    feed: impl FnOnce(&mut Child) -> io::Result<()>,
) -> io::Result<Output> {
    let mut child = spawn(command)?;
    let group = Pid::from_child(&child);
    let fed = feed(&mut child);
    let output = child.wait_with_output();
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.retain(|&other| other != group);
    drop(running);
    check().map_err(|error| io::Error::new(io::ErrorKind::Interrupted, error))?;
    let output = output?;
    // A program that fails before it reads has more to say than that.
    match fed {
        Err(error) if output.status.success() => Err(error),
        _ => Ok(output),
    }
}
