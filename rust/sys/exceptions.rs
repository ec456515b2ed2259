// SPDX-License-Identifier: GPL-2.0

//! Tasks that a switch left behind: calls that they make go where they went before, until they
//! have left what was changed.
//!
//! Each call of a function that is patched, or about to be, asks whether the current task is one of
//! them: in a trampoline, or in a handler of ftrace. So they stand
//! in a table that is filled while all processors are stopped and has one word for each task: the
//! task's address, and a bit that is set, once, when it has left. Nothing is written into a task: a
//! process that one of them makes is none of them, and a task that ends is kept by a reference.
//!
//! A task of user space is asked to look at its own stack on its way to user mode, by task work.
//! That is run in other places, too (in waits of io_uring, in the loop of a worker that never goes
//! to user mode), so that the task leaves only if the look says so. All others are looked at from
//! outside.

use super::loader::wait_for_returns;
use super::stop::stop_machine;
use super::tasks::{Depth, Identity, Look, StackBuffer, Task};
use super::watch::{Reason, Watch};
use super::{arch, bindings, switch, symbols, work};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use kernel::container_of;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::{Arc, Completion, Mutex, UniqueArc};
use kernel::task::Task as HeldTask;
use kernel::time::{delay::fsleep, Delta};
use kernel::workqueue::{Work, WorkItem};
use kernel::{impl_has_work, new_mutex, new_work};

/// In a bucket: the task has left. Tasks are aligned to more than that.
const LEFT: usize = 1;

/// Tasks that are exceptions, or have been.
///
/// # Invariants
///
/// - The buckets are a power of two and at least four times as many as entries fit. Each entry's task is
///   in one bucket, found by going on from where its hash says; an empty bucket ends the search.
/// - `entries` is not changed any more once the set is shared, and its items stay where they are.
/// - `works` is the number of task works that are queued or run, and 1 until the set is disposed of.
#[pin_data]
struct Set {
    buckets: KVVec<AtomicUsize>,
    entries: KVVec<Entry>,
    /// How many have not left.
    present: AtomicUsize,
    /// What they must not be in when they leave.
    #[pin]
    watch: Mutex<Arc<Watch>>,
    works: AtomicUsize,
    #[pin]
    no_works: Completion,
    #[pin]
    disposal: Work<Set>,
}

/// One task.
struct Entry {
    task: ARef<HeldTask>,
    /// Why it is in the way, as a word.
    reason: AtomicUsize,
    /// Whether it ran when it was looked at.
    ran: AtomicBool,
    /// Whether the work is queued or runs.
    queued: AtomicBool,
    work: UnsafeCell<bindings::callback_head>,
    set: *const Set,
}

// SAFETY: `work` is used by the kernel only, which locks for itself, while `queued` says that it is
// there; `set` is a pointer to what the entry is part of; the rest may be used by all.
unsafe impl Send for Entry {}
// SAFETY: As for `Send`.
unsafe impl Sync for Entry {}

impl_has_work! {
    impl HasWork<Self> for Set { self.disposal }
}

impl Entry {
    /// The task, while it is looked at.
    fn task(&self) -> Task<'_> {
        // SAFETY: The entry has a reference on the task.
        unsafe { Task::from_raw(self.task.as_ptr().cast()) }
    }
}

impl Set {
    /// The bucket of a task, or else the empty one at which the search ended, and what is in it.
    #[inline(always)]
    fn bucket(&self, task: usize) -> Option<(&AtomicUsize, usize)> {
        let mask = self.buckets.len().wrapping_sub(1);
        // Fibonacci hashing: the upper bits are mixed well.
        let mut index = task.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & mask;
        loop {
            let bucket = self.buckets.get(index)?;
            let word = bucket.load(Acquire);
            if word & !LEFT == task || word == 0 {
                return Some((bucket, word));
            }
            index = (index + 1) & mask;
        }
    }

    /// Whether a task is an exception. Calls ask: most tasks are none, which the first bucket tells.
    #[inline(always)]
    fn holds(&self, task: usize) -> bool {
        self.bucket(task).is_some_and(|(_, word)| word == task)
    }

