// SPDX-License-Identifier: GPL-2.0

//! Which function runs in place of which.
//!
//! Every patched function has a stack of the patches that replace it: the newest one decides where
//! calls go. During a transition there are two answers, [without and with](Effect) the patch that is
//! in transition, and it must be possible to lead calls elsewhere at one moment: the function is
//! *switchable*. Afterwards calls go to the same place for a long time, and nothing needs to be
//! decided: it *settles*.

use super::model::{Body, New, PatchId};
use super::ways::Ways;
use crate::format::refusal::Refusal;
use crate::messages::refuse;
use crate::sys::ftrace::{self, Location};
use crate::sys::loader::wait_for_returns;
use crate::sys::switch;
use crate::sys::{Address, Target};
use core::ops::Range;
use kernel::prelude::*;
use kernel::sync::Arc;

/// What is in effect: one of the two states between which a transition leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// All patches but the one in transition.
    Without,
    /// All patches.
    With,
}

impl Effect {
    /// The other one.
    pub(crate) fn other(self) -> Effect {
        match self {
            Effect::Without => Effect::With,
            Effect::With => Effect::Without,
        }
    }
}

/// One patch's say about a function.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) patch: PatchId,
    /// What runs; `None`: the original.
    pub(crate) new: Option<New>,
    /// Whether the patch is in transition.
    pub(crate) changing: bool,
}

/// A patched function.
pub(crate) struct Site {
    pub(crate) original: Body,
    pub(crate) location: Location,
    /// A trampoline that was called at its start when it was first patched: who is in there goes on
    /// in the original.
    pub(crate) trampoline: Option<Range<Address>>,
    /// How calls get to where they go. It is shared with functions that were patched together.
    ways: Arc<Ways>,
    /// Whether nothing is decided at calls.
    settled: bool,
    layers: KVec<Layer>,
}

impl Site {
    /// The layer that decides.
    fn top(&self, effect: Effect) -> Option<&Layer> {
        let counts = |layer: &&Layer| effect == Effect::With || !layer.changing;
        self.layers.iter().rev().find(counts)
    }

    /// What runs.
    pub(crate) fn body(&self, effect: Effect) -> &Body {
        let new = self.top(effect).and_then(|layer| layer.new.as_ref());
        new.map_or(&self.original, |new| &new.body)
    }

    /// Where calls go; `None`: to the original.
    fn route(&self, effect: Effect) -> Option<Target> {
        let new = self.top(effect).and_then(|layer| layer.new.as_ref());
        new.map(|new| new.target)
    }

    /// Sends calls where they are to go, where the function is switchable.
    fn lead(&self, in_effect: Effect) {
        let (here, there) = (switch::side(), switch::side().other());
        let ways = &self.ways;
        ways.lead_on(there, self.location, self.route(in_effect.other()));
        ways.lead_on(here, self.location, self.route(in_effect));
    }

    /// How calls get to where they go, in a word.
    pub(crate) fn way(&self) -> &'static str {
        match (self.ways.are_direct(self.location), self.settled) {
            (false, _) => "handler",
            (true, false) => "trampoline",
            (true, true) => "jump",
        }
    }

    /// Whether nothing is decided at calls, which all go to the same place.
    fn settle(&mut self, settled: bool) {
        if self.settled != settled {
            self.ways.settle(self.location, settled);
            self.settled = settled;
        }
    }
}

/// A layer to be added to a function.
pub(crate) struct Addition<'a> {
    pub(crate) original: Body,
    pub(crate) name: &'a CStr,
    pub(crate) layer: Layer,
}

/// Calls of a function that are to be redirected.
pub(super) struct Calls<'a> {
    pub(super) name: &'a CStr,
    pub(super) location: Location,
}

/// All patched functions.
pub(crate) struct Redirects {
    /// By address.
    sites: KVec<Site>,
    /// Functions that are not patched any more, with their ways, which lead to the originals.
    idle: KVec<(Location, Arc<Ways>)>,
    /// What is in effect for all but exceptions. Without a transition it makes no difference.
    in_effect: Effect,
}

impl Redirects {
    /// None.
    pub(crate) const fn new() -> Self {
        Redirects {
            sites: KVec::new(),
            idle: KVec::new(),
            in_effect: Effect::With,
        }
    }

    /// What is in effect for all but exceptions.
    pub(crate) fn in_effect(&self) -> Effect {
        self.in_effect
    }

    /// Says so: of a switch that has happened, or as a transition begins.
    pub(crate) fn set_in_effect(&mut self, effect: Effect) {
        self.in_effect = effect;
    }

    fn search(&self, function: Address) -> core::result::Result<usize, usize> {
        self.sites
            .binary_search_by_key(&function, |site| site.original.address)
    }

    /// A patched function.
    pub(crate) fn site(&self, function: Address) -> Option<&Site> {
        self.search(function)
            .ok()
            .and_then(|index| self.sites.get(index))
    }

    /// Ways that are there and have this location as well, from when the function was patched
    /// before.
    fn covering(&self, location: Location) -> Option<Arc<Ways>> {
        let used = self.sites.iter().map(|site| &site.ways);
        Iterator::chain(used, self.idle.iter().map(|(_, ways)| ways))
            .find(|ways| ways.cover(location))
            .cloned()
    }

