// SPDX-License-Identifier: GPL-2.0

//! The functions that patch modules call; `include/linux/livepatch.h` declares them and
//! `rust/exports.c` exports them.

use super::bindings;
use super::spec::PatchSpec;
use crate::patch;
use core::ptr::NonNull;
use kernel::prelude::*;

/// Enables a patch; called by a patch module's init function. Returns 0 or an errno.
///
/// # Safety
///
/// `patch` must be null, or describe a patch and stay until the patch module is unloaded.
#[no_mangle]
pub unsafe extern "C" fn klp_enable_patch(patch: *mut bindings::klp_patch) -> c_int {
    let Some(patch) = NonNull::new(patch) else {
        return EINVAL.to_errno();
    };
    // SAFETY: By contract.
    let spec = unsafe { PatchSpec::from_raw(patch) };
    match patch::enable::enable(spec) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}
