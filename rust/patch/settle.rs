// SPDX-License-Identifier: GPL-2.0

//! After a transition: nothing is decided at calls of patched functions any more.
//!
//! It is done from a workqueue, one function after the other, and gives way to the next
//! transition, which makes the functions that it concerns switchable again.

use super::registry::{self, Registry};
use crate::sys::work;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::workqueue::{Work, WorkItem};
use kernel::{impl_has_work, new_work};

/// The work that settles all functions.
#[pin_data]
pub(crate) struct Settle {
    #[pin]
    work: Work<Settle>,
}

impl_has_work! {
    impl HasWork<Self> for Settle { self.work }
}

impl Settle {
    /// To be used later.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new() -> Result<Arc<Settle>> {
        Arc::pin_init(
            pin_init!(Settle { work <- new_work!("livepatch::settle") }),
            GFP_KERNEL,
        )
    }
}

impl WorkItem for Settle {
    type Pointer = Arc<Settle>;

    fn run(_this: Arc<Settle>) {
        loop {
            let mut registry = registry::lock();
            if registry.transition.is_some() || !registry.redirects.settle() {
                return;
            }
        }
    }
}

/// Settles soon what can be settled.
pub(crate) fn later(registry: &Registry) {
    if let (Some(settle), Some(queue)) = (&registry.settle, work::queue()) {
        // Where it is queued already it runs anyway.
        let _ = queue.enqueue(settle.clone());
    }
}
