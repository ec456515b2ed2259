// SPDX-License-Identifier: GPL-2.0

//! Tasks and their stacks.

use super::stop::Stopped;
use super::watch::{Reason, Scope, Watch};
use super::{arch, bindings, symbols, Address};
use core::marker::PhantomData;
use core::mem::offset_of;
use core::sync::atomic::{fence, AtomicI32, AtomicUsize, Ordering};
use kernel::container_of;
use kernel::prelude::*;
use kernel::sync::rcu;

/// The size of a word of a stack, and of as many as are looked at together.
const WORD: usize = size_of::<usize>();
const GROUP: usize = 4 * WORD;

/// Up to where the stack of a task that has a user mode is looked at, in bytes: above are the
/// registers of that mode, in which the program may have any number. Rounded up to whole groups.
const USER_REGS: usize = bindings::LP_USER_REGS.next_multiple_of(GROUP);
const _: () = assert!(USER_REGS <= bindings::LP_THREAD_SIZE);

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

/// What of a task tells how often it has left a processor, and when it was started: its `nvcsw`,
/// `nivcsw`, `start_time` and `start_boottime`.
type Times = [u64; 4];

/// Where each of them is in a task.
const TIMES: [usize; 4] = [
    offset_of!(bindings::task_struct, nvcsw),
    offset_of!(bindings::task_struct, nivcsw),
    offset_of!(bindings::task_struct, start_time),
    offset_of!(bindings::task_struct, start_boottime),
];

/// Whether they are compared at once, in memory: where they are in this order, and the processor
/// has an instruction for that.
const AT_ONCE: bool = arch::COMPARES_MEMORY
    && TIMES[1] == TIMES[0] + 8
    && TIMES[2] == TIMES[0] + 16
    && TIMES[3] == TIMES[0] + 24;

/// Tells apart the times at which a task ran. A task that does not run and has the same mark as
/// before has not run in between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// Where the task's link in the list of threads is; another one may be there later.
    link: usize,
    times: Times,
}

/// Word by word: what compares arrays is a call on x86_64.
impl PartialEq for Mark {
    fn eq(&self, other: &Mark) -> bool {
        let [voluntary, involuntary, ..] = self.times;
        let [other_voluntary, other_involuntary, ..] = other.times;
        self.is_of_same_task(other)
            && voluntary == other_voluntary
            && involuntary == other_involuntary
    }
}

impl Mark {
    /// One of the same task, which is never equal to one that the task has.
    pub(crate) fn of_no_time(self) -> Mark {
        let [_, involuntary, monotonic, boot] = self.times;
        Mark {
            times: [u64::MAX, involuntary, monotonic, boot],
            ..self
        }
    }

    /// When the task was started, by the clock that also counts while the system sleeps.
    pub(crate) fn started(&self) -> u64 {
        let [_, _, _, boot] = self.times;
        boot
    }

    /// Whether it is, or was, one of the same task.
    pub(crate) fn is_of_same_task(&self, other: &Mark) -> bool {
        let [_, _, monotonic, boot] = self.times;
        let [_, _, other_monotonic, other_boot] = other.times;
        self.link == other.link && monotonic == other_monotonic && boot == other_boot
    }
}

/// From where on a stack is looked at.
#[derive(Clone, Copy)]
enum Start {
    /// From the stack pointer of a task that does not run.
    Pointer(usize),
    /// From an address that is below everything that counts.
    Below(usize),
}

/// A stack that is kept.
///
/// # Invariants
///
/// It counts among the references to the task's stack, which is not freed before all are given back.
struct HeldStack<'a>(&'a Task<'a>);

