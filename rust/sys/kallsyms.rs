// SPDX-License-Identifier: GPL-2.0

//! Symbols of the running kernel and of loaded modules, in the order in which positions count.

use super::{symbols, Address};
use crate::format::init::InitMemory;
use core::ops::{ControlFlow, Range};
use core::ptr;
use kernel::prelude::*;
use kernel::sync::SetOnce;

/// Where the kernel's init code and data were; empty where its symbols do not tell.
static INIT_MEMORY: SetOnce<InitMemory> = SetOnce::new();

/// Finds out where the kernel's init code and data were.
pub(super) fn find_init_memory(address: impl Fn(&CStr) -> Option<Address>) {
    let address = |name: &'static CStr| address(name).map(|Address(found)| found as u64);
    if let Some(memory) = InitMemory::find(address) {
        INIT_MEMORY.populate(memory);
    }
}

/// Whether the kernel has freed what its own symbol `name`, at `address`, stands for.
pub(crate) fn is_freed(name: &[u8], Address(address): Address) -> bool {
    let memory = INIT_MEMORY.as_ref();
    memory.is_some_and(|memory| memory.frees(name, address as u64))
}

/// Calls `each` with the address of every symbol `name` of the kernel itself, until it breaks.
pub(crate) fn each_in_vmlinux<F>(name: &CStr, mut each: F)
where
    F: FnMut(Address) -> ControlFlow<()>,
{
    /// # Safety
    ///
    /// `data` must point to an `F`.
    unsafe extern "C" fn call<F>(data: *mut c_void, address: c_ulong) -> c_int
    where
        F: FnMut(Address) -> ControlFlow<()>,
    {
        // SAFETY: By contract; nobody else uses it during the walk.
        let each = unsafe { &mut *data.cast::<F>() };
        each(Address(address)).is_break().into()
    }
    // SAFETY: The name is NUL-terminated; the callback gets `each`, which outlives the call.
    unsafe {
        symbols::kallsyms_on_each_match_symbol(
            Some(call::<F>),
            name.as_char_ptr(),
            ptr::from_mut(&mut each).cast(),
        )
    };
}

/// Calls `each` with name and address of every symbol of a loaded module, until it breaks. The
/// kernel holds the lock of the list of modules meanwhile.
pub(crate) fn each_in_module<F>(module: &CStr, mut each: F)
where
    F: FnMut(&CStr, Address) -> ControlFlow<()>,
{
    /// # Safety
    ///
    /// `data` must point to an `F`, `name` to a NUL-terminated string.
    unsafe extern "C" fn call<F>(data: *mut c_void, name: *const c_char, address: c_ulong) -> c_int
    where
        F: FnMut(&CStr, Address) -> ControlFlow<()>,
    {
        // SAFETY: By contract; nobody else uses it during the walk.
        let (each, name) = unsafe { (&mut *data.cast::<F>(), CStr::from_char_ptr(name)) };
        each(name, Address(address)).is_break().into()
    }
    // SAFETY: The name is NUL-terminated; the callback gets `each`, which outlives the call.
    unsafe {
        symbols::module_kallsyms_on_each_symbol(
            module.as_char_ptr(),
            Some(call::<F>),
            ptr::from_mut(&mut each).cast(),
        )
    };
}

/// The size of the function or variable at `address`, in bytes; `None` where none is known.
pub(crate) fn size(address: Address) -> Option<usize> {
    lookup(address).map(|(size, _)| size)
}

/// The function or variable that `address` is in.
pub(super) fn around(address: Address) -> Option<Range<Address>> {
    let (size, offset) = lookup(address)?;
    let start = Address(address.0.checked_sub(offset)?);
    Some(start..start.offset(size))
}

/// The size of what `address` is in, and how far in.
fn lookup(address: Address) -> Option<(usize, usize)> {
    let (mut size, mut offset) = (0, 0);
    // SAFETY: It looks any number up; both results have a place.
    let found = unsafe {
        symbols::kallsyms_lookup_size_offset(address.0 as c_ulong, &raw mut size, &raw mut offset)
    };
    (found != 0).then_some((size, offset))
}
