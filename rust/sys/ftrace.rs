// SPDX-License-Identifier: GPL-2.0

//! The one primitive: calls of functions are made to run others.
//!
//! The same redirect hooks the kernel's module loader and patches functions. It rests on an
//! `ftrace_ops` with `IPMODIFY` for exactly the call sites in question. Unregistering one waits
//! for grace periods, however many call sites it has: functions that come and go together share
//! one.
//!
//! Such a redirect can be led elsewhere at any moment, alone or with others
//! ([`switch`]), which costs every call a handler. Where ftrace can do without one, patched
//! functions have [direct calls](super::direct).

use super::sort::{sort, Compare};
use super::switch::{self, Side};
use super::{arch, bindings, kallsyms, loader, symbols, Address, Target};
use core::cmp::Ordering;
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::pin::Pin;
use core::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Relaxed, Release},
};
use kernel::container_of;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::time::{delay::fsleep, Delta};
use kernel::types::Opaque;

/// The ftrace call site at the start of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Location(Address);

impl Location {
    /// That of the function which begins at `function`; `None` where ftrace cannot reach it.
    pub(crate) fn of(function: Address) -> Option<Location> {
        // SAFETY: It looks any number up in ftrace's table of call sites.
        let ip = unsafe { symbols::ftrace_location(function.0 as c_ulong) };
        (ip != 0).then_some(Location(Address(ip)))
    }

    /// Its address.
    pub(super) fn address(self) -> usize {
        self.0 .0
    }

    /// Whether there is a direct call.
    #[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
    pub(super) fn has_direct_call(self) -> bool {
        // SAFETY: It looks any number up in ftrace's table of direct calls.
        unsafe { symbols::ftrace_find_rec_direct(self.address() as c_ulong) != 0 }
    }

    /// The trampoline of somebody's direct call there, as far as the kernel knows how large it is.
    /// One that BPF has made goes on in the traced function by itself, until ftrace and BPF have
    /// agreed that another one says where.
    #[cfg(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)]
    pub(crate) fn trampoline(self) -> Option<Range<Address>> {
        // SAFETY: It looks any number up in ftrace's table of direct calls.
        let direct = unsafe { symbols::ftrace_find_rec_direct(self.address() as c_ulong) } as usize;
        // The lowest bit may stand for a jump.
        let inside = Address(direct & !1);
        (direct != 0).then(|| kallsyms::around(inside)).flatten()
    }

    /// There are none on this kernel.
    #[cfg(not(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS))]
    pub(crate) fn trampoline(self) -> Option<Range<Address>> {
        None
    }

    /// The first instruction after the call site. It is also the address that is on a task's
    /// stack while ftrace decides where a call of the function goes on.
    pub(crate) fn after(self) -> Address {
        self.0.offset(bindings::LP_MCOUNT_INSN_SIZE)
    }
}

/// Calls of some functions are made to run others, or the functions themselves.
///
/// Dropping it takes it out of ftrace and waits until no task can be on its way through it, which
/// may sleep.
pub(crate) struct Redirect(ManuallyDrop<Pin<KBox<Inner>>>);

/// What ftrace and the handler see of a redirect; it does not move.
#[pin_data]
struct Inner {
    #[pin]
    ops: Opaque<bindings::ftrace_ops>,
    /// In the order of their locations.
    routes: KVec<Route>,
    registered: AtomicBool,
}

/// Where calls of one function go on.
struct Route {
    location: Location,
    /// On each side, as [`word`] has it.
    targets: [AtomicUsize; 2],
}

impl Route {
    fn new(location: Location) -> Route {
        Route {
            location,
            targets: [AtomicUsize::new(0), AtomicUsize::new(0)],
        }
    }

    fn target(&self, side: Side) -> &AtomicUsize {
        let [first, second] = &self.targets;
        match side {
            Side::First => first,
            Side::Second => second,
        }
    }
}

/// Up to how many functions of a redirect are looked through one by one.
const FEW: usize = 8;

