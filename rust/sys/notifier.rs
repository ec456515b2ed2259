// SPDX-License-Identifier: GPL-2.0

//! Modules that come and go.

use super::bindings;
use super::module::Module;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::types::Opaque;

/// What wants to know. All are called in process context and may sleep.
pub(crate) trait ModuleEvents: 'static {
    /// The module is complete; its init function has not run. An error refuses it.
    fn coming(module: &Module<'_>) -> Result;
    /// Its init function has run.
    fn live(module: &Module<'_>);
    /// Its exit function has run, or its load failed.
    fn going(module: &Module<'_>);
}

/// A registration with the kernel's module notifier chain, before all others.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: ModuleEvents> {
    #[pin]
    block: Opaque<bindings::notifier_block>,
    _events: PhantomData<T>,
}

// SAFETY: The block is only touched by the notifier chain, which has its own lock.
unsafe impl<T: ModuleEvents> Send for Registration<T> {}
// SAFETY: As above.
unsafe impl<T: ModuleEvents> Sync for Registration<T> {}

impl<T: ModuleEvents> Registration<T> {
    /// Registers `T`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of `register_module_notifier()`.
    pub(crate) fn new() -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                block <- Opaque::try_ffi_init(|slot: *mut bindings::notifier_block| {
                    // SAFETY: `slot` is valid for writes, and pinned until `drop`.
                    to_result(unsafe {
                        slot.write(bindings::notifier_block {
                            notifier_call: Some(call::<T>),
                            priority: i32::MAX,
                            ..Default::default()
                        });
                        bindings::register_module_notifier(slot)
                    })
                }),
                _events: PhantomData,
            }? Error),
            GFP_KERNEL,
        )
    }
}

#[pinned_drop]
impl<T: ModuleEvents> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: It was registered. The chain's lock makes this wait for calls that run.
        unsafe { bindings::unregister_module_notifier(self.block.get()) };
    }
}

/// # Safety
///
/// Only for the module notifier chain.
unsafe extern "C" fn call<T: ModuleEvents>(
    _block: *mut bindings::notifier_block,
    state: c_ulong,
    module: *mut c_void,
) -> c_int {
    let Some(module) = NonNull::new(module.cast()) else {
        return bindings::NOTIFY_DONE as c_int;
    };
    // SAFETY: The chain is called with a module that stays during the call.
    let module = unsafe { Module::from_raw(module) };
    match state as c_uint {
        bindings::module_state_MODULE_STATE_COMING => {
            if let Err(error) = T::coming(&module) {
                // What `notifier_from_errno()` makes of an error.
                return bindings::NOTIFY_STOP_MASK as c_int
                    | (bindings::NOTIFY_OK as c_int - error.to_errno());
            }
        }
        bindings::module_state_MODULE_STATE_LIVE => T::live(&module),
        bindings::module_state_MODULE_STATE_GOING => T::going(&module),
        _ => return bindings::NOTIFY_DONE as c_int,
    }
    bindings::NOTIFY_OK as c_int
}
