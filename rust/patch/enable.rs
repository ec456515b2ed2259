// SPDX-License-Identifier: GPL-2.0

//! `klp_enable_patch()`.

use super::debugfs::FILES_OF_PATCH;
use super::model::{Function, Object, Patch, PatchId};
use super::registry::{self, Registry};
use super::sysfs::{FuncDir, ObjectDir, PatchDir};
use super::transition::{self, Goal};
use super::{modules, replace, retire, state};
use crate::format::name::{ObjectName, Text};
use crate::format::patch::Fault;
use crate::format::refusal::Refusal;
use crate::loader::retain::{self, LivepatchElf};
use crate::messages::refuse;
use crate::sys::debugfs::DebugDir;
use crate::sys::kobject::{Dir, Parent};
use crate::sys::spec::PatchSpec;
use core::sync::atomic::AtomicBool;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::time::Instant;

/// Enables a patch. When this returns it is in effect, or in transition.
///
/// # Errors
///
/// `EINVAL` for what is wrong with the patch, `EBUSY` while another one is in transition, what
/// the author's callbacks return, `ENODEV` if the module goes, `ENOMEM`, and others; everything is
/// undone then, and all but `ENODEV` and `ENOMEM` are logged.
pub(crate) fn enable(spec: PatchSpec) -> Result {
    let mut registry = registry::lock();
    let id = registry.new_id();
    let patch = Patch::new(id, spec)?;
    check(&registry, &patch)?;

    match add(&mut registry, patch) {
        Ok(()) => match start(&mut registry, id) {
            Ok(()) => Ok(()),
            Err(error) => {
                let patch = take(&mut registry, id);
                drop(registry);
                if let Some(patch) = patch {
                    abandon(patch);
                }
                Err(error)
            }
        },
        Err((error, patch)) => {
            // What is in sysfs must not be removed under the lock.
            drop(registry);
            abandon(patch);
            Err(error)
        }
    }
}

/// Frees a patch that could not be enabled; its module may try again.
fn abandon(mut patch: KBox<Patch>) {
    let module = patch.module_id();
    for object in patch.objects.iter_mut().filter(|object| object.is_loaded()) {
        object.release(module);
    }
    retire::free(patch);
}

/// Takes a patch out of the registry.
pub(crate) fn take(registry: &mut Registry, id: PatchId) -> Option<KBox<Patch>> {
    let position = registry.position(id)?;
    registry.patches.remove(position).ok()
}

fn check(registry: &Registry, patch: &Patch) -> Result {
    let name = patch.display_name();
    let entry = patch.module_id().and_then(retain::get).ok_or_else(|| {
        refuse(&Refusal::Unmarked {
            module: patch.name.to_bytes(),
        })
    })?;
    check_awaited(patch, &entry.lock())?;
    if registry
        .patches
        .iter()
        .any(|other| other.module_id() == patch.module_id())
    {
        pr_err!("module {} has enabled a patch already\n", name);
        return Err(EINVAL);
    }
    if !state::is_compatible(registry, &patch.spec) {
        pr_err!(
            "Livepatch patch ({}) is not compatible with the already installed livepatches.\n",
            name
        );
        return Err(EINVAL);
    }
    Ok(())
}

/// Relocations wait for objects of the patch only. For others they would never be applied: what
/// uses them would run into address 0.
fn check_awaited(patch: &Patch, elf: &LivepatchElf) -> Result {
    let is_object = |name: &ObjectName<'_>| {
        let mut objects = patch.objects.iter();
        objects.any(|object| object.display_name() == name.as_bytes())
    };
    match elf.awaited().find(|name| !is_object(name)) {
        Some(object) => Err(refuse(&Refusal::Incomplete {
            patch: patch.name.to_bytes(),
            fault: Fault::NoObject {
                object: object.as_bytes(),
            },
        })),
        None => Ok(()),
    }
}

