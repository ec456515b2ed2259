// SPDX-License-Identifier: GPL-2.0

//! Leading calls of several functions elsewhere at one moment.
//!
//! With all processors stopped, tasks and interrupts see all of a switch or nothing. An NMI may
//! come even then, on any of them, and call one function before the switch and another one after
//! it. So there is one word for each processor that says whether the switch has happened there.
//! It is written by the processor itself: an NMI comes before that or after it.

use super::ftrace::{Location, Redirect};
use super::stop::{stop_machine, Stopped};
use super::{arch, bindings, Address};
use core::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use kernel::prelude::*;

/// On which processors calls go where redirects lead next.
static SWITCHED: [AtomicBool; bindings::LP_NR_CPUS as usize] =
    [const { AtomicBool::new(false) }; bindings::LP_NR_CPUS as usize];

/// Calls of one function are to be led elsewhere.
pub(crate) struct Flip<'a> {
    pub(crate) redirect: &'a Redirect,
    pub(crate) location: Location,
    /// The original for `None`.
    pub(crate) target: Option<Address>,
}

/// Whether, on this processor, calls go where redirects lead next. Everything that happened
/// before it became false is seen by what comes after this call.
pub(super) fn has_happened_here() -> bool {
    SWITCHED
        .get(arch::processor())
        .is_some_and(|switched| switched.load(Acquire))
}

/// Stops all processors and runs `decide`. If that returns true, all calls in `flips` are led
/// elsewhere, at one moment for whatever calls them, NMIs included. `decide` must not sleep or
/// allocate. Returns what it has returned. Not for two callers at a time.
///
/// # Errors
///
/// Those of the kernel's `stop_machine()`.
pub(crate) fn switch(
    flips: &[Flip<'_>],
    decide: impl FnOnce(&Stopped<'_>) -> bool + Send,
) -> Result<bool> {
    let switched = stop_machine(
        |stopped| {
            let yes = decide(stopped);
            if yes {
                for flip in flips {
                    flip.redirect.lead_next_to(flip.location, flip.target);
                }
            }
            yes
        },
        |_| {
            if let Some(switched) = SWITCHED.get(arch::processor()) {
                switched.store(true, Release);
            }
        },
        |_| {
            for flip in flips {
                flip.redirect.lead_to(flip.location, flip.target);
            }
        },
    )?;
    // From now on both are the same again, also for processors that were not online.
    for switched in &SWITCHED {
        switched.store(false, Release);
    }
    Ok(switched)
}
