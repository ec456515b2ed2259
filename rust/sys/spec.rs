// SPDX-License-Identifier: GPL-2.0

//! What a patch author wrote: `struct klp_patch` and what it points to.
//!
//! The structures lie in the patch module, or in memory that it allocated, and stay until it is
//! unloaded. They are as trusted as the module's code is: a wild pointer in them is the module's
//! own crash, as it is anywhere in it.

use super::bindings;
use super::module::Module;
use super::{Address, Target};
use core::ptr::NonNull;
use kernel::prelude::*;

/// A `struct klp_patch`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PatchSpec(NonNull<bindings::klp_patch>);

// SAFETY: It is only read, but for fields that are written under the registry's lock, or by the task
// that could not enable the patch, when the registry does not have it any more.
unsafe impl Send for PatchSpec {}
// SAFETY: As above.
unsafe impl Sync for PatchSpec {}

/// A `struct klp_object`.
#[derive(Clone, Copy)]
pub(crate) struct ObjectSpec(NonNull<bindings::klp_object>);

// SAFETY: As for `PatchSpec`.
unsafe impl Send for ObjectSpec {}
// SAFETY: As for `PatchSpec`.
unsafe impl Sync for ObjectSpec {}

/// A `struct klp_func`.
#[derive(Clone, Copy)]
pub(crate) struct FuncSpec(NonNull<bindings::klp_func>);

/// A `struct klp_state`.
#[derive(Clone, Copy)]
pub(crate) struct StateSpec(NonNull<bindings::klp_state>);

// SAFETY: It is only read.
unsafe impl Send for StateSpec {}
// SAFETY: As above.
unsafe impl Sync for StateSpec {}

impl PatchSpec {
    /// # Safety
    ///
    /// `patch` must describe a patch and stay until its module is unloaded.
    pub(crate) unsafe fn from_raw(patch: NonNull<bindings::klp_patch>) -> Self {
        PatchSpec(patch)
    }

    /// The patch module.
    pub(crate) fn module(&self) -> Option<Module<'_>> {
        // SAFETY: The patch module calls, so that it exists.
        unsafe { NonNull::new(self.0.as_ref().mod_).map(|module| Module::from_raw(module)) }
    }

    /// Whether all earlier patches are to be replaced.
    pub(crate) fn replace(&self) -> bool {
        // SAFETY: By the contract of `from_raw`.
        unsafe { self.0.as_ref() }.replace
    }

    /// The objects; `None` where there is no list of them.
    pub(crate) fn objects(&self) -> Option<impl Iterator<Item = ObjectSpec>> {
        // SAFETY: By the contract of `from_raw`.
        let mut next = NonNull::new(unsafe { self.0.as_ref() }.objs)?;
        Some(core::iter::from_fn(move || {
            // SAFETY: The list ends with an entry of zeroes, and was not at its end before.
            let (object, current) = (unsafe { next.as_ref() }, next);
            if object.name.is_null() && object.funcs.is_null() {
                return None;
            }
            // SAFETY: This was not the entry that ends the list.
            next = unsafe { next.add(1) };
            Some(ObjectSpec(current))
        }))
    }

    /// The states.
    pub(crate) fn states(&self) -> impl Iterator<Item = StateSpec> {
        // SAFETY: By the contract of `from_raw`.
        let mut next = NonNull::new(unsafe { self.0.as_ref() }.states);
        core::iter::from_fn(move || {
            let current = next?;
            // SAFETY: The list ends with the id 0, and was not at its end before.
            if unsafe { current.as_ref() }.id == 0 {
                return None;
            }
            // SAFETY: This was not the entry that ends the list.
            next = Some(unsafe { current.add(1) });
            Some(StateSpec(current))
        })
    }
}

impl StateSpec {
    /// What is changed.
    pub(crate) fn id(&self) -> c_ulong {
        // SAFETY: The entry lives as long as its patch.
        unsafe { self.0.as_ref() }.id
    }

    /// The version of the change.
    pub(crate) fn version(&self) -> c_uint {
        // SAFETY: The entry lives as long as its patch.
        unsafe { self.0.as_ref() }.version
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::klp_state {
        self.0.as_ptr()
    }
}

impl ObjectSpec {
    fn get(&self) -> &bindings::klp_object {
        // SAFETY: The entry lives as long as its patch.
        unsafe { self.0.as_ref() }
    }

