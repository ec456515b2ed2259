// SPDX-License-Identifier: GPL-2.0

//! The module's own workqueue, so that everything that was put there is done before the module
//! goes away.

use super::bindings;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::prelude::*;
use kernel::workqueue::Queue;

static QUEUE: AtomicPtr<bindings::workqueue_struct> = AtomicPtr::new(ptr::null_mut());

/// Keeps the workqueue; dropping it waits for all work.
pub(crate) struct Workqueue(());

impl Workqueue {
    /// Makes the workqueue.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new() -> Result<Workqueue> {
        // SAFETY: A format without conversions, so that no argument is read.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"livepatch".as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND,
                0,
            )
        };
        if queue.is_null() {
            return Err(ENOMEM);
        }
        QUEUE.store(queue, Ordering::Release);
        Ok(Workqueue(()))
    }
}

impl Drop for Workqueue {
    fn drop(&mut self) {
        let queue = QUEUE.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: It was made in `new`, and nobody has work for it any more.
        unsafe { bindings::destroy_workqueue(queue) };
    }
}

/// The workqueue; `None` before the module has started and while it stops.
pub(crate) fn queue() -> Option<&'static Queue> {
    let queue = QUEUE.load(Ordering::Acquire);
    // SAFETY: It lives from the module's start to its end, and so does whoever calls this.
    (!queue.is_null()).then(|| unsafe { Queue::from_raw(queue.cast()) })
}
