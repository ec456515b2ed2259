// SPDX-License-Identifier: GPL-2.0

//! Calls that go straight to another function, without a handler of ftrace in between.
//!
//! It rests on ftrace's direct calls: the call site at the start of a function is made to branch
//! to another address. Where that is a jump, or a call that leaves the caller's return address
//! alone, the address can be that of a replacement function. `arch::direct_address()` knows.
//! As soon as somebody else is interested in the function, ftrace puts its own trampoline there
//! again, which ends in the direct call.
//!
//! Where a direct call leads cannot be changed at a given moment. [`Redirect`] can; the two go
//! together at one call site for the time of handing over, and lead to the same function then.
//!
//! [`Redirect`]: super::ftrace::Redirect

use super::errno::eopnotsupp;
use super::ftrace::Location;
use super::{arch, Address};
use kernel::prelude::*;

/// All calls of a function run another one.
///
/// Dropping it takes it out of ftrace and waits until no task can be on its way through it, which
/// may sleep.
pub(crate) struct Direct {
    target: Address,
    call: implementation::Call,
}

impl Direct {
    /// Leads calls of the function at `location` straight to the one at `target`.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` where this kernel has no direct calls that do; `EBUSY` where the function has
    /// a direct call of somebody else; `ENOMEM`; what else `ftrace_set_filter_ips()` and
    /// `register_ftrace_direct()` return.
    pub(crate) fn new(location: Location, target: Address) -> Result<Direct> {
        let address = arch::direct_address(target).ok_or_else(eopnotsupp)?;
        Ok(Direct {
            target,
            call: implementation::Call::new(location, address)?,
        })
    }

    /// Where calls go.
    pub(crate) fn target(&self) -> Address {
        self.target
    }

    /// Whether the function may be redirected as well, by a redirect that leads to the same
    /// function. Nobody else may ever: two cannot both say where a call goes on.
    pub(crate) fn share(&self, allowed: bool) {
        self.call.share(allowed);
    }
}

#[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
mod implementation {
    use super::super::{bindings, loader};
    use super::Location;
    use core::mem::ManuallyDrop;
    use core::pin::Pin;
    use core::sync::atomic::{AtomicBool, Ordering};
    use kernel::container_of;
    use kernel::error::to_result;
    use kernel::prelude::*;
    use kernel::types::Opaque;

    /// A direct call that is registered.
    pub(super) struct Call(ManuallyDrop<Pin<KBox<Inner>>>);

    /// What ftrace sees of it; it does not move.
    #[pin_data]
    struct Inner {
        #[pin]
        ops: Opaque<bindings::ftrace_ops>,
        address: c_ulong,
        registered: AtomicBool,
        shared: AtomicBool,
    }

    // SAFETY: `ops` is handed to ftrace, which does its own locking; the rest is atomic or
    // constant.
    unsafe impl Send for Inner {}
    // SAFETY: As above.
    unsafe impl Sync for Inner {}

    impl Call {
        pub(super) fn new(location: Location, address: c_ulong) -> Result<Call> {
            let inner = KBox::pin_init(
                pin_init!(Inner {
                    ops <- Opaque::ffi_init(|slot: *mut bindings::ftrace_ops| {
                        // SAFETY: `slot` is valid for writes; all zeroes is an unused
                        // `ftrace_ops`, whose handler ftrace fills in.
                        unsafe {
                            slot.write_bytes(0, 1);
                            (*slot).ops_func = Some(may_share);
                            (*slot).flags = (bindings::FTRACE_OPS_FL_DYNAMIC
                                | bindings::FTRACE_OPS_FL_PERMANENT)
                                as c_ulong;
                        }
                    }),
                    address,
                    registered: AtomicBool::new(false),
                    shared: AtomicBool::new(true),
                }),
                GFP_KERNEL,
            )?;
            let call = Call(ManuallyDrop::new(inner));
            let ops = call.0.ops.get();
            let mut ip = location.address() as c_ulong;
            // SAFETY: `ops` is initialised and pinned; `drop` frees the filter that is set here.
            // There is one address, which is only read.
            to_result(unsafe { bindings::ftrace_set_filter_ips(ops, &raw mut ip, 1, 0, 0) })?;
            // SAFETY: `ops` is initialised and pinned, and `drop` unregisters it. The address is one
            // at which calls of the function can go on, as whoever made the target known vouches
            // for.
            to_result(unsafe { bindings::register_ftrace_direct(ops, call.0.address) })
                // It was in ftrace's list for a moment, which others read without a lock.
                .inspect_err(|_| loader::wait_for_returns())?;
            call.0.registered.store(true, Ordering::Relaxed);
            call.share(false);
            Ok(call)
        }

        pub(super) fn share(&self, allowed: bool) {
            self.0.shared.store(allowed, Ordering::Release);
        }
    }

    impl Drop for Call {
        fn drop(&mut self) {
            let ops = self.0.ops.get();
            if self.0.registered.load(Ordering::Relaxed) {
                // SAFETY: It is registered with this address. For an `ops` that is marked
                // DYNAMIC, ftrace returns only when nobody is on the way through it any more.
                let ret = unsafe { bindings::unregister_ftrace_direct(ops, self.0.address, false) };
                if ret != 0 {
                    // ftrace goes on using it: it has to stay.
                    pr_crit!("cannot unregister a direct call from ftrace ({})\n", ret);
                    return;
                }
            }
            // SAFETY: It is not registered, so that nobody uses its filter or itself any more.
            unsafe {
                bindings::ftrace_free_filter(ops);
                ManuallyDrop::drop(&mut self.0);
            }
        }
    }

    /// Asked by ftrace where a function with this direct call is redirected, too, or the other
    /// way round.
    ///
    /// # Safety
    ///
    /// Only for ftrace, with an `ops` that is part of an [`Inner`].
    unsafe extern "C" fn may_share(
        ops: *mut bindings::ftrace_ops,
        _ip: c_ulong,
        command: bindings::ftrace_ops_cmd,
    ) -> c_int {
        // SAFETY: `Opaque` is transparent, and the `ops` of a direct call is its field. It lives
        // until ftrace has no more use for its `ops`.
        let call = unsafe { &*container_of!(Opaque::cast_from(ops), Inner, ops) };
        let ends = command == bindings::ftrace_ops_cmd_FTRACE_OPS_CMD_DISABLE_SHARE_IPMODIFY_PEER;
        if ends || call.shared.load(Ordering::Acquire) {
            0
        } else {
            EBUSY.to_errno()
        }
    }
}

#[cfg(not(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS))]
mod implementation {
    use super::{eopnotsupp, Location};
    use kernel::prelude::*;

    /// There is none on this kernel.
    pub(super) enum Call {}

    impl Call {
        pub(super) fn new(_location: Location, _address: c_ulong) -> Result<Call> {
            Err(eopnotsupp())
        }

        pub(super) fn share(&self, _allowed: bool) {
            match *self {}
        }
    }
}
