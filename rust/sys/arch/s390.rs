// SPDX-License-Identifier: GPL-2.0

//! s390, 64-bit.

use crate::format::elf::{Machine, SymbolIndex};
use crate::sys::module::Module;
use crate::sys::symbols::{self, Symbol};
use crate::sys::{bindings, trampolines, Address};
use core::arch::{asm, global_asm};
use core::slice;
use core::sync::atomic::{AtomicUsize, Ordering};
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

/// What a direct call to the code at `target` is registered with. A call site saves where the
/// traced function goes on in a register of its own, register 0, and leaves the caller's return
/// address alone, so that to the function it is as if it was called.
pub(crate) fn direct_address(target: Address) -> Option<c_ulong> {
    cfg!(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS).then_some(target.0 as c_ulong)
}

/// What ftrace calls where it traces a function as well: it has one address for all functions of an
/// `ftrace_ops`. Register 0 tells which of them it is.
#[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
pub(in crate::sys) fn direct_call() -> c_ulong {
    &raw const DIRECT_CALL as c_ulong
}

// A trampoline jumps to the address in its slot. That may be the one behind the jump, from where it
// branches on, with register 1 telling which trampoline it is. Until it is decided where the call
// goes, register 0 has the address behind the function's call site; it is saved in the frame, for
// who looks at the words of the stack. Who looks at return addresses only does not see it: what
// decides must not leave the processor but by an interrupt, after which all words are looked at.
// The save area at the bottom of the caller's frame is the called function's to use, and therefore
// free at this moment. Frames are packed and chained, as all of the kernel's: register 14 is saved
// at 136, the chain at 152.
//
// The kernel puts no kprobes into this section.
global_asm!(
    ".pushsection .kprobes.text, \"ax\", @progbits",
    ".balign {size}",
    ".type livepatch_trampolines, @function",
    "livepatch_trampolines:",
    ".set livepatch_slot, 0",
    ".rept {count}",
    "lgrl %r1, {slots} + livepatch_slot",
    "br %r1",
    "brasl %r1, livepatch_decide",
    ".balign {size}, 0",
    ".set livepatch_slot, livepatch_slot + {slot_size}",
    ".endr",
    ".size livepatch_trampolines, . - livepatch_trampolines",
    ".type livepatch_direct_call, @function",
    "livepatch_direct_call:",
    "stmg %r2, %r5, 16(%r15)",
    "stg %r14, 136(%r15)",
    "lgr %r2, %r0",
    "larl %r14, {find}",
    "j 0f",
    ".size livepatch_direct_call, . - livepatch_direct_call",
    ".type livepatch_decide, @function",
    "livepatch_decide:",
    "stmg %r2, %r5, 16(%r15)",
    "stg %r14, 136(%r15)",
    "lgr %r2, %r1",
    "larl %r14, {decide}",
    "0:",
    "lgr %r1, %r15",
    "aghi %r15, -168",
    "stg %r1, 152(%r15)",
    "stg %r0, 160(%r15)",
    "basr %r14, %r14",
    "lgr %r1, %r2",
    "lg %r0, 160(%r15)",
    "aghi %r15, 168",
    "lmg %r2, %r5, 16(%r15)",
    "lg %r14, 136(%r15)",
    "br %r1",
    ".size livepatch_decide, . - livepatch_decide",
    ".popsection",
    size = const trampolines::SIZE,
    count = const trampolines::COUNT,
    slot_size = const size_of::<trampolines::Slot>(),
    slots = sym trampolines::SLOTS,
    decide = sym decide_where,
    find = sym find,
);

extern "C" {
    #[link_name = "livepatch_trampolines"]
    static TRAMPOLINES: u8;
    #[link_name = "livepatch_direct_call"]
    static DIRECT_CALL: u8;
}

/// Where in a trampoline it branches on.
pub(in crate::sys) const DECISION: usize = 8;

/// Where the trampolines are.
#[inline(always)]
pub(in crate::sys) fn trampolines() -> usize {
    &raw const TRAMPOLINES as usize
}

