// SPDX-License-Identifier: GPL-2.0

//! Loaded modules.

use super::{arch, bindings, symbols, Address};
use crate::format::unchecked;
use core::array;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::ptr::NonNull;
use kernel::prelude::*;
use kernel::sync::rcu;

// What `rust/format` says of the record that a file has of its module.
const _: () = {
    let name = unchecked::RECORD_NAME;
    assert!(offset_of!(bindings::module, name) == name.start);
    assert!(align_of::<bindings::module>() as u64 >= unchecked::RECORD_ALIGN);
    assert!(bindings::LP_MODULE_NAME_LEN as usize == name.end - name.start);
};

/// Where in `struct module` the addresses of the init and exit function are, in bytes.
#[cfg(CONFIG_MODULE_UNLOAD)]
pub(crate) const FUNCTIONS: [u64; 2] = [
    offset_of!(bindings::module, init) as u64,
    offset_of!(bindings::module, exit) as u64,
];
/// Where in `struct module` the address of the init function is, in bytes.
#[cfg(not(CONFIG_MODULE_UNLOAD))]
pub(crate) const FUNCTIONS: [u64; 1] = [offset_of!(bindings::module, init) as u64];

/// How many regions a module's memory has, of which the first ones stay when its init function is
/// done.
const REGIONS: usize = bindings::mod_mem_type_MOD_MEM_NUM_TYPES as usize;
const KEPT: usize = bindings::mod_mem_type_MOD_INIT_TEXT as usize;

/// Which of a module's regions holds its code.
const TEXT: usize = bindings::mod_mem_type_MOD_TEXT as usize;

/// Tells modules apart while they are loaded. It is not a reference: it may be the identity of a
/// later module once this one is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ModuleId(usize);

/// How far a module is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is initialised and in use.
    Live,
    /// It is complete, and its init function runs or is about to.
    Coming,
    /// It goes away.
    Going,
    /// It is being put together.
    Unformed,
}

/// A module, for as long as it cannot go away.
///
/// # Invariants
///
/// `module` is not freed during `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Module<'a> {
    module: NonNull<bindings::module>,
    _lifetime: PhantomData<&'a ()>,
}

