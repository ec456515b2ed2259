// SPDX-License-Identifier: GPL-2.0

//! A module is in its place and relocated, but for its livepatch relocations.

use crate::format::elf::{Section, SHT_RELA};
use crate::format::modinfo;
use crate::format::name::Text;
use crate::loader::{relocate, retain};
use crate::sys::elf::{Loading, Retained};
use crate::sys::module::ModuleId;
use kernel::pr_notice_once;
use kernel::prelude::*;

/// Does nothing for ordinary modules, but refuses one that has livepatch relocations: nobody would
/// apply them. Of a livepatch it keeps the ELF information, applies the
/// relocations for the kernel itself and checks those for modules.
///
/// # Errors
///
/// `EINVAL`, `ENOEXEC` for what is wrong with the file, `ENOMEM`; they refuse the module.
pub(crate) fn finalize(loading: &Loading<'_>) -> Result {
    let info = loading.find(modinfo::SECTION).unwrap_or_default();
    let module = loading.module();
    if modinfo::value(info, modinfo::ADMITTED).is_none() {
        let livepatch =
            |section: &Section| section.sh_type == SHT_RELA && section.is_livepatch_relocation();
        if loading
            .sections()
            .iter()
            .any(|(_, section)| livepatch(&section))
        {
            pr_err!(
                "module '{}' has livepatch relocations, but is not marked as a livepatch module\n",
                Text(module.name().to_bytes())
            );
            return Err(ENOEXEC);
        }
        return Ok(());
    }
    pr_notice_once!(
        "{}: tainting kernel with TAINT_LIVEPATCH\n",
        module.name().to_str().unwrap_or("?")
    );
    module.taint_livepatch();
    let mut elf = Retained::new(loading)?;
    relocate::load(&mut elf)?;
    retain::keep(elf)
}

/// Frees what was kept of a module.
pub(crate) fn cleanup(module: ModuleId) {
    retain::forget(module);
}
