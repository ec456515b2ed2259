// SPDX-License-Identifier: GPL-2.0

//! All patches, under one lock.

use super::debugfs;
use super::kept::Kept;
use super::model::{Patch, PatchId};
use super::redirects::Redirects;
use super::settle::Settle;
use super::transition::Transition;
use crate::sys::debugfs::DebugDir;
use crate::sys::kobject::Root;
use crate::sys::lock::lock;
use crate::sys::module::ModuleId;
use kernel::prelude::*;
use kernel::sync::Arc;

/// What the registry's lock guards.
pub(crate) struct Registry {
    /// `/sys/kernel/livepatch`
    pub(crate) root: Option<Root>,
    /// `/sys/kernel/debug/livepatch`
    pub(crate) debug: Option<Arc<DebugDir>>,
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
    /// The modules of patches that tasks were forced out of.
    pub(crate) kept: Kept,
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
            kept: Kept::new(),
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
        drop(registry);
        Ok(Started(()))
    }

    /// Makes `/sys/kernel/debug/livepatch`, when the init function can fail no more: a file there that
    /// is open does not keep the kernel from freeing a module whose init function has failed. No patch
    /// is there before that, as no module can use one that is not complete.
    pub(crate) fn show(&self) {
        // Where memory is short there is none.
        let debug = DebugDir::top(c"livepatch", debugfs::FILES).ok();
        lock().debug = debug;
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let registry = core::mem::replace(&mut *lock(), Registry::new());
        drop(registry);
    }
}
