// SPDX-License-Identifier: GPL-2.0

//! What differs between architectures, behind one interface:
//!
//! - `stub!(name)` defines the function `livepatch_stub_<name>`, which jumps to the address in
//!   the word `livepatch_slot_<name>` with all arguments as they are;
//! - `set_instruction_pointer()` is the kernel's `ftrace_regs_set_instruction_pointer()`;
//! - `MACHINE` is the machine of the modules that are loaded here;
//! - `SYMBOLS` are the functions of the kernel that only this architecture needs;
//! - `clear_relocation()` takes a relocation back when its target is unloaded;
//! - `Kept` is what has to be kept of `mod->arch` to apply relocations later.

#[cfg(CONFIG_X86_64)]
mod x86_64;
#[cfg(CONFIG_X86_64)]
pub(crate) use x86_64::*;

#[cfg(CONFIG_S390)]
mod s390;
#[cfg(CONFIG_S390)]
pub(crate) use s390::*;
