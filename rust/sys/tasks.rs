// SPDX-License-Identifier: GPL-2.0

//! Tasks and their stacks.

use super::stop::Stopped;
use super::{arch, bindings, symbols};
use core::marker::PhantomData;
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::container_of;
use kernel::prelude::*;
use kernel::sync::rcu;

/// How many return addresses of a stack are looked at. The kernel's own stacks of 16 KiB have
/// fewer frames; a deeper one counts as unreliable.
pub(crate) const STACK_ENTRIES: usize = 256;

/// Room for the return addresses of one stack.
pub(crate) struct StackBuffer([c_ulong; STACK_ENTRIES]);

impl StackBuffer {
    /// An empty one. It is large: not for the stack.
    pub(crate) fn new() -> Result<KBox<StackBuffer>> {
        Ok(KBox::new(StackBuffer([0; STACK_ENTRIES]), GFP_KERNEL)?)
    }
}

/// Who a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its number in the initial namespace; 0 for the idle tasks.
    pub(crate) pid: i32,
    comm: [u8; 16],
}

impl Identity {
    /// The name of the task, up to its NUL.
    pub(crate) fn comm(&self) -> &[u8] {
        self.comm
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or_default()
    }
}

/// A task, for as long as it cannot go away.
pub(crate) struct Task<'a> {
    task: *mut bindings::task_struct,
    _lifetime: PhantomData<&'a ()>,
}

impl Task<'_> {
    /// Who it is.
    pub(crate) fn identity(&self) -> Identity {
        // SAFETY: The task lives for `'_`; a torn name is still sixteen bytes.
        let (pid, comm) = unsafe { ((*self.task).pid, (*self.task).comm) };
        Identity { pid, comm }
    }

    /// Whether it is running on a processor right now.
    fn is_on_cpu(&self) -> bool {
        // SAFETY: The task lives for `'_`.
        unsafe { (&raw const (*self.task).on_cpu).read_volatile() != 0 }
    }

    /// The return addresses on its stack, the innermost first.
    ///
    /// # Errors
    ///
    /// `EINVAL` and others where the stack cannot be told with certainty.
    pub(crate) fn stack<'b>(&self, buffer: &'b mut StackBuffer) -> Result<&'b [c_ulong]> {
        // SAFETY: The task lives for `'_`, and the buffer is as long as is said.
        let count = unsafe {
            symbols::stack_trace_save_tsk_reliable(
                self.task,
                buffer.0.as_mut_ptr(),
                STACK_ENTRIES as c_uint,
            )
        };
        let count = usize::try_from(count).map_err(|_| EINVAL)?;
        buffer.0.get(..count).ok_or(EINVAL)
    }

    /// Whether `wanted` says yes to no word of its stack; `None` where that cannot be told. It is
    /// for tasks whose stack cannot be told frame by frame, and means that the task is not in
    /// the functions whose addresses are wanted, and will not return to them: a task that does
    /// not run has its registers on its stack as well. That an address is there does not mean
    /// that it is one to return to.
    pub(crate) fn is_free_of(
        &self,
        _stopped: &Stopped<'_>,
        wanted: impl Fn(usize) -> bool,
    ) -> Option<bool> {
        if !arch::STACKS_ARE_SCANNED || self.hides_returns() || self.is_on_cpu() {
            return None;
        }
        // SAFETY: The task lives for `'_`, does not run, and cannot begin to while all
        // processors are stopped.
        let (pointer, bottom) = unsafe {
            let pointer = arch::stack_pointer(self.task);
            (pointer, (*self.task).stack as usize)
        };
        let end = bottom.checked_add(bindings::LP_THREAD_SIZE)?;
        if bottom == 0 || pointer < bottom || pointer >= end || pointer % size_of::<usize>() != 0 {
            return None;
        }
        let mut words = (pointer..end).step_by(size_of::<usize>());
        // SAFETY: They are within the task's stack, which stays as long as the task is not freed.
        Some(!words.any(|at| wanted(unsafe { arch::stack_word(at) })))
    }

    /// Whether a tracer has replaced addresses that the task returns to by its own.
    fn hides_returns(&self) -> bool {
        let mut hidden = false;
        #[cfg(CONFIG_FUNCTION_GRAPH_TRACER)]
        {
            // SAFETY: The task lives for `'_`.
            hidden |=
                unsafe { !(*self.task).ret_stack.is_null() && (*self.task).curr_ret_stack > 0 };
        }
        #[cfg(CONFIG_RETHOOK)]
        {
            // SAFETY: As above.
            hidden |= unsafe { !(*self.task).rethooks.first.is_null() };
        }
        hidden
    }

    /// Wakes the task so that it leaves the kernel, or runs once through its loop: a kernel
    /// thread that sleeps interruptibly is woken, any other task gets what
    /// `set_notify_signal()` sends, a signal that is not one.
    fn notify(&self) {
        // SAFETY: The task lives for `'_`. Its thread flags are only ever changed atomically.
        unsafe {
            if (*self.task).flags & bindings::PF_KTHREAD == 0 {
                let flags = &raw mut (*self.task).thread_info.flags;
                let bit = 1usize << bindings::TIF_NOTIFY_SIGNAL;
                let before = AtomicUsize::from_ptr(flags.cast()).fetch_or(bit, Ordering::SeqCst);
                if before & bit != 0 {
                    return;
                }
            }
            if symbols::wake_up_state(self.task, bindings::TASK_INTERRUPTIBLE) == 0
                && (*self.task).flags & bindings::PF_KTHREAD == 0
            {
                symbols::kick_process(self.task);
            }
        }
    }
}

