// SPDX-License-Identifier: GPL-2.0

//! Calls of functions that go through trampolines of ours, without a handler of ftrace in between.
//!
//! It rests on ftrace's direct calls: the call site at the start of a function is made to branch
//! to another address. Where that is a jump, or a call that leaves the caller's return address
//! alone, the [trampoline](super::trampolines) there can go on in a replacement function.
//! `arch::direct_address()` knows. As soon as somebody else is interested in the function, ftrace
//! puts its own trampoline there, which ends in the direct call.
//!
//! ftrace lets nobody else say where a call of such a function goes on: neither another direct call,
//! nor a handler with `IPMODIFY`.

pub(crate) use implementation::Direct;

#[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
mod implementation {
    use super::super::errno::eopnotsupp;
    use super::super::ftrace::{self, Location};
    use super::super::sort::{sort, Compare};
    use super::super::switch::Side;
    use super::super::trampolines::{self, Trampoline};
    use super::super::{arch, bindings, loader, symbols, Address, Target};
    use core::cmp::Ordering;
    use core::mem::ManuallyDrop;
    use core::pin::Pin;
    use core::ptr::NonNull;
    use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use kernel::error::to_result;
    use kernel::prelude::*;
    use kernel::time::{delay::fsleep, Delta};
    use kernel::types::Opaque;

    /// Calls of some functions go through trampolines.
    ///
    /// Dropping it takes it out of ftrace and waits until no task can be on its way through it,
    /// which may sleep.
    pub(crate) struct Direct(ManuallyDrop<Pin<KBox<Inner>>>);

    /// What ftrace sees of it; it does not move.
    #[pin_data]
    struct Inner {
        #[pin]
        ops: Opaque<bindings::ftrace_ops>,
        /// In the order of their locations.
        calls: KVec<Call>,
        registered: AtomicBool,
    }

    /// Calls of one function.
    struct Call {
        location: Location,
        trampoline: Trampoline,
        /// Whether ftrace has it back.
        gone: AtomicBool,
    }

    impl Call {
        fn is_there(&self) -> bool {
            !self.gone.load(Relaxed)
        }
    }

    impl Compare for Call {
        fn compare(&self, other: &Self) -> Ordering {
            self.location.cmp(&other.location)
        }
    }

    // SAFETY: `ops` and the hash are handed to ftrace, which does its own locking; the rest is
    // atomic or constant.
    unsafe impl Send for Inner {}
    // SAFETY: As above.
    unsafe impl Sync for Inner {}

    /// Call sites with where they lead, as ftrace wants to have them.
    struct Hash(NonNull<bindings::ftrace_hash>);

