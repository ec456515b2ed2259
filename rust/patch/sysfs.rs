// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/livepatch`, as `Documentation/ABI/testing/sysfs-kernel-livepatch` of the kernel
//! source has it.
//!
//! Removing a patch's directory waits for those who read and write its files. Writing `enabled`
//! or `force` and reading `stack_order` takes the registry's lock: a patch's directory must not
//! be removed under that lock. The files of an object take no lock.

use super::model::PatchId;
use super::{registry, transition};
use crate::sys::kobject::directory;
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::prelude::*;

/// `/sys/kernel/livepatch/<patch>`
pub(crate) struct PatchDir {
    pub(crate) id: PatchId,
    pub(crate) enabled: AtomicBool,
    pub(crate) transition: AtomicBool,
    pub(crate) replace: bool,
}

/// `/sys/kernel/livepatch/<patch>/<object>`
pub(crate) struct ObjectDir {
    pub(crate) patched: AtomicBool,
}

/// `/sys/kernel/livepatch/<patch>/<object>/<function,sympos>`
pub(crate) struct FuncDir;

impl PatchDir {
    fn show_enabled(&self) -> c_int {
        self.enabled.load(Ordering::Relaxed).into()
    }

    fn store_enabled(&self, enabled: bool) -> Result {
        transition::set_enabled(&mut registry::lock(), self.id, enabled)
    }

    fn show_transition(&self) -> c_int {
        self.transition.load(Ordering::Relaxed).into()
    }

    fn store_force(&self, force: bool) -> Result {
        if force {
            transition::force(&mut registry::lock(), self.id)
        } else {
            Ok(())
        }
    }

    fn show_replace(&self) -> c_int {
        self.replace.into()
    }

    /// The place among the enabled patches, counted from 1; one more than there are for a patch
    /// that is none of them.
    fn show_stack_order(&self) -> c_int {
        let registry = registry::lock();
        let position = registry
            .position(self.id)
            .map_or(registry.patches.len(), |at| at + 1);
        position as c_int
    }
}

directory!(PatchDir {
    enabled: 0o644, show: PatchDir::show_enabled, store: PatchDir::store_enabled;
    transition: 0o444, show: PatchDir::show_transition;
    force: 0o200, store: PatchDir::store_force;
    replace: 0o444, show: PatchDir::show_replace;
    stack_order: 0o444, show: PatchDir::show_stack_order;
});

impl ObjectDir {
    fn show_patched(&self) -> c_int {
        self.patched.load(Ordering::Relaxed).into()
    }
}

directory!(ObjectDir {
    patched: 0o444, show: ObjectDir::show_patched;
});

directory!(FuncDir {});
