// SPDX-License-Identifier: GPL-2.0

//! The kernel as the rest of the module sees it.
//!
//! Every `unsafe` of this project is below this directory, in wrappers that are as small as the
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

impl Address {
    /// The address `bytes` further on.
    pub(crate) fn offset(self, bytes: usize) -> Address {
        Address(self.0.wrapping_add(bytes))
    }
}