/// Calls `each` for every thread of every process.
///
/// # Safety
///
/// No task may be freed meanwhile: within an RCU read-side section, or with all processors
/// stopped.
unsafe fn for_each_thread(mut each: impl FnMut(&Task<'_>)) {
    // SAFETY: `init_task` is never freed; its `tasks` links all thread groups, whose leaders and
    // threads stay, by contract. Links are read once each, as RCU wants it.
    unsafe {
        let first = &raw mut bindings::init_task;
        let head = &raw mut (*first).tasks;
        let mut process = (&raw const (*head).next).read_volatile();
        while process != head {
            let leader = container_of!(process, bindings::task_struct, tasks);
            let threads = &raw mut (*(*leader).signal).thread_head;
            let mut thread = (&raw const (*threads).next).read_volatile();
            while thread != threads {
                let task = container_of!(thread, bindings::task_struct, thread_node);
                each(&Task {
                    task,
                    _lifetime: PhantomData,
                });
                thread = (&raw const (*thread).next).read_volatile();
            }
            process = (&raw const (*process).next).read_volatile();
        }
    }
}

/// Calls `each` for every thread and every idle task, except for those that run right now: with
/// all processors stopped these are the stoppers, which are inside of `stop_machine()` and
/// nowhere else.
pub(crate) fn for_each(_stopped: &Stopped<'_>, mut each: impl FnMut(&Task<'_>)) {
    let mut visit = |task: &Task<'_>| {
        if !task.is_on_cpu() {
            each(task);
        }
    };
    // SAFETY: All processors are stopped.
    unsafe { for_each_thread(&mut visit) };
    for cpu in 0..kernel::cpu::nr_cpu_ids() {
        // SAFETY: The mask covers all processor numbers below `nr_cpu_ids`.
        let online = unsafe {
            let word = cpu as usize / c_ulong::BITS as usize;
            let bits = &raw const bindings::__cpu_online_mask.bits;
            bits.cast::<c_ulong>().add(word).read_volatile() >> (cpu % c_ulong::BITS) & 1
        };
        if online != 0 {
            // SAFETY: An online processor has an idle task, which is never freed.
            let task = unsafe { symbols::idle_task(cpu as c_int) };
            visit(&Task {
                task,
                _lifetime: PhantomData,
            });
        }
    }
}

/// Wakes every task that `wanted` says yes to.
pub(crate) fn notify(wanted: impl Fn(&Identity) -> bool) {
    let _guard = rcu::read_lock();
    // SAFETY: Within an RCU read-side section.
    unsafe {
        for_each_thread(|task| {
            if wanted(&task.identity()) {
                task.notify();
            }
        })
    };
}
