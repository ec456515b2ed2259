// SPDX-License-Identifier: GPL-2.0

//! Which function runs in place of which.
//!
//! Every patched function has a stack of the patches that replace it: the newest one decides where
//! calls go. During a transition there are two answers, [without and with](Effect) the patch that is
//! in transition. How calls get there is one of two [ways](Way). During a transition it
//! must be possible to lead calls elsewhere at one moment, for which ftrace runs a handler at every
//! call. Afterwards they go to the same place for a long time, and no handler is needed.

use super::model::{Body, PatchId};
use crate::format::name::Text;
use crate::format::refusal::Refusal;
use crate::messages::refuse;
use crate::sys::direct::Direct;
use crate::sys::ftrace::{Location, Redirect};
use crate::sys::switch;
use crate::sys::Address;
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
    pub(crate) new: Option<Body>,
    /// Whether the patch is in transition.
    pub(crate) changing: bool,
}

/// How calls of a patched function get to where they go.
enum Way {
    /// A handler decides at each call, and can be told otherwise at any moment. Functions of one
    /// object share a redirect.
    Switchable(Arc<Redirect>),
    /// They go straight there.
    Settled(Direct),
}

/// A patched function.
pub(crate) struct Site {
    pub(crate) original: Body,
    pub(crate) location: Location,
    /// A trampoline that was called at its start when it was first patched: who is in there goes on
    /// in the original.
    pub(crate) trampoline: Option<Range<Address>>,
    way: Way,
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
        new.unwrap_or(&self.original)
    }

    /// Where calls go; `None`: to the original.
    fn route(&self, effect: Effect) -> Option<Address> {
        let new = self.top(effect).and_then(|layer| layer.new.as_ref());
        new.map(|body| body.address)
    }

    /// Sends calls where they are to go, where the function is switchable.
    fn lead(&self, in_effect: Effect) {
        if let Way::Switchable(redirect) = &self.way {
            let (here, there) = (switch::side(), switch::side().other());
            redirect.lead_on(there, self.location, self.route(in_effect.other()));
            redirect.lead_on(here, self.location, self.route(in_effect));
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
struct Calls<'a> {
    name: &'a CStr,
    location: Location,
    /// Where they go now.
    target: Option<Address>,
}

/// One redirect for all of `calls`.
///
/// # Errors
///
/// `ENOMEM`; those of [`Redirect::new`], which are logged with the function at fault.
fn redirect(calls: &[Calls<'_>]) -> Result<Arc<Redirect>> {
    let mut places = KVec::with_capacity(calls.len(), GFP_KERNEL)?;
    for calls in calls {
        places.push((calls.location, calls.target), GFP_KERNEL)?;
    }
    let redirect = Redirect::new(&places).inspect_err(|error| {
        // ftrace does not say which one it was. Alone, only that one fails.
        let fails = |place: &(Location, Option<Address>)| Redirect::new(&[*place]).is_err();
        let at_fault = match places.len() {
            1 => Some(0),
            _ => places.iter().position(fails),
        };
        if let Some(calls) = at_fault.and_then(|index| calls.get(index)) {
            pr_err!(
                "failed to register ftrace handler for function '{}' ({})\n",
                Text(calls.name.to_bytes()),
                error.to_errno()
            );
        }
    })?;
    Ok(Arc::new(redirect, GFP_KERNEL)?)
}

/// All patched functions.
pub(crate) struct Redirects {
    /// By address.
    sites: KVec<Site>,
    /// Redirects of functions that are not patched any more. They lead to the originals.
    idle: KVec<Arc<Redirect>>,
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

    /// A redirect that is there and has this location as well. It may have it from a function that
    /// is settled or not patched any more.
    fn covering(&self, location: Location) -> Option<Arc<Redirect>> {
        let used = self.sites.iter().filter_map(|site| match &site.way {
            Way::Switchable(redirect) => Some(redirect),
            Way::Settled(_) => None,
        });
        Iterator::chain(used, self.idle.iter())
            .find(|redirect| redirect.covers(location))
            .cloned()
    }

    /// Adds layers on top of others, to functions of one object, and makes these functions
    /// switchable. The layers take effect with [`lead`](Self::lead). On an error none is added.
    ///
    /// # Errors
    ///
    /// `EINVAL` where ftrace cannot reach a function; `ENOMEM`; those of [`Redirect::new`]; all
    /// but `ENOMEM` are logged.
    pub(crate) fn add(&mut self, additions: &[Addition<'_>]) -> Result {
        let functions = additions
            .iter()
            .map(|addition| (addition.original.address, addition.name));
        self.make_switchable(functions)?;

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
            if covering.is_none() {
                let calls_here = Calls {
                    name,
                    location,
                    target: None,
                };
                calls.push(calls_here, GFP_KERNEL)?;
            }
            let layers = KVec::with_capacity(1, GFP_KERNEL)?;
            let site = (addition.original.clone(), location, covering, layers);
            sites.push((site, location.trampoline()), GFP_KERNEL)?;
        }
        self.sites.reserve(sites.len(), GFP_KERNEL)?;
        let new = match calls.is_empty() {
            true => None,
            false => Some(redirect(&calls)?),
        };
        for ((original, location, covering, layers), trampoline) in sites {
            let (Some(redirect), Err(index)) = (
                covering.or_else(|| new.clone()),
                self.search(original.address),
            ) else {
                continue;
            };
            let way = Way::Switchable(redirect);
            let _ = self.sites.insert_within_capacity(
                index,
                Site {
                    original,
                    location,
                    trampoline,
                    way,
                    layers,
                },
            );
        }
        for addition in additions {
            let site = self.search(addition.original.address).ok();
            if let Some(site) = site.and_then(|index| self.sites.get_mut(index)) {
                let _ = site.layers.push_within_capacity(addition.layer.clone());
            }
        }
        Ok(())
    }

    /// Sees to it that calls of `functions`, which are of one object, can be led elsewhere at one
    /// moment. Where they go does not change.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; those of [`Redirect::new`]; all but `ENOMEM` are logged.
    pub(crate) fn make_switchable<'a>(
        &mut self,
        functions: impl Iterator<Item = (Address, &'a CStr)> + Clone,
    ) -> Result {
        let mut calls = KVec::new();
        for (function, name) in functions.clone() {
            if let Some(site) = self.site(function) {
                if let Way::Settled(direct) = &site.way {
                    if self.covering(site.location).is_none() {
                        let (location, target) = (site.location, Some(direct.target()));
                        let calls_here = Calls {
                            name,
                            location,
                            target,
                        };
                        calls.push(calls_here, GFP_KERNEL)?;
                    }
                }
            }
        }
        let new = match calls.is_empty() {
            true => None,
            false => {
                self.share(functions.clone(), true);
                let new = redirect(&calls);
                self.share(functions.clone(), false);
                Some(new?)
            }
        };
        for (function, _) in functions {
            let Ok(index) = self.search(function) else {
                continue;
            };
            let redirect = match self.sites.get(index) {
                Some(site) if matches!(site.way, Way::Settled(_)) => match &new {
                    Some(new) if new.covers(site.location) => Some(new.clone()),
                    _ => self.covering(site.location),
                },
                _ => None,
            };
            if let (Some(redirect), Some(site)) = (redirect, self.sites.get_mut(index)) {
                site.way = Way::Switchable(redirect);
            }
        }
        Ok(())
    }

    /// Says whether those of `functions` that are settled may get a redirect as well.
    fn share<'a>(&self, functions: impl Iterator<Item = (Address, &'a CStr)>, allowed: bool) {
        for site in functions.filter_map(|(function, _)| self.site(function)) {
            if let Way::Settled(direct) = &site.way {
                direct.share(allowed);
            }
        }
    }

    /// Lets calls of one function go straight to where they go: of the first one behind `last` that
    /// is switchable. Where ftrace cannot do that, it goes on with a handler. Returns which function
    /// it was. Not during a transition.
    pub(crate) fn settle(&mut self, last: Option<Address>) -> Option<Address> {
        let switchable = |site: &Site| {
            let is_next = last.is_none_or(|last| last < site.original.address);
            is_next && matches!(site.way, Way::Switchable(_))
        };
        let index = self.sites.iter().position(switchable)?;
        let site = self.sites.get_mut(index)?;
        if let Some(target) = site.route(self.in_effect) {
            if let Ok(direct) = Direct::new(site.location, target) {
                site.way = Way::Settled(direct);
            }
        }
        Some(site.original.address)
    }

    /// Whether calls of a function can be led elsewhere at one moment.
    pub(crate) fn is_switchable(&self, function: Address) -> bool {
        self.site(function)
            .is_some_and(|site| matches!(site.way, Way::Switchable(_)))
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
            site.layers.is_empty()
        });
        self.lead(function);
        if !empty {
            return;
        }
        if let Ok(Site {
            way: Way::Switchable(redirect),
            ..
        }) = self.sites.remove(index)
        {
            // Where memory is short it goes now.
            let _ = self.idle.push(redirect, GFP_KERNEL);
        }
    }

    /// Gives functions that are not patched any more back to ftrace, which waits until nobody is
    /// on the way through their redirects.
    pub(crate) fn let_go(&mut self) {
        self.idle.clear();
    }
}
