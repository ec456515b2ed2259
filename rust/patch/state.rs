// SPDX-License-Identifier: GPL-2.0

//! System states: changes that outlive the code that made them, and their versions.

use super::registry::Registry;
use crate::sys::spec::{PatchSpec, StateSpec};

/// The state `id` among those of a patch.
pub(crate) fn of_patch(patch: &PatchSpec, id: kernel::ffi::c_ulong) -> Option<StateSpec> {
    patch.states().find(|state| state.id() == id)
}

/// Whether a patch can take over from those that are enabled: it must know every state that they
/// change in the same version or a later one. Only a patch that replaces them has to know all.
pub(crate) fn is_compatible(registry: &Registry, patch: &PatchSpec) -> bool {
    registry.patches.iter().all(|old| {
        old.spec.states().all(|old| match of_patch(patch, old.id()) {
            Some(state) => state.version() >= old.version(),
            None => !patch.replace(),
        })
    })
}
