// SPDX-License-Identifier: GPL-2.0

//! The locks of the module, in the order in which they nest; `Documentation/livepatch/locking.md`
//! says what else they nest with.
//!
//! 1. [`REGISTRY`]: which patches there are, the transition, the redirects.
//! 2. [`PREVIOUS_STATES`]: what callbacks ask for, which run with the registry locked.
//! 3. [`RETAINED`]: the list of what is kept of livepatch modules.
//! 4. The lock of one such entry ([`loader::retain::Entry`](crate::loader::retain::Entry)).

use crate::loader::retain::Table;
use crate::patch::registry::Registry;
use crate::patch::state::PreviousStates;
use core::pin::Pin;
use kernel::sync::global_lock;

global_lock! {
    // SAFETY: Initialised by `init` before anything else of the module runs.
    pub(crate) unsafe(uninit) static REGISTRY: Mutex<Registry> = Registry::new();
}

global_lock! {
    // SAFETY: Initialised by `init` before anything else of the module runs.
    pub(crate) unsafe(uninit) static RETAINED: Mutex<Table> = Table::new();
}

global_lock! {
    // SAFETY: Initialised by `init` before anything else of the module runs.
    pub(crate) unsafe(uninit) static PREVIOUS_STATES: Mutex<PreviousStates> = PreviousStates::new();
}

/// Initialises the locks. Called once, first of all.
pub(crate) fn init() {
    // SAFETY: The module's init function runs once, and calls this once.
    unsafe {
        REGISTRY.init();
        PREVIOUS_STATES.init();
        RETAINED.init();
    }
}
