// SPDX-License-Identifier: GPL-2.0

//! A module is in its place and relocated, but for its livepatch relocations.

use crate::format::check;
use crate::format::elf::{FOREIGN, SHF_RELA_LIVEPATCH};
use crate::format::error::Error;
use crate::format::modinfo;
use crate::format::refusal::Refusal;
use crate::loader::{relocate, retain};
use crate::messages::refuse;
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
    if !modinfo::is_admitted(info) {
        let sections = loading.sections();
        let mut ours = sections.with_flags(SHF_RELA_LIVEPATCH);
        if ours.any(|(_, section)| check::needs_mark(&section)) {
            return Err(refuse(&Refusal::UnmarkedRelocations {
                module: module.name().to_bytes(),
            }));
        }
        return Ok(());
    }
    // It came past what looks at a livepatch first, which did not find it.
    if !loading.is_native() {
        return Err(refuse(&Refusal::Unsafe {
            module: module.name().to_bytes(),
            section: modinfo::SECTION,
            error: Error::NotElf(FOREIGN),
        }));
    }
    pr_notice_once!(
        "{}: tainting kernel with TAINT_LIVEPATCH\n",
        module.name().to_str().unwrap_or("?")
    );
    module.taint_livepatch();
    retain::keep(relocate::load(Retained::new(loading)?)?)
}

/// Frees what was kept of a module.
pub(crate) fn cleanup(module: ModuleId) {
    retain::forget(module);
}
