// SPDX-License-Identifier: GPL-2.0

//! Shadow variables: data that a patch attaches to an object of the kernel, found by the object's
//! address and a number.
//!
//! A hash table of singly linked lists. Readers walk a list under RCU, in any context. Writers
//! hold a lock; what they take out is freed after a grace period.

use super::bindings;
use super::warn::warn;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::prelude::*;
use kernel::sync::rcu;

/// Number of lists; a power of two.
const BUCKETS: usize = 4096;

static TABLE: [AtomicPtr<Node>; BUCKETS] = [const { AtomicPtr::new(ptr::null_mut()) }; BUCKETS];

/// What stands before a variable's data. Its size keeps the data as aligned as `kmalloc()` makes
/// a node.
#[repr(C, align(16))]
struct Node {
    next: AtomicPtr<Node>,
    rcu: bindings::callback_head,
    object: *mut c_void,
    id: c_ulong,
}

extern "C" {
    /// Locks writers out, as `spin_lock_irqsave()` does; returns what [`livepatch_shadow_unlock`] takes.
    fn livepatch_shadow_lock() -> c_ulong;
    fn livepatch_shadow_unlock(flags: c_ulong);
}

/// The writers' lock, while it is held.
///
/// # Invariants
///
/// This task or interrupt has taken it, and the flags are what that returned.
struct Writing(c_ulong);

impl Writing {
    fn lock() -> Writing {
        // SAFETY: The lock is a static of `exports.c`, initialised as such. It is taken with
        // interrupts off, so that nothing on this processor takes it within itself but a
        // constructor or destructor that uses shadow variables, or an NMI. Such a one would stand
        // still, and touch nothing. With `PREEMPT_RT` it is a lock of the task, which sleeps.
        // INVARIANT: It was just taken.
        Writing(unsafe { livepatch_shadow_lock() })
    }

    /// Takes the first node of `bucket` that is `wanted` out of its list.
    fn unlink(&self, bucket: &AtomicPtr<Node>, wanted: impl Fn(&Node) -> bool) -> *mut Node {
        let mut link = bucket;
        loop {
            let node = link.load(Ordering::Relaxed);
            // SAFETY: Nodes in a list live as long as nobody takes them out, which takes the lock. But
            // for `next`, which is atomic, and `rcu`, which nobody reads, nothing of a node is
            // written once it is in a list.
            let Some(found) = (unsafe { node.as_ref() }) else {
                return ptr::null_mut();
            };
            if wanted(found) {
                link.store(found.next.load(Ordering::Relaxed), Ordering::Release);
                return node;
            }
            link = &found.next;
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant it is held here, and these are the flags that go with it.
        unsafe { livepatch_shadow_unlock(self.0) };
    }
}

fn bucket(object: *mut c_void) -> &'static AtomicPtr<Node> {
    // The low bits of addresses are alike: those of a product are not.
    let hash = (object as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    // The compiler sees that this is within the table.
    &TABLE[hash as usize % BUCKETS]
}

impl Node {
    fn is(&self, object: *mut c_void, id: c_ulong) -> bool {
        self.object == object && self.id == id
    }

    /// Where the data behind the node is. Nothing is read: the node need not be there.
    fn data(node: *mut Node) -> *mut c_void {
        node.wrapping_add(1).cast()
    }
}

/// The data of a variable; null where there is none. It stays valid as long as nobody frees it.
pub(crate) fn get(object: *mut c_void, id: c_ulong) -> *mut c_void {
    let _guard = rcu::read_lock();
    let mut next = bucket(object).load(Ordering::Acquire);
    // SAFETY: Nodes are freed after a grace period, and the read-side section goes on.
    while let Some(node) = unsafe { next.as_ref() } {
        if node.is(object, id) {
            return Node::data(next);
        }
        next = node.next.load(Ordering::Acquire);
    }
    ptr::null_mut()
}

/// What [`get_or_alloc`] does where there is such a variable already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Returns it.
    Use,
    /// Returns null, and warns.
    Refuse,
}

