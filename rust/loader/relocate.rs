// SPDX-License-Identifier: GPL-2.0

//! Livepatch relocation sections: checking them, applying them, taking them back.

use super::resolve::{self, WantedSymbols};
use super::retain::LivepatchElf;
use super::sections::{self, RelocationSection};
use crate::format::check::{self, Place};
use crate::format::elf::SectionIndex;
use crate::format::name::Text;
use crate::format::refusal::{Refusal, Unresolved};
use crate::format::{self};
use crate::messages::refuse;
use crate::sys::elf::Retained;
use crate::sys::sort::{sort, Compare};
use core::cmp::Ordering;
use kernel::prelude::*;

/// What stops a section from being applied.
pub(super) enum Fault<'a> {
    /// The file is at fault, or does not fit the kernel.
    File(check::Fault<'a>),
    /// Not the file's fault.
    Errno(Error),
}

impl From<format::Error> for Fault<'_> {
    fn from(error: format::Error) -> Self {
        Fault::File(error.into())
    }
}

impl<'a> From<check::Fault<'a>> for Fault<'a> {
    fn from(fault: check::Fault<'a>) -> Self {
        Fault::File(fault)
    }
}

impl<'a> From<Unresolved<'a>> for Fault<'a> {
    fn from(unresolved: Unresolved<'a>) -> Self {
        Fault::File(check::Fault::Unresolved(unresolved))
    }
}

impl From<Error> for Fault<'_> {
    fn from(error: Error) -> Self {
        Fault::Errno(error)
    }
}

impl From<kernel::alloc::AllocError> for Fault<'_> {
    fn from(error: kernel::alloc::AllocError) -> Self {
        Fault::Errno(error.into())
    }
}

/// Checks a section and returns the symbols that it names.
fn wanted<'a>(
    elf: &'a Retained,
    section: &RelocationSection,
) -> Result<WantedSymbols<'a>, Fault<'a>> {
    let (dialect, object) = (section.dialect, section.object());
    let mut wanted = WantedSymbols::new(elf.symbols().len())?;
    let strings = elf.strings();
    let checked = elf.check::<Fault<'a>>(section.index, |nr, rela, symbol| {
        if wanted.saw(rela.symbol) {
            return Ok(());
        }
        let parsed = check::symbol(dialect, object, nr, symbol, &strings)?;
        wanted.push(rela.symbol, parsed)?;
        Ok(())
    })?;
    if let Some(nr) = checked.occupied() {
        return Err(format::Error::RelocationPlace { nr }.into());
    }
    let (start, size) = checked.target();
    let header = elf.sections().get(section.index)?;
    let target = elf.sections().get(SectionIndex(header.sh_info))?;
    check::target_name(elf.names().get(target.sh_name)?)?;
    if !object.is_vmlinux() && !elf.module().keeps(start, size) {
        return Err(check::FREED_AFTER_INIT.into());
    }
    Ok(wanted)
}

/// Says which section of which module is at fault.
pub(super) fn report(elf: &Retained, index: SectionIndex, fault: Fault<'_>) -> Error {
    let sections = elf.sections();
    let section = sections
        .get(index)
        .and_then(|section| elf.names().get(section.sh_name))
        .unwrap_or_default();
    let module = elf.module().name().to_bytes();
    match fault {
        Fault::File(fault) => {
            let fault = match fault {
                check::Fault::Format(error) => {
                    check::Fault::new(error, index, &elf.symbols(), &elf.strings())
                }
                other => other,
            };
            refuse(&Refusal::Section {
                module,
                section,
                fault,
            })
        }
        Fault::Errno(error) => {
            pr_err!(
                "module '{}': section {}: relocations not applied ({})\n",
                Text(module),
                Text(section),
                error.to_errno()
            );
            error
        }
    }
}

fn apply(elf: &mut Retained, section: &RelocationSection) -> Result {
    let found = wanted(elf, section).and_then(|wanted| wanted.resolve());
    match found {
        Ok(found) => {
            resolve::enter(elf, &found);
            elf.apply(section.index)
                .map_err(|error| report(elf, section.index, Fault::Errno(error)))
        }
        Err(fault) => Err(report(elf, section.index, fault)),
    }
}

impl Compare for Place {
    fn compare(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
}

/// Checks that no two relocations write to one place. What is wrong with a section otherwise is
/// found, and told, by those who apply or check it.
fn check_overlaps(elf: &Retained, sections: &[RelocationSection]) -> Result {
    let mut places: KVVec<Place> = KVVec::new();
    for section in sections {
        match elf.places(section.index, |place| Ok(places.push(place, GFP_KERNEL)?)) {
            Err(Fault::Errno(error)) => return Err(error),
            Err(Fault::File(_)) | Ok(()) => {}
        }
    }
    // Mostly they are in order: one section for each target, written from its start to its end.
    if !places.is_sorted() {
        sort(&mut places);
    }
    check::overlap(&places).map_err(|(section, error)| report(elf, section, error.into()))
}

/// At the load of a livepatch: applies the sections for the kernel itself, and checks all others,
/// which are kept with `elf`. Where there are no others, symbols are not needed any more.
///
/// # Errors
///
/// `EINVAL`, `ENOEXEC` for what is wrong with the file, `ENOMEM`; all are logged.
pub(crate) fn load(mut elf: Retained) -> Result<LivepatchElf> {
    let mut sections = sections::find(&elf)?;
    check_overlaps(&elf, &sections)?;
    for section in sections.iter() {
        if section.object().is_vmlinux() {
            apply(&mut elf, section)?;
        } else if let Err(fault) = wanted(&elf, section) {
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
/// `EINVAL`, `ENOEXEC`, `ENOMEM`; all are logged.
pub(crate) fn apply_for(livepatch: &mut LivepatchElf, target: &CStr) -> Result {
    let LivepatchElf { elf, sections } = livepatch;
    let result = for_target(sections, target).try_for_each(|section| apply(elf, section));
    if result.is_err() {
        clear_for(livepatch, target);
    }
    result
}

/// Takes back the sections for a module that is gone, or never came.
pub(crate) fn clear_for(livepatch: &mut LivepatchElf, target: &CStr) {
    let LivepatchElf { elf, sections } = livepatch;
    for_target(sections, target).for_each(|section| elf.clear(section.index));
}

/// The sections for a module.
fn for_target<'a>(
    sections: &'a [RelocationSection],
    target: &'a CStr,
) -> impl Iterator<Item = &'a RelocationSection> {
    sections
        .iter()
        .filter(|section| section.object().as_bytes() == target.to_bytes())
}
