// SPDX-License-Identifier: GPL-2.0

//! How calls of patched functions get to where they go.
//!
//! Where ftrace has direct calls that can lead to a function, they go through a trampoline
//! ([`Direct`]), which decides during a transition and jumps otherwise. Elsewhere ftrace runs a
//! handler at every call ([`Redirect`]): on kernels without such direct calls, for functions that
//! have a direct call of somebody else, while the parameter `direct` is off, and where there are not
//! enough trampolines.

use super::redirects::Calls;
use crate::format::name::Text;
use crate::sys::direct::Direct;
use crate::sys::ftrace::{Location, Redirect};
use crate::sys::param::direct_calls;
use crate::sys::switch::Side;
use crate::sys::Target;
use kernel::prelude::*;

/// The ways of functions that were patched together.
///
/// Dropping it takes them out of ftrace and waits until nobody can be on one of them, which may
/// sleep.
pub(crate) struct Ways {
    direct: Option<Direct>,
    handled: Option<Redirect>,
}

impl Ways {
    /// Ways for all of `calls`, on which they go to the original until they are led elsewhere.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; those of [`Redirect::new`], which are logged with the function at fault.
    pub(super) fn new(calls: &[Calls<'_>]) -> Result<Ways> {
        let (mut direct, mut handled) = (KVec::new(), KVec::new());
        let room = match direct_calls() {
            true => Direct::room(),
            false => 0,
        };
        for calls in calls {
            let list = match direct.len() < room && Direct::is_possible(calls.location) {
                true => &mut direct,
                false => &mut handled,
            };
            list.push(calls.location, GFP_KERNEL)?;
        }
        let direct = match direct.is_empty() {
            true => None,
            false => {
                let made = Direct::new(&direct).ok();
                if made.is_none() {
                    // A handler may do, and otherwise says why not.
                    handled.extend_from_slice(&direct, GFP_KERNEL)?;
                }
                made
            }
        };
        let handled = match handled.is_empty() {
            true => None,
            false => Some(redirect(calls, &handled)?),
        };
        Ok(Ways { direct, handled })
    }

    /// Whether the function at `location` has one of these ways.
    pub(super) fn cover(&self, location: Location) -> bool {
        let handled = self.handled.as_ref();
        self.are_direct(location) || handled.is_some_and(|handled| handled.covers(location))
    }

    /// Whether calls of the function at `location` go through a trampoline.
    pub(super) fn are_direct(&self, location: Location) -> bool {
        let direct = self.direct.as_ref();
        direct.is_some_and(|direct| direct.covers(location))
    }

    /// Calls of the function at `location` that are made on one side run the one at `target`, or the
    /// original for `None`.
    pub(super) fn lead_on(&self, side: Side, location: Location, target: Option<Target>) {
        if let Some(direct) = &self.direct {
            direct.lead_on(side, location, target);
        }
        if let Some(handled) = &self.handled {
            handled.lead_on(side, location, target);
        }
    }

    /// Whether calls of the function at `location`, if they go to the same place on both sides, go
    /// there without a decision, where that is possible.
    pub(super) fn settle(&self, location: Location, settled: bool) {
        if let Some(direct) = &self.direct {
            direct.settle(location, settled);
        }
    }

    /// Gives functions back to ftrace that `is_idle` says are not patched any more, while others that
    /// were patched together with them are. A handler stays, and changes nothing.
    pub(super) fn let_go(&self, is_idle: impl Fn(Location) -> bool) {
        if let Some(direct) = &self.direct {
            direct.let_go(is_idle);
        }
    }
}

/// One redirect for the calls at `locations`, which are among `calls`.
fn redirect(calls: &[Calls<'_>], locations: &[Location]) -> Result<Redirect> {
    Redirect::new(locations).inspect_err(|error| {
        let at_fault = at_fault(locations, *error);
        let mut calls = calls.iter();
        if let Some(calls) = calls.find(|calls| Some(calls.location) == at_fault) {
            pr_err!(
                "failed to register ftrace handler for function '{}' ({})\n",
                Text(calls.name.to_bytes()),
                error.to_errno()
            );
        }
    })
}

/// Which of `locations` ftrace refuses with `error`, which it does not say itself. Each try waits for
/// others, so there are few: of two halves, the one at fault fails alone as well.
fn at_fault(mut locations: &[Location], error: Error) -> Option<Location> {
    if locations.len() > 1 && !matches!(error, EBUSY | EAGAIN) {
        // It is not the fault of any of them.
        return None;
    }
    let fails =
        |locations: &[Location]| Redirect::new(locations).is_err_and(|other| other == error);
    while locations.len() > 1 {
        let (first, second) = locations.split_at(locations.len() / 2);
        locations = match fails(first) {
            true => first,
            false if second.len() == 1 && !fails(second) => return None,
            false => second,
        };
    }
    locations.first().copied()
}
