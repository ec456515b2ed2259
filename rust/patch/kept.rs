// SPDX-License-Identifier: GPL-2.0

//! The modules of patches that tasks were forced out of. Tasks may still run their code: they stay for
//! good, and are shown.

use super::model::Patch;
use crate::format::name::Text;
use crate::sys::module::{ModuleId, State};
use kernel::prelude::*;
use kernel::str::CString;

/// One of them.
struct Module {
    id: ModuleId,
    name: CString,
}

/// All of them.
pub(crate) struct Kept(KVec<Module>);

impl Kept {
    /// None.
    pub(crate) const fn new() -> Self {
        Kept(KVec::new())
    }

    /// The modules of these patches, to be added when they are kept.
    ///
    /// # Errors
    ///
    /// `EBUSY` for one that is not complete, which is logged: the kernel frees it whoever runs its
    /// code, if its init function has failed, or is going to. `ENOMEM`
    pub(crate) fn of<'a>(patches: impl Iterator<Item = &'a Patch>) -> Result<Self> {
        let mut modules = KVec::new();
        for patch in patches {
            let Some(module) = patch.module.as_ref().map(|module| module.module()) else {
                continue;
            };
            if module.state() != State::Live {
                pr_err!(
                    "tasks cannot be forced out of patch '{}': its module is not complete, or goes away\n",
                    patch.display_name()
                );
                return Err(EBUSY);
            }
            let name = CString::try_from(module.name())?;
            let id = module.id();
            modules.push(Module { id, name }, GFP_KERNEL)?;
        }
        Ok(Kept(modules))
    }

    /// Makes room for others.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn reserve(&mut self, others: &Kept) -> Result {
        Ok(self.0.reserve(others.0.len(), GFP_KERNEL)?)
    }

    /// Adds others, for which there is room.
    pub(crate) fn add(&mut self, others: Kept) {
        for module in others.0 {
            self.forget(module.id);
            let _ = self.0.push_within_capacity(module);
        }
    }

    /// Takes out a module that the kernel frees all the same, as `rmmod -f` makes it do.
    pub(crate) fn forget(&mut self, module: ModuleId) {
        self.0.retain(|kept| kept.id != module);
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = Text<'_>> {
        self.0.iter().map(|module| Text(module.name.to_bytes()))
    }
}
