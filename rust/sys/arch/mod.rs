// SPDX-License-Identifier: GPL-2.0

//! What differs between architectures, behind one interface:
//!
//! - `jump!(stub, slot)` is the body of a [`stub!`]: it jumps to the address in the slot;
//! - `set_instruction_pointer()` is the kernel's `ftrace_regs_set_instruction_pointer()`;
//! - `direct_address()` says what a direct call of ftrace to a trampoline is registered with, if it
//!   can lead to one, and `direct_call()` what the `ftrace_ops` of direct calls has for all;
//! - `trampolines()` is where the [trampolines](super::trampolines) are, `DECISION` where in each of
//!   them it is decided where a call goes, and `Jump` has it go there or elsewhere;
//! - `MACHINE` is the machine of the modules that are loaded here;
//! - `SYMBOLS` are the functions of the kernel that only this architecture needs;
//! - `processor()` is the number of the processor that this runs on, for what happens on each
//!   processor while all are stopped;
//! - `current()` is the task that runs this, for a handler that must not call what can be traced;
//! - `stack_pointer()` and `stack_word()` are for looking at the words of a stack, and `CHAIN` tells
//!   how its frames are chained, if they are;
//! - `COMPARES_MEMORY` says whether words are compared in memory, all at once;
//! - `is_occupied()` says whether a relocation would be refused for what is at its place;
//! - `clear_relocation()` takes a relocation back when its target is unloaded;
//! - `module_trampolines()` is where the kernel has trampolines for the functions of a module;
//! - `Kept` is what has to be kept of `mod->arch` to apply relocations later.

use core::sync::atomic::{AtomicUsize, Ordering};

/// How the frames of a stack are chained. Offsets are in bytes, from where a frame starts; the stack
/// pointer of a task that does not run is where its innermost one does.
pub(in crate::sys) struct Chain {
    /// How large the part of a frame is that the others are in.
    pub(in crate::sys) size: usize,
    /// Where a frame has the address that its function's callee returns to.
    pub(in crate::sys) return_address: usize,
    /// Where it has the start of the caller's; 0 in the outermost one.
    pub(in crate::sys) next: usize,
    /// What tracers have functions return to, in place of their callers. A frame that has one of
    /// these does not tell where the task will go on.
    pub(in crate::sys) detours: &'static [AtomicUsize],
}

impl Chain {
    /// Whether `address` is one that functions return to in place of their callers.
    #[inline(always)]
    pub(in crate::sys) fn is_detour(&self, address: usize) -> bool {
        self.detours
            .iter()
            .any(|detour| detour.load(Ordering::Relaxed) == address)
    }
}

#[cfg(CONFIG_X86_64)]
mod x86_64;
#[cfg(CONFIG_X86_64)]
pub(crate) use x86_64::*;

#[cfg(CONFIG_S390)]
mod s390;
#[cfg(CONFIG_S390)]
pub(crate) use s390::*;

/// Defines the function `livepatch_stub_<name>`, which jumps to the address in the word
/// `livepatch_slot_<name>` with all arguments as they are.
macro_rules! stub {
    ($name:ident) => {
        core::arch::global_asm!(
            ".pushsection .data, \"aw\", @progbits",
            ".balign 8",
            concat!("livepatch_slot_", stringify!($name), ":"),
            ".quad 0",
            ".popsection",
            ".pushsection .text, \"ax\", @progbits",
            ".balign 16",
            concat!(".type livepatch_stub_", stringify!($name), ", @function"),
            concat!("livepatch_stub_", stringify!($name), ":"),
            $crate::sys::arch::jump!(
                concat!("livepatch_stub_", stringify!($name)),
                concat!("livepatch_slot_", stringify!($name))
            ),
            concat!(
                ".size livepatch_stub_",
                stringify!($name),
                ", . - livepatch_stub_",
                stringify!($name)
            ),
            ".popsection",
        );
    };
}
pub(crate) use stub;
