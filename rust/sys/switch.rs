// SPDX-License-Identifier: GPL-2.0

//! Leading calls of several functions elsewhere at one moment.
//!
//! A redirect has two *sides*, on which it may lead to different functions. On one of them is
//! everything that runs, but for [exceptions](super::exceptions), which are on the other one. With
//! all processors stopped, sides are changed, and tasks and interrupts see all of a switch or
//! nothing. An NMI may come even then, on any of them, and call one function before the switch and
//! another one after it. So there is one word for each processor that says which side counts
//! there. It is written by the processor itself: an NMI comes before that or after it. What
//! interrupts a task goes by that task.
//!
//! When the last exception has left, both sides are made the same. Which of them counts does not
//! matter then, until the next switch.

use super::exceptions::{self, Room};
use super::stop::{stop_machine, Stopped};
use super::{arch, bindings};
use core::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use kernel::prelude::*;

/// One of the two sides of redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    First,
    Second,
}

impl Side {
    /// That of a processor's word.
    fn of_word(word: usize) -> Side {
        match word & SECOND {
            0 => Side::First,
            _ => Side::Second,
        }
    }

    /// The other one.
    pub(crate) fn other(self) -> Side {
        match self {
            Side::First => Side::Second,
            Side::Second => Side::First,
        }
    }
}

/// In a processor's word: the second side counts there.
const SECOND: usize = 1;

/// In a processor's word: for exceptions it is the other side.
const WITH_EXCEPTIONS: usize = 2;

/// A word for each processor that there may be.
static WORDS: [AtomicUsize; bindings::LP_NR_CPUS as usize] =
    [const { AtomicUsize::new(0) }; bindings::LP_NR_CPUS as usize];

/// The word that all of them have when nothing is being switched.
static WORD: AtomicUsize = AtomicUsize::new(0);

/// The side on which calls go that are made here and now. Everything that was written before the
/// side came to count is seen by what comes after this call.
#[inline(always)]
pub(super) fn side_here() -> Side {
    let word = WORDS
        .get(arch::processor())
        .map_or(0, |word| word.load(Acquire));
    let side = Side::of_word(word);
    if word & WITH_EXCEPTIONS != 0 && exceptions::hold_current() {
        side.other()
    } else {
        side
    }
}

/// The side on which all calls go but those of exceptions. It only changes by what this module's
/// functions do.
pub(crate) fn side() -> Side {
    Side::of_word(WORD.load(Relaxed))
}

/// What a switch is to do.
pub(crate) enum Decision<'a> {
    /// Nothing.
    Stay,
    /// Everything that runs goes to the other side.
    Switch,
    /// The same, but for these.
    SwitchExcept(&'a Room),
}

/// Stops all processors and runs `decide`, which must not sleep or allocate. If it says so, calls
/// go on the other side from then on, at one moment for whatever makes them, NMIs included. Those
/// that were exceptions are none any more. Returns whether there was a switch. Not for two callers
/// at a time.
///
/// # Errors
///
/// Those of the kernel's `stop_machine()`.
pub(crate) fn switch<'a>(
    decide: impl FnOnce(&Stopped<'_>) -> Decision<'a> + Send,
) -> Result<bool> {
    let next = AtomicUsize::new(0);
    let switched = stop_machine(
        |stopped| {
            let room = match decide(stopped) {
                Decision::Stay => return false,
                Decision::Switch => None,
                Decision::SwitchExcept(room) => Some(room),
            };
            // What runs on a processor now is a stopper, which never is an exception.
            let with_exceptions = match room.is_some_and(|room| room.publish(stopped)) {
                true => WITH_EXCEPTIONS,
                false => 0,
            };
            let word = WORD.load(Relaxed) & SECOND;
            next.store((word ^ SECOND) | with_exceptions, Relaxed);
            true
        },
        |_| {
            if let Some(word) = WORDS.get(arch::processor()) {
                word.store(next.load(Relaxed), Release);
            }
        },
        // Also those of processors that are not online.
        |_| set_all(next.load(Relaxed)),
    )?;
    Ok(switched)
}

/// Nobody is an exception any more: both sides must be the same, or nobody must be left.
pub(crate) fn end_exceptions() {
    set_all(WORD.load(Relaxed) & SECOND);
}

fn set_all(next: usize) {
    WORD.store(next, Relaxed);
    for word in &WORDS {
        word.store(next, Release);
    }
}
