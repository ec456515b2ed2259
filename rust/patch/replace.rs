// SPDX-License-Identifier: GPL-2.0

//! Patches that replace all earlier ones.
//!
//! A function that an earlier patch replaces and the new one does not gets a no-op in the new
//! one, so that it changes back at the same moment as everything else. The no-ops go when the
//! transition is complete.

use super::model::{Function, Object, Patch, PatchId};
use super::registry::Registry;
use super::{enable, retire, transition};
use kernel::prelude::*;
use kernel::str::CString;

/// Adds no-ops to `patch` for what earlier patches replace and it does not.
///
/// # Errors
///
/// `ENOMEM`
pub(crate) fn add_nops(earlier: &[KBox<Patch>], patch: &mut Patch) -> Result {
    for old in earlier.iter().flat_map(|patch| patch.objects.iter()) {
        let found = patch
            .objects
            .iter()
            .position(|object| object.is_named(old.name()));
        let index = match found {
            Some(index) => index,
            None => {
                let name = old.name().map(CString::try_from).transpose()?;
                let object = Object {
                    name,
                    spec: None,
                    functions: KVec::new(),
                    target: None,
                    patched: false,
                    dir: None,
                };
                patch.objects.push(object, GFP_KERNEL)?;
                patch.objects.len() - 1
            }
        };
        let Some(object) = patch.objects.get_mut(index) else {
            continue;
        };
        for old in old.functions.iter() {
            if !object
                .functions
                .iter()
                .any(|new| new.is_same(&old.name, old.position))
            {
                let nop = Function::with(&old.name, old.position, None)?;
                object.functions.push(nop, GFP_KERNEL)?;
            }
        }
    }
    Ok(())
}

/// Takes all functions of patches before `id` out of the redirects, then the no-ops of `id`.
pub(crate) fn unpatch_replaced(registry: &mut Registry, id: PatchId) {
    let count = registry.position(id).unwrap_or(0);
    for index in 0..count {
        let Some(patch) = registry.patches.get_mut(index) else {
            break;
        };
        patch.set_enabled(false);
        let old = patch.id;
        transition::unpatch_objects(registry, old);
    }
    discard_nops(registry, id);
}

fn discard_nops(registry: &mut Registry, id: PatchId) {
    let Some((patch, redirects)) = registry.patch_and_redirects(id) else {
        return;
    };
    for object in patch.objects.iter_mut() {
        for nop in object
            .functions
            .iter_mut()
            .filter(|function| function.is_nop())
        {
            if let Some(original) = nop.old.as_ref().filter(|_| nop.patched) {
                redirects.remove(original.address, id);
            }
        }
        object.functions.retain(|function| !function.is_nop());
    }
    patch.objects.retain(|object| object.spec.is_some());
}

/// Frees the patches before `id`, which are replaced.
pub(crate) fn retire_replaced(registry: &mut Registry, id: PatchId) {
    while let Some(first) = registry.patches.first().map(|patch| patch.id) {
        if first == id {
            break;
        }
        match enable::take(registry, first) {
            Some(patch) => retire::later(patch),
            None => break,
        }
    }
}