    impl Hash {
        /// Of `calls`; `None` if there are none.
        fn new<'a>(calls: impl Iterator<Item = &'a Call> + Clone) -> Result<Option<Hash>> {
            let count = calls.clone().count();
            if count == 0 {
                return Ok(None);
            }
            let bits = count.next_power_of_two().trailing_zeros().min(BITS);
            // SAFETY: It allocates, with that many bits.
            let hash = unsafe { symbols::alloc_ftrace_hash(bits as c_int) };
            let hash = Hash(NonNull::new(hash).ok_or(ENOMEM)?);
            for call in calls {
                let address = call.trampoline.address();
                let address = arch::direct_address(address).ok_or_else(eopnotsupp)?;
                let location = call.location.address() as c_ulong;
                // SAFETY: The hash is ours alone until it is dropped.
                let entry = unsafe {
                    symbols::add_ftrace_hash_entry_direct(hash.0.as_ptr(), location, address)
                };
                if entry.is_null() {
                    return Err(ENOMEM);
                }
            }
            Ok(Some(hash))
        }
    }

    impl Drop for Hash {
        fn drop(&mut self) {
            // SAFETY: ftrace has made copies of it.
            unsafe { symbols::free_ftrace_hash(self.0.as_ptr()) };
        }
    }

    /// The largest hash that ftrace makes itself, in bits.
    const BITS: u32 = 12;

    /// How often a removal is tried that fails for want of memory.
    const TRIES: usize = 1000;

    /// Tries again where memory is short.
    fn insist(mut remove: impl FnMut() -> Result<c_int>) -> c_int {
        let mut tries = 0;
        loop {
            let ret = remove().unwrap_or_else(|error| error.to_errno());
            tries += 1;
            if ret != ENOMEM.to_errno() || tries == TRIES {
                return ret;
            }
            fsleep(Delta::from_millis(10));
        }
    }

    impl Direct {
        /// For how many functions there are trampolines left.
        pub(crate) fn room() -> usize {
            trampolines::free()
        }

        /// Whether calls of the function at `location` can go this way, as things are.
        pub(crate) fn is_possible(location: Location) -> bool {
            arch::direct_address(Address(0)).is_some() && !location.has_direct_call()
        }

        /// Leads calls of the functions at `locations`, which are all different ones, through
        /// trampolines, to the functions themselves until they are led elsewhere.
        ///
        /// # Errors
        ///
        /// `ENOSPC` where there are not enough trampolines; `EOPNOTSUPP` where this kernel has no
        /// direct calls that do; `EBUSY`, `EINVAL` where somebody else says where calls of one of
        /// them go; `ENOMEM`; what else `update_ftrace_direct_add()` returns.
        pub(crate) fn new(locations: &[Location]) -> Result<Direct> {
            let mut list = KVec::with_capacity(locations.len(), GFP_KERNEL)?;
            for location in locations.iter().copied() {
                let trampoline = Trampoline::new(location).ok_or(ENOSPC)?;
                let call = Call {
                    location,
                    trampoline,
                    gone: AtomicBool::new(false),
                };
                list.push(call, GFP_KERNEL)?;
            }
            sort(&mut list);
            let inner = KBox::pin_init(
                pin_init!(Inner {
                    ops <- Opaque::ffi_init(|slot: *mut bindings::ftrace_ops| {
                        // SAFETY: `slot` is valid for writes; all zeroes is an unused
                        // `ftrace_ops`, whose handler ftrace fills in.
                        unsafe {
                            slot.write_bytes(0, 1);
                            (*slot).direct_call = arch::direct_call();
                            (*slot).flags = (bindings::FTRACE_OPS_FL_DYNAMIC
                                | bindings::FTRACE_OPS_FL_PERMANENT)
                                as c_ulong;
                        }
                    }),
                    calls: list,
                    registered: AtomicBool::new(false),
                }),
                GFP_KERNEL,
            )?;
            let direct = Direct(ManuallyDrop::new(inner));
            match direct.register() {
                Ok(()) => {
                    direct.0.registered.store(true, Relaxed);
                    Ok(direct)
                }
                Err(error) => {
                    if error == ENODEV {
                        // ftrace has failed on the way: calls may go through trampolines or not.
                        ftrace::failed("add direct calls to", error.to_errno());
                        core::mem::forget(direct);
                        return Err(error);
                    }
                    // It was in ftrace's list for a moment, which others read without a lock.
                    loader::wait_for_returns();
                    // SAFETY: It is not registered.
                    unsafe { bindings::ftrace_free_filter(direct.0.ops.get()) };
                    Err(error)
                }
            }
        }

        /// The address of the only trampoline, if there is one only. Then the filter of the `ops` has
        /// the location, and the `ops` the address, which is cheaper: ftrace makes the filter with room
        /// to spare, so that most functions of the kernel are found not to be in it at once. It is
        /// removed like others: `unregister_ftrace_direct()` frees what others read without a lock, as
        /// `register_ftrace_direct()` still does where it fails.
        fn single(&self) -> Option<(&Call, c_ulong)> {
            match self.0.calls.as_slice() {
                [call] => Some((call, arch::direct_address(call.trampoline.address())?)),
                _ => None,
            }
        }

        fn register(&self) -> Result {
            let ops = self.0.ops.get();
            let Some((call, address)) = self.single() else {
                let hash = Hash::new(self.calls())?.ok_or(EINVAL)?;
                // SAFETY: `ops` is initialised and pinned, and `drop` takes it out again. The
                // addresses are those of trampolines, at which calls of the functions can go on. The
                // hash is only read.
                return to_result(unsafe {
                    symbols::update_ftrace_direct_add(ops, hash.0.as_ptr())
                });
            };
            let mut ip = call.location.address() as c_ulong;
            // SAFETY: `ops` is initialised and pinned. There is one address, which is only read.
            to_result(unsafe { bindings::ftrace_set_filter_ips(ops, &raw mut ip, 1, 0, 0) })?;
            // SAFETY: As above, for one function.
            to_result(unsafe { bindings::register_ftrace_direct(ops, address) })
        }

        /// Those that ftrace does not have back.
        fn calls(&self) -> impl Iterator<Item = &Call> + Clone {
            self.0.calls.iter().filter(|call| call.is_there())
        }

        /// Gives `calls`, of which there have been others, back to ftrace, and says what that returns.
        fn remove<'a>(&self, calls: impl Iterator<Item = &'a Call> + Clone) -> Result<c_int> {
            let Some(hash) = Hash::new(calls)? else {
                return Ok(0);
            };
            // SAFETY: It is registered, with this for these functions.
            let ret =
                unsafe { symbols::update_ftrace_direct_del(self.0.ops.get(), hash.0.as_ptr()) };
            Ok(ftrace::removed(ret))
        }

        fn call(&self, location: Location) -> Option<&Call> {
            let calls = self.0.calls.as_slice();
            let index = calls.binary_search_by_key(&location, |call| call.location);
            calls.get(index.ok()?).filter(|call| call.is_there())
        }

        /// Calls of the function at `location` that are made on one side run the one at `target`, or
        /// the original for `None`, where they are decided on. A location that is none of its is
        /// ignored.
        pub(crate) fn lead_on(&self, side: Side, location: Location, target: Option<Target>) {
            if let Some(call) = self.call(location) {
                // SAFETY: The trampoline of the call is that of its function.
                unsafe { call.trampoline.lead_on(side, location, target) };
            }
        }

        /// Whether the function at `location` is one of its.
        pub(crate) fn covers(&self, location: Location) -> bool {
            self.call(location).is_some()
        }

        /// Calls of the function at `location`, if they go to the same place on both sides, go there
        /// without a decision, or else are decided on.
        pub(crate) fn settle(&self, location: Location, settled: bool) {
            match self.call(location) {
                Some(call) if settled => call.trampoline.settle(),
                Some(call) => call.trampoline.unsettle(),
                None => {}
            }
        }

        /// Gives the functions at the locations that `is_idle` says it of back to ftrace. Their calls
        /// must go to the originals. It does not wait for those who are on the way through
        /// trampolines, which therefore stay. If these are all there are, ftrace keeps them.
        pub(crate) fn let_go(&self, is_idle: impl Fn(Location) -> bool) {
            let going = || self.calls().filter(|call| is_idle(call.location));
            // What ftrace keeps goes to the original by itself.
            going().for_each(|call| call.trampoline.settle());
            let are_all = going().count() == self.calls().count();
            if !are_all && self.remove(going()) == Ok(0) {
                for call in going() {
                    call.trampoline.forget();
                    call.gone.store(true, Relaxed);
                }
            }
        }
    }

    impl Drop for Direct {
        fn drop(&mut self) {
            if self.0.registered.load(Relaxed) {
                // For an `ops` that is marked DYNAMIC, ftrace returns only when nobody is on the way
                // through it any more, which includes trampolines that tasks were preempted in.
                let ret = insist(|| self.remove(self.calls()));
                if ret != 0 {
                    // ftrace goes on using it: it has to stay.
                    ftrace::failed("remove direct calls from", ret);
                    return;
                }
            }
            // SAFETY: It is not registered, so that nobody uses it any more; ftrace has freed its
            // filter.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}

#[cfg(not(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS))]
mod implementation {
    use super::super::errno::eopnotsupp;
    use super::super::ftrace::Location;
    use super::super::switch::Side;
    use super::super::Target;
    use kernel::prelude::*;

    /// There is none on this kernel.
    pub(crate) enum Direct {}

    impl Direct {
        pub(crate) fn room() -> usize {
            0
        }

        pub(crate) fn is_possible(_location: Location) -> bool {
            false
        }

        pub(crate) fn new(_locations: &[Location]) -> Result<Direct> {
            Err(eopnotsupp())
        }

        pub(crate) fn lead_on(&self, _side: Side, _location: Location, _target: Option<Target>) {
            match *self {}
        }

        pub(crate) fn covers(&self, _location: Location) -> bool {
            match *self {}
        }

        pub(crate) fn settle(&self, _location: Location, _settled: bool) {
            match *self {}
        }

        pub(crate) fn let_go(&self, _is_idle: impl Fn(Location) -> bool) {
            match *self {}
        }
    }
}