    /// A task is none any more. It must not run at that moment, or be the current one.
    fn leave(&self, entry: &Entry) {
        let task = entry.task.as_ptr() as usize;
        if let Some((bucket, _)) = self.bucket(task) {
            if bucket.fetch_or(LEFT, AcqRel) == task {
                self.present.fetch_sub(1, Release);
            }
        }
    }

    /// Those that have not left.
    fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(|entry| self.holds(entry.task.as_ptr() as usize))
    }

    /// What a look at a task says.
    fn heard(&self, entry: &Entry, look: Look) {
        match look {
            Look::Free => self.leave(entry),
            Look::InTheWay(reason) => entry.reason.store(reason.to_word(), Relaxed),
            Look::Running => {}
        }
    }

    /// The current task looks at its own stack, in task work.
    fn look_at_current(&self, entry: &Entry) {
        let watch = self.watch.lock().clone();
        let mut look = Task::look_at_current(&watch, Depth::Words);
        if look != Look::Free {
            // Where there is no memory it is asked again later.
            if let Ok(mut buffer) = StackBuffer::new() {
                look = Task::look_at_current(&watch, Depth::Frames(&mut buffer));
            }
        }
        self.heard(entry, look);
    }

    /// One of `works` is over. Nothing of the set may be used after that.
    fn work_is_over(&self) {
        if self.works.fetch_sub(1, AcqRel) == 1 {
            self.no_works.complete_all();
        }
    }
}

impl WorkItem for Set {
    type Pointer = Arc<Set>;

    /// Ends what was asked of the tasks, and waits until nobody asks for them.
    fn run(this: Arc<Set>) {
        for entry in this.entries.iter() {
            // SAFETY: The entry has a reference on the task. The work is queued or was; if it still
            // is, the kernel takes it out of the task's list under the task's lock.
            let cancelled = entry.queued.load(Acquire)
                && unsafe {
                    symbols::task_work_cancel(entry.task.as_ptr().cast(), entry.work.get())
                };
            if cancelled {
                this.work_is_over();
            }
        }
        this.work_is_over();
        // A task that exits may have to close files before. However long that takes, this is no task
        // that hangs.
        while this.works.load(Acquire) != 0 {
            fsleep(Delta::from_millis(10));
        }
        this.no_works.wait_for_completion();
        // Who runs the end of a work, or asks in a handler, is in this module's code.
        wait_for_returns();
        DISPOSALS.fetch_sub(1, Release);
    }
}

/// How many sets are being disposed of, or are going to be.
static DISPOSALS: AtomicUsize = AtomicUsize::new(0);

/// Sets can be made for as long as it lives.
pub(crate) struct Started(());

impl Started {
    /// There are none.
    pub(crate) fn new() -> Self {
        Started(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // As in `Set::run()`.
        while DISPOSALS.load(Acquire) != 0 {
            fsleep(Delta::from_millis(10));
        }
    }
}

/// Room for exceptions that are to be, while a switch is prepared.
pub(crate) struct Room(Pin<UniqueArc<Set>>);

impl Room {
    /// Room for at least `count` tasks, which leave when they are in nothing of `watch`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new(count: usize, watch: Arc<Watch>) -> Result<Room> {
        let buckets = count
            .max(1)
            .checked_mul(4)
            .and_then(usize::checked_next_power_of_two)
            .ok_or(ENOMEM)?;
        let mut table = KVVec::with_capacity(buckets, GFP_KERNEL)?;
        for _ in 0..buckets {
            table
                .push_within_capacity(AtomicUsize::new(0))
                .map_err(|_| ENOMEM)?;
        }
        let entries = KVVec::with_capacity(count, GFP_KERNEL)?;
        // INVARIANT: All buckets are empty, and there are no entries.
        let set = UniqueArc::pin_init(
            pin_init!(Set {
                buckets: table,
                entries,
                present: AtomicUsize::new(0),
                watch <- new_mutex!(watch, "livepatch::exceptions"),
                works: AtomicUsize::new(1),
                no_works <- Completion::new(),
                disposal <- new_work!("livepatch::exceptions"),
            }),
            GFP_KERNEL,
        )?;
        Ok(Room(set))
    }

