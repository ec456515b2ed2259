// SPDX-License-Identifier: GPL-2.0

//! Livepatch relocation sections: checking them, applying them, taking them back.

use super::resolve::{self, WantedSymbols};
use crate::format::check::{self, Kind, Place};
use crate::format::elf::SectionIndex;
use crate::format::name::{ObjectName, SectionName, Text};
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

/// Calls `each` for every livepatch relocation section, with its parsed name.
fn for_each_section(
    elf: &mut Retained,
    mut each: impl FnMut(&mut Retained, SectionIndex, Option<ObjectName<'_>>) -> Result,
) -> Result {
    for number in 1..elf.sections().len() {
        let index = SectionIndex(number);
        let Ok(section) = elf.sections().get(index) else {
            continue;
        };
        let Ok(name) = elf.names().get(section.sh_name) else {
            continue;
        };
        let parsed = match check::kind(&section, name) {
            Kind::Other => continue,
            Kind::Relocations(parsed) => parsed,
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
        };
        // The object's name is needed while `elf` changes: it is short.
        let mut copy = [0u8; format::name::OBJECT_NAME_MAX];
        let object = parsed.object.as_bytes();
        let length = object.len();
        if let Some(room) = copy.get_mut(..length) {
            room.copy_from_slice(object);
        }
        let object = copy
            .get(..length)
            .and_then(|object| ObjectName::new(object).ok());
        each(elf, index, object)?;
    }
    Ok(())
}

/// Checks a section and returns the symbols that it names.
fn wanted<'a>(
    elf: &'a Retained,
    index: SectionIndex,
    object: ObjectName<'_>,
) -> Result<WantedSymbols<'a>, Fault<'a>> {
    let section = elf.sections().get(index)?;
    let section_name = SectionName::parse(elf.names().get(section.sh_name)?)?;
    let mut wanted = WantedSymbols::new(elf.symbols().len())?;
    let strings = elf.strings();
    let checked = elf.check::<Fault<'a>>(index, |nr, rela, symbol| {
        if wanted.saw(rela.symbol) {
            return Ok(());
        }
        let parsed = check::symbol(&section_name, nr, symbol, &strings)?;
        wanted.push(rela.symbol, parsed)?;
        Ok(())
    })?;
    if let Some(nr) = checked.occupied() {
        return Err(format::Error::RelocationPlace { nr }.into());
    }
    let (start, size) = checked.target();
    let target = elf.sections().get(SectionIndex(section.sh_info))?;
    check::target_name(elf.names().get(target.sh_name)?)?;
    if !object.is_vmlinux() && !elf.module().keeps(start, size) {
        return Err(check::FREED_AFTER_INIT.into());
    }
    Ok(wanted)
}

/// Says which section of which module is at fault.
fn report(elf: &Retained, index: SectionIndex, fault: Fault<'_>) -> Error {
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

fn apply(elf: &mut Retained, index: SectionIndex, object: ObjectName<'_>) -> Result {
    let found = wanted(elf, index, object).and_then(|wanted| wanted.resolve());
    match found {
        Ok(found) => {
            resolve::enter(elf, &found);
            elf.apply(index)
                .map_err(|error| report(elf, index, Fault::Errno(error)))
        }
        Err(fault) => Err(report(elf, index, fault)),
    }
}

impl Compare for Place {
    fn compare(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
}

/// Checks that no two relocations write to one place. What is wrong with a section otherwise is
/// found, and told, by those who apply or check it.
fn check_overlaps(elf: &mut Retained) -> Result {
    let mut places: KVVec<Place> = KVVec::new();
    for_each_section(elf, |elf, index, _| {
        match elf.places(index, |place| Ok(places.push(place, GFP_KERNEL)?)) {
            Err(Fault::Errno(error)) => Err(error),
            Err(Fault::File(_)) | Ok(()) => Ok(()),
        }
    })?;
    // Mostly they are in order: one section for each target, written from its start to its end.
    if !places.is_sorted() {
        sort(&mut places);
    }
    check::overlap(&places).map_err(|(section, error)| report(elf, section, error.into()))
}

/// At the load of a livepatch: applies the sections for the kernel itself, and checks all others.
/// Where there are no others, symbols are not needed any more.
///
/// # Errors
///
/// `EINVAL`, `ENOEXEC` for what is wrong with the file, `ENOMEM`; all are logged.
pub(crate) fn load(elf: &mut Retained) -> Result {
    check_overlaps(elf)?;
    let mut late = false;
    for_each_section(elf, |elf, index, object| match object {
        Some(object) if object.is_vmlinux() => apply(elf, index, object),
        Some(object) => match wanted(elf, index, object) {
            Ok(_) => {
                late = true;
                Ok(())
            }
            Err(fault) => Err(report(elf, index, fault)),
        },
        None => Err(EINVAL),
    })?;
    if !late {
        elf.forget_symbols();
    }
    Ok(())
}

/// Applies the sections for a module that is loaded now. On an error nothing of them is applied.
///
/// # Errors
///
/// `EINVAL`, `ENOEXEC`, `ENOMEM`; all are logged.
pub(crate) fn apply_for(elf: &mut Retained, target: &CStr) -> Result {
    let result = for_each_section(elf, |elf, index, object| match object {
        Some(object) if object.as_bytes() == target.to_bytes() => apply(elf, index, object),
        _ => Ok(()),
    });
    if result.is_err() {
        clear_for(elf, target);
    }
    result
}

/// Takes back the sections for a module that is gone, or never came.
pub(crate) fn clear_for(elf: &mut Retained, target: &CStr) {
    let _ = for_each_section(elf, |elf, index, object| {
        if object.is_some_and(|object| object.as_bytes() == target.to_bytes()) {
            elf.clear(index);
        }
        Ok(())
    });
}
