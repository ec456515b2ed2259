// SPDX-License-Identifier: GPL-2.0

//! Which function runs in place of which.
//!
//! Every patched function has one ftrace redirect, and a stack of the patches that replace it:
//! the newest that is active decides where calls go.

use super::model::{Original, PatchId};
use crate::format::name::Text;
use crate::format::refusal::Refusal;
use crate::messages::refuse;
use crate::sys::ftrace::{Location, Redirect};
use crate::sys::Address;
use kernel::prelude::*;

/// One patch's say about a function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer {
    pub(crate) patch: PatchId,
    /// What runs; `None`: the original.
    pub(crate) new: Option<Address>,
    /// Size of that, in bytes.
    pub(crate) new_size: usize,
}

/// A patched function.
pub(crate) struct Site {
    pub(crate) original: Original,
    pub(crate) location: Location,
    redirect: Redirect<1>,
    layers: KVec<Layer>,
}

impl Site {
    /// The layer that decides, going by which patches are `active`.
    pub(crate) fn top(&self, active: impl Fn(PatchId) -> bool) -> Option<&Layer> {
        self.layers.iter().rev().find(|layer| active(layer.patch))
    }

    /// Calls go to `target` from now on, or to the original for `None`.
    pub(crate) fn lead_to(&self, target: Option<Address>) {
        self.redirect.lead_to(self.location, target);
    }

    /// Where calls go, going by which patches are `active`; `None`: to the original.
    pub(crate) fn route(&self, active: impl Fn(PatchId) -> bool) -> Option<Address> {
        self.top(active).and_then(|layer| layer.new)
    }
}

/// All patched functions, by address.
pub(crate) struct Redirects(KVec<Site>);

impl Redirects {
    /// None.
    pub(crate) const fn new() -> Self {
        Redirects(KVec::new())
    }

    fn search(&self, function: Address) -> core::result::Result<usize, usize> {
        self.0
            .binary_search_by_key(&function, |site| site.original.address)
    }

    /// A patched function.
    pub(crate) fn site(&self, function: Address) -> Option<&Site> {
        self.search(function)
            .ok()
            .and_then(|index| self.0.get(index))
    }

    /// Adds a layer on top of the others. It takes effect with [`route`](Self::route).
    ///
    /// # Errors
    ///
    /// `EINVAL` where ftrace cannot reach the function; `ENOMEM`; those of [`Redirect::new`]; all
    /// but `ENOMEM` are logged.
    pub(crate) fn push(&mut self, original: Original, name: &CStr, layer: Layer) -> Result {
        match self.search(original.address) {
            Ok(index) => {
                let site = self.0.get_mut(index).ok_or(EINVAL)?;
                Ok(site.layers.push(layer, GFP_KERNEL)?)
            }
            Err(index) => {
                let location = Location::of(original.address).ok_or_else(|| {
                    refuse(&Refusal::NoLocation {
                        function: name.to_bytes(),
                    })
                })?;
                let mut layers = KVec::with_capacity(1, GFP_KERNEL)?;
                layers.push(layer, GFP_KERNEL)?;
                self.0.reserve(1, GFP_KERNEL)?;
                let redirect = Redirect::new([location]).inspect_err(|error| {
                    pr_err!(
                        "failed to register ftrace handler for function '{}' ({})\n",
                        Text(name.to_bytes()),
                        error.to_errno()
                    )
                })?;
                let site = Site {
                    original,
                    location,
                    redirect,
                    layers,
                };
                self.0
                    .insert_within_capacity(index, site)
                    .map_err(|_| ENOMEM)
            }
        }
    }

    /// Sends calls of one function where the `active` patches want them.
    pub(crate) fn route(&self, function: Address, active: impl Fn(PatchId) -> bool) {
        if let Some(site) = self.site(function) {
            site.lead_to(site.route(active));
        }
    }

    /// Removes a patch's layer. With its last layer a function is given back to ftrace, which
    /// waits until nobody is on the way through it.
    pub(crate) fn remove(&mut self, function: Address, patch: PatchId) {
        let Ok(index) = self.search(function) else {
            return;
        };
        let empty = self.0.get_mut(index).is_some_and(|site| {
            site.layers.retain(|layer| layer.patch != patch);
            site.layers.is_empty()
        });
        if empty {
            drop(self.0.remove(index));
        }
    }
}