    /// Puts a task into it, if it is not there. Returns whether there was room. Does not sleep or
    /// allocate. A task is an exception from the switch on, wherever it is by then.
    pub(crate) fn add(&mut self, task: Task<'_>, reason: Reason) -> bool {
        let set = &raw const *self.0;
        // SAFETY: Nothing is moved out of it.
        let this = unsafe { self.0.as_mut().get_unchecked_mut() };
        if this.holds(task.as_ptr() as usize) {
            return true;
        }
        if this.entries.len() == this.entries.capacity() {
            return false;
        }
        // SAFETY: The task lives for the lifetime of `task`, with a reference that is not the last, and
        // `HeldTask` is a transparent wrapper of it.
        let held = unsafe { &*task.as_ptr().cast::<HeldTask>() };
        let entry = Entry {
            task: ARef::from(held),
            reason: AtomicUsize::new(reason.to_word()),
            ran: AtomicBool::new(false),
            queued: AtomicBool::new(false),
            work: UnsafeCell::new(bindings::callback_head {
                next: ptr::null_mut(),
                func: Some(run),
            }),
            set,
        };
        // INVARIANT: There are at least four times as many buckets as there are entries now.
        let is_added = this.entries.push_within_capacity(entry).is_ok();
        let bucket = this.bucket(task.as_ptr() as usize);
        if let Some((bucket, _)) = bucket.filter(|_| is_added) {
            bucket.store(task.as_ptr() as usize, Relaxed);
            this.present.fetch_add(1, Relaxed);
        }
        is_added
    }

    /// Whether a task is in it.
    pub(crate) fn holds(&self, task: Task<'_>) -> bool {
        self.0.holds(task.as_ptr() as usize)
    }

    /// For how many tasks there is room.
    pub(crate) fn capacity(&self) -> usize {
        self.0.entries.capacity()
    }

    /// The set, for the words of processors; `None` if it is empty.
    pub(super) fn published(&self) -> Option<Published> {
        let set = &raw const *self.0;
        (!self.0.entries.is_empty()).then_some(Published(set))
    }

    /// The exceptions, after the switch.
    pub(crate) fn into_exceptions(self) -> Exceptions {
        Exceptions(self.0.into())
    }
}

/// Tasks that a switch has left behind.
///
/// Dropping it, which must not happen during a [switch](super::switch::switch), has them go the way
/// of all others, and frees them when nobody can be asking for them
/// any more.
pub(crate) struct Exceptions(Arc<Set>);

// SAFETY: All that others see of a set may be used by any task.
unsafe impl Send for Set {}
// SAFETY: As for `Send`: what is changed is atomic, behind a lock, or the kernel's own.
unsafe impl Sync for Set {}

impl Exceptions {
    /// How many have not left.
    pub(crate) fn count(&self) -> usize {
        self.0.present.load(Acquire)
    }

    /// Whether a task has not left.
    pub(crate) fn hold(&self, task: Task<'_>) -> bool {
        self.0.holds(task.as_ptr() as usize)
    }

    /// Calls `each` for those that have not left, with why they were in the way when they were
    /// looked at last.
    pub(crate) fn for_each(&self, mut each: impl FnMut(Identity, Reason)) {
        for entry in self.0.iter() {
            let reason = Reason::from_word(entry.reason.load(Relaxed));
            each(entry.task().identity(), reason);
        }
    }

    /// Has those of user space look at themselves on their way to user mode.
    pub(crate) fn ask(&self) {
        for entry in self.0.iter() {
            if entry.task().is_of_kernel() || entry.queued.swap(true, AcqRel) {
                continue;
            }
            self.0.works.fetch_add(1, Relaxed);
            // SAFETY: The entry has a reference on the task. The work stays until it has run or was
            // cancelled: the set, which it is part of, is not freed before.
            let ret = unsafe {
                bindings::task_work_add(
                    entry.task.as_ptr().cast(),
                    entry.work.get(),
                    bindings::task_work_notify_mode_TWA_RESUME,
                )
            };
            if ret != 0 {
                // It ends, and is looked at until it has.
                entry.queued.store(false, Release);
                self.0.work_is_over();
            }
        }
    }

    /// Interrupts those that sleep interruptibly.
    pub(crate) fn interrupt(&self) {
        self.0.iter().for_each(|entry| entry.task().notify());
    }