impl HeldStack<'_> {
    /// The first thing that `find` makes of one of the words from `from` on that the task may return
    /// to; `None` where they do not tell where it will.
    #[inline(always)]
    fn find_word<R>(
        &self,
        from: Start,
        mut find: impl FnMut(usize) -> Option<R>,
    ) -> Option<Option<R>> {
        let task = self.0;
        if task.hides_returns() {
            return None;
        }
        // SAFETY: The task lives for `'_`. Where its stack is does not change while that is held.
        let bottom = unsafe { (&raw const (*task.task).stack).read_volatile() as usize };
        let size = match task.is_of_kernel() {
            true => bindings::LP_THREAD_SIZE,
            false => USER_REGS,
        };
        let end = bottom.checked_add(size)?;
        let (Start::Pointer(start) | Start::Below(start)) = from;
        if bottom == 0 || start < bottom || start >= end || start % WORD != 0 {
            return None;
        }
        let word = |at| {
            // SAFETY: It is a multiple of a word, as `start` and all steps are, and lies from `bottom`
            // on and below `end`: within the task's stack, which stays mapped while it is held, as
            // `size` is at most the stack's. What is read of a frame that starts at `last` or before
            // is below `last + chain.size`, and that is at most `end`.
            // Where the task runs and writes there, the word is any number: it is read once, by an
            // instruction, and not by what the compiler makes of it.
            unsafe { arch::stack_word(at) }
        };
        if let (Some(chain), Start::Pointer(_)) = (arch::CHAIN, from) {
            // The outermost one is right below the registers of user mode, also where there is none.
            let last = bottom + bindings::LP_USER_REGS - chain.size;
            let mut frame = start;
            while frame <= last {
                let address = word(frame + chain.return_address);
                if chain.is_detour(address) {
                    break;
                }
                if let Some(found) = find(address) {
                    return Some(Some(found));
                }
                let next = word(frame + chain.next);
                if next == 0 && frame == last {
                    return Some(None);
                }
                if next <= frame || next % WORD != 0 {
                    break;
                }
                frame = next;
            }
            // It was interrupted, or returns through a tracer: not all of its callers are in the chain.
            // All words are looked at.
        }
        // The end is aligned to a few words, which are looked at together then.
        let mut at = start;
        while at < end && at % GROUP != 0 {
            if let Some(found) = find(word(at)) {
                return Some(Some(found));
            }
            at = at.wrapping_add(WORD);
        }
        while at < end {
            for index in 0..GROUP / WORD {
                if let Some(found) = find(word(at.wrapping_add(index * WORD))) {
                    return Some(Some(found));
                }
            }
            at = at.wrapping_add(GROUP);
        }
        Some(None)
    }
}

impl Drop for HeldStack<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant the reference is counted, and it is given back here only.
        // The task lives for as long as the borrow of it.
        unsafe { symbols::put_task_stack(self.0.task) };
    }
}

/// What a look at a task's stack has told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is not in what is watched, and will not return to it.
    Free,
    /// It is, or may be.
    InTheWay(Reason),
    /// It runs on a processor, so that its stack could not be looked at.
    Running,
}

/// How far a look goes.
pub(crate) enum Depth<'a> {
    /// A word on the stack that looks like an address in what is watched puts the task in the way.
    Words,
    /// If there is such a word, the stack is unwound, which tells.
    Frames(&'a mut StackBuffer),
}

/// A task, for as long as it cannot go away.
///
/// # Invariants
///
/// `task` is not freed during `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    task: *mut bindings::task_struct,
    _lifetime: PhantomData<&'a ()>,
}

/// A task whose stack can be unwound: it does not run and will not for as long as this lives, or it
/// is the one that looks.
///
/// # Invariants
///
/// The task is the current one, or is on no processor and gets to none. Its stack from `from` on is
/// all that the task, or the callers of the look, will return to, and does not change.
struct Still<'a> {
    task: &'a Task<'a>,
    from: Start,
    held: HeldStack<'a>,
}

impl<'a> Still<'a> {
    /// # Safety
    ///
    /// The task must be on no processor and get to none for as long as the result lives, with
    /// `from` its stack pointer; or it must be the current one, with `from` an address below
    /// everything that the callers of the caller have on the stack.
    unsafe fn new(task: &'a Task<'a>, from: Start) -> Option<Self> {
        // INVARIANT: The caller says that the task does not run, or that it is the current one and
        // looks from below its callers. Of one that does not run, `from` is its stack pointer.
        task.hold_stack().map(|held| Still { task, from, held })
    }

    /// The return addresses on its stack, the innermost first.
    ///
    /// # Errors
    ///
    /// `EINVAL` and others where the stack cannot be told with certainty.
    fn frames<'b>(&self, buffer: &'b mut StackBuffer) -> Result<&'b [c_ulong]> {
        // SAFETY: The task lives for `'_`. By the invariant it is the current one or stays inactive,
        // which the unwinder leaves to its caller; it takes a reference on the stack itself. The
        // buffer is `STACK_ENTRIES` long, is ours alone, and no more than that is written.
        let count = unsafe {
            symbols::stack_trace_save_tsk_reliable(
                self.task.task,
                buffer.0.as_mut_ptr(),
                STACK_ENTRIES as c_uint,
            )
        };
        let count = usize::try_from(count).map_err(|_| EINVAL)?;
        buffer.0.get(..count).ok_or(EINVAL)
    }

    /// Why it is in the way, if it is.
    fn look(&self, watch: &Watch, depth: &mut Depth<'_>) -> Look {
        // Most stacks hold no such word, which is told sooner than frame by frame, and also where
        // frames cannot be told with certainty.
        let scope = self.task.scope(watch);
        let found = self
            .held
            .find_word(self.from, |word| watch.reason(scope, word));
        let first = match found {
            Some(None) => return Look::Free,
            Some(Some(reason)) => reason,
            None => Reason::UnreliableStack,
        };
        let Depth::Frames(buffer) = depth else {
            return Look::InTheWay(first);
        };
        match self.frames(buffer) {
            Ok(frames) => frames
                .iter()
                .find_map(|&address| watch.reason(scope, address))
                .map_or(Look::Free, Look::InTheWay),
            Err(_) => Look::InTheWay(Reason::UnreliableStack),
        }
    }
}

