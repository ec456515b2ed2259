// SPDX-License-Identifier: GPL-2.0

//! x86_64.

use crate::format::elf::{Machine, SymbolIndex};
use crate::sys::module::Module;
use crate::sys::symbols::Symbol;
use crate::sys::{bindings, trampolines, Address};
use core::arch::{asm, global_asm};
use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::{compiler_fence, AtomicUsize, Ordering};
use kernel::prelude::*;

/// The machine of the modules that are loaded here.
pub(crate) const MACHINE: Machine = Machine::X86_64;

/// The return instruction of this kernel, as its mitigations want it.
#[cfg(CONFIG_MITIGATION_RETHUNK)]
macro_rules! ret {
    () => {
        "jmp __x86_return_thunk"
    };
}
#[cfg(not(CONFIG_MITIGATION_RETHUNK))]
macro_rules! ret {
    () => {
        "ret\n int3"
    };
}
pub(crate) use ret;

/// Jumps to the address in the slot of a stub.
///
/// The jump is a return to an address that was pushed: indirect branch tracking applies to
/// indirect jumps and calls, not to returns. Between the two instructions the stack is not as
/// the unwinder tables would have it, so that objtool is told to leave the function out; once in
/// the target, nothing of the stub is left on the stack.
macro_rules! jump {
    ($stub:expr, $slot:expr) => {
        concat!(
            "push qword ptr [rip + ",
            $slot,
            "]\n",
            $crate::sys::arch::ret!(),
            "\n",
            ".pushsection .discard.func_stack_frame_non_standard, \"aw\", @progbits\n",
            ".quad ",
            $stub,
            "\n",
            ".popsection"
        )
    };
}
pub(crate) use jump;

/// Makes the traced call go on at `ip`.
///
/// # Safety
///
/// `fregs` must be what ftrace gave to a handler registered with `FTRACE_OPS_FL_IPMODIFY`, and
/// `ip` a function that can be called in place of the traced one.
pub(crate) unsafe fn set_instruction_pointer(fregs: *mut bindings::ftrace_regs, ip: usize) {
    let fregs = fregs.cast::<bindings::__arch_ftrace_regs>();
    // SAFETY: By contract; `ftrace_regs` is a `__arch_ftrace_regs` on this architecture.
    unsafe { (*fregs).regs.ip = ip as c_ulong };
}

/// What a direct call to the code at `target` is registered with: the kernel's `ftrace_jmp_set()`,
/// which sets the lowest bit to ask for a jump. A call would leave an address on the stack to which
/// the function would return. `None` where the kernel has no jumps, or no direct calls of several
/// functions in one `ftrace_ops`.
pub(crate) fn direct_address(target: Address) -> Option<c_ulong> {
    let is_possible = cfg!(all(
        CONFIG_DYNAMIC_FTRACE_WITH_JMP,
        CONFIG_HAVE_SINGLE_FTRACE_DIRECT_OPS
    ));
    (is_possible && target.0 % 2 == 0).then_some(target.0 as c_ulong | 1)
}

/// What ftrace calls where it traces a function as well: it looks the direct call up.
#[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
pub(in crate::sys) fn direct_call() -> c_ulong {
    0
}

