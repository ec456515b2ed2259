// SPDX-License-Identifier: GPL-2.0

//! The functions that patch modules call; `include/linux/livepatch.h` declares them and
//! `rust/exports.c` exports them.

use crate::loader::retain;
use crate::patch;
use crate::sys::bindings;
use crate::sys::module::Module;
use crate::sys::shadow::{self, Existing};
use crate::sys::spec::PatchSpec;
use core::ptr::{self, NonNull};
use kernel::prelude::*;

/// Enables a patch; called by a patch module's init function. Returns 0 or an errno.
///
/// # Safety
///
/// `patch` must be null, or describe a patch and stay until the patch module is unloaded.
#[no_mangle]
pub(crate) unsafe extern "C" fn klp_enable_patch(patch: *mut bindings::klp_patch) -> c_int {
    let Some(patch) = NonNull::new(patch) else {
        return EINVAL.to_errno();
    };
    // SAFETY: By contract.
    let spec = unsafe { PatchSpec::from_raw(patch) };
    match patch::enable::enable(spec) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// The state `id` of a patch; null where it has none.
///
/// # Safety
///
/// As for [`klp_enable_patch`].
#[no_mangle]
pub(crate) unsafe extern "C" fn klp_get_state(
    patch: *mut bindings::klp_patch,
    id: c_ulong,
) -> *mut bindings::klp_state {
    let Some(patch) = NonNull::new(patch) else {
        return ptr::null_mut();
    };
    // SAFETY: By contract.
    let spec = unsafe { PatchSpec::from_raw(patch) };
    patch::state::of_patch(&spec, id).map_or(ptr::null_mut(), |state| state.as_ptr())
}

/// The state `id` of the latest patch before the one that is in transition; null where none has
/// it. To be called from callbacks during the transition.
#[no_mangle]
pub(crate) extern "C" fn klp_get_prev_state(id: c_ulong) -> *mut bindings::klp_state {
    patch::state::previous(id).map_or(ptr::null_mut(), |state| state.as_ptr())
}

/// Where a section of a livepatch module is in memory; null where it has none of that name.
///
/// # Safety
///
/// `module` must be loaded, `name` a NUL-terminated string, and `size` valid for writes.
#[no_mangle]
pub(crate) unsafe extern "C" fn klp_find_section_by_name(
    module: *const bindings::module,
    name: *const c_char,
    size: *mut usize,
) -> *mut c_void {
    let found = NonNull::new(module.cast_mut()).and_then(|module| {
        // SAFETY: By contract.
        let (module, name) = unsafe { (Module::from_raw(module), CStr::from_char_ptr(name)) };
        let entry = retain::get(module.id())?;
        let elf = entry.lock();
        elf.section_in_memory(name.to_bytes())
    });
    let (address, length) = found.unwrap_or((0, 0));
    // SAFETY: By contract.
    unsafe { size.write(length) };
    address as *mut c_void
}

/// The data of the shadow variable `id` of `object`; null where it has none.
#[no_mangle]
pub(crate) extern "C" fn klp_shadow_get(object: *mut c_void, id: c_ulong) -> *mut c_void {
    shadow::get(object, id)
}

/// Allocates the shadow variable `id` of `object`, which must not have it. Returns its data;
/// null on failure.
///
/// # Safety
///
/// `ctor` must be callable with the object, `size` bytes of data and `ctor_data`.
#[no_mangle]
pub(crate) unsafe extern "C" fn klp_shadow_alloc(
    object: *mut c_void,
    id: c_ulong,
    size: usize,
    flags: bindings::gfp_t,
    ctor: bindings::klp_shadow_ctor_t,
    ctor_data: *mut c_void,
) -> *mut c_void {
    // SAFETY: By contract.
    unsafe { shadow::get_or_alloc(object, id, size, flags, ctor, ctor_data, Existing::Refuse) }
}

/// The data of the shadow variable `id` of `object`, which is allocated where it is not there;
/// null on failure.
///
/// # Safety
///
/// As for [`klp_shadow_alloc`].
#[no_mangle]
pub(crate) unsafe extern "C" fn klp_shadow_get_or_alloc(
    object: *mut c_void,
    id: c_ulong,
    size: usize,
    flags: bindings::gfp_t,
    ctor: bindings::klp_shadow_ctor_t,
    ctor_data: *mut c_void,
) -> *mut c_void {
    // SAFETY: By contract.
    unsafe { shadow::get_or_alloc(object, id, size, flags, ctor, ctor_data, Existing::Use) }
}

/// Frees the shadow variable `id` of `object`.
///
/// # Safety
///
/// `dtor` must be callable with the object and the variable's data.
#[no_mangle]
pub(crate) unsafe extern "C" fn klp_shadow_free(
    object: *mut c_void,
    id: c_ulong,
    dtor: bindings::klp_shadow_dtor_t,
) {
    // SAFETY: By contract.
    unsafe { shadow::free(object, id, dtor) };
}

/// Frees the shadow variables `id` of all objects.
///
/// # Safety
///
/// As for [`klp_shadow_free`].
#[no_mangle]
pub(crate) unsafe extern "C" fn klp_shadow_free_all(
    id: c_ulong,
    dtor: bindings::klp_shadow_dtor_t,
) {
    // SAFETY: By contract.
    unsafe { shadow::free_all(id, dtor) };
}