impl<'a> Task<'a> {
    /// The stopper of the processor that this runs on.
    pub(crate) fn current(_stopped: &'a Stopped<'_>) -> Self {
        // SAFETY: It runs this, and goes on until processors are stopped no more, which they are for
        // `'a`.
        unsafe { Task::from_raw(arch::current()) }
    }
}

impl Task<'_> {
    /// # Safety
    ///
    /// `task` must be a task that is not freed during the lifetime of the result.
    pub(super) unsafe fn from_raw(task: *mut bindings::task_struct) -> Self {
        // INVARIANT: The caller says so.
        Task {
            task,
            _lifetime: PhantomData,
        }
    }

    /// Where it is.
    pub(super) fn as_ptr(&self) -> *mut bindings::task_struct {
        self.task
    }

    /// Who it is.
    pub(crate) fn identity(&self) -> Identity {
        // SAFETY: The task lives for `'_`. Its number stays. Its name may be changed meanwhile: it is
        // read once, and a torn one is still sixteen bytes.
        let (pid, comm) = unsafe {
            (
                (*self.task).pid,
                (&raw const (*self.task).comm).read_volatile(),
            )
        };
        Identity { pid, comm }
    }

    /// Whether it is a thread of the kernel, which never leaves for user mode.
    pub(super) fn is_of_kernel(&self) -> bool {
        // SAFETY: The task lives for `'_`; the flag is set before it is known to others.
        unsafe { (&raw const (*self.task).flags).read_volatile() & bindings::PF_KTHREAD != 0 }
    }

    /// Whether it is running on a processor right now.
    fn is_on_cpu(&self) -> bool {
        // SAFETY: The task lives for `'_`.
        unsafe { (&raw const (*self.task).on_cpu).read_volatile() != 0 }
    }

    /// What of a watch counts for it.
    fn scope(&self, watch: &Watch) -> Scope {
        if !self.is_of_kernel() {
            return Scope::All;
        }
        // SAFETY: The task lives for `'_`; it is looked at only.
        let function = unsafe { bindings::kthread_func(self.task) } as usize;
        match watch.is_in_text(Address(function)) {
            true => Scope::Functions,
            false => Scope::All,
        }
    }

    /// Whether it is the one that runs this.
    pub(super) fn is_current(&self) -> bool {
        self.task == arch::current()
    }

    /// Whether it is the idle task of a processor, which is none of those that are listed.
    pub(crate) fn is_idle(&self) -> bool {
        // SAFETY: The task lives for `'_`; the flag is set before it is known to others.
        unsafe { (&raw const (*self.task).flags).read_volatile() & bindings::PF_IDLE != 0 }
    }

    /// Looks at its stack while it cannot run.
    pub(crate) fn look(&self, _stopped: &Stopped<'_>, watch: &Watch, mut depth: Depth<'_>) -> Look {
        if self.is_on_cpu() {
            // An idle task is not the one that runs on a processor that is stopped. That of one that
            // is offline will begin anew.
            return match self.is_idle() {
                true => Look::Free,
                false => Look::Running,
            };
        }
        // SAFETY: The task is on no processor, and all of them are stopped.
        match unsafe { Still::new(self, Start::Pointer(arch::stack_pointer(self.task))) } {
            Some(still) => still.look(watch, &mut depth),
            // It has ended, and will not run any more.
            None => Look::Free,
        }
    }

    /// Looks at its stack while others run. `then` gets what was seen, and the mark of the task;
    /// until it returns, which it must do without sleeping, a task that does not run is kept from
    /// running. What was seen of one that does not run holds for as long as it has that mark.
    pub(crate) fn look_meanwhile<F>(&self, watch: &Watch, buffer: &mut StackBuffer, then: F)
    where
        F: FnOnce(Look, Mark),
    {
        struct Arguments<'a, F> {
            task: &'a Task<'a>,
            watch: &'a Watch,
            buffer: &'a mut StackBuffer,
            then: Option<F>,
        }

        /// # Safety
        ///
        /// Only for `task_call_func()`, with `data` that points to an `Arguments<F>` whose task it
        /// was called for.
        unsafe extern "C" fn look<F>(_task: *mut bindings::task_struct, data: *mut c_void) -> c_int
        where
            F: FnOnce(Look, Mark),
        {
            // SAFETY: The caller passes what points to an `Arguments<F>`, which only this function
            // uses while `task_call_func()` runs.
            let arguments = unsafe { &mut *data.cast::<Arguments<'_, F>>() };
            let task = arguments.task;
            let seen = if task.is_on_cpu() {
                Look::Running
            } else {
                // SAFETY: The task is on no processor. `task_call_func()` keeps it from getting to
                // one until this returns.
                match unsafe { Still::new(task, Start::Pointer(arch::stack_pointer(task.task))) } {
                    Some(still) => {
                        still.look(arguments.watch, &mut Depth::Frames(arguments.buffer))
                    }
                    None => Look::Free,
                }
            };
            if let Some(then) = arguments.then.take() {
                then(seen, task.mark());
            }
            0
        }

        let mut arguments = Arguments {
            task: self,
            watch,
            buffer,
            then: Some(then),
        };
        // SAFETY: The task lives for `'_`. The function gets a pointer to the arguments, which
        // outlive this call, and is called once.
        unsafe { symbols::task_call_func(self.task, Some(look::<F>), (&raw mut arguments).cast()) };
    }

    /// Looks at the stack of the task that runs this, as far as the callers of this function go.
    #[inline(never)]
    pub(crate) fn look_at_current(watch: &Watch, mut depth: Depth<'_>) -> Look {
        let here = 0usize;
        // SAFETY: The current task does not end while it runs this.
        let task = unsafe { Task::from_raw(arch::current()) };
        // SAFETY: It is the current task. What its callers have on the stack is above a variable of
        // this function.
        let look = match unsafe { Still::new(&task, Start::Below((&raw const here) as usize)) } {
            Some(still) => still.look(watch, &mut depth),
            None => Look::InTheWay(Reason::UnreliableStack),
        };
        look
    }

    /// Looks for words of its stack that are in what is watched, while others run. Where there is
    /// none that holds for as long as the task has the mark that is returned. `None` where there is
    /// one, or it cannot be told.
    pub(crate) fn mark_if_free_of(&self, watch: &Watch) -> Option<Mark> {
        // A task that leaves a processor has counted that before, and on its way to another one is
        // on it before it runs: with neither seen, it did not run from the first look to the last.
        let before = self.mark();
        if self.is_on_cpu() {
            return None;
        }
        fence(Ordering::Acquire);
        let held = self.hold_stack()?;
        let scope = self.scope(watch);
        // SAFETY: The task lives for `'_`. Of one that runs it is any number.
        let pointer = Start::Pointer(unsafe { arch::stack_pointer(self.task) });
        let found = held.find_word(pointer, |word| watch.reason(scope, word));
        let is_free = found == Some(None);
        fence(Ordering::Acquire);
        let at_rest = !self.is_on_cpu() && self.mark() == before;
        (is_free && at_rest).then_some(before)
    }

    /// What tells whether the task has run since.
    pub(crate) fn mark(&self) -> Mark {
        // SAFETY: The task lives for `'_`. The numbers are counted by the scheduler meanwhile.
        let times = unsafe {
            [
                (&raw const (*self.task).nvcsw).read_volatile() as u64,
                (&raw const (*self.task).nivcsw).read_volatile() as u64,
                (&raw const (*self.task).start_time).read_volatile(),
                (&raw const (*self.task).start_boottime).read_volatile(),
            ]
        };
        Mark {
            link: self.link(),
            times,
        }
    }

    /// Whether that is its mark.
    #[inline(always)]
    pub(crate) fn has_mark(&self, _stopped: &Stopped<'_>, mark: &Mark) -> bool {
        if self.link() != mark.link {
            return false;
        }
        if AT_ONCE {
            // SAFETY: The task lives for `'_`, and the four are one behind the other. All processors
            // are stopped: nobody changes them.
            return unsafe { *(&raw const (*self.task).nvcsw).cast::<Times>() == mark.times };
        }
        // Both times at which a task was started are set together.
        let [voluntary, involuntary, _, boot] = mark.times;
        // SAFETY: The task lives for `'_`. All processors are stopped: nobody changes them.
        unsafe {
            (*self.task).nvcsw as u64 == voluntary
                && (*self.task).nivcsw as u64 == involuntary
                && (*self.task).start_boottime == boot
        }
    }

    /// Where its link in the list of threads is.
    #[inline(always)]
    fn link(&self) -> usize {
        // SAFETY: The task lives for `'_`.
        unsafe { &raw const (*self.task).thread_node as usize }
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
            // INVARIANT: It was just counted, and there were others, so that the stack is there.
            .map(|_| HeldStack(self))
    }

    /// Whether a tracer has replaced addresses that the task returns to by its own.
    fn hides_returns(&self) -> bool {
        let mut hidden = false;
        #[cfg(CONFIG_FUNCTION_GRAPH_TRACER)]
        {
            // SAFETY: The task lives for `'_`. Where it runs, it and the tracer write these
            // meanwhile: each is read once. Nothing that they point to is looked at.
            hidden |= unsafe {
                !(&raw const (*self.task).ret_stack)
                    .read_volatile()
                    .is_null()
                    && (&raw const (*self.task).curr_ret_stack).read_volatile() > 0
            };
        }
        #[cfg(all(CONFIG_KRETPROBES, not(CONFIG_KRETPROBE_ON_RETHOOK)))]
        {
            // SAFETY: The task lives for `'_`. Where it runs, it writes this meanwhile: it is read
            // once, and what it points to is not looked at.
            hidden |= unsafe {
                let first = &raw const (*self.task).kretprobe_instances.first;
                !first.read_volatile().is_null()
            };
        }
        #[cfg(CONFIG_RETHOOK)]
        {
            // SAFETY: The task lives for `'_`. Where it runs, it writes this meanwhile: it is read
            // once, and what it points to is not looked at.
            hidden |= unsafe {
                let first = &raw const (*self.task).rethooks.first;
                !first.read_volatile().is_null()
            };
        }
        hidden
    }

    /// Wakes the task so that it leaves the kernel, or runs once through its loop: a kernel
    /// thread that sleeps interruptibly is woken, any other task gets what
    /// `set_notify_signal()` sends, a signal that is not one.
    pub(super) fn notify(&self) {
        let is_of_kernel = self.is_of_kernel();
        // SAFETY: The task lives for `'_`. Its thread flags are only ever changed atomically.
        unsafe {
            if !is_of_kernel {
                let flags = &raw mut (*self.task).thread_info.flags;
                let bit = 1usize << bindings::TIF_NOTIFY_SIGNAL;
                let before = AtomicUsize::from_ptr(flags.cast()).fetch_or(bit, Ordering::SeqCst);
                if before & bit != 0 {
                    return;
                }
            }
            if symbols::wake_up_state(self.task, bindings::TASK_INTERRUPTIBLE) == 0 && !is_of_kernel
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
unsafe fn for_each_thread(mut each: impl FnMut(Task<'_>)) {
    // SAFETY: `init_task` is never freed; its `tasks` links all thread groups, whose leaders and
    // threads stay, as the caller says that no task is freed. Links are read once each, as RCU
    // wants it.
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
                // INVARIANT: The caller says so.
                each(Task {
                    task,
                    _lifetime: PhantomData,
                });
                thread = (&raw const (*thread).next).read_volatile();
            }
            process = (&raw const (*process).next).read_volatile();
        }
    }
}

