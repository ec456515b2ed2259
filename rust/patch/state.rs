// SPDX-License-Identifier: GPL-2.0

//! System states: changes that outlive the code that made them, and their versions.

use super::model::PatchId;
use super::registry::Registry;
use crate::sys::lock::lock;
use crate::sys::spec::{PatchSpec, StateSpec};
use crate::sys::warn::warn;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use kernel::prelude::*;

/// The state `id` among those of a patch.
pub(crate) fn of_patch(patch: &PatchSpec, id: kernel::ffi::c_ulong) -> Option<StateSpec> {
    patch.states().find(|state| state.id() == id)
}

/// Whether a patch can take over from those that are enabled: it must know every state that they
/// change in the same version or a later one. Only a patch that replaces them has to know all.
pub(crate) fn is_compatible(registry: &Registry, patch: &PatchSpec) -> bool {
    registry.patches.iter().all(|old| {
        old.spec
            .states()
            .all(|old| match of_patch(patch, old.id()) {
                Some(state) => state.version() >= old.version(),
                None => !patch.replace(),
            })
    })
}

/// What callbacks may ask for during a transition: of every state that patches before the one in
/// transition have, the latest one; `None` while there is no transition.
pub(crate) struct PreviousStates(Option<KVec<StateSpec>>);

lock! {
    /// The states of earlier patches, locked. It is a lock of its own, as callbacks run with the
    /// registry locked.
    PREVIOUS_STATES: PreviousStates = PreviousStates(None)
}

/// A transition of the patch `id` begins.
///
/// # Errors
///
/// `ENOMEM`
pub(crate) fn begin(registry: &Registry, id: PatchId) -> Result {
    let mut states: KVec<StateSpec> = KVec::new();
    for patch in registry.patches.iter().take_while(|patch| patch.id != id) {
        for state in patch.spec.states() {
            match states.iter_mut().find(|known| known.id() == state.id()) {
                Some(known) => *known = state,
                None => states.push(state, GFP_KERNEL)?,
            }
        }
    }
    lock().0 = Some(states);
    Ok(())
}

/// The transition is over.
pub(crate) fn end() {
    lock().0 = None;
}

/// Whether somebody has asked when there was no transition.
static HAS_WARNED: AtomicBool = AtomicBool::new(false);

/// The latest state `id` of patches before the one in transition.
pub(crate) fn previous(id: kernel::ffi::c_ulong) -> Option<StateSpec> {
    let states = lock();
    match &states.0 {
        Some(states) => states.iter().find(|state| state.id() == id).copied(),
        None => {
            if !HAS_WARNED.swap(true, Relaxed) {
                warn();
            }
            None
        }
    }
}