/// Decides where a call goes on that has come to the trampoline which `address` is in.
extern "C" fn decide_where(address: usize) -> usize {
    trampolines::slot_at(address).map_or(0, |slot| slot.target())
}

/// The trampoline of the function whose original goes on at `original`, which it is without one.
extern "C" fn find(original: usize) -> usize {
    let is_its = |slot: &trampolines::Slot| slot.original() == original;
    match trampolines::SLOTS.iter().position(is_its) {
        Some(index) => trampolines() + index * trampolines::SIZE,
        None => original,
    }
}

/// How a trampoline jumps: to this address.
#[repr(transparent)]
pub(in crate::sys) struct Jump(AtomicUsize);

impl Jump {
    /// Of a trampoline that is not used.
    pub(in crate::sys) const fn new() -> Jump {
        Jump(AtomicUsize::new(0))
    }

    /// Has the trampoline go on at `target`.
    ///
    /// # Safety
    ///
    /// It must be the trampoline that this belongs to, and `target` an address in it, or one at which
    /// calls of its function can go on.
    pub(in crate::sys) unsafe fn lead(&self, _trampoline: Address, target: Address) {
        self.0.store(target.0, Ordering::Release);
    }
}

/// Where the return probes and the function graph tracer of the kernel have functions return to.
static RETURN_DETOURS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// The functions of the kernel that only this architecture needs, by their addresses.
pub(in crate::sys) static SYMBOLS: &[Symbol] = &[
    #[cfg(CONFIG_RETHOOK)]
    Symbol {
        name: c"arch_rethook_trampoline",
        option: "CONFIG_RETHOOK",
        slot: &RETURN_DETOURS[0],
        hooked: false,
    },
    #[cfg(CONFIG_FUNCTION_GRAPH_TRACER)]
    Symbol {
        name: c"return_to_handler",
        option: "CONFIG_FUNCTION_GRAPH_TRACER",
        slot: &RETURN_DETOURS[1],
        hooked: false,
    },
];

/// The same for all processors: there is nothing here that interrupts a stopped one and that ftrace
/// could trace. The code that a machine check runs at once is left out of that.
pub(in crate::sys) fn processor() -> usize {
    0
}

/// For a stopped processor that waits for another one, again and again: a hypervisor that has taken
/// the physical processor away from that one may give it this processor's time.
pub(in crate::sys) fn wait_a_moment() {
    // SAFETY: It may be called while processors are stopped, as the kernel does itself. What traces it
    // is on one side from its beginning to its end, as in an NMI: calls of one processor do not change
    // sides amid this.
    unsafe { symbols::stop_machine_yield(&raw const bindings::__cpu_online_mask) };
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

/// As the kernel's `struct stack_frame` has it. Its code is compiled with `-mbackchain`, and its
/// assembly that calls anything makes such frames, too. But the one that a return probe goes through
/// has only its own address where the caller's was: the probe gives that back at the very end.
pub(in crate::sys) const CHAIN: Option<super::Chain> = Some(super::Chain {
    size: bindings::LP_FRAME_SIZE,
    return_address: bindings::LP_FRAME_RETURN,
    next: bindings::LP_FRAME_NEXT,
    detours: &RETURN_DETOURS,
});

/// Whether one instruction compares memory with memory: CLC, up to 256 bytes.
pub(in crate::sys) const COMPARES_MEMORY: bool = true;

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

/// Where the functions of a module jump to while they are traced, before they save anything of their
/// own: an address in there may be all that a stack has of the function.
pub(in crate::sys) fn module_trampolines(module: &Module<'_>) -> (Address, usize) {
    // SAFETY: The module lives as long as the reference. Both are set before anybody gets to know
    // the module, and stay.
    let (start, end) = unsafe {
        let arch = &raw const (*module.as_ptr()).arch;
        ((*arch).trampolines_start, (*arch).trampolines_end)
    };
    let start = Address(start as usize);
    (start, (end as usize).saturating_sub(start.0))
}

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
