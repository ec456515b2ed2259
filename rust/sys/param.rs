// SPDX-License-Identifier: GPL-2.0

//! Module parameters. The kernel crate has none that can be changed at run time: `exports.c`
//! declares them.

use core::sync::atomic::{AtomicBool, Ordering};

extern "C" {
    static livepatch_debug: AtomicBool;
}

/// Whether `debug=1` is set: messages that mainline prints with `pr_debug()` are wanted.
pub(crate) fn debug_wanted() -> bool {
    // SAFETY: A `bool` of C, which always holds 0 or 1.
    unsafe { &livepatch_debug }.load(Ordering::Relaxed)
}

/// `pr_debug!` that is switched by the parameter `debug`.
macro_rules! debug {
    ($($arg:tt)*) => {
        if $crate::sys::param::debug_wanted() {
            kernel::pr_info!($($arg)*);
        }
    };
}
pub(crate) use debug;