/// The data of a variable, which is allocated, zeroed and constructed if it is not there. Null
/// where memory ran out or the constructor failed.
///
/// # Safety
///
/// `ctor` must be callable with the object, `size` bytes of data and `ctor_data`, with interrupts
/// off and a lock held.
pub(crate) unsafe fn get_or_alloc(
    object: *mut c_void,
    id: c_ulong,
    size: usize,
    flags: bindings::gfp_t,
    ctor: bindings::klp_shadow_ctor_t,
    ctor_data: *mut c_void,
    existing: Existing,
) -> *mut c_void {
    let found = get(object, id);
    if !found.is_null() {
        return exists(found, id, existing);
    }
    let Some(total) = size.checked_add(size_of::<Node>()) else {
        return ptr::null_mut();
    };
    // SAFETY: Any size may be asked for.
    let node: *mut Node =
        unsafe { bindings::__kmalloc_noprof(total, flags | bindings::LP_GFP_ZERO) }.cast();
    if node.is_null() {
        return ptr::null_mut();
    }

    let writing = Writing::lock();
    let found = get(object, id);
    if !found.is_null() {
        drop(writing);
        // SAFETY: It was just allocated, and nobody knows it.
        unsafe { bindings::kfree(node.cast()) };
        return exists(found, id, existing);
    }
    if let Some(ctor) = ctor {
        // SAFETY: The caller says that it can be called so. `size` bytes are behind the node, zeroed,
        // and nobody else knows them.
        let ret = unsafe { ctor(object, Node::data(node), ctor_data) };
        if ret != 0 {
            drop(writing);
            // SAFETY: It was just allocated, and nobody but the constructor knows it.
            unsafe { bindings::kfree(node.cast()) };
            pr_err!("Failed to construct shadow variable {:x} ({})\n", id, ret);
            return ptr::null_mut();
        }
    }
    let head = bucket(object);
    // SAFETY: The node is large enough, aligned, and not known to readers before it is linked.
    unsafe {
        (&raw mut (*node).object).write(object);
        (&raw mut (*node).id).write(id);
        (*node)
            .next
            .store(head.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    head.store(node, Ordering::Release);
    drop(writing);
    Node::data(node)
}

fn exists(found: *mut c_void, id: c_ulong, existing: Existing) -> *mut c_void {
    match existing {
        Existing::Use => found,
        Existing::Refuse => {
            pr_err!("Duplicate shadow variable {:x}\n", id);
            warn();
            ptr::null_mut()
        }
    }
}

/// Destroys a node that was taken out of its list.
///
/// # Safety
///
/// The node must be out of its list; `dtor` must be callable with its object and data.
unsafe fn destroy(node: *mut Node, dtor: bindings::klp_shadow_dtor_t) {
    // SAFETY: The caller says that the node is out of its list, so that it is ours, and that the
    // destructor can be called with what is in it. Readers that still see the node are waited for.
    unsafe {
        if let Some(dtor) = dtor {
            dtor((*node).object, Node::data(node));
        }
        bindings::kvfree_call_rcu((&raw mut (*node).rcu).cast(), node.cast());
    }
}

/// Frees a variable, if it is there.
///
/// # Safety
///
/// `dtor` must be callable with the object and the variable's data, with interrupts off and a
/// lock held.
pub(crate) unsafe fn free(object: *mut c_void, id: c_ulong, dtor: bindings::klp_shadow_dtor_t) {
    let writing = Writing::lock();
    let node = writing.unlink(bucket(object), |node| node.is(object, id));
    if !node.is_null() {
        // SAFETY: It was just taken out, with the lock held and interrupts off. The caller says that
        // the destructor can be called then.
        unsafe { destroy(node, dtor) };
    }
}

/// Frees all variables that are `wanted`.
///
/// # Safety
///
/// `dtor` must be callable with the object and the data of each variable that is `wanted`, with
/// interrupts off and a lock held.
unsafe fn free_where(wanted: impl Fn(&Node) -> bool, dtor: bindings::klp_shadow_dtor_t) {
    let writing = Writing::lock();
    for bucket in &TABLE {
        loop {
            let node = writing.unlink(bucket, &wanted);
            if node.is_null() {
                break;
            }
            // SAFETY: It was just taken out, with the lock held and interrupts off. The caller says
            // that the destructor can be called then.
            unsafe { destroy(node, dtor) };
        }
    }
}

/// Frees the variables of all objects with this number.
///
/// # Safety
///
/// `dtor` must be callable with the object and the data of each of these variables, with
/// interrupts off and a lock held.
pub(crate) unsafe fn free_all(id: c_ulong, dtor: bindings::klp_shadow_dtor_t) {
    // SAFETY: The caller says so of the destructor, for all variables that are chosen here.
    unsafe { free_where(|node| node.id == id, dtor) };
}

/// Frees, when it is dropped, what patch modules left behind.
pub(crate) struct Started(());

impl Started {
    /// No variables.
    pub(crate) fn new() -> Self {
        Started(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // SAFETY: There is no destructor to be called.
        unsafe { free_where(|_| true, None) };
    }
}