impl<'a> Module<'a> {
    /// # Safety
    ///
    /// `module` must be one that is not freed during `'a`.
    pub(crate) unsafe fn from_raw(module: NonNull<bindings::module>) -> Self {
        // INVARIANT: The caller says so.
        Module {
            module,
            _lifetime: PhantomData,
        }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::module {
        self.module.as_ptr()
    }

    /// Its identity.
    pub(crate) fn id(&self) -> ModuleId {
        ModuleId(self.module.as_ptr() as usize)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'a CStr {
        // SAFETY: The loader keeps the name NUL-terminated, and the module lives for `'a`.
        unsafe { CStr::from_char_ptr((&raw const (*self.as_ptr()).name).cast()) }
    }

    /// Its state; others may change it meanwhile.
    pub(crate) fn state(&self) -> State {
        // SAFETY: The module lives for `'a`.
        let state = unsafe { (&raw const (*self.as_ptr()).state).read_volatile() };
        match state {
            bindings::module_state_MODULE_STATE_LIVE => State::Live,
            bindings::module_state_MODULE_STATE_COMING => State::Coming,
            bindings::module_state_MODULE_STATE_GOING => State::Going,
            _ => State::Unformed,
        }
    }

    /// Marks the module and the kernel as livepatched.
    pub(crate) fn taint_livepatch(&self) {
        // SAFETY: The module lives for `'a`, and is being loaded by the only task that knows it,
        // so that nobody else changes its taints.
        unsafe {
            (*self.as_ptr()).taints |= 1 << bindings::TAINT_LIVEPATCH;
            bindings::add_taint(
                bindings::TAINT_LIVEPATCH,
                bindings::lockdep_ok_LOCKDEP_STILL_OK,
            );
        }
    }

    /// Whether the `size` bytes at `start` are the module's, and stay when its init function is
    /// done.
    pub(crate) fn keeps(&self, start: Address, size: usize) -> bool {
        self.is_in_first(KEPT, start, size)
    }

    /// Whether the `size` bytes at `start` are the module's.
    pub(crate) fn contains(&self, start: Address, size: usize) -> bool {
        self.is_in_first(usize::MAX, start, size)
    }

    /// Where its code is that stays when its init function is done, and its size in bytes.
    pub(crate) fn text(&self) -> (Address, usize) {
        self.region(TEXT)
    }

    /// Where its functions jump to while they are traced, in memory of its own, and the size of all
    /// that in bytes.
    pub(crate) fn trampolines(&self) -> (Address, usize) {
        arch::module_trampolines(self)
    }

    /// Where a region of its memory is, and its size in bytes. That of an init region which is
    /// being freed can be the one or the other: none, or a size of 0.
    fn region(&self, which: usize) -> (Address, usize) {
        // SAFETY: The module lives for `'a`. There are as many regions as there are types, of which
        // `which` is one, or the index panics. Regions of code and data are set before anybody
        // gets to know the module, and stay. Those of init are cleared by `do_init_module()` when
        // the init function is done, maybe meanwhile: each field is read once, and not torn.
        let (base, size) = unsafe {
            let region = &raw const (*self.as_ptr()).mem[which];
            (
                (&raw const (*region).base).read_volatile(),
                (&raw const (*region).size).read_volatile(),
            )
        };
        (Address(base as usize), size as usize)
    }

    fn is_in_first(&self, count: usize, start: Address, size: usize) -> bool {
        (0..REGIONS.min(count)).any(|which| is_inside(self.region(which), start, size))
    }

    /// Takes a reference, which keeps the module from being unloaded.
    ///
    /// # Errors
    ///
    /// `ENODEV` where it is already going away.
    pub(crate) fn get(&self) -> Result<ModuleRef> {
        // SAFETY: The module lives for `'a`.
        if unsafe { bindings::try_module_get(self.as_ptr()) } {
            // INVARIANT: It was just counted.
            Ok(ModuleRef(self.module))
        } else {
            Err(ENODEV)
        }
    }
}

/// Whether the `size` bytes at `start` are in a region.
fn is_inside((base, length): (Address, usize), start: Address, size: usize) -> bool {
    let end = start.0.checked_add(size);
    start.0 >= base.0 && end.is_some_and(|end| end <= base.0.saturating_add(length))
}

/// The memory of a module that is freed when its init function is done.
pub(crate) struct InitMemory([(Address, usize); REGIONS - KEPT]);

impl InitMemory {
    /// That of the module of this name, as it is now; none where there is no such module.
    pub(crate) fn of(name: &CStr) -> InitMemory {
        let regions = |module: &Module<'_>| array::from_fn(|nr| module.region(KEPT + nr));
        InitMemory(find(name, regions).unwrap_or([(Address(0), 0); REGIONS - KEPT]))
    }

    /// Whether the byte at `address` is in it.
    pub(crate) fn has(&self, address: Address) -> bool {
        let mut regions = self.0.iter();
        regions.any(|region| is_inside(*region, address, 1))
    }
}

/// A reference that keeps a module from being unloaded.
///
/// # Invariants
///
/// It counts among the references to the module.
pub(crate) struct ModuleRef(NonNull<bindings::module>);

// SAFETY: A module reference may be dropped by any task.
unsafe impl Send for ModuleRef {}
// SAFETY: What it gives access to is `Module`, which only reads.
unsafe impl Sync for ModuleRef {}

impl ModuleRef {
    /// The module.
    pub(crate) fn module(&self) -> Module<'_> {
        // SAFETY: By the type's invariant it is counted: the module is not freed before it is given
        // back, which the borrow does not outlast.
        unsafe { Module::from_raw(self.0) }
    }
}

impl Drop for ModuleRef {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant it is counted, and it is given back here only.
        unsafe { bindings::module_put(self.0.as_ptr()) };
    }
}

/// Looks a module up by name and passes it to `found`, which must not sleep.
pub(crate) fn find<R>(name: &CStr, found: impl FnOnce(&Module<'_>) -> R) -> Option<R> {
    let _guard = rcu::read_lock();
    // SAFETY: The list of modules may be read in an RCU read-side section; the name is
    // NUL-terminated.
    let module = NonNull::new(unsafe { symbols::find_module(name.as_char_ptr()) })?;
    // SAFETY: Modules are freed after a grace period, and the section goes on.
    Some(found(&unsafe { Module::from_raw(module) }))
}
