// SPDX-License-Identifier: GPL-2.0

//! Livepatch relocation sections: applying them, taking them back.

use super::check::{self, report, Fault};
use super::resolve;
use super::retain::LivepatchElf;
use super::sections::{self, RelocationSection};
use crate::sys::elf::{Checked, Retained};
use kernel::prelude::*;

/// Applies a section, whose relocations may be `checked` already.
fn apply(elf: &mut Retained, section: &mut RelocationSection, checked: Option<Checked>) -> Result {
    let found = check::wanted(elf, section, checked)
        .and_then(|(checked, wanted)| Ok((checked, wanted.resolve()?)));
    match found {
        Ok((checked, found)) => {
            resolve::enter(elf, &found);
            elf.apply(checked, &mut section.applied)
                .map_err(|error| report(elf, section.index, Fault::Errno(error)))
        }
        Err(fault) => Err(report(elf, section.index, fault)),
    }
}

/// At the load of a livepatch: applies the sections for the kernel itself, and checks all others,
/// which are kept with `elf`. Where there are no others, symbols are not needed any more.
///
/// # Errors
///
/// `EINVAL`, `ENOEXEC` for what is wrong with the file, which is logged; `ENOMEM`.
pub(crate) fn load(mut elf: Retained) -> Result<LivepatchElf> {
    let mut sections = sections::find(&elf)?;
    let all = check::all(&elf, &sections)?;
    for (section, checked) in sections.iter_mut().zip(all) {
        if section.object().is_vmlinux() {
            apply(&mut elf, section, checked)?;
        } else if let Err(fault) = check::wanted(&elf, section, checked) {
            return Err(report(&elf, section.index, fault));
        }
    }
    sections.retain(|section| !section.object().is_vmlinux());
    if sections.is_empty() {
        elf.forget_symbols();
    }
    Ok(LivepatchElf { elf, sections })
}

/// Applies the sections for a module that is loaded now. On an error nothing of them is applied.
///
/// # Errors
///
/// `EINVAL`, `ENOEXEC`, which are logged; `ENOMEM`.
pub(crate) fn apply_for(livepatch: &mut LivepatchElf, target: &CStr) -> Result {
    let LivepatchElf { elf, sections } = livepatch;
    let result = for_target(sections, target).try_for_each(|section| apply(elf, section, None));
    if result.is_err() {
        clear_for(livepatch, target);
    }
    result
}

/// Takes back the sections for a module that is gone, or never came.
pub(crate) fn clear_for(livepatch: &mut LivepatchElf, target: &CStr) {
    let LivepatchElf { elf, sections } = livepatch;
    for section in for_target(sections, target) {
        if let Some(applied) = section.applied.take() {
            elf.clear(applied);
        }
    }
}

/// The sections for a module.
fn for_target<'a>(
    sections: &'a mut [RelocationSection],
    target: &'a CStr,
) -> impl Iterator<Item = &'a mut RelocationSection> {
    sections
        .iter_mut()
        .filter(|section| section.object().as_bytes() == target.to_bytes())
}
