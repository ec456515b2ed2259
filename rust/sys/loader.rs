// SPDX-License-Identifier: GPL-2.0

//! The hooks in the kernel's module loader.

use super::elf::{self, Loading};
use super::ftrace::{self, Location, Redirect};
use super::module::ModuleId;
use super::symbols::{self, Found};
use super::{bindings, Address, Target};
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::prelude::*;
use kernel::time::{delay::fsleep, Delta};

/// What is done at the hooks. All are called in process context and may sleep.
pub(crate) trait LoaderEvents: 'static {
    /// A file is about to be checked. It is the loader's private copy; its signature was checked,
    /// nothing else was. An error refuses it, with `ENOEXEC`.
    fn admit(file: &mut [u8]) -> Result;
    /// A module is in its place and relocated, but for what livepatch has to relocate. An error
    /// refuses it.
    fn finalize(loading: &Loading<'_>) -> Result;
    /// A module is about to be freed, or its load failed after [`finalize`](Self::finalize).
    fn cleanup(module: ModuleId);
}

/// How many calls of the hooks run right now.
static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);

/// One of them.
struct InFlight;

impl InFlight {
    fn enter() -> InFlight {
        IN_FLIGHT.fetch_add(1, Ordering::Acquire);
        InFlight
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        IN_FLIGHT.fetch_sub(1, Ordering::Release);
    }
}

/// The functions of the loader that are hooked.
const HOOKED: [&CStr; 3] = [
    c"module_elf_check_arch",
    c"module_finalize",
    c"module_arch_cleanup",
];

/// The hooks, for as long as it lives.
pub(crate) struct Hooks<T: LoaderEvents> {
    redirect: Option<Redirect>,
    /// Where `module_elf_check_arch()` is hooked.
    admit: Location,
    _events: PhantomData<T>,
}

impl<T: LoaderEvents> Hooks<T> {
    /// Hooks the loader.
    ///
    /// # Errors
    ///
    /// `ENOENT` where ftrace cannot reach one of the functions, `EBUSY` where somebody else
    /// redirects one; those of [`Redirect::new`]; all are logged.
    pub(crate) fn new(found: &Found) -> Result<Self> {
        let [admit, finalize, cleanup] = HOOKED.map(|name| found.location(name));
        let locations = [admit?, finalize?, cleanup?];
        let redirect = Redirect::new(&locations).inspect_err(|error| {
            pr_err!(
                "cannot hook the module loader ({}): is it redirected by somebody else?\n",
                error.to_errno()
            );
            ftrace::stay_if_failed();
        })?;
        // From the last to the first in the life of a module: what is admitted is finalized, and
        // what is finalized is cleaned up.
        let [admit, finalize, cleanup] = locations;
        for (location, replacement) in [
            (cleanup, module_arch_cleanup::<T> as *const () as usize),
            (finalize, module_finalize::<T> as *const () as usize),
            (admit, module_elf_check_arch::<T> as *const () as usize),
        ] {
            // SAFETY: It has the type of the function of the same name, and does what that does. It is
            // there until the hooks are gone, and nobody is in them any more.
            let target = unsafe { Target::new(Address(replacement)) };
            redirect.lead_to(location, Some(target));
        }
        Ok(Hooks {
            redirect: Some(redirect),
            admit,
            _events: PhantomData,
        })
    }
}

impl<T: LoaderEvents> Drop for Hooks<T> {
    fn drop(&mut self) {
        if let Some(redirect) = self.redirect.take() {
            // No livepatch is let in that would not be finalized.
            redirect.lead_to(self.admit, None);
        }
        // Everything that the hooks need is still there.
        ftrace::stay_if_failed();
        // Nobody enters any more. Those inside may sleep, but they do not wait for this.
        while IN_FLIGHT.load(Ordering::Acquire) != 0 {
            fsleep(Delta::from_millis(10));
        }
        wait_for_returns();
    }
}

/// Waits until every task that was preempted on its last steps out of this module, where nothing
/// counts it any more, has returned to the kernel. It may sleep.
pub(crate) fn wait_for_returns() {
    // SAFETY: It may sleep here.
    #[cfg(CONFIG_TASKS_RCU)]
    unsafe {
        bindings::synchronize_rcu_tasks()
    };
    // SAFETY: It may sleep here.
    #[cfg(not(CONFIG_TASKS_RCU))]
    unsafe {
        bindings::synchronize_rcu()
    };
}

/// # Safety
///
/// Only in place of the kernel's function of this name.
unsafe extern "C" fn module_elf_check_arch<T: LoaderEvents>(
    header: *mut bindings::elf64_hdr,
) -> bool {
    let _in_flight = InFlight::enter();
    // SAFETY: By contract.
    let supported = unsafe { symbols::module_elf_check_arch(header) };
    if !supported {
        return false;
    }
    // SAFETY: By contract.
    let file = unsafe { elf::file_copy(header) };
    file.is_none_or(|file| T::admit(file).is_ok())
}

/// # Safety
///
/// Only in place of the kernel's function of this name.
unsafe extern "C" fn module_finalize<T: LoaderEvents>(
    header: *const bindings::elf64_hdr,
    sections: *const bindings::elf64_shdr,
    module: *mut bindings::module,
) -> c_int {
    let _in_flight = InFlight::enter();
    let Some(named) = NonNull::new(module) else {
        return EINVAL.to_errno();
    };
    // SAFETY: By contract.
    let loading = unsafe { Loading::from_raw(header, sections, named) };
    if let Err(error) = T::finalize(&loading) {
        return error.to_errno();
    }
    // SAFETY: By contract.
    let ret = unsafe { symbols::module_finalize(header, sections, module) };
    if ret != 0 {
        // The loader does not call `module_arch_cleanup()` then.
        T::cleanup(loading.module().id());
    }
    ret
}

/// # Safety
///
/// Only in place of the kernel's function of this name.
unsafe extern "C" fn module_arch_cleanup<T: LoaderEvents>(module: *mut bindings::module) {
    let _in_flight = InFlight::enter();
    if let Some(named) = NonNull::new(module) {
        // SAFETY: By contract.
        T::cleanup(unsafe { super::module::Module::from_raw(named) }.id());
    }
    // SAFETY: By contract.
    unsafe { symbols::module_arch_cleanup(module) };
}
