// SPDX-License-Identifier: GPL-2.0

//! Leading calls of several functions elsewhere at one moment.
//!
//! A redirect or trampoline has two *sides*, on which it may lead to different functions. On one of them is
//! everything that runs, but for [exceptions](super::exceptions), which are on the other one. With
//! all processors stopped, sides are changed, and tasks and interrupts see all of a switch or
//! nothing. An NMI may come even then, on any of them, and call one function before the switch and
//! another one after it. So there is one word for each processor that says which side counts
//! there. It is written by the processor itself: an NMI comes before that or after it. What
//! interrupts a task goes by that task.
//!
//! When the last exception has left, both sides are made the same. Which of them counts does not
//! matter then, until the next switch.

use super::exceptions::{Exceptions, Published, Room};
use super::stop::{stop_machine, Stopped};
use super::{arch, bindings};
use core::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use kernel::prelude::*;

/// One of the two sides of redirects and trampolines.
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

/// In a processor's word: the second side counts there. The other bits are the address of the
/// exceptions, if there are any: they are all read at once, so that a task that was interrupted
/// while it decides where a call goes on decides by what was so before, or by what is so after a
/// switch.
const SECOND: usize = 1;

/// A word for each processor that there may be.
static WORDS: [AtomicUsize; bindings::LP_NR_CPUS as usize] =
    [const { AtomicUsize::new(0) }; bindings::LP_NR_CPUS as usize];

/// The word that all of them have when nothing is being switched.
static WORD: AtomicUsize = AtomicUsize::new(0);

/// The side on which calls go that are made here and now. Everything that was written before the
/// side came to count is seen by what comes after this call.
#[inline(always)]
pub(super) fn side_here() -> Side {
    let Some(word) = WORDS.get(arch::processor()) else {
        return Side::First;
    };
    let word = word.load(Acquire);
    let side = Side::of_word(word);
    if word <= SECOND {
        return side;
    }
    // SAFETY: It was read from a processor's word, here.
    match unsafe { Published::holds_current(word & !SECOND) } {
        false => side,
        true => side.other(),
    }
}

/// The side on which all calls go but those of exceptions. It only changes by what this module's
/// functions do.
pub(crate) fn side() -> Side {
    Side::of_word(WORD.load(Relaxed))
}

/// What has come of [`switch`].
pub(crate) enum Switched {
    /// Calls go on the other side, but for those of the exceptions, if there are any.
    Yes(Option<Exceptions>),
    /// Nothing has changed.
    No,
}

/// Stops all processors and runs `decide`, which must not sleep or allocate. If it returns true,
/// calls go on the other side from then on, at one moment for whatever makes them, NMIs included:
/// all of them but those of the tasks that it has put into the room. Those that were exceptions are
/// none any more. Not for two callers at a time, nor while [`Exceptions`] are dropped.
///
/// # Errors
///
/// Those of the kernel's `stop_machine()`.
pub(crate) fn switch(
    mut room: Option<Room>,
    decide: impl FnOnce(&Stopped<'_>, Option<&mut Room>) -> bool + Send,
) -> Result<Switched> {
    let next = AtomicUsize::new(0);
    let result = {
        let (room, next) = (&mut room, &next);
        stop_machine(
            move |stopped| {
                let yes = decide(stopped, room.as_mut());
                let exceptions = room.as_ref().and_then(Room::published);
                let side = (WORD.load(Relaxed) & SECOND) ^ SECOND;
                next.store(exceptions.map_or(0, Published::to_word) | side, Relaxed);
                yes
            },
            |_| {
                if let Some(word) = WORDS.get(arch::processor()) {
                    word.store(next.load(Relaxed), Release);
                }
            },
            // Also those of processors that are not online.
            |_| set_all(next.load(Relaxed)),
        )
    };
    match result {
        Ok(false) => Ok(Switched::No),
        Ok(true) => {
            let exceptions = room.map(Room::into_exceptions);
            Ok(Switched::Yes(
                exceptions.filter(|exceptions| exceptions.count() != 0),
            ))
        }
        Err(error) => {
            // Should any processor have gone over, it goes back with them.
            drop(room.map(Room::into_exceptions));
            Err(error)
        }
    }
}

/// Those in this set are no exceptions any more, if they still are. Not while there is a switch.
pub(super) fn forget(exceptions: Published) {
    let word = WORD.load(Relaxed);
    if word & !SECOND == exceptions.to_word() {
        set_all(word & SECOND);
    }
}

fn set_all(next: usize) {
    WORD.store(next, Relaxed);
    let count = kernel::cpu::nr_cpu_ids() as usize;
    for word in WORDS.iter().take(count) {
        word.store(next, Release);
    }
}
