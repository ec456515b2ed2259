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
    use super::super::{arch, bindings, loader, symbols, Address};
    use core::cmp::Ordering;
    use core::mem::ManuallyDrop;
    use core::pin::Pin;
    use core::ptr::NonNull;
    use core::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
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
        state: AtomicU8,
    }

    /// States of calls: they go through the trampoline; they are to be given back; ftrace has them
    /// back.
    const THERE: u8 = 0;
    const GOING: u8 = 1;
    const GONE: u8 = 2;

    impl Call {
        fn is(&self, state: u8) -> bool {
            self.state.load(Relaxed) == state
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
        /// Those of `calls` that are in this state; `None` if none is.
        fn new(calls: &[Call], state: u8) -> Result<Option<Hash>> {
            let calls = || calls.iter().filter(|call| call.is(state));
            let count = calls().count();
            if count == 0 {
                return Ok(None);
            }
            let bits = count.next_power_of_two().trailing_zeros().min(BITS);
            // SAFETY: It allocates, with that many bits.
            let hash = unsafe { symbols::alloc_ftrace_hash(bits as c_int) };
            let hash = Hash(NonNull::new(hash).ok_or(ENOMEM)?);
            for call in calls() {
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

        /// Leads calls of the functions at the locations of `calls`, which are all different ones,
        /// through trampolines, to what stands beside the location, or to the function itself for
        /// `None`.
        ///
        /// # Errors
        ///
        /// `ENOSPC` where there are not enough trampolines; `EOPNOTSUPP` where this kernel has no
        /// direct calls that do; `EBUSY`, `EINVAL` where somebody else says where calls of one of
        /// them go; `ENOMEM`; what else `update_ftrace_direct_add()` returns.
        pub(crate) fn new(calls: &[(Location, Option<Address>)]) -> Result<Direct> {
            let mut list = KVec::with_capacity(calls.len(), GFP_KERNEL)?;
            for (location, target) in calls.iter().copied() {
                let trampoline = Trampoline::new(location, target).ok_or(ENOSPC)?;
                let call = Call {
                    location,
                    trampoline,
                    state: AtomicU8::new(THERE),
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
        /// to spare, so that most functions of the kernel are found not to be in it at once.
        fn single(&self) -> Option<(&Call, c_ulong)> {
            match self.0.calls.as_slice() {
                [call] => Some((call, arch::direct_address(call.trampoline.address())?)),
                _ => None,
            }
        }

        fn register(&self) -> Result {
            let ops = self.0.ops.get();
            let Some((call, address)) = self.single() else {
                let hash = Hash::new(&self.0.calls, THERE)?.ok_or(EINVAL)?;
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

        /// Gives calls that are in this state, and not the only ones, back to ftrace, and says what
        /// that returns.
        fn remove(&self, state: u8) -> Result<c_int> {
            let Some(hash) = Hash::new(&self.0.calls, state)? else {
                return Ok(0);
            };
            // SAFETY: It is registered, with this for these functions.
            Ok(unsafe { symbols::update_ftrace_direct_del(self.0.ops.get(), hash.0.as_ptr()) })
        }

        fn call(&self, location: Location) -> Option<&Call> {
            let calls = self.0.calls.as_slice();
            let index = calls.binary_search_by_key(&location, |call| call.location);
            calls.get(index.ok()?).filter(|call| !call.is(GONE))
        }

        /// Calls of the function at `location` that are made on one side run the one at `target`, or
        /// the original for `None`, where they are decided on. A location that is none of its is
        /// ignored.
        pub(crate) fn lead_on(&self, side: Side, location: Location, target: Option<Address>) {
            if let Some(call) = self.call(location) {
                call.trampoline.lead_on(side, location, target);
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
    }

    impl Direct {
        /// The function at `location` is to be given back to ftrace, with [`let_go`](Self::let_go).
        /// Calls must go to the original.
        pub(crate) fn give_back(&self, location: Location) {
            if let Some(call) = self.call(location) {
                call.state.store(GOING, Relaxed);
            }
        }

        /// Gives back to ftrace what was said to be, unless that is all there is. It does not wait
        /// for those who are on the way through trampolines, which therefore stay.
        pub(crate) fn let_go(&self) {
            let going = || self.0.calls.iter().filter(|call| call.is(GOING));
            let others = self.0.calls.iter().any(|call| call.is(THERE));
            let is_gone = others && going().next().is_some() && self.remove(GOING) == Ok(0);
            for call in going() {
                call.trampoline.settle();
                match is_gone {
                    true => {
                        call.trampoline.forget();
                        call.state.store(GONE, Relaxed);
                    }
                    // It goes to the original by itself.
                    false => call.state.store(THERE, Relaxed),
                }
            }
        }
    }

    impl Drop for Direct {
        fn drop(&mut self) {
            let ops = self.0.ops.get();
            if self.0.registered.load(Relaxed) {
                // For an `ops` that is marked DYNAMIC, ftrace returns only when nobody is on the way
                // through it any more, which includes trampolines that tasks were preempted in.
                let ret = match self.single() {
                    // SAFETY: It is registered with this address.
                    Some((_, address)) => unsafe {
                        bindings::unregister_ftrace_direct(ops, address, true)
                    },
                    None => insist(|| self.remove(THERE)),
                };
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
    use super::super::Address;
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

        pub(crate) fn new(_calls: &[(Location, Option<Address>)]) -> Result<Direct> {
            Err(eopnotsupp())
        }

        pub(crate) fn lead_on(&self, _side: Side, _location: Location, _target: Option<Address>) {
            match *self {}
        }

        pub(crate) fn covers(&self, _location: Location) -> bool {
            match *self {}
        }

        pub(crate) fn settle(&self, _location: Location, _settled: bool) {
            match *self {}
        }

        pub(crate) fn give_back(&self, _location: Location) {
            match *self {}
        }

        pub(crate) fn let_go(&self) {
            match *self {}
        }
    }
}
