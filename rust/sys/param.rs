// SPDX-License-Identifier: GPL-2.0

//! Module parameters. The kernel crate has none that can be changed at run time: `exports.c`
//! declares them.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

extern "C" {
    static livepatch_debug: AtomicU32;
    static livepatch_direct: AtomicBool;
    static livepatch_signal_after: AtomicU32;
}

/// Whether calls of functions that are patched from now on are to go through trampolines.
pub(crate) fn direct_calls() -> bool {
    // SAFETY: A `bool` of C that is always there, and that the kernel sets to 0 and 1 only.
    unsafe { &livepatch_direct }.load(Ordering::Relaxed)
}

/// How long, in milliseconds, tasks in the way have time to leave before they are interrupted.
pub(crate) fn signal_after() -> u32 {
    // SAFETY: An `unsigned int` of C that is always there.
    unsafe { &livepatch_signal_after }.load(Ordering::Relaxed)
}

/// What is wanted of the messages that mainline prints with `pr_debug()`: 1 the steps of
/// transitions, 2 also the tasks that are in their way.
pub(crate) fn debug_level() -> u32 {
    // SAFETY: An `unsigned int` of C that is always there.
    unsafe { &livepatch_debug }.load(Ordering::Relaxed)
}

/// Prints a step of a transition, where `debug` is at least 1.
macro_rules! debug {
    ($($arg:tt)*) => {
        if $crate::sys::param::debug_level() >= 1 {
            kernel::pr_info!($($arg)*);
        }
    };
}
pub(crate) use debug;