    /// Adds layers on top of others, to functions of one object, and makes these functions
    /// switchable. The layers take effect with [`lead`](Self::lead). On an error none is added.
    ///
    /// # Errors
    ///
    /// `EINVAL` where ftrace cannot reach a function; `ENOMEM`; those of [`Ways::new`]; all but
    /// `ENOMEM` are logged.
    pub(crate) fn add(&mut self, additions: &[Addition<'_>]) -> Result {
        // Room for everything comes first, so that nothing fails half way.
        let mut calls = KVec::with_capacity(additions.len(), GFP_KERNEL)?;
        let mut sites = KVec::with_capacity(additions.len(), GFP_KERNEL)?;
        for addition in additions {
            if let Ok(index) = self.search(addition.original.address) {
                if let Some(site) = self.sites.get_mut(index) {
                    site.layers.reserve(1, GFP_KERNEL)?;
                }
                continue;
            }
            let name = addition.name;
            let location = Location::of(addition.original.address).ok_or_else(|| {
                refuse(&Refusal::NoLocation {
                    function: name.to_bytes(),
                })
            })?;
            let covering = self.covering(location);
            // One that covers it may have made the direct call that is there.
            let trampoline = match covering {
                Some(_) => None,
                None => location.trampoline(),
            };
            if covering.is_none() {
                calls.push(Calls { name, location }, GFP_KERNEL)?;
            }
            let layers = KVec::with_capacity(1, GFP_KERNEL)?;
            let site = (addition.original.clone(), location, covering, layers);
            sites.push((site, trampoline), GFP_KERNEL)?;
        }
        self.sites.reserve(sites.len(), GFP_KERNEL)?;
        let new = match calls.is_empty() {
            true => None,
            false => Some(Arc::new(Ways::new(&calls)?, GFP_KERNEL)?),
        };
        for ((original, location, covering, layers), trampoline) in sites {
            let (Some(ways), Err(index)) = (
                covering.or_else(|| new.clone()),
                self.search(original.address),
            ) else {
                continue;
            };
            // It is patched again, before or after it was let go.
            self.idle.retain(|(idle, _)| *idle != location);
            ways.settle(location, false);
            let _ = self.sites.insert_within_capacity(
                index,
                Site {
                    original,
                    location,
                    trampoline,
                    ways,
                    settled: false,
                    layers,
                },
            );
        }
        for addition in additions {
            let site = self.search(addition.original.address).ok();
            if let Some(site) = site.and_then(|index| self.sites.get_mut(index)) {
                site.settle(false);
                let _ = site.layers.push_within_capacity(addition.layer.clone());
            }
        }
        Ok(())
    }

    /// Sees to it that calls of a function can be led elsewhere at one moment. Where they go does not
    /// change.
    pub(crate) fn make_switchable(&mut self, function: Address) {
        let index = self.search(function).ok();
        if let Some(site) = index.and_then(|index| self.sites.get_mut(index)) {
            site.settle(false);
        }
    }

    /// Has nothing decided any more at calls of one function that has not settled. Returns whether
    /// there was one. Not during a transition.
    pub(crate) fn settle(&mut self) -> bool {
        let site = self.sites.iter_mut().find(|site| !site.settled);
        site.map(|site| site.settle(true)).is_some()
    }

    /// Whether calls of a function can be led elsewhere at one moment.
    pub(crate) fn is_switchable(&self, function: Address) -> bool {
        self.site(function).is_some_and(|site| !site.settled)
    }

    /// Sends calls of one function, which is switchable, where its layers say.
    pub(crate) fn lead(&self, function: Address) {
        if let Some(site) = self.site(function) {
            site.lead(self.in_effect);
        }
    }

    /// Says of a patch whether it is in transition, of one function.
    pub(crate) fn set_changing(&mut self, function: Address, patch: PatchId, changing: bool) {
        let index = self.search(function).ok();
        if let Some(site) = index.and_then(|index| self.sites.get_mut(index)) {
            let layers = site.layers.iter_mut();
            for layer in layers.filter(|layer| layer.patch == patch) {
                layer.changing = changing;
            }
        }
    }

    /// Removes a patch's layer. With its last layer a function is not patched any more; what is
    /// left in ftrace changes nothing, and goes with [`let_go`](Self::let_go).
    pub(crate) fn remove(&mut self, function: Address, patch: PatchId) {
        let Ok(index) = self.search(function) else {
            return;
        };
        let empty = self.sites.get_mut(index).is_some_and(|site| {
            site.layers.retain(|layer| layer.patch != patch);
            // A target that goes is not switched before.
            site.settle(false);
            site.layers.is_empty()
        });
        self.lead(function);
        if !empty {
            return;
        }
        if let Ok(Site { location, ways, .. }) = self.sites.remove(index) {
            // Where memory is short they go now.
            let _ = self.idle.push((location, ways), GFP_KERNEL);
        }
    }

    /// Gives functions that are not patched any more back to ftrace. Returns whether it has waited
    /// until nobody is on the way to where calls went before.
    pub(crate) fn let_go(&mut self) -> bool {
        let (sites, idle) = (&self.sites, &self.idle);
        let is_shared = |ways: &Arc<Ways>| sites.iter().any(|site| Arc::ptr_eq(&site.ways, ways));
        let is_idle = |location| idle.iter().any(|(idle, _)| *idle == location);
        let has_waited = !idle.is_empty();
        let mut are_some_kept = false;
        for (_, ways) in idle.iter().filter(|(_, ways)| is_shared(ways)) {
            // For the first function of them it does so for all.
            ways.let_go(is_idle);
            are_some_kept = true;
        }
        self.idle.clear();
        if are_some_kept {
            // Whoever is still on the way through a trampoline that decides nothing any more has to be
            // out of it before its function is patched anew: nobody looks for that way then.
            wait_for_returns();
        }
        has_waited && !ftrace::has_failed()
    }
}