// A trampoline begins as the kernel has those of static calls: a jump, and an instruction by which
// the function that changes the jump knows what it is. At first the jump leads behind that, to a
// call. The address that the call leaves on the stack tells which trampoline it is; it is replaced
// by where the function was called, and then by where the call goes on, to which is returned.
// Neither calls and returns get out of step that way, nor is a landing pad needed.
//
// The stack is never as the tables of the unwinder could have it: objtool is told to leave the
// functions out, so that nobody takes a stack with them for reliable. What is left out has no entry of
// its own in these tables; for the one before it to end there, there has to be one. That is the
// function in place of the first trampoline. It is also a landing pad, as at any address in code that
// is used by code, and is not called.
//
// The kernel puts no kprobes into this section: where one is, the jump could not be changed.
global_asm!(
    ".pushsection .kprobes.text, \"ax\", @progbits",
    ".balign {size}",
    ".type livepatch_before_trampolines, @function",
    "livepatch_before_trampolines:",
    "endbr64",
    "ud2",
    ".size livepatch_before_trampolines, . - livepatch_before_trampolines",
    ".balign {size}, 0xcc",
    ".type livepatch_trampolines, @function",
    "livepatch_trampolines:",
    ".rept {count} - 1",
    ".byte 0xe9, 3, 0, 0, 0, 0x0f, 0xb9, 0xcc",
    "call livepatch_decide",
    ".balign {size}, 0xcc",
    ".endr",
    ".size livepatch_trampolines, . - livepatch_trampolines",
    ".type livepatch_decide, @function",
    "livepatch_decide:",
    "push rax",
    "push rdi",
    "push rsi",
    "push rdx",
    "push rcx",
    "push r8",
    "push r9",
    "push r10",
    "lea rdi, [rsp + 64]",
    "call {decide}",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rcx",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "pop rax",
    ret!(),
    ".size livepatch_decide, . - livepatch_decide",
    ".popsection",
    ".pushsection .discard.func_stack_frame_non_standard, \"aw\", @progbits",
    ".quad livepatch_trampolines",
    ".quad livepatch_decide",
    ".popsection",
    size = const trampolines::SIZE,
    count = const trampolines::COUNT,
    decide = sym decide_where,
);

/// Where in a trampoline the call is.
pub(in crate::sys) const DECISION: usize = 8;

/// Where the trampolines are. The compiler does not know: it would use addresses in the middle of
/// them, where there is no landing pad.
#[inline(always)]
pub(in crate::sys) fn trampolines() -> usize {
    let start;
    // SAFETY: It computes an address.
    unsafe {
        asm!(
            "lea {}, [rip + livepatch_before_trampolines]",
            out(reg) start,
            options(pure, nomem, nostack, preserves_flags)
        )
    };
    start
}

/// Decides where a call goes that has come to a trampoline.
///
/// # Safety
///
/// `place` must be the place on the stack of an address in a trampoline of a function. It becomes
/// where the call goes on.
unsafe extern "C" fn decide_where(place: *mut usize) {
    // SAFETY: By contract. They are not torn, and come in this order, for who looks at the stack.
    unsafe {
        let Some(slot) = trampolines::slot_at(place.read_volatile()) else {
            return;
        };
        place.write_volatile(slot.original());
        compiler_fence(Ordering::SeqCst);
        place.write_volatile(slot.target());
    }
}

/// How a trampoline jumps: its code is changed.
pub(in crate::sys) struct Jump;

impl Jump {
    /// As the trampoline is.
    pub(in crate::sys) const fn new() -> Jump {
        Jump
    }

    /// Has the trampoline go on at `target`.
    ///
    /// # Safety
    ///
    /// It must be the trampoline that this belongs to, and `target` an address in it, or one at which
    /// calls of its function can go on.
    pub(in crate::sys) unsafe fn lead(&self, trampoline: Address, target: Address) {
        // SAFETY: It begins like the trampoline of a static call, and the caller vouches for the
        // rest.
        unsafe {
            bindings::arch_static_call_transform(
                ptr::null_mut(),
                trampoline.0 as *mut c_void,
                target.0 as *mut c_void,
                false,
            );
        }
    }
}

/// For a stopped processor that waits for another one, again and again.
pub(in crate::sys) fn wait_a_moment() {
    spin_loop();
}

/// The number of the processor that this runs on. It is looked up without a call: the handler of
/// ftrace may not make any.
pub(in crate::sys) fn processor() -> usize {
    let number: u32;
    // SAFETY: It reads a variable of this processor that the kernel exports.
    unsafe {
        asm!(
            "mov {:e}, dword ptr gs:[rip + cpu_number]",
            out(reg) number,
            options(nostack, readonly, preserves_flags)
        )
    };
    number as usize
}

