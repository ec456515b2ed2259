// SPDX-License-Identifier: GPL-2.0

//! The livepatch relocation sections of a module, whose names are parsed here and nowhere else.

use super::check::{report, Fault};
use crate::format::check::{self, Kind};
use crate::format::elf::SectionIndex;
use crate::format::name::{Dialect, ObjectName, OwnedObjectName};
use crate::format::refusal::Refusal;
use crate::messages::refuse;
use crate::sys::elf::{Applied, Retained};
use kernel::prelude::*;

/// A livepatch relocation section.
pub(super) struct RelocationSection {
    pub(super) index: SectionIndex,
    /// In which dialect its name is written.
    pub(super) dialect: Dialect,
    object: OwnedObjectName,
    /// It, while it is applied.
    pub(super) applied: Option<Applied>,
}

impl RelocationSection {
    /// Whose load lets its relocations be applied.
    pub(super) fn object(&self) -> ObjectName<'_> {
        self.object.get()
    }
}

/// Finds them all, in their order.
///
/// # Errors
///
/// `EINVAL`, `ENOEXEC` for the first one whose name or flags are wrong, which is logged; `ENOMEM`.
pub(super) fn find(elf: &Retained) -> Result<KVVec<RelocationSection>> {
    let mut found = KVVec::new();
    for (index, section) in elf.sections().iter() {
        let Ok(name) = elf.names().get(section.sh_name) else {
            continue;
        };
        match check::kind(&section, name) {
            Kind::Other => {}
            Kind::Relocations(parsed) => {
                let section = RelocationSection {
                    index,
                    dialect: parsed.dialect,
                    object: parsed.object.into(),
                    applied: None,
                };
                found.push(section, GFP_KERNEL)?;
            }
            Kind::Unflagged => {
                return Err(refuse(&Refusal::Unflagged {
                    module: elf.module().name().to_bytes(),
                    section: name,
                }))
            }
            Kind::Misnamed(error) => {
                let fault = check::Fault::SectionName(error);
                return Err(report(elf, index, Fault::File(fault)));
            }
        }
    }
    Ok(found)
}
