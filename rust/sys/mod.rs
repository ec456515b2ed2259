// SPDX-License-Identifier: GPL-2.0

//! The kernel as the rest of the module sees it.
//!
//! Every `unsafe` of this module is below this directory, in wrappers that are as small as the
//! fact that they rest on, except for the functions that patch modules call ([`api`](crate::api)).
//! Nothing here knows what a livepatch is, except for [`spec`], which reads what a patch author
//! wrote.

pub(crate) mod arch;
pub(crate) mod bindings;
pub(crate) mod debugfs;
pub(crate) mod direct;
pub(crate) mod elf;
pub(crate) mod errno;
pub(crate) mod exceptions;
pub(crate) mod ftrace;
pub(crate) mod kallsyms;
pub(crate) mod kobject;
pub(crate) mod kprobes;
pub(crate) mod loader;
pub(crate) mod lock;
pub(crate) mod module;
pub(crate) mod notifier;
pub(crate) mod param;
pub(crate) mod shadow;
pub(crate) mod sort;
pub(crate) mod spec;
pub(crate) mod stop;
pub(crate) mod switch;
pub(crate) mod symbols;
pub(crate) mod tasks;
pub(crate) mod trampolines;
pub(crate) mod warn;
pub(crate) mod watch;
pub(crate) mod work;

// The one processor of a kernel without it would run what looks at tasks in the task that asks for
// it, which is nobody who could be looked at.
#[cfg(not(CONFIG_SMP))]
compile_error!("livepatch.ko needs a kernel with CONFIG_SMP");

/// An address in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub(crate) struct Address(pub(crate) usize);

/// Where calls of a function are led in place of it.
///
/// # Invariants
///
/// It may be called in place of every function whose calls are led there, for as long as they are, or are
/// on the way.
#[derive(Clone, Copy)]
pub(crate) struct Target(Address);

impl Target {
    /// # Safety
    ///
    /// At `address` must be a function that may be called in place of each one whose calls will be led
    /// there, for as long as they are, or are on the way.
    unsafe fn new(address: Address) -> Target {
        // INVARIANT: The caller says so.
        Target(address)
    }

    /// Its address.
    pub(crate) fn address(self) -> Address {
        self.0
    }
}

impl Address {
    /// The address `bytes` further on.
    pub(crate) fn offset(self, bytes: usize) -> Address {
        Address(self.0.wrapping_add(bytes))
    }
}