    /// The module's name; `None` for the kernel itself.
    pub(crate) fn name(&self) -> Option<&CStr> {
        let name = self.get().name;
        // SAFETY: A name is NUL-terminated.
        (!name.is_null()).then(|| unsafe { CStr::from_char_ptr(name) })
    }

    /// The functions; `None` where there is no list of them.
    pub(crate) fn functions(&self) -> Option<impl Iterator<Item = FuncSpec>> {
        let mut next = NonNull::new(self.get().funcs)?;
        Some(core::iter::from_fn(move || {
            // SAFETY: The list ends with an entry of zeroes, and was not at its end before.
            let (function, current) = (unsafe { next.as_ref() }, next);
            if function.old_name.is_null()
                && function.new_func.is_null()
                && function.old_sympos == 0
            {
                return None;
            }
            // SAFETY: This was not the entry that ends the list.
            next = unsafe { next.add(1) };
            Some(FuncSpec(current))
        }))
    }

    /// Tells the author's callbacks which module the target is.
    pub(crate) fn set_target(&self, target: Option<&Module<'_>>) {
        let target = target.map_or(core::ptr::null_mut(), Module::as_ptr);
        // SAFETY: The entry lives as long as its patch. It is written under the registry's lock, or by
        // the only task that has the patch.
        unsafe { (*self.0.as_ptr()).mod_ = target };
    }

    /// Runs the callback before patching.
    ///
    /// # Errors
    ///
    /// What the callback returns.
    pub(crate) fn pre_patch(&self) -> Result {
        let ret = match self.get().callbacks.pre_patch {
            // SAFETY: The author's code, called as the author expects.
            Some(callback) => unsafe { callback(self.0.as_ptr()) },
            None => 0,
        };
        self.enable_post_unpatch(ret == 0);
        if ret < 0 {
            Err(Error::from_errno(ret))
        } else if ret > 0 {
            // Not an errno, but not success either.
            Err(EINVAL)
        } else {
            Ok(())
        }
    }

    /// Runs the callback after patching.
    pub(crate) fn post_patch(&self) {
        if let Some(callback) = self.get().callbacks.post_patch {
            // SAFETY: The author's code, called as the author expects.
            unsafe { callback(self.0.as_ptr()) };
        }
    }

    /// Runs the callback before unpatching.
    pub(crate) fn pre_unpatch(&self) {
        if let Some(callback) = self.get().callbacks.pre_unpatch {
            // SAFETY: The author's code, called as the author expects.
            unsafe { callback(self.0.as_ptr()) };
        }
    }

    /// Runs the callback after unpatching, where the one before patching succeeded.
    pub(crate) fn post_unpatch(&self) {
        if self.get().callbacks.post_unpatch_enabled {
            if let Some(callback) = self.get().callbacks.post_unpatch {
                // SAFETY: The author's code, called as the author expects.
                unsafe { callback(self.0.as_ptr()) };
            }
        }
        self.enable_post_unpatch(false);
    }

    fn enable_post_unpatch(&self, enabled: bool) {
        // SAFETY: The entry lives as long as its patch; it is written under the registry's lock.
        unsafe { (*self.0.as_ptr()).callbacks.post_unpatch_enabled = enabled };
    }
}

impl FuncSpec {
    fn get(&self) -> &bindings::klp_func {
        // SAFETY: The entry lives as long as its patch.
        unsafe { self.0.as_ref() }
    }

    /// The name of the function that is replaced; `None` where the author gave none.
    pub(crate) fn old_name(&self) -> Option<&CStr> {
        let name = self.get().old_name;
        // SAFETY: A name is NUL-terminated.
        (!name.is_null()).then(|| unsafe { CStr::from_char_ptr(name) })
    }

    /// Which one of that name.
    pub(crate) fn position(&self) -> u64 {
        self.get().old_sympos as u64
    }

    /// What is to run instead; `None` where the author gave nothing.
    pub(crate) fn new_func(&self) -> Option<Target> {
        let function = self.get().new_func as usize;
        // SAFETY: The author says that it may be called in place of the function that the entry names, and
        // that it is in the patch's module, which is kept until nobody is on the way there any more.
        (function != 0).then(|| unsafe { Target::new(Address(function)) })
    }
}
