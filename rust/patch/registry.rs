// SPDX-License-Identifier: GPL-2.0

//! All patches, under one lock.

use super::debugfs;
use super::model::{Patch, PatchId};
use super::redirects::Redirects;
use super::settle::Settle;
use super::transition::Transition;
use crate::sys::debugfs::DebugDir;
use crate::sys::kobject::Root;
use crate::sys::lock::lock;
use crate::sys::module::{ModuleId, ModuleRef};
use core::mem::ManuallyDrop;
use kernel::prelude::*;
use kernel::sync::Arc;

/// What the registry's lock guards.
pub(crate) struct Registry {
    /// `/sys/kernel/livepatch`
    pub(crate) root: Option<Root>,
    /// `/sys/kernel/debug/livepatch`
    pub(crate) debug: Option<DebugDir>,
    /// Enabled patches and those in transition, in the order in which they were enabled.
    pub(crate) patches: KVec<KBox<Patch>>,
    /// Which function runs in place of which.
    pub(crate) redirects: Redirects,
    /// The transition that is going on. There is one at a time.
    pub(crate) transition: Option<Transition>,
    /// What lets calls go straight to where they go after a transition.
    pub(crate) settle: Option<Arc<Settle>>,
    /// Modules that came since livepatch.ko is there, and have not gone.
    pub(crate) alive: KVec<ModuleId>,
    /// The modules of patches that are gone whose code tasks may still run, as they were forced out
    /// of it. They are never let go of.
    pub(crate) kept: KVec<ManuallyDrop<ModuleRef>>,
    next_id: u64,
}

impl Registry {
    /// No patches.
    pub(crate) const fn new() -> Self {
        Registry {
            root: None,
            debug: None,
            patches: KVec::new(),
            redirects: Redirects::new(),
            transition: None,
            settle: None,
            alive: KVec::new(),
            kept: KVec::new(),
            next_id: 1,
        }
    }

    /// An identity for a new patch.
    pub(crate) fn new_id(&mut self) -> PatchId {
        let id = PatchId(self.next_id);
        self.next_id += 1;
        id
    }

    /// A patch and its place in the order.
    pub(crate) fn position(&self, id: PatchId) -> Option<usize> {
        self.patches.iter().position(|patch| patch.id == id)
    }

    /// A patch.
    pub(crate) fn patch(&self, id: PatchId) -> Option<&Patch> {
        self.patches
            .iter()
            .find(|patch| patch.id == id)
            .map(|patch| &**patch)
    }

    /// A patch, to be changed.
    pub(crate) fn patch_mut(&mut self, id: PatchId) -> Option<&mut Patch> {
        self.patches
            .iter_mut()
            .find(|patch| patch.id == id)
            .map(|patch| &mut **patch)
    }

    /// A patch, to be changed together with the redirects.
    pub(crate) fn patch_and_redirects(
        &mut self,
        id: PatchId,
    ) -> Option<(&mut Patch, &mut Redirects)> {
        let patch = self.patches.iter_mut().find(|patch| patch.id == id)?;
        Some((&mut **patch, &mut self.redirects))
    }

    /// Never lets go of the module of a patch.
    pub(crate) fn keep(&mut self, module: ModuleRef) {
        // Where memory is short, it stays all the same, but is not among those that are shown.
        let _ = self.kept.push(ManuallyDrop::new(module), GFP_KERNEL);
    }

    /// Whether this patch is in transition.
    pub(crate) fn in_transition(&self, id: PatchId) -> bool {
        self.transition
            .as_ref()
            .is_some_and(|transition| transition.patch == id)
    }
}

lock! {
    /// The registry, locked.
    REGISTRY: Registry = Registry::new()
}

/// Makes `/sys/kernel/livepatch`, and empties the registry when it is dropped. No patch is left
/// then: a patch module uses this one, which cannot be removed before.
pub(crate) struct Started(());

impl Started {
    /// Starts with no patches.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new() -> Result<Self> {
        let root = Root::new(c"livepatch")?;
        let settle = Settle::new()?;
        let mut registry = lock();
        registry.root = Some(root);
        registry.settle = Some(settle);
        registry.debug = Some(DebugDir::top(c"livepatch", debugfs::FILES));
        drop(registry);
        Ok(Started(()))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let registry = core::mem::replace(&mut *lock(), Registry::new());
        drop(registry);
    }
}
