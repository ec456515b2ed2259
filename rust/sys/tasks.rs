// SPDX-License-Identifier: GPL-2.0

//! Tasks and their stacks.

use super::stop::Stopped;
use super::{arch, bindings, symbols};
use core::marker::PhantomData;
use core::sync::atomic::{fence, AtomicI32, AtomicUsize, Ordering};
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

/// Tells apart the times at which a task ran. A task that does not run and has the same mark as
/// before has not run in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Where the task is; another one may be there later.
    task: usize,
    /// When it was started, in nanoseconds.
    started: u64,
    /// How often it has left a processor.
    switches: c_ulong,
}

impl Mark {
    /// One of the same task, which is never equal to one that the task has.
    pub(crate) fn of_no_time(self) -> Mark {
        Mark {
            switches: c_ulong::MAX,
            ..self
        }
    }

    /// Whether it is, or was, one of the same task.
    pub(crate) fn is_of_same_task(&self, other: &Mark) -> bool {
        (self.task, self.started) == (other.task, other.started)
    }
}

/// A stack that is kept.
struct HeldStack<'a>(&'a Task<'a>);

impl Drop for HeldStack<'_> {
    fn drop(&mut self) {
        // SAFETY: It was taken by `Task::hold_stack`, and the task is still there.
        unsafe { symbols::put_task_stack(self.0.task) };
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

    /// Whether `wanted` says yes to no word of its stack; `None` where that cannot be told. Where
    /// it is so, the task is not in the functions whose addresses are wanted, and will not return
    /// to them: a task that does not run has its registers on its stack as well. That an address
    /// is there does not mean that it is one to return to.
    pub(crate) fn is_free_of(
        &self,
        _stopped: &Stopped<'_>,
        wanted: impl Fn(usize) -> bool,
    ) -> Option<bool> {
        if self.is_on_cpu() {
            return None;
        }
        // SAFETY: The task lives for `'_` and so does its stack, if it has one: while all
        // processors are stopped, none is freed.
        unsafe { self.scan(wanted) }
    }

    /// What [`is_free_of`](Self::is_free_of) tells, while processors are running: it is so for as
    /// long as the task has the mark that is returned. `None` where it is not so, or cannot be
    /// told.
    pub(crate) fn mark_if_free_of(&self, wanted: impl Fn(usize) -> bool) -> Option<Mark> {
        // A task that leaves a processor has counted that before, and on its way to another one is
        // on it before it runs: with neither seen, it did not run from the first look to the last.
        let before = self.mark();
        if self.is_on_cpu() {
            return None;
        }
        fence(Ordering::Acquire);
        let _held = self.hold_stack()?;
        // SAFETY: The task lives for `'_`, and its stack is held.
        let is_free = unsafe { self.scan(wanted) };
        fence(Ordering::Acquire);
        let at_rest = !self.is_on_cpu() && self.mark() == before;
        (is_free == Some(true) && at_rest).then_some(before)
    }

    /// What tells whether the task has run since.
    pub(crate) fn mark(&self) -> Mark {
        // SAFETY: The task lives for `'_`. The numbers are counted by the scheduler meanwhile.
        let (voluntary, involuntary, started) = unsafe {
            (
                (&raw const (*self.task).nvcsw).read_volatile(),
                (&raw const (*self.task).nivcsw).read_volatile(),
                (&raw const (*self.task).start_boottime).read_volatile(),
            )
        };
        Mark {
            task: self.task as usize,
            started,
            switches: voluntary.wrapping_add(involuntary),
        }
    }

    /// # Safety
    ///
    /// If the task has a stack, it must stay.
    unsafe fn scan(&self, wanted: impl Fn(usize) -> bool) -> Option<bool> {
        if self.hides_returns() {
            return None;
        }
        // SAFETY: The task lives for `'_`.
        let (pointer, bottom) = unsafe {
            let pointer = arch::stack_pointer(self.task);
            (
                pointer,
                (&raw const (*self.task).stack).read_volatile() as usize,
            )
        };
        let end = bottom.checked_add(bindings::LP_THREAD_SIZE)?;
        if bottom == 0 || pointer < bottom || pointer >= end || pointer % size_of::<usize>() != 0 {
            return None;
        }
        let mut words = (pointer..end).step_by(size_of::<usize>());
        // SAFETY: They are within the task's stack, which stays by contract.
        Some(!words.any(|at| wanted(unsafe { arch::stack_word(at) })))
    }

    /// The kernel's `try_get_task_stack()`: keeps the stack of a task that may be exiting.
    fn hold_stack(&self) -> Option<HeldStack<'_>> {
        // SAFETY: The task lives for `'_`. The counter is only ever changed atomically.
        let count = unsafe {
            let count = &raw mut (*self.task).stack_refcount.refs.counter;
            AtomicI32::from_ptr(count)
        };
        count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count > 0).then(|| count.checked_add(1)).flatten()
            })
            .ok()
            .map(|_| HeldStack(self))
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
        #[cfg(all(CONFIG_KRETPROBES, not(CONFIG_KRETPROBE_ON_RETHOOK)))]
        {
            // SAFETY: As above.
            hidden |= unsafe { !(*self.task).kretprobe_instances.first.is_null() };
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
#[inline(always)]
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

/// Calls `each` for every thread that `vouched` does not say yes to and every idle task, except for
/// those that run right now: with all processors stopped these are the stoppers, which are
/// inside of `stop_machine()` and nowhere else.
pub(crate) fn for_each(
    _stopped: &Stopped<'_>,
    mut vouched: impl FnMut(&Task<'_>) -> bool,
    mut each: impl FnMut(&Task<'_>),
) {
    let mut visit = |task: &Task<'_>| {
        if !task.is_on_cpu() {
            each(task);
        }
    };
    // SAFETY: All processors are stopped.
    unsafe {
        for_each_thread(|task| {
            if !vouched(task) {
                visit(task);
            }
        })
    };
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

/// How many threads there are right now.
pub(crate) fn count() -> usize {
    let _guard = rcu::read_lock();
    let mut count: usize = 0;
    // SAFETY: Within an RCU read-side section.
    unsafe { for_each_thread(|_| count += 1) };
    count
}

/// Calls `each`, which must not sleep, for every thread, while others run and come and go. It is
/// the order of [`for_each`].
pub(crate) fn for_each_meanwhile(mut each: impl FnMut(&Task<'_>)) {
    let _guard = rcu::read_lock();
    // SAFETY: Within an RCU read-side section.
    unsafe { for_each_thread(&mut each) };
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