    /// Looks at all of them. Returns how many could not be looked at as they were running.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn look(&self) -> Result<usize> {
        let watch = self.renew()?;
        let mut buffer = StackBuffer::new()?;
        let mut running = 0;
        for entry in self.0.iter() {
            let task = entry.task();
            if task.is_current() {
                let look = Task::look_at_current(&watch, Depth::Frames(&mut buffer));
                self.0.heard(entry, look);
                continue;
            }
            task.look_meanwhile(&watch, &mut buffer, |look, _| {
                if look == Look::Running {
                    running += 1;
                }
                // It leaves before it can run again.
                self.heard(entry, look, &watch);
            });
        }
        Ok(running)
    }

    /// Looks at those that run, with all processors stopped.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, those of the kernel's `stop_machine()`.
    pub(crate) fn look_while_stopped(&self) -> Result {
        let watch = self.renew()?;
        let mut buffer = StackBuffer::new()?;
        stop_machine(
            |stopped| {
                for entry in self.0.iter().filter(|entry| entry.ran.load(Relaxed)) {
                    let depth = Depth::Frames(&mut buffer);
                    self.heard(entry, entry.task().look(stopped, &watch, depth), &watch);
                }
                false
            },
            |_| {},
            |_| {},
        )?;
        Ok(())
    }

    /// What a look at another task says: a kprobe may have got a detour since it was known which
    /// there are, and the task may be in there.
    fn heard(&self, entry: &Entry, look: Look, watch: &Watch) {
        entry.ran.store(look == Look::Running, Relaxed);
        if look != Look::Free || !watch.is_outdated() {
            self.0.heard(entry, look);
        }
    }

    /// What they must not be in when they leave, with the detours that there are now.
    fn renew(&self) -> Result<Arc<Watch>> {
        let watch = self.watch();
        if !watch.is_outdated() {
            return Ok(watch);
        }
        let watch = Arc::new(watch.renewed()?, GFP_KERNEL)?;
        self.set_watch(watch.clone());
        Ok(watch)
    }

    /// From now on they leave when they are in nothing of this one.
    pub(crate) fn set_watch(&self, watch: Arc<Watch>) {
        *self.0.watch.lock() = watch;
    }

    /// What they must not be in when they leave.
    pub(crate) fn watch(&self) -> Arc<Watch> {
        self.0.watch.lock().clone()
    }
}

impl Drop for Exceptions {
    fn drop(&mut self) {
        switch::forget(Published(Arc::as_ptr(&self.0)));
        match work::queue() {
            // It was not queued before.
            Some(queue) => {
                DISPOSALS.fetch_add(1, Relaxed);
                drop(queue.enqueue(self.0.clone()));
            }
            // Task works may be queued: it has to stay.
            None => core::mem::forget(self.0.clone()),
        }
    }
}

/// A set that the handler of ftrace asks, or may be asking.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Published(*const Set);

impl Published {
    /// As a number, whose lowest bit is 0.
    pub(super) fn to_word(self) -> usize {
        self.0 as usize
    }

    /// Whether the current task is one of those in the set. Nothing is called that could be traced.
    ///
    /// # Safety
    ///
    /// `word` must have come from [`to_word`](Self::to_word) and been read from the word of a
    /// processor, by a task that has not left this module's code, or slept, since.
    #[inline(always)]
    pub(super) unsafe fn holds_current(word: usize) -> bool {
        // SAFETY: By contract it was the set's address when it was read. The set is freed when no
        // processor's word has it any more, and when everybody who could have read it before that
        // has left this module's code.
        let set = unsafe { &*(word as *const Set) };
        set.holds(arch::current() as usize)
    }
}

/// The task work of an exception.
///
/// # Safety
///
/// Only for the kernel, with the `work` of an [`Entry`] that was queued, in the task of that entry.
unsafe extern "C" fn run(head: *mut bindings::callback_head) {
    // SAFETY: By contract it is part of an entry. `UnsafeCell` is transparent. The set is not freed
    // before the work is over.
    let (entry, set) = unsafe {
        let entry = &*container_of!(head.cast::<UnsafeCell<_>>(), Entry, work);
        (entry, &*entry.set)
    };
    set.look_at_current(entry);
    entry.queued.store(false, Release);
    set.work_is_over();
}