/// The task that runs this.
#[inline(always)]
pub(in crate::sys) fn current() -> *mut bindings::task_struct {
    let task: *mut bindings::task_struct;
    // SAFETY: It reads a variable of this processor that the kernel exports. While a task runs, it
    // does not change for it.
    unsafe {
        asm!(
            "mov {}, qword ptr gs:[rip + current_task]",
            out(reg) task,
            options(nostack, readonly, preserves_flags)
        )
    };
    task
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
    unsafe { (&raw const (*task).thread.sp).read_volatile() }
}

/// They are not.
pub(in crate::sys) const CHAIN: Option<super::Chain> = None;

/// Whether one instruction compares memory with memory, as fast as others do a word.
pub(in crate::sys) const COMPARES_MEMORY: bool = false;

/// Reads a word of any stack: the compiler's checks for bytes between variables are left out.
///
/// # Safety
///
/// `at` must be the aligned address of a word that can be read.
pub(crate) unsafe fn stack_word(at: usize) -> usize {
    let word;
    // SAFETY: By contract; nothing else is touched.
    unsafe {
        asm!(
            "mov {}, [{}]",
            out(reg) word,
            in(reg) at,
            options(nostack, readonly, preserves_flags)
        )
    };
    word
}

super::stub!(text_poke_copy);

extern "C" {
    #[link_name = "livepatch_stub_text_poke_copy"]
    fn text_poke_copy(address: *mut c_void, bytes: *const c_void, len: usize) -> *mut c_void;
    #[link_name = "livepatch_slot_text_poke_copy"]
    static TEXT_POKE_COPY: AtomicUsize;
}

/// The functions of the kernel that only this architecture needs.
pub(in crate::sys) static SYMBOLS: &[Symbol] = &[Symbol {
    name: c"text_poke_copy",
    option: "CONFIG_MODULES",
    // SAFETY: `arch::stub!` defines the slot as an aligned word of writable data.
    slot: unsafe { &TEXT_POKE_COPY },
    hooked: false,
}];

/// Whether there is something else than zeroes, which `apply_relocate_add()` here refuses to write
/// over.
///
/// # Safety
///
/// `width` bytes from `at` on must be memory of a loaded module.
pub(crate) unsafe fn is_occupied(at: Address, width: u8) -> bool {
    (0..usize::from(width)).any(|offset| {
        // SAFETY: By contract. Others may write there.
        unsafe { (at.offset(offset).0 as *const u8).read_volatile() != 0 }
    })
}

/// Takes back what a relocation wrote, as `apply_relocate_add()` here refuses to write over
/// anything but zeroes.
///
/// # Safety
///
/// `width` bytes from `at` on must be memory of a loaded module, and nobody may run or read them.
pub(crate) unsafe fn clear_relocation(at: Address, width: u8) {
    let zeroes = [0u8; 8];
    let width = usize::from(width).min(zeroes.len());
    // SAFETY: By contract; the source is as long as `width` says.
    unsafe { text_poke_copy(at.0 as *mut c_void, zeroes.as_ptr().cast(), width) };
}

/// None: the functions of a module call ftrace themselves.
pub(in crate::sys) fn module_trampolines(_module: &Module<'_>) -> (Address, usize) {
    (Address(0), 0)
}

/// What has to be kept of `mod->arch` for later relocations: nothing.
#[derive(Default)]
pub(crate) struct Kept;

impl Kept {
    /// Keeps nothing.
    pub(crate) fn new(_module: &Module<'_>) -> Result<Kept> {
        Ok(Kept)
    }

    /// What there is without anything kept.
    pub(crate) fn none() -> Kept {
        Kept
    }

    /// Runs `apply` with a module in which what was kept is in its place.
    ///
    /// # Errors
    ///
    /// None.
    pub(crate) fn with<R>(
        &mut self,
        module: &Module<'_>,
        apply: impl FnOnce(*mut bindings::module) -> R,
    ) -> Result<R> {
        Ok(apply(module.as_ptr()))
    }

    /// There are no entries to be written anew.
    pub(crate) fn forget_slots(&mut self, _symbol: SymbolIndex) {}

    /// Whether there is an entry for each of `count` symbols: none is needed.
    pub(crate) fn covers(&self, _count: u32) -> bool {
        true
    }
}
