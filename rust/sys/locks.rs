// SPDX-License-Identifier: GPL-2.0

//! The locks of the module, in the order in which they nest; `Documentation/livepatch/locking.md`
//! says what else they nest with.
//!
//! 1. [`registry`]: which patches there are, the transition, the redirects.
//! 2. [`previous_states`]: what callbacks ask for, which run with the registry locked.
//! 3. [`retained`]: the list of what is kept of livepatch modules.
//! 4. The lock of one such entry ([`loader::retain::Entry`](crate::loader::retain::Entry)).

use crate::loader::retain::Table;
use crate::patch::registry::Registry;
use crate::patch::state::PreviousStates;
use core::pin::Pin;
use kernel::sync::{global_lock, GlobalGuard};

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
    #[cfg(livepatch_delays)]
    kernel::pr_warn!("built with random delays where locks are taken: for tests only\n");
    // SAFETY: The module's init function runs once, and calls this once.
    unsafe {
        REGISTRY.init();
        PREVIOUS_STATES.init();
        RETAINED.init();
    }
}

/// The registry, locked.
pub(crate) fn registry() -> GlobalGuard<REGISTRY> {
    take(|| REGISTRY.lock())
}

/// What is kept of all livepatch modules, locked.
pub(crate) fn retained() -> GlobalGuard<RETAINED> {
    take(|| RETAINED.lock())
}

/// The states of earlier patches, locked.
pub(crate) fn previous_states() -> GlobalGuard<PREVIOUS_STATES> {
    take(|| PREVIOUS_STATES.lock())
}

/// Takes a lock; with the delays that tests for races ask for.
pub(crate) fn take<G>(lock: impl FnOnce() -> G) -> G {
    delay();
    let guard = lock();
    delay();
    guard
}

/// Nothing, unless the module was built with `LIVEPATCH_DELAYS=1`.
#[cfg(not(livepatch_delays))]
#[inline(always)]
fn delay() {}

/// Sleeps, once in four times, for up to four milliseconds.
#[cfg(livepatch_delays)]
fn delay() {
    use core::sync::atomic::{AtomicU32, Ordering};
    use kernel::time::delay::fsleep;
    use kernel::time::Delta;

    // A linear congruential generator: it need not be good, but differ from call to call.
    static STATE: AtomicU32 = AtomicU32::new(1);
    let next = |state: u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let state = STATE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    let random = state.unwrap_or_default() >> 16;
    if random % 4 == 0 {
        fsleep(Delta::from_micros((random % 4096).into()));
    }
}
