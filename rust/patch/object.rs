// SPDX-License-Identifier: GPL-2.0

//! Patching and unpatching one object.

use super::model::{Body, Function, Object, PatchId};
use super::parts;
use super::redirects::{Addition, Layer, Redirects};
use crate::format::name::Text;
use crate::format::refusal::Refusal;
use crate::loader::{relocate, resolve, retain};
use crate::messages::refuse;
use crate::sys::kallsyms;
use crate::sys::module::ModuleId;
use crate::sys::Address;
use kernel::prelude::*;

impl Object {
    /// Prepares an object that is loaded: applies the relocations that waited for it, and finds
    /// its functions. On an error everything is as it was.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `ENOENT` for what is not found; those of the relocations; `ENOMEM`; all but the
    /// last are logged.
    pub(crate) fn prepare(&mut self, patch_module: Option<ModuleId>, name: &CStr) -> Result {
        self.relocate(patch_module)
            .and_then(|()| self.find_functions())
            .and_then(|()| self.find_parts(name))
            .inspect_err(|_| self.release(patch_module))
    }

    fn relocate(&self, patch_module: Option<ModuleId>) -> Result {
        match self.name() {
            Some(target) => {
                let entry = patch_module.and_then(retain::get).ok_or(EINVAL)?;
                let mut elf = entry.lock();
                relocate::apply_for(&mut elf, target)
            }
            None => Ok(()),
        }
    }

    fn find_functions(&mut self) -> Result {
        for index in 0..self.functions.len() {
            let object = self.object_name()?;
            let Some(function) = self.functions.get(index) else {
                break;
            };
            let name = Text(function.name.to_bytes());
            let address = resolve::one(object, &function.name, function.position)?;
            let size = kallsyms::size(address).ok_or_else(|| {
                pr_err!("kallsyms size lookup failed for '{}'\n", name);
                ENOENT
            })?;
            let new_size = match &function.new {
                Some(new) => kallsyms::size(new.body.address).ok_or_else(|| {
                    pr_err!("kallsyms size lookup failed for '{}' replacement\n", name);
                    ENOENT
                })?,
                None => 0,
            };
            // One function may have several names.
            let same = |other: &&Function| {
                let old = other.old.as_ref();
                old.is_some_and(|old| old.address == address)
            };
            if let Some(other) = self.functions.iter().take(index).find(same) {
                if function.is_nop() {
                    // Something runs in place of it already.
                    continue;
                }
                return Err(refuse(&Refusal::SameFunction {
                    first: other.name.to_bytes(),
                    second: function.name.to_bytes(),
                }));
            }
            if let Some(function) = self.functions.get_mut(index) {
                function.old = Some(Body {
                    address,
                    size,
                    parts: None,
                });
                if let Some(new) = &mut function.new {
                    new.body.size = new_size;
                }
            }
        }
        Ok(())
    }

    /// Finds what the compiler has split off from the functions.
    fn find_parts(&mut self, patch_module: &CStr) -> Result {
        let of_module = self.name().map(parts::OfModule::find).transpose()?;
        for function in self.functions.iter_mut() {
            if let Some(old) = &mut function.old {
                old.parts = match &of_module {
                    Some(parts) => parts.of(&function.name)?,
                    None => parts::of_vmlinux(&function.name)?,
                };
            }
        }
        let functions = self.functions.iter_mut();
        parts::OfModule::find(patch_module)?.add_to(
            patch_module,
            functions.filter_map(|function| Some(&mut function.new.as_mut()?.body)),
        )
    }

    /// The object is not loaded any more: undoes [`prepare`](Self::prepare).
    pub(crate) fn release(&mut self, patch_module: Option<ModuleId>) {
        if let Some(target) = self.name() {
            if let Some(entry) = patch_module.and_then(retain::get) {
                relocate::clear_for(&mut entry.lock(), target);
            }
        }
        self.target = None;
        if let Some(spec) = &self.spec {
            spec.set_target(None);
        }
        for function in self.functions.iter_mut() {
            function.old = None;
        }
    }

    /// Puts the functions among the redirects; `changing` says whether the patch is in transition.
    /// On an error none of them is.
    ///
    /// # Errors
    ///
    /// Those of [`Redirects::add`].
    pub(crate) fn patch(
        &mut self,
        redirects: &mut Redirects,
        patch: PatchId,
        changing: bool,
    ) -> Result {
        let mut additions = KVec::with_capacity(self.functions.len(), GFP_KERNEL)?;
        for function in self.functions.iter() {
            if let Some(original) = function.old.clone() {
                let layer = Layer {
                    patch,
                    new: function.new.clone(),
                    changing,
                };
                let name = &*function.name;
                let addition = Addition {
                    original,
                    name,
                    layer,
                };
                additions.push(addition, GFP_KERNEL)?;
            }
        }
        redirects.add(&additions)?;
        drop(additions);
        for function in self.functions.iter_mut() {
            function.patched = function.old.is_some();
        }
        self.set_patched(true);
        Ok(())
    }

    /// Sees to it that the functions can be switched.
    pub(crate) fn make_switchable(&self, redirects: &mut Redirects) {
        self.patched()
            .for_each(|function| redirects.make_switchable(function));
    }

    /// Takes the functions out of the redirects. Calls must go elsewhere already.
    pub(crate) fn unpatch(&mut self, redirects: &mut Redirects, patch: PatchId) {
        for function in self
            .functions
            .iter_mut()
            .filter(|function| function.patched)
        {
            if let Some(original) = &function.old {
                redirects.remove(original.address, patch);
            }
            function.patched = false;
        }
        self.set_patched(false);
    }

    /// The functions that are among the redirects.
    pub(crate) fn patched(&self) -> impl Iterator<Item = Address> + '_ {
        let patched = self.functions.iter().filter(|function| function.patched);
        patched.filter_map(|function| function.old.as_ref().map(|old| old.address))
    }

    /// Sends calls of the functions where their layers say.
    pub(crate) fn lead(&self, redirects: &Redirects) {
        self.patched().for_each(|function| redirects.lead(function));
    }

    /// Says whether the patch is in transition, of all functions.
    pub(crate) fn set_changing(&self, redirects: &mut Redirects, patch: PatchId, changing: bool) {
        self.patched()
            .for_each(|function| redirects.set_changing(function, patch, changing));
    }

    /// Runs the author's callback before patching.
    ///
    /// # Errors
    ///
    /// What the callback returns.
    pub(crate) fn pre_patch(&self) -> Result {
        self.spec.as_ref().map_or(Ok(()), |spec| spec.pre_patch())
    }

    /// Runs the author's callback after patching.
    pub(crate) fn post_patch(&self) {
        if let Some(spec) = &self.spec {
            spec.post_patch();
        }
    }

    /// Runs the author's callback before unpatching.
    pub(crate) fn pre_unpatch(&self) {
        if let Some(spec) = &self.spec {
            spec.pre_unpatch();
        }
    }

    /// Runs the author's callback after unpatching.
    pub(crate) fn post_unpatch(&self) {
        if let Some(spec) = &self.spec {
            spec.post_unpatch();
        }
    }
}
