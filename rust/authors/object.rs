// SPDX-License-Identifier: GPL-2.0

//! What callbacks get to see.

use crate::bindings;
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    },
    types::Opaque, //
};

/// An object that is being patched or unpatched: the kernel, or a module.
///
/// # Invariants
///
/// It is one of the patch's, and the core is in a callback of it.
#[repr(transparent)]
pub struct Object(Opaque<bindings::klp_object>);

impl Object {
    /// The name of the module; [`None`] for the kernel.
    #[inline]
    pub fn name(&self) -> Option<&CStr> {
        // SAFETY: By the type's invariant it is an object of a patch. Nobody writes its name.
        let name = unsafe { (*self.0.get()).name };
        // SAFETY: `livepatch!` lets it be null or a string that is there for as long as the patch.
        (!name.is_null()).then(|| unsafe { CStr::from_char_ptr(name) })
    }

    /// The state `id` as the latest of the earlier patches has it. The core knows it in a transition
    /// only: where a callback runs outside of one, because a module comes or goes, there is none, and
    /// the core warns, once.
    #[inline]
    pub fn previous_state(&self, id: usize) -> Option<&State> {
        // SAFETY: By the type's invariant the core is in a callback, during which it holds its lock:
        // the function may be called, and earlier patches are there until the callback, which the
        // borrow does not outlast, has returned.
        unsafe { State::from_raw(bindings::klp_get_prev_state(id)) }
    }
}

/// A change of the system that outlives the code that made it.
///
/// # Invariants
///
/// It is a state of a patch. In Rust, all access to its data is atomic.
#[repr(transparent)]
pub struct State(Opaque<bindings::klp_state>);

impl State {
    /// # Safety
    ///
    /// `state` must be null or point to a state that is there for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(state: *mut bindings::klp_state) -> Option<&'a Self> {
        // SAFETY: The caller says that it is null, or a state that is there for `'a`. An `Opaque` has
        // the layout of what is in it.
        // INVARIANT: It is what the caller says.
        unsafe { state.cast::<Self>().as_ref() }
    }

    /// The version of the change.
    #[inline]
    pub fn version(&self) -> u32 {
        // SAFETY: By the type's invariant it is a state of a patch. Nobody writes its version.
        unsafe { (*self.0.get()).version }
    }

    /// What the patch has put there; null at first. Replacements may ask for it as well as
    /// callbacks: what was written before it was put there is seen.
    #[inline]
    pub fn data(&self) -> *mut c_void {
        self.slot().load(Acquire)
    }

    /// Puts something there. What becomes of what was there, and of those who still use it, is up
    /// to the patch.
    #[inline]
    pub fn set_data(&self, data: *mut c_void) {
        self.slot().store(data, Release);
    }

    /// Where the data is.
    #[inline]
    fn slot(&self) -> &Atomic<*mut c_void> {
        // SAFETY: By the type's invariant it is a state of a patch, whose member `data` is there,
        // aligned, for as long as the borrow, and everybody here uses it like that. A patch in C
        // has access to the states of earlier patches in callbacks, one at a time, and reads and
        // writes a pointer as a whole.
        unsafe { Atomic::from_ptr(&raw mut (*self.0.get()).data) }
    }
}

/// The callback `pre_patch`.
///
/// # Safety
///
/// To be called by the livepatch core, with an object of the patch.
#[inline]
pub unsafe fn pre_patch(
    object: *mut bindings::klp_object,
    callback: fn(&Object) -> Result,
) -> c_int {
    // SAFETY: The core passes an object of the patch, which is there for the callback. An `Opaque`
    // has the layout of what is in it.
    // INVARIANT: This is a callback.
    match callback(unsafe { &*object.cast::<Object>() }) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// The other callbacks.
///
/// # Safety
///
/// To be called by the livepatch core, with an object of the patch.
#[inline]
pub unsafe fn post_patch(object: *mut bindings::klp_object, callback: fn(&Object)) {
    // SAFETY: The core passes an object of the patch, which is there for the callback. An `Opaque`
    // has the layout of what is in it.
    // INVARIANT: This is a callback.
    callback(unsafe { &*object.cast::<Object>() })
}
