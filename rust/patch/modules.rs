// SPDX-License-Identifier: GPL-2.0

//! Modules that come and go: patching them when they are loaded, before their init function
//! runs, and letting them go.

use super::model::Object;
use super::registry::{self, Registry};
use super::{consistency, retire, settle, transition};
use crate::format::name::Text;
use crate::loader::retain;
use crate::sys::module::{self, Module, State};
use kernel::prelude::*;
use kernel::time::{delay::fsleep, Delta};

/// Finds the target of an object among the modules that are loaded.
///
/// A module counts as loaded from the moment that [`coming`] has seen it until [`going`] has. One
/// that was there before livepatch.ko counts from when it is first found in use.
///
/// # Errors
///
/// `ENOMEM`
pub(crate) fn find(registry: &mut Registry, object: &mut Object) -> Result {
    let Some(name) = object.name() else {
        return Ok(());
    };
    let spec = object.spec;
    if let Some(spec) = &spec {
        spec.set_target(None);
    }
    let alive = &mut registry.alive;
    alive.reserve(1, GFP_KERNEL)?;
    let target = module::find(name, |module| {
        let id = module.id();
        if !alive.contains(&id) {
            if module.state() != State::Live {
                return None;
            }
            // From now on it counts until it is gone, also while its exit function runs: it may be
            // patched then.
            let _ = alive.push_within_capacity(id);
        }
        if let Some(spec) = spec {
            spec.set_target(Some(module));
        }
        Some(id)
    });
    object.target = target.flatten();
    Ok(())
}

/// A module is complete, and its init function has not run. Patches that wait for it are applied.
///
/// # Errors
///
/// Where a patch cannot be applied to it, the module is refused; what is wrong is logged.
pub(crate) fn coming(module: &Module<'_>) -> Result {
    if module.name().to_bytes() == b"vmlinux" {
        pr_err!("vmlinux.ko: invalid module name\n");
        return Err(EINVAL);
    }
    let mut registry = registry::lock();
    registry.alive.push(module.id(), GFP_KERNEL)?;
    apply_all(&mut registry, module).inspect_err(|_| forget(&mut registry, module))
}

/// A module's init function has run. Nothing is left to do for a module that [`coming`] saw. One
/// that was being loaded when livepatch.ko came has run since, unpatched: it stays so, as a switch
/// takes a transition. A patch that is enabled from now on patches it, too.
pub(crate) fn live(module: &Module<'_>) {
    let registry = registry::lock();
    if registry.alive.contains(&module.id()) {
        return;
    }
    for position in 0..registry.patches.len() {
        let Some(index) = object_index(&registry, position, module) else {
            continue;
        };
        let patch = registry.patches.get(position);
        let object = patch.and_then(|patch| patch.objects.get(index));
        if let (Some(patch), Some(false)) = (patch, object.map(|object| object.patched)) {
            pr_warn!(
                "patch '{}' is not applied to module '{}', which was being loaded before livepatch.ko: load the module again\n",
                patch.display_name(),
                Text(module.name().to_bytes())
            );
        }
    }
}

fn forget(registry: &mut Registry, module: &Module<'_>) {
    registry.alive.retain(|id| *id != module.id());
    registry.kept.forget(module.id());
}

/// The index of the object of this name in a patch, if it has one.
fn object_index(registry: &Registry, patch: usize, module: &Module<'_>) -> Option<usize> {
    let patch = registry.patches.get(patch)?;
    patch
        .objects
        .iter()
        .position(|object| object.name() == Some(module.name()))
}

fn apply_all(registry: &mut Registry, module: &Module<'_>) -> Result {
    for position in 0..registry.patches.len() {
        let Some(index) = object_index(registry, position, module) else {
            continue;
        };
        if let Err(error) = apply(registry, position, index, module) {
            let name = Text(module.name().to_bytes());
            if let Some(patch) = registry.patches.get(position) {
                pr_warn!(
                    "patch '{}' failed for module '{}', refusing to load module '{}'\n",
                    patch.display_name(),
                    name,
                    name
                );
            }
            revert(registry, module, position);
            return Err(error);
        }
    }
    Ok(())
}

