// SPDX-License-Identifier: GPL-2.0

//! What callbacks get to see.

use crate::bindings;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// An object that is being patched or unpatched: the kernel, or a module.
#[repr(transparent)]
pub struct Object(Opaque<bindings::klp_object>);

impl Object {
    /// The name of the module; [`None`] for the kernel.
    #[inline]
    pub fn name(&self) -> Option<&CStr> {
        // SAFETY: The name is the patch's and is never written.
        let name = unsafe { (*self.0.get()).name };
        // SAFETY: `livepatch!` lets it be null or a string that is there for as long as the patch.
        (!name.is_null()).then(|| unsafe { CStr::from_char_ptr(name) })
    }

    /// The state `id` as the latest of the earlier patches has it.
    #[inline]
    pub fn previous_state(&self, id: usize) -> Option<&State> {
        // SAFETY: There is an object only for a callback, which runs in a transition. Earlier
        // patches are there until it is over.
        unsafe { State::from_raw(bindings::klp_get_prev_state(id)) }
    }
}

/// A change of the system that outlives the code that made it.
#[repr(transparent)]
pub struct State(Opaque<bindings::klp_state>);

impl State {
    /// # Safety
    ///
    /// `state` must be null or point to a state that is there for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(state: *mut bindings::klp_state) -> Option<&'a Self> {
        // SAFETY: By contract; the layout is the same.
        unsafe { state.cast::<Self>().as_ref() }
    }

    /// The version of the change.
    #[inline]
    pub fn version(&self) -> u32 {
        // SAFETY: The version is the patch's and is never written.
        unsafe { (*self.0.get()).version }
    }

    /// What the patch has put there; null at first.
    #[inline]
    pub fn data(&self) -> *mut c_void {
        // SAFETY: Callbacks, which have access to it, run one at a time.
        unsafe { (*self.0.get()).data }
    }

    /// Puts something there.
    #[inline]
    pub fn set_data(&self, data: *mut c_void) {
        // SAFETY: As for `data()`.
        unsafe { (*self.0.get()).data = data }
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
    // SAFETY: By contract; the layout is the same.
    match callback(unsafe { &*object.cast::<Object>() }) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// The other callbacks.
///
/// # Safety
///
/// As for [`pre_patch`].
#[inline]
pub unsafe fn post_patch(object: *mut bindings::klp_object, callback: fn(&Object)) {
    // SAFETY: By contract; the layout is the same.
    callback(unsafe { &*object.cast::<Object>() })
}
