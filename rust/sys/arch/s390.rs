// SPDX-License-Identifier: GPL-2.0

//! s390, 64-bit.

use crate::format::elf::{Machine, SymbolIndex};
use crate::sys::module::Module;
use crate::sys::symbols::Symbol;
use crate::sys::{bindings, Address};
use core::arch::asm;
use core::slice;
use kernel::prelude::*;

/// The machine of the modules that are loaded here.
pub(crate) const MACHINE: Machine = Machine::S390;

/// Jumps to the address in the slot of a stub. Register 1 is the caller's to lose.
macro_rules! jump {
    ($stub:expr, $slot:expr) => {
        concat!("lgrl %r1, ", $slot, "\nbr %r1")
    };
}
pub(crate) use jump;

/// Makes the traced call go on at `ip`.
///
/// The address that is set in the registers may be lost: the handler of a kprobe at the same call
/// site sets it to the original again. Where ftrace's direct calls go, which the end of the
/// trampoline prefers, is left alone by that handler; if nobody has set it, it is set as well.
///
/// # Safety
///
/// `fregs` must be what ftrace gave to a handler registered with `FTRACE_OPS_FL_IPMODIFY`, and
/// `ip` a function that can be called in place of the traced one.
pub(crate) unsafe fn set_instruction_pointer(fregs: *mut bindings::ftrace_regs, ip: usize) {
    let fregs = fregs.cast::<bindings::__arch_ftrace_regs>();
    // SAFETY: By contract; `ftrace_regs` is a `__arch_ftrace_regs` on this architecture. The
    // pointer is to the whole register set, of which the address is a part.
    unsafe {
        (&raw mut (*fregs).regs.__bindgen_anon_1.__bindgen_anon_1.psw.addr).write(ip as c_ulong);
        #[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
        {
            let direct = &raw mut (*fregs).regs.__bindgen_anon_2.orig_gpr2;
            if direct.read() == 0 {
                direct.write(ip as c_ulong);
            }
        }
    };
}

/// What a direct call to the function at `target` is registered with. A call site saves where the
/// traced function goes on in a register of its own, and leaves the caller's return address alone,
/// so that to the function it is as if it was called.
pub(crate) fn direct_address(target: Address) -> Option<c_ulong> {
    cfg!(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS).then_some(target.0 as c_ulong)
}

/// The functions of the kernel that only this architecture needs: none.
pub(in crate::sys) const SYMBOLS: &[Symbol] = &[];

/// The same for all processors: there is nothing here that interrupts a stopped one and that ftrace
/// could trace. The code that a machine check runs at once is left out of that.
pub(in crate::sys) fn processor() -> usize {
    0
}

extern "C" {
    /// The kernel's `current`, from `exports.c`: an instruction that the kernel rewrites when it
    /// boots. It can be neither traced nor probed.
    fn livepatch_current() -> *mut c_void;
}

/// The task that runs this.
#[inline(always)]
pub(in crate::sys) fn current() -> *mut bindings::task_struct {
    // SAFETY: It reads a variable of the processor's.
    unsafe { livepatch_current() }.cast()
}

/// The stack pointer of a task that does not run: nothing that it needs is below. That of a task
/// that runs is any number.
///
/// # Safety
///
/// `task` must be a task.
pub(crate) unsafe fn stack_pointer(task: *const bindings::task_struct) -> usize {
    // SAFETY: The caller says that it is a task, so that the word is there. Where the task runs,
    // the scheduler of another processor may write it meanwhile: it is read once, and not torn.
    unsafe { (&raw const (*task).thread.ksp).read_volatile() }
}

/// Reads a word of any stack: the compiler's checks for bytes between variables are left out.
///
/// # Safety
///
/// `at` must be the aligned address of a word that can be read.
pub(crate) unsafe fn stack_word(at: usize) -> usize {
    let word;
    // SAFETY: By contract; nothing else is touched.
    unsafe { asm!("lg {}, 0({})", out(reg) word, in(reg_addr) at, options(nostack, readonly)) };
    word
}

/// Never: `apply_relocate_add()` here writes over whatever is there.
///
/// # Safety
///
/// None is needed.
pub(crate) unsafe fn is_occupied(_at: Address, _width: u8) -> bool {
    false
}

/// Has nothing to take back: `apply_relocate_add()` here writes over whatever is there.
///
/// # Safety
///
/// None is needed.
pub(crate) unsafe fn clear_relocation(_at: Address, _width: u8) {}

/// What `apply_relocate_add()` finds global offset and procedure linkage table entries by. The
/// kernel frees its own when the module's init function is done.
pub(crate) struct Kept {
    slots: KVVec<bindings::mod_arch_syminfo>,
}

impl Default for Kept {
    fn default() -> Self {
        Kept {
            slots: KVVec::new(),
        }
    }
}

// SAFETY: Numbers.
unsafe impl Send for Kept {}

impl Kept {
    /// Copies what the loader has found.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new(module: &Module<'_>) -> Result<Kept> {
        let mut slots = KVVec::new();
        // SAFETY: The module is being loaded: the loader has made an entry for each symbol.
        let found = unsafe {
            let arch = &(*module.as_ptr()).arch;
            if arch.syminfo.is_null() {
                &[]
            } else {
                slice::from_raw_parts(arch.syminfo, usize::try_from(arch.nsyms).unwrap_or(0))
            }
        };
        if !found.is_empty() {
            slots.extend_from_slice(found, GFP_KERNEL)?;
        }
        Ok(Kept { slots })
    }

    /// What there is without anything kept.
    pub(crate) fn none() -> Kept {
        Kept::default()
    }

    /// Runs `apply` with a module in which what was kept is in its place. It is a copy: the
    /// kernel may be about to free its own at the same time, and must not find ours there.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn with<R>(
        &mut self,
        module: &Module<'_>,
        apply: impl FnOnce(*mut bindings::module) -> R,
    ) -> Result<R> {
        let mut copy: KBox<bindings::module> = {
            let room = KBox::<bindings::module>::new_uninit(GFP_KERNEL)?;
            let room = KBox::into_raw(room).cast::<bindings::module>();
            // SAFETY: Both are a whole `struct module`, whose bytes may all be copied. Of the copy
            // only the state, the name, and where memory is are read.
            unsafe {
                core::ptr::copy_nonoverlapping(module.as_ptr().cast_const(), room, 1);
                KBox::from_raw(room)
            }
        };
        copy.arch.syminfo = self.slots.as_mut_ptr();
        copy.arch.nsyms = i32::try_from(self.slots.len()).unwrap_or(0);
        Ok(apply(&raw mut *copy))
    }

    /// The entries of a symbol are to be written anew.
    pub(crate) fn forget_slots(&mut self, SymbolIndex(symbol): SymbolIndex) {
        if let Some(slot) = self.slots.get_mut(symbol as usize) {
            slot.got_initialized = 0;
            slot.plt_initialized = 0;
        }
    }

    /// Whether there is an entry for each of `count` symbols.
    pub(crate) fn covers(&self, count: u32) -> bool {
        self.slots.len() >= count as usize
    }
}
