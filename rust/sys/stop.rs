// SPDX-License-Identifier: GPL-2.0

//! Doing something while nothing else runs.

use super::{arch, bindings};
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};
use kernel::error::to_result;
use kernel::prelude::*;

/// Proof that all processors are stopped: every task but the stoppers is asleep or preempted,
/// interrupts are off, and no task list changes. What still can come in between is an interrupt
/// that nothing holds off, such as an NMI.
pub(crate) struct Stopped<'a>(PhantomData<&'a ()>);

impl Stopped<'_> {
    const PROOF: Stopped<'static> = Stopped(PhantomData);
}

/// What the processors know of each other.
struct Meeting<D, E, L> {
    /// One of them has begun, which does what only one does.
    begun: AtomicBool,
    /// That of the one: [`UNDECIDED`], [`NO`] or [`YES`].
    decision: AtomicU8,
    /// How many have done what each one does.
    done: AtomicU32,
    decide: UnsafeCell<Option<D>>,
    each: E,
    last: UnsafeCell<Option<L>>,
}

const UNDECIDED: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

/// Stops all processors and runs `decide` on one of them. If that returns true, `each` is run on
/// every processor, by itself, and when all have done so, `last` on one. Then they go on. None of
/// them may sleep or allocate. Returns what `decide` has returned.
///
/// # Errors
///
/// Those of the kernel's `stop_machine()`.
pub(crate) fn stop_machine<D, E, L>(decide: D, each: E, last: L) -> Result<bool>
where
    D: FnOnce(&Stopped<'_>) -> bool + Send,
    E: Fn(&Stopped<'_>) + Sync,
    L: FnOnce(&Stopped<'_>) + Send,
{
    let meeting = Meeting {
        begun: AtomicBool::new(false),
        decision: AtomicU8::new(UNDECIDED),
        done: AtomicU32::new(0),
        decide: UnsafeCell::new(Some(decide)),
        each,
        last: UnsafeCell::new(Some(last)),
    };
    // SAFETY: `run` gets a pointer to `meeting`, which outlives this synchronous call. What only
    // one processor uses may be used on another one, as it is `Send`, and the rest by all, as it
    // is `Sync`. The mask is read with the processors kept from coming and going.
    to_result(unsafe {
        bindings::stop_machine(
            Some(run::<D, E, L>),
            (&raw const meeting).cast_mut().cast(),
            &raw const bindings::__cpu_online_mask,
        )
    })?;
    Ok(meeting.decision.load(Relaxed) == YES)
}

/// # Safety
///
/// Only for `stop_machine()`, on all processors that are online, with `data` a pointer to a
/// `Meeting<D, E, L>`.
unsafe extern "C" fn run<D, E, L>(data: *mut c_void) -> c_int
where
    D: FnOnce(&Stopped<'_>) -> bool,
    E: Fn(&Stopped<'_>),
    L: FnOnce(&Stopped<'_>),
{
    // SAFETY: By contract; it is not changed but for what only one processor uses.
    let meeting = unsafe { &*data.cast::<Meeting<D, E, L>>() };
    let stopped = Stopped::PROOF;
    let first = !meeting.begun.swap(true, Relaxed);
    if first {
        // SAFETY: No other processor gets here.
        let decide = unsafe { (*meeting.decide.get()).take() };
        let yes = decide.is_some_and(|decide| decide(&stopped));
        meeting.decision.store(if yes { YES } else { NO }, Release);
    }
    let decision = loop {
        match meeting.decision.load(Acquire) {
            UNDECIDED => arch::wait_a_moment(),
            decision => break decision,
        }
    };
    if decision != YES {
        return 0;
    }
    (meeting.each)(&stopped);
    meeting.done.fetch_add(1, Release);
    if first {
        while meeting.done.load(Acquire) != processors() {
            arch::wait_a_moment();
        }
        // SAFETY: No other processor gets here.
        if let Some(last) = unsafe { (*meeting.last.get()).take() } {
            last(&stopped);
        }
    }
    0
}

/// How many processors are online. It does not change while they are stopped.
fn processors() -> u32 {
    // SAFETY: It is an `atomic_t` of the kernel's, which is an aligned `int`.
    let count = unsafe {
        core::sync::atomic::AtomicI32::from_ptr(&raw mut bindings::__num_online_cpus.counter)
    };
    count.load(Relaxed).unsigned_abs()
}
