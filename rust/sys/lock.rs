// SPDX-License-Identifier: GPL-2.0

//! Locks that live as long as the module. Each one stands beside the data that it guards;
//! `Documentation/livepatch/locking.md` says in which order they nest.

/// Defines a mutex, and beside it the functions `lock()`, which takes it, and `init_lock()`, which
/// the module's init function calls before anything can take it:
///
/// `lock! { REGISTRY: Registry = Registry::new() }`
macro_rules! lock {
    ($(#[$attribute:meta])* $name:ident: $type:ty = $value:expr) => {
        kernel::sync::global_lock! {
            // SAFETY: `init_lock()` initialises it, and the module's init function calls that
            // before anything else of the module runs.
            unsafe(uninit) static $name: Mutex<$type> = $value;
        }

        /// Initialises the lock. Called by the module's init function, first of all.
        pub(crate) fn init_lock() {
            use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
            static BEGUN: AtomicBool = AtomicBool::new(false);
            if !BEGUN.swap(true, Relaxed) {
                // SAFETY: It is called once, as `BEGUN` says.
                unsafe { $name.init() };
            }
        }

        $(#[$attribute])*
        pub(crate) fn lock() -> impl core::ops::DerefMut<Target = $type> {
            $crate::sys::lock::take(|| $name.lock())
        }
    };
}
pub(crate) use lock;

/// Says that the module was built for tests, if it was.
pub(crate) fn announce_delays() {
    #[cfg(livepatch_delays)]
    kernel::pr_warn!("built with random delays where locks are taken: for tests only\n");
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
