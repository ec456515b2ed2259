// SPDX-License-Identifier: GPL-2.0

//! Warnings with a trace of calls in the kernel's log, for what a patch author has done wrong.
//!
//! The kernel crate's own macro includes files that the headers packages of distributions lack.

extern "C" {
    fn livepatch_warn();
}

/// Warns.
pub(crate) fn warn() {
    // SAFETY: It may be called anywhere, as the kernel's `WARN()` may.
    unsafe { livepatch_warn() };
}
