// SPDX-License-Identifier: GPL-2.0

//! Freeing patches that are done with.
//!
//! It is done from a workqueue: a patch is done with when the transition that disables it is
//! complete, and that may be within a write to one of the files that have to be removed.

use super::model::Patch;
use super::registry;
use crate::sys::loader::wait_for_returns;
use crate::sys::work;
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::impl_has_work;
use kernel::prelude::*;
use kernel::sync::Mutex;
use kernel::time::{delay::fsleep, Delta};
use kernel::workqueue::{Work, WorkItem};
use kernel::{new_mutex, new_work};

/// How many patches wait to be freed.
static RETIRING: AtomicUsize = AtomicUsize::new(0);

/// The work that frees a patch.
#[pin_data]
pub(crate) struct Retire {
    #[pin]
    work: Work<Retire>,
    #[pin]
    patch: Mutex<Option<KBox<Patch>>>,
}

impl_has_work! {
    impl HasWork<Self> for Retire { self.work }
}

impl Retire {
    /// To be used later.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new() -> Result<Pin<KBox<Retire>>> {
        KBox::pin_init(
            pin_init!(Retire {
                work <- new_work!("livepatch::retire"),
                patch <- new_mutex!(None, "livepatch::retire"),
            }),
            GFP_KERNEL,
        )
    }
}

impl WorkItem for Retire {
    type Pointer = Pin<KBox<Retire>>;

    fn run(this: Pin<KBox<Retire>>) {
        let patch = this.patch.lock().take();
        if let Some(patch) = patch {
            free(patch);
        }
        RETIRING.fetch_sub(1, Ordering::Release);
    }
}

/// Removes a patch from sysfs and lets go of its module. Not to be called with the registry
/// locked.
pub(crate) fn free(mut patch: KBox<Patch>) {
    let (module, forced) = (patch.module.take(), patch.forced);
    drop(patch);
    // Nobody is on the way to its functions after that.
    let has_waited = registry::lock().redirects.let_go();
    if !has_waited {
        wait_for_returns();
    }
    if forced {
        // Tasks may still run its code: the module stays for good.
        core::mem::forget(module);
    }
}

/// Frees a patch soon. It must be out of the registry.
pub(crate) fn later(mut patch: KBox<Patch>) {
    let (Some(retire), Some(queue)) = (patch.retire.take(), work::queue()) else {
        return;
    };
    *retire.patch.lock() = Some(patch);
    RETIRING.fetch_add(1, Ordering::Relaxed);
    queue.enqueue(retire);
}

/// Waits until no patch is left to be freed. Not to be called with the registry locked.
pub(crate) fn wait() {
    while RETIRING.load(Ordering::Acquire) != 0 {
        fsleep(Delta::from_millis(1));
    }
}