/// Applies one patch to a module. On an error this patch is not applied.
fn apply(registry: &mut Registry, position: usize, index: usize, module: &Module<'_>) -> Result {
    let in_transition = registry
        .patches
        .get(position)
        .is_some_and(|patch| registry.in_transition(patch.id));
    let Registry {
        patches, redirects, ..
    } = registry;
    let target = Text(module.name().to_bytes());
    let patch = &mut **patches.get_mut(position).ok_or(EINVAL)?;
    let (id, patch_module) = (patch.id, patch.module_id());
    let name = Text(patch.name.to_bytes());
    let object = patch.objects.get_mut(index).ok_or(EINVAL)?;
    object.target = Some(module.id());
    if let Some(spec) = &object.spec {
        spec.set_target(Some(module));
    }
    if let Err(error) = object.prepare(patch_module, &patch.name) {
        pr_warn!(
            "failed to initialize patch '{}' for module '{}' ({})\n",
            name,
            target,
            error.to_errno()
        );
        return Err(error);
    }
    pr_notice!("applying patch '{}' to loading module '{}'\n", name, target);
    if let Err(error) = object.pre_patch() {
        pr_warn!("pre-patch callback failed for object '{}'\n", target);
        object.release(patch_module);
        return Err(error);
    }
    if let Err(error) = object.patch(redirects, id, in_transition) {
        pr_warn!(
            "failed to apply patch '{}' to module '{}' ({})\n",
            name,
            target,
            error.to_errno()
        );
        object.post_unpatch();
        object.release(patch_module);
        return Err(error);
    }
    // Nobody runs the module yet: what is in effect elsewhere is in effect here, at once.
    object.lead(redirects);
    if !in_transition {
        object.post_patch();
    } else if let Err(error) = consistency::watch_anew(registry) {
        revert_one(registry, module, position);
        return Err(error);
    }
    settle::later(registry);
    Ok(())
}

/// Takes the patches before `limit` off a module, in their order.
fn revert(registry: &mut Registry, module: &Module<'_>, limit: usize) {
    for position in 0..limit {
        revert_one(registry, module, position);
    }
    // The functions are about to go.
    consistency::forget(registry, module);
    registry.redirects.let_go();
}

/// Takes one patch off a module.
fn revert_one(registry: &mut Registry, module: &Module<'_>, position: usize) {
    let target = Text(module.name().to_bytes());
    let Some(index) = object_index(registry, position, module) else {
        return;
    };
    let in_transition = registry
        .patches
        .get(position)
        .is_some_and(|patch| registry.in_transition(patch.id));
    let Registry {
        patches, redirects, ..
    } = registry;
    let Some(patch) = patches.get_mut(position).map(|patch| &mut **patch) else {
        return;
    };
    let (id, patch_module) = (patch.id, patch.module_id());
    let name = Text(patch.name.to_bytes());
    let Some(object) = patch.objects.get_mut(index) else {
        return;
    };
    if object.target != Some(module.id()) {
        return;
    }
    if !in_transition {
        object.pre_unpatch();
    }
    pr_notice!(
        "reverting patch '{}' on unloading module '{}'\n",
        name,
        target
    );
    object.unpatch(redirects, id);
    object.post_unpatch();
    object.release(patch_module);
}

/// A module's exit function has run, or its init function failed.
pub(crate) fn going(module: &Module<'_>) {
    abandon(module);
    let mut registry = registry::lock();
    forget(&mut registry, module);
    let count = registry.patches.len();
    revert(&mut registry, module, count);
}

/// A patch module that goes away although its patch is enabled, or is not freed yet: its init
/// function failed after it had enabled the patch. Its memory is about to be freed, so that the
/// patch has to go first, however long that takes.
fn abandon(module: &Module<'_>) {
    if retain::get(module.id()).is_none() {
        // Not a livepatch.
        return;
    }
    let mut said = false;
    loop {
        let mut registry = registry::lock();
        let found = registry
            .patches
            .iter()
            .find(|patch| patch.module_id() == Some(module.id()));
        let Some((id, enabled)) = found.map(|patch| (patch.id, patch.enabled)) else {
            break;
        };
        if !said {
            pr_err!(
                "module '{}' failed after it had enabled its patch: disabling the patch\n",
                Text(module.name().to_bytes())
            );
            said = true;
        }
        if enabled {
            // Busy with another patch: wait for that.
            let _ = transition::set_enabled(&mut registry, id, false);
        }
        drop(registry);
        fsleep(Delta::from_millis(10));
    }
    // Also a patch that others have disabled may not be freed yet.
    retire::wait();
}
