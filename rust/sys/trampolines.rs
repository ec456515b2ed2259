// SPDX-License-Identifier: GPL-2.0

//! Places in this module's code through which calls of patched functions go.
//!
//! A *trampoline* is where ftrace's direct call of one function leads. It has two forms. A settled
//! one is a jump to where calls go, and costs no more than that. In the other form it calls
//! [`Slot::target`], which decides by the [side](switch::Side) that counts for the task and
//! processor: calls of several functions can then be led elsewhere at one moment. Changing the form
//! of a trampoline concerns nobody but this module. ftrace would go over all functions of the
//! kernel for that.
//!
//! Who decides has the address behind the function's call site on its stack, as while a handler of
//! ftrace decides, and after that the address to which the call goes. A task that was preempted
//! right at the start of a trampoline has decided nothing.
//!
//! There are 1024; for what comes on top of that [`Trampoline::new`] says no.

use super::ftrace::Location;
use super::switch::{self, Side};
use super::{arch, Address, Target};
use core::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// How many trampolines there are, with the first one, which is not used: on x86_64 there is
/// something else in its place.
pub(super) const COUNT: usize = 1025;

/// How far apart their starts are, in bytes.
pub(super) const SIZE: usize = 16;

/// What a trampoline knows of its function.
#[repr(C)]
pub(super) struct Slot {
    /// How its trampoline jumps.
    jump: arch::Jump,
    /// The address behind the function's call site, where the original goes on.
    original: AtomicUsize,
    /// On each side, where calls go.
    targets: [AtomicUsize; 2],
    is_taken: AtomicBool,
}

/// One for each trampoline.
pub(super) static SLOTS: [Slot; COUNT] = [const {
    Slot {
        jump: arch::Jump::new(),
        original: AtomicUsize::new(0),
        targets: [AtomicUsize::new(0), AtomicUsize::new(0)],
        is_taken: AtomicBool::new(false),
    }
}; COUNT];

impl Slot {
    /// Where the original goes on.
    pub(super) fn original(&self) -> usize {
        self.original.load(Relaxed)
    }

    /// Where a call goes that is made here and now. It calls nothing that could be traced.
    #[inline(always)]
    pub(super) fn target(&self) -> usize {
        self.on(switch::side_here()).load(Relaxed)
    }

    #[inline(always)]
    fn on(&self, side: Side) -> &AtomicUsize {
        let [first, second] = &self.targets;
        match side {
            Side::First => first,
            Side::Second => second,
        }
    }
}

/// The slot of the trampoline that `address` is in.
#[inline(always)]
pub(super) fn slot_at(address: usize) -> Option<&'static Slot> {
    SLOTS.get(address.wrapping_sub(arch::trampolines()) / SIZE)
}

/// The trampoline of one function.
///
/// It may only be dropped when nobody is on the way to or through it any more.
pub(super) struct Trampoline {
    index: usize,
    slot: &'static Slot,
}

impl Trampoline {
    /// One for the function at `location`, which decides at each call and leads to the original.
    /// `None` if all are taken.
    pub(super) fn new(location: Location) -> Option<Trampoline> {
        let (index, slot) = SLOTS.iter().enumerate().skip(1).find(|(_, slot)| {
            let is_taken = slot
                .is_taken
                .compare_exchange(false, true, Acquire, Relaxed);
            is_taken.is_ok()
        })?;
        let trampoline = Trampoline { index, slot };
        for side in [Side::First, Side::Second] {
            // SAFETY: It is the trampoline's function.
            unsafe { trampoline.lead_on(side, location, None) };
        }
        trampoline.unsettle();
        slot.original.store(location.after().0, Release);
        Some(trampoline)
    }

    /// Where it starts.
    pub(super) fn address(&self) -> Address {
        Address(arch::trampolines()).offset(self.index * SIZE)
    }

    /// Calls on one side go to `target`, or to the original for `None`, where it is not settled.
    ///
    /// # Safety
    ///
    /// `location` must be that of the trampoline's function.
    pub(super) unsafe fn lead_on(&self, side: Side, location: Location, target: Option<Target>) {
        let target = target.map_or(location.after(), Target::address);
        self.slot.on(side).store(target.0, Release);
    }

    /// It decides at each call.
    pub(super) fn unsettle(&self) {
        let decision = self.address().offset(arch::DECISION);
        // SAFETY: It decides where its function's calls go on.
        unsafe { self.slot.jump.lead(self.address(), decision) };
    }

    /// All calls go where they would go by a decision, without one. Where that differs between the
    /// sides, nothing is done.
    pub(super) fn settle(&self) {
        let [first, second] =
            [Side::First, Side::Second].map(|side| self.slot.on(side).load(Relaxed));
        if first == second {
            // SAFETY: It is where calls go already, as whoever made the target known vouches for.
            unsafe { self.slot.jump.lead(self.address(), Address(first)) };
        }
    }

    /// ftrace does not lead there any more: it is not found by its function.
    pub(super) fn forget(&self) {
        self.slot.original.store(0, Relaxed);
    }
}

/// How many are free. It only changes by what this module does.
pub(super) fn free() -> usize {
    let slots = SLOTS.iter().skip(1);
    slots.filter(|slot| !slot.is_taken.load(Relaxed)).count()
}

impl Drop for Trampoline {
    fn drop(&mut self) {
        self.slot.original.store(0, Relaxed);
        self.slot.is_taken.store(false, Release);
    }
}