/// How a target is written: 0 is the function itself.
fn word(target: Option<Target>) -> usize {
    target.map_or(0, |target| target.address().0)
}

impl Compare for Route {
    fn compare(&self, other: &Self) -> Ordering {
        self.location.cmp(&other.location)
    }
}

// SAFETY: `ops` is handed to ftrace, which does its own locking; the rest is atomic or constant.
unsafe impl Send for Inner {}
// SAFETY: As above.
unsafe impl Sync for Inner {}

impl Redirect {
    /// Registers a redirect for the functions at `locations`, which are all different ones. Calls run
    /// the functions themselves until [`lead_to`](Self::lead_to) is called.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EBUSY` where somebody else already redirects one of them; what else
    /// `ftrace_set_filter_ips()` and `register_ftrace_function()` return.
    pub(crate) fn new(locations: &[Location]) -> Result<Self> {
        let mut routes = KVec::with_capacity(locations.len(), GFP_KERNEL)?;
        let mut ips = KVec::with_capacity(locations.len(), GFP_KERNEL)?;
        for location in locations.iter().copied() {
            routes.push(Route::new(location), GFP_KERNEL)?;
            ips.push(location.address() as c_ulong, GFP_KERNEL)?;
        }
        sort(&mut routes);
        let inner = KBox::pin_init(
            pin_init!(Inner {
                ops <- Opaque::ffi_init(|slot: *mut bindings::ftrace_ops| {
                    // SAFETY: `slot` is valid for writes; all zeroes is an unused `ftrace_ops`.
                    unsafe {
                        slot.write_bytes(0, 1);
                        (*slot).func = Some(handler);
                        (*slot).flags = OPS_FLAGS;
                    }
                }),
                routes,
                registered: AtomicBool::new(false),
            }),
            GFP_KERNEL,
        )?;
        let redirect = Redirect(ManuallyDrop::new(inner));
        let ops = redirect.0.ops.get();
        let count = c_uint::try_from(ips.len()).map_err(|_| E2BIG)?;
        // SAFETY: `ops` is initialised and pinned; `drop` frees the filter that is set here.
        // There are `count` addresses, which are only read.
        to_result(unsafe { bindings::ftrace_set_filter_ips(ops, ips.as_mut_ptr(), count, 0, 0) })?;
        let mut tries = 0;
        loop {
            // SAFETY: `ops` is initialised and pinned, and `drop` unregisters it.
            match to_result(unsafe { bindings::register_ftrace_function(ops) }) {
                Ok(()) => break,
                Err(ENODEV) => {
                    // ftrace has failed on the way, and may go on using it.
                    failed("register a function with", ENODEV.to_errno());
                    core::mem::forget(redirect);
                    return Err(ENODEV);
                }
                Err(error) => {
                    // It was in ftrace's list for a moment, which others read without a lock.
                    loader::wait_for_returns();
                    // What a BPF trampoline says when its own lock is taken at that moment.
                    tries += 1;
                    if error != EAGAIN || tries == TRIES {
                        return Err(error);
                    }
                }
            }
        }
        redirect.0.registered.store(true, Relaxed);
        Ok(redirect)
    }

    /// Calls of the function at `location` run the one at `target` from now on, or the original
    /// for `None`. A location that is none of the redirect's is ignored.
    pub(crate) fn lead_to(&self, location: Location, target: Option<Target>) {
        self.lead_on(Side::First, location, target);
        self.lead_on(Side::Second, location, target);
    }

    /// The same for calls on one side.
    pub(crate) fn lead_on(&self, side: Side, location: Location, target: Option<Target>) {
        if let Some(route) = self.0.route(location) {
            route.target(side).store(word(target), Release);
        }
    }

    /// Whether the function at `location` is one of the redirect's.
    pub(crate) fn covers(&self, location: Location) -> bool {
        self.0.route(location).is_some()
    }
}