/// Prepares a patch for what is loaded, shows it in sysfs and puts it into the registry.
fn add(
    registry: &mut Registry,
    mut patch: KBox<Patch>,
) -> core::result::Result<(), (Error, KBox<Patch>)> {
    match prepare(registry, &mut patch) {
        // The room was made by `prepare`.
        Ok(()) => registry
            .patches
            .push_within_capacity(patch)
            .map_err(|error| (ENOMEM, error.0)),
        Err(error) => Err((error, patch)),
    }
}

fn prepare(registry: &mut Registry, patch: &mut Patch) -> Result {
    registry.patches.reserve(1, GFP_KERNEL)?;
    let root = registry.root.as_ref().ok_or(ENODEV)?.as_parent();
    let dir = PatchDir {
        id: patch.id,
        enabled: AtomicBool::new(false),
        transition: AtomicBool::new(false),
        replace: patch.replace,
    };
    patch.dir = Some(Dir::new(&patch.name, root, dir)?);
    if let Some(root) = &registry.debug {
        patch.debug = Some(DebugDir::below(
            root,
            &patch.name,
            patch.id.0,
            FILES_OF_PATCH,
        ));
    }
    if patch.replace {
        replace::add_nops(&registry.patches, patch)?;
    }
    let module = patch.module_id();
    for object in patch.objects.iter_mut() {
        let Some(parent) = &patch.dir else {
            return Err(ENODEV);
        };
        show(object, parent.as_parent())?;
        modules::find(registry, object)?;
        if object.is_loaded() {
            object.prepare(module, &patch.name)?;
        }
    }
    Ok(())
}

/// Makes an object's directories.
fn show(object: &mut Object, parent: Parent<'_>) -> Result {
    let vmlinux = c"vmlinux";
    let name = object.name.as_deref().unwrap_or(vmlinux);
    let dir = Dir::new(
        name,
        parent,
        ObjectDir {
            patched: AtomicBool::new(false),
        },
    )?;
    for function in object.functions.iter_mut() {
        function.dir = Some(show_function(function, dir.as_parent())?);
    }
    object.dir = Some(dir);
    Ok(())
}

/// Makes a function's directory: its name, and which one of that name it is.
fn show_function(function: &Function, parent: Parent<'_>) -> Result<Dir<FuncDir>> {
    let name = CString::try_from_fmt(fmt!(
        "{},{}",
        Text(function.name.to_bytes()),
        function.position.0.max(1)
    ))?;
    Dir::new(&name, parent, FuncDir)
}

/// Starts the transition to a patch that is in the registry.
fn start(registry: &mut Registry, id: PatchId) -> Result {
    let name = registry
        .patch(id)
        .map(|patch| patch.display_name())
        .ok_or(EINVAL)?;
    if registry.transition.is_some() {
        pr_err!(
            "patch '{}' cannot be enabled: another one is in transition\n",
            name
        );
        return Err(EBUSY);
    }
    pr_notice!("enabling patch '{}'\n", name);
    transition::begin(registry, id, Goal::Patched, Instant::now())?;
    if let Err(error) = patch_objects(registry, id) {
        if let Some(patch) = registry.patch(id) {
            pr_warn!("failed to enable patch '{}'\n", patch.display_name());
        }
        transition::cancel(registry);
        return Err(error);
    }
    transition::go(registry, true);
    Ok(())
}

fn patch_objects(registry: &mut Registry, id: PatchId) -> Result {
    let (patch, redirects) = registry.patch_and_redirects(id).ok_or(EINVAL)?;
    for object in patch.objects.iter_mut().filter(|object| object.is_loaded()) {
        let name = object.display_name();
        object.pre_patch().inspect_err(|_| {
            pr_warn!("pre-patch callback failed for object '{}'\n", Text(name));
        })?;
        object.patch(redirects, id, true).inspect_err(|_| {
            pr_warn!("failed to patch object '{}'\n", Text(object.display_name()));
        })?;
    }
    Ok(())
}
