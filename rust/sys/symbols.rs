// SPDX-License-Identifier: GPL-2.0

//! Functions of the kernel that it does not export to modules.
//!
//! [`find`] looks all of them up, once, when the module is inserted; what is missing fails the
//! insertion by name. Each one is reached through a stub of two instructions (see
//! [`arch`](super::arch)) that jumps to the address in the function's slot in a way that needs no
//! landing pad at the target: with indirect branch tracking on, a function whose address the
//! kernel itself never takes has none.
//!
//! For the three functions of the module loader that are hooked, the stub leads *past* the ftrace
//! call site at their start: a call from here to the original can never come back to the hook,
//! whatever the compiler makes of the call.

use super::bindings;
use super::errno::eopnotsupp;
use super::{arch, ftrace, kallsyms, Address};
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::prelude::*;

/// A function that is called through a stub.
pub(super) struct Symbol {
    pub(super) name: &'static CStr,
    /// What makes a kernel have it.
    pub(super) option: &'static str,
    pub(super) slot: &'static AtomicUsize,
    /// Whether the stub leads past the ftrace call site.
    pub(super) hooked: bool,
}

macro_rules! symbols {
    ($(
        $(#[$attr:meta])*
        $kind:ident fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?, $option:literal;
    )*) => {
        $(
            $(#[$attr])*
            arch::stub!($name);
        )*

        /// The functions; each one is called with the meaning that it has in the kernel.
        mod stubs {
            use super::bindings;
            use kernel::ffi::*;

            // Structures of the kernel may have members without size.
            #[allow(improper_ctypes)]
            extern "C" {
                $(
                    $(#[$attr])*
                    #[link_name = concat!("livepatch_stub_", stringify!($name))]
                    pub(crate) fn $name($($arg: $ty),*) $(-> $ret)?;
                )*
            }
        }
        pub(crate) use stubs::*;

        mod slots {
            use core::sync::atomic::AtomicUsize;
            extern "C" {
                $(
                    $(#[$attr])*
                    #[link_name = concat!("livepatch_slot_", stringify!($name))]
                    pub(super) static $name: AtomicUsize;
                )*
            }
        }

        /// All functions that are called through a stub. Not a constant: rustc 1.85, which the kernel
        /// still takes, lets none refer to what is extern.
        static SYMBOLS: &[Symbol] = &[
            $(
                $(#[$attr])*
                Symbol {
                    name: match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => c"",
                    },
                    option: $option,
                    // SAFETY: `arch::stub!` defines the slot as an aligned word of writable data.
                    slot: unsafe { &slots::$name },
                    hooked: symbols!(@hooked $kind),
                },
            )*
        ];
    };
    (@hooked plain) => { false };
    (@hooked hooked) => { true };
}

symbols! {
    plain fn kallsyms_on_each_match_symbol(
        callback: Option<unsafe extern "C" fn(*mut c_void, c_ulong) -> c_int>,
        name: *const c_char,
        data: *mut c_void,
    ) -> c_int, "CONFIG_KALLSYMS";
    plain fn module_kallsyms_on_each_symbol(
        module: *const c_char,
        callback: Option<unsafe extern "C" fn(*mut c_void, *const c_char, c_ulong) -> c_int>,
        data: *mut c_void,
    ) -> c_int, "CONFIG_KALLSYMS";
    plain fn kallsyms_lookup_size_offset(
        address: c_ulong,
        size: *mut c_ulong,
        offset: *mut c_ulong,
    ) -> c_int, "CONFIG_KALLSYMS";
    plain fn find_module(name: *const c_char) -> *mut bindings::module, "CONFIG_MODULES";
    plain fn find_vm_area(address: *const c_void) -> *mut bindings::vm_struct, "CONFIG_MMU";
    plain fn ftrace_location(ip: c_ulong) -> c_ulong, "CONFIG_DYNAMIC_FTRACE";
    plain fn ftrace_is_dead() -> c_int, "CONFIG_FUNCTION_TRACER";
    plain fn stack_trace_save_tsk_reliable(
        task: *mut bindings::task_struct,
        store: *mut c_ulong,
        size: c_uint,
    ) -> c_int, "CONFIG_STACKTRACE, and on x86_64 CONFIG_UNWINDER_ORC";
    plain fn task_call_func(
        task: *mut bindings::task_struct,
        func: Option<unsafe extern "C" fn(*mut bindings::task_struct, *mut c_void) -> c_int>,
        arg: *mut c_void,
    ) -> c_int, "a scheduler";
    plain fn task_work_cancel(
        task: *mut bindings::task_struct,
        work: *mut bindings::callback_head,
    ) -> bool, "task works that can be cancelled";
    #[cfg(CONFIG_OPTPROBES)]
    plain fn kprobe_get_kallsym(
        number: c_uint,
        value: *mut c_ulong,
        kind: *mut c_char,
        name: *mut c_char,
    ) -> c_int, "CONFIG_KPROBES";
    #[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
    plain fn ftrace_find_rec_direct(ip: c_ulong) -> c_ulong, "CONFIG_DYNAMIC_FTRACE";
    #[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
    plain fn alloc_ftrace_hash(bits: c_int) -> *mut bindings::ftrace_hash, "CONFIG_DYNAMIC_FTRACE";
    #[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
    plain fn free_ftrace_hash(hash: *mut bindings::ftrace_hash), "CONFIG_DYNAMIC_FTRACE";
    #[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
    plain fn add_ftrace_hash_entry_direct(
        hash: *mut bindings::ftrace_hash,
        ip: c_ulong,
        direct: c_ulong,
    ) -> *mut c_void, "CONFIG_DYNAMIC_FTRACE";
    #[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
    plain fn update_ftrace_direct_add(
        ops: *mut bindings::ftrace_ops,
        hash: *mut bindings::ftrace_hash,
    ) -> c_int, "Linux 7.0";
    #[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
    plain fn update_ftrace_direct_del(
        ops: *mut bindings::ftrace_ops,
        hash: *mut bindings::ftrace_hash,
    ) -> c_int, "Linux 7.0";
    plain fn wake_up_state(
        task: *mut bindings::task_struct,
        state: c_uint,
    ) -> c_int, "a scheduler";
    plain fn kick_process(task: *mut bindings::task_struct), "CONFIG_SMP";
    plain fn put_task_stack(task: *mut bindings::task_struct), "CONFIG_THREAD_INFO_IN_TASK";
    plain fn idle_task(cpu: c_int) -> *mut bindings::task_struct, "CONFIG_SMP";
    #[cfg(CONFIG_S390)]
    plain fn stop_machine_yield(processors: *const bindings::cpumask), "CONFIG_SMP";
    plain fn apply_relocate_add(
        sections: *mut bindings::elf64_shdr,
        strings: *const c_char,
        symbol_section: c_uint,
        relocation_section: c_uint,
        module: *mut bindings::module,
    ) -> c_int, "CONFIG_MODULES";
    hooked fn module_elf_check_arch(header: *mut bindings::elf64_hdr) -> bool, "CONFIG_MODULES";
    hooked fn module_finalize(
        header: *const bindings::elf64_hdr,
        sections: *const bindings::elf64_shdr,
        module: *mut bindings::module,
    ) -> c_int, "CONFIG_MODULES";
    hooked fn module_arch_cleanup(module: *mut bindings::module), "CONFIG_MODULES";
}

arch::stub!(kallsyms_lookup_name);

mod lookup {
    use super::*;
    extern "C" {
        #[link_name = "livepatch_stub_kallsyms_lookup_name"]
        pub(super) fn kallsyms_lookup_name(name: *const c_char) -> c_ulong;
        #[link_name = "livepatch_slot_kallsyms_lookup_name"]
        pub(super) static SLOT: AtomicUsize;
    }
}

/// The kernel's `kallsyms_lookup_name()`, which is not exported but can be probed.
struct Lookup(());

impl Lookup {
    /// A kprobe is told the address of what it probes, by name. That may be behind a landing
    /// pad, which a stub has no need of.
    ///
    /// The probe is a disabled one: nothing is changed in the kernel's code, which could not be
    /// taken back for sure where memory is short.
    fn new() -> Result<Lookup> {
        let mut probe = bindings::kprobe {
            symbol_name: c"kallsyms_lookup_name".as_char_ptr(),
            flags: bindings::KPROBE_FLAG_DISABLED,
            ..Default::default()
        };
        // SAFETY: `probe` names a symbol, has no handlers, and is unregistered before it goes out
        // of scope; nothing moves it meanwhile.
        let ret = unsafe { bindings::register_kprobe(&raw mut probe) };
        if ret != 0 {
            pr_err!(
                "cannot probe 'kallsyms_lookup_name' ({}): this kernel needs CONFIG_KPROBES and CONFIG_KALLSYMS\n",
                ret
            );
            return Err(Error::from_errno(ret));
        }
        let address = probe.addr as usize;
        // SAFETY: It was registered above.
        unsafe { bindings::unregister_kprobe(&raw mut probe) };
        // SAFETY: `arch::stub!` defines the slot as an aligned word of writable data.
        unsafe { &lookup::SLOT }.store(address, Ordering::Relaxed);
        Ok(Lookup(()))
    }

    fn address(&self, name: &CStr) -> Option<Address> {
        // SAFETY: The slot was set in `new`, and the name is NUL-terminated.
        let address = unsafe { lookup::kallsyms_lookup_name(name.as_char_ptr()) };
        (address != 0).then_some(Address(address as usize))
    }
}

/// The call sites of the hooked functions, for those who hook them.
pub(crate) struct Found {
    lookup: Lookup,
}

impl Found {
    /// The ftrace call site of the function `name`.
    ///
    /// # Errors
    ///
    /// `ENOENT` where the kernel has no such function, or ftrace cannot reach it.
    pub(crate) fn location(&self, name: &CStr) -> Result<ftrace::Location> {
        let address = self.lookup.address(name).ok_or(ENOENT)?;
        ftrace::Location::of(address).ok_or(ENOENT)
    }
}

/// Looks up every function; to be called before any of them is.
///
/// # Errors
///
/// `EOPNOTSUPP` on a kernel that has livepatch support of its own, `ENOENT` on one that lacks
/// something; either is logged.
pub(crate) fn find() -> Result<Found> {
    let lookup = Lookup::new()?;
    // A function of the C core that this module has no namesake of.
    if lookup.address(c"klp_module_coming").is_some() {
        pr_err!(
            "this kernel has CONFIG_LIVEPATCH: it loads livepatches by itself, livepatch.ko is not needed\n"
        );
        return Err(eopnotsupp());
    }
    let mut missing = false;
    for symbol in [SYMBOLS, arch::SYMBOLS].into_iter().flatten() {
        match lookup.address(symbol.name) {
            Some(address) => symbol.slot.store(address.0, Ordering::Relaxed),
            None => {
                pr_err!(
                    "this kernel has no '{}': it needs {}\n",
                    symbol.name.to_str().unwrap_or("?"),
                    symbol.option
                );
                missing = true;
            }
        }
    }
    if missing {
        return Err(ENOENT);
    }
    // All slots lead to the functions themselves now, so that ftrace can be asked.
    for symbol in SYMBOLS.iter().filter(|symbol| symbol.hooked) {
        let address = Address(symbol.slot.load(Ordering::Relaxed));
        let Some(location) = ftrace::Location::of(address) else {
            pr_err!(
                "ftrace cannot reach '{}': this kernel needs CONFIG_DYNAMIC_FTRACE\n",
                symbol.name.to_str().unwrap_or("?")
            );
            return Err(ENOENT);
        };
        symbol.slot.store(location.after().0, Ordering::Relaxed);
    }
    kallsyms::find_init_memory(|name| lookup.address(name));
    Ok(Found { lookup })
}