impl Inner {
    fn route(&self, location: Location) -> Option<&Route> {
        let routes = self.routes.as_slice();
        let index = routes.binary_search_by_key(&location, |route| route.location);
        routes.get(index.ok()?)
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        let ops = self.0.ops.get();
        if self.0.registered.load(Relaxed) {
            // SAFETY: It is registered. For an `ops` that is marked DYNAMIC, ftrace returns only
            // when nobody runs its trampoline any more.
            let ret = removed(unsafe { bindings::unregister_ftrace_function(ops) });
            if ret != 0 {
                // ftrace goes on using it: it has to stay.
                failed("unregister a function from", ret);
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

/// Whether something could not be taken out of ftrace.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// Whether something could not be taken out of ftrace, which has not waited for anybody then.
pub(crate) fn has_failed() -> bool {
    HAS_FAILED.load(Relaxed)
}

/// What has come of a removal that ftrace returned `ret` for: where call sites are not as it has left them,
/// it only switches itself off, and says that all is well.
pub(super) fn removed(ret: c_int) -> c_int {
    // SAFETY: It reads a variable.
    match ret == 0 && unsafe { symbols::ftrace_is_dead() } != 0 {
        true => ENODEV.to_errno(),
        false => ret,
    }
}

/// Never returns where something could not be taken out of ftrace. For when this module begins or ends:
/// no reference keeps it then, and what ftrace may still call would be freed.
pub(super) fn stay_if_failed() {
    while has_failed() {
        fsleep(Delta::from_secs(10));
    }
}

/// Something could not be taken out of ftrace, which was switched off by a fault of its own, or could
/// not be put into it as a whole. This module may be called from there for ever: it stays.
pub(super) fn failed(what: &str, error: c_int) {
    pr_crit!(
        "cannot {} ftrace ({}): livepatch.ko cannot be removed any more\n",
        what,
        error
    );
    if !HAS_FAILED.swap(true, Relaxed) {
        // SAFETY: It is this module, which is running.
        unsafe { bindings::__module_get(&raw mut bindings::__this_module) };
    }
}

/// How often a redirect is registered where ftrace says `EAGAIN`.
const TRIES: usize = 10;

/// How the redirects are registered. `PERMANENT` keeps `kernel.ftrace_enabled=0` from switching
/// patches off. There is no `RECURSION`, which has ftrace protect a handler that could recurse:
/// this one calls nothing that could be traced.
const OPS_FLAGS: c_ulong = (bindings::FTRACE_OPS_FL_DYNAMIC
    | bindings::FTRACE_OPS_FL_IPMODIFY
    | bindings::FTRACE_OPS_FL_PERMANENT
    | if cfg!(CONFIG_HAVE_DYNAMIC_FTRACE_WITH_ARGS) {
        0
    } else {
        bindings::FTRACE_OPS_FL_SAVE_REGS
    }) as c_ulong;

/// Called by ftrace at every call of a redirected function.
///
/// # Safety
///
/// Only for ftrace, with an `ops` that is part of an [`Inner`].
unsafe extern "C" fn handler(
    ip: c_ulong,
    _parent_ip: c_ulong,
    ops: *mut bindings::ftrace_ops,
    fregs: *mut bindings::ftrace_regs,
) {
    // SAFETY: `Opaque` is transparent, and the `ops` of a redirect is its field. The redirect
    // lives until ftrace has no more use for its `ops`.
    let redirect = unsafe { &*container_of!(Opaque::cast_from(ops), Inner, ops) };
    let location = Location(Address(ip));
    let routes = redirect.routes.as_slice();
    let route = match routes {
        [first, ..] if first.location == location => Some(first),
        [_, others @ ..] if others.len() < FEW => {
            others.iter().find(|route| route.location == location)
        }
        _ => redirect.route(location),
    };
    let target = route.map_or(0, |route| route.target(switch::side_here()).load(Relaxed));
    if target != 0 {
        // SAFETY: `fregs` comes from ftrace. By the invariant of `Target`, it may be called in place of
        // the function at `ip`.
        unsafe { arch::set_instruction_pointer(fregs, target) };
    }
}
