// SPDX-License-Identifier: GPL-2.0

//! Which function runs in place of which.
//!
//! Every patched function has a stack of the patches that replace it: the newest that is active
//! decides where calls go. How they get there is one of two [ways](Way). During a transition it
//! must be possible to lead calls elsewhere at one moment, for which ftrace runs a handler at every
//! call. Afterwards they go to the same place for a long time, and no handler is needed.

use super::model::{Original, PatchId};
use crate::format::name::Text;
use crate::format::refusal::Refusal;
use crate::messages::refuse;
use crate::sys::direct::Direct;
use crate::sys::ftrace::{Location, Redirect};
use crate::sys::switch::Flip;
use crate::sys::Address;
use kernel::prelude::*;
use kernel::sync::Arc;

/// One patch's say about a function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer {
    pub(crate) patch: PatchId,
    /// What runs; `None`: the original.
    pub(crate) new: Option<Address>,
    /// Size of that, in bytes.
    pub(crate) new_size: usize,
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
    pub(crate) original: Original,
    pub(crate) location: Location,
    way: Way,
    layers: KVec<Layer>,
}

impl Site {
    /// The layer that decides, going by which patches are `active`.
    pub(crate) fn top(&self, active: impl Fn(PatchId) -> bool) -> Option<&Layer> {
        self.layers.iter().rev().find(|layer| active(layer.patch))
    }

    /// Where calls go, going by which patches are `active`; `None`: to the original.
    pub(crate) fn route(&self, active: impl Fn(PatchId) -> bool) -> Option<Address> {
        self.top(active).and_then(|layer| layer.new)
    }

    /// What leads calls to `target`, or to the original for `None`, where the function has been
    /// made [switchable].
    ///
    /// [switchable]: Redirects::make_switchable
    pub(crate) fn flip_to(&self, target: Option<Address>) -> Option<Flip<'_>> {
        match &self.way {
            Way::Switchable(redirect) => Some(Flip {
                redirect,
                location: self.location,
                target,
            }),
            Way::Settled(_) => None,
        }
    }
}

/// A layer to be added to a function.
pub(crate) struct Addition<'a> {
    pub(crate) original: Original,
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
}

impl Redirects {
    /// None.
    pub(crate) const fn new() -> Self {
        Redirects {
            sites: KVec::new(),
            idle: KVec::new(),
        }
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
    /// switchable. The layers take effect with [`route`](Self::route). On an error none is added.
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
            sites.push((addition.original, location, covering, layers), GFP_KERNEL)?;
        }
        self.sites.reserve(sites.len(), GFP_KERNEL)?;
        let new = match calls.is_empty() {
            true => None,
            false => Some(redirect(&calls)?),
        };
        for (original, location, covering, layers) in sites {
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
                    way,
                    layers,
                },
            );
        }
        for addition in additions {
            let site = self.search(addition.original.address).ok();
            if let Some(site) = site.and_then(|index| self.sites.get_mut(index)) {
                let _ = site.layers.push_within_capacity(addition.layer);
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

    /// Lets calls of one function go straight to where they go now, going by which patches are
    /// `active`: of the first one behind `last` that is switchable. Where ftrace cannot do that, it
    /// goes on with a handler. Returns which function it was.
    pub(crate) fn settle(
        &mut self,
        last: Option<Address>,
        active: impl Fn(PatchId) -> bool,
    ) -> Option<Address> {
        let switchable = |site: &Site| {
            let is_next = last.is_none_or(|last| last < site.original.address);
            is_next && matches!(site.way, Way::Switchable(_))
        };
        let index = self.sites.iter().position(switchable)?;
        let site = self.sites.get_mut(index)?;
        if let Some(target) = site.route(&active) {
            if let Ok(direct) = Direct::new(site.location, target) {
                site.way = Way::Settled(direct);
            }
        }
        Some(site.original.address)
    }

    /// Sends calls of one function, which is switchable, where the `active` patches want them.
    pub(crate) fn route(&self, function: Address, active: impl Fn(PatchId) -> bool) {
        if let Some(site) = self.site(function) {
            if let Way::Switchable(redirect) = &site.way {
                redirect.lead_to(site.location, site.route(active));
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
        if !empty {
            return;
        }
        self.route(function, |_| false);
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