/// Calls `each` for every thread. Those of them that run right now are the stoppers, which are inside
/// of `stop_machine()` and nowhere else.
#[inline(always)]
pub(crate) fn for_each(_stopped: &Stopped<'_>, each: impl FnMut(Task<'_>)) {
    // SAFETY: All processors are stopped.
    unsafe { for_each_thread(each) };
}

/// Calls `each` for the idle tasks of all processors that are online.
pub(crate) fn for_each_idle(_stopped: &Stopped<'_>, mut each: impl FnMut(Task<'_>)) {
    for cpu in 0..kernel::cpu::nr_cpu_ids() {
        // SAFETY: The mask covers all processor numbers below `nr_cpu_ids`.
        let online = unsafe {
            let word = cpu as usize / c_ulong::BITS as usize;
            let bits = &raw const bindings::__cpu_online_mask.bits;
            bits.cast::<c_ulong>().add(word).read_volatile() >> (cpu % c_ulong::BITS) & 1
        };
        if online != 0 {
            // SAFETY: An online processor has an idle task, which is never freed.
            each(unsafe { Task::from_raw(symbols::idle_task(cpu as c_int)) });
        }
    }
}

/// How many processors there may be.
pub(crate) fn processors() -> usize {
    kernel::cpu::nr_cpu_ids() as usize
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
pub(crate) fn for_each_meanwhile(mut each: impl FnMut(Task<'_>)) {
    let _guard = rcu::read_lock();
    // SAFETY: Within an RCU read-side section.
    unsafe { for_each_thread(&mut each) };
}
