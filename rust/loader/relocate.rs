// SPDX-License-Identifier: GPL-2.0

//! Livepatch relocation sections: checking them, applying them, taking them back.

use super::resolve::{self, WantedSymbols};
use crate::format::check::{self, Place};
use crate::format::elf::SectionIndex;
use crate::format::name::{
    ObjectName, SectionName, SymbolName, Text, DRAFT_SECTION_PREFIX, SECTION_PREFIX,
};
use crate::format::{self};
use crate::sys::elf::Retained;
use crate::sys::sort::{sort, Compare};
use core::cmp::Ordering;
use kernel::prelude::*;

/// What stops a section from being applied.
enum Fault {
    /// The file is at fault.
    Format(format::Error),
    /// Already logged, or not the file's fault.
    Errno(Error),
}

impl From<format::Error> for Fault {
    fn from(error: format::Error) -> Self {
        Fault::Format(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Errno(error)
    }
}

impl From<kernel::alloc::AllocError> for Fault {
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
        let named = name.starts_with(SECTION_PREFIX) || name.starts_with(DRAFT_SECTION_PREFIX);
        if !section.is_livepatch_relocation() {
            if named {
                pr_err!(
                    "module '{}': section {} is named like a livepatch relocation section, but its flags do not say that it is one\n",
                    Text(elf.module().name().to_bytes()),
                    Text(name)
                );
                return Err(ENOEXEC);
            }
            continue;
        }
        // The object's name is needed while `elf` changes: it is short.
        let mut copy = [0u8; format::name::OBJECT_NAME_MAX];
        let object = match SectionName::parse(name) {
            Ok(parsed) => {
                let object = parsed.object.as_bytes();
                let length = object.len();
                if let Some(room) = copy.get_mut(..length) {
                    room.copy_from_slice(object);
                }
                copy.get(..length)
                    .and_then(|object| ObjectName::new(object).ok())
            }
            Err(error) => {
                pr_err!("section {} has an incorrectly formatted name\n", Text(name));
                pr_err!(
                    "module '{}': section {}: {}\n",
                    Text(elf.module().name().to_bytes()),
                    Text(name),
                    error
                );
                return Err(EINVAL);
            }
        };
        each(elf, index, object)?;
    }
    Ok(())
}

/// Checks a section and returns the symbols that it names.
fn wanted<'a>(
    elf: &'a Retained,
    index: SectionIndex,
    object: ObjectName<'_>,
) -> Result<WantedSymbols<'a>, Fault> {
    let section = elf.sections().get(index)?;
    let section_name = SectionName::parse(elf.names().get(section.sh_name)?)?;
    let mut wanted = WantedSymbols::new(elf.symbols().len())?;
    let strings = elf.strings();
    let checked = elf.check(index, |nr, rela, symbol| {
        if wanted.saw(rela.symbol) {
            return Ok(());
        }
        let name = strings.get(symbol.st_name)?;
        let parsed = SymbolName::parse(name, symbol);
        let parsed = match parsed {
            Ok(parsed) if parsed.dialect == section_name.dialect => parsed,
            other => {
                pr_err!("symbol {} has an incorrectly formatted name\n", Text(name));
                return Err(match other {
                    Err(error) => Fault::Format(error),
                    Ok(_) => {
                        pr_err!("relocation {}: symbol and section are of different dialects\n", nr);
                        Fault::Errno(EINVAL)
                    }
                });
            }
        };
        if parsed.object.is_vmlinux() && !object.is_vmlinux() {
            pr_err!(
                "invalid access to vmlinux symbol '{}' from module-specific livepatch relocation section\n",
                Text(parsed.symbol)
            );
            return Err(Fault::Errno(EINVAL));
        }
        wanted.push(rela.symbol, parsed)?;
        Ok(())
    })?;
    if let Some(nr) = checked.occupied() {
        return Err(Fault::Format(format::Error::RelocationPlace { nr }));
    }
    let (start, size) = checked.target();
    let target = elf.sections().get(SectionIndex(section.sh_info))?;
    if elf.names().get(target.sh_name)? == b".gnu.linkonce.this_module" {
        return Err(Fault::Format(format::Error::RelocationTarget(
            "the target section is the kernel's own record of the module",
        )));
    }
    if !object.is_vmlinux() && !elf.module().keeps(start, size) {
        return Err(Fault::Format(format::Error::RelocationTarget(
            "relocations for a module can be applied late, but the target section is freed after init",
        )));
    }
    Ok(wanted)
}

/// Says which section of which module is at fault.
fn report(elf: &Retained, index: SectionIndex, fault: Fault) -> Error {
    let sections = elf.sections();
    let name = sections
        .get(index)
        .and_then(|section| elf.names().get(section.sh_name))
        .unwrap_or_default();
    let module = Text(elf.module().name().to_bytes());
    match fault {
        Fault::Format(error) => {
            if let format::Error::NotALivepatchSymbol { nr, symbol, .. } = error {
                let symbol_name = elf
                    .symbols()
                    .get(symbol)
                    .and_then(|symbol| elf.strings().get(symbol.st_name))
                    .unwrap_or_default();
                pr_err!(
                    "symbol {} at rela sec {} idx {} is not marked as a livepatch symbol\n",
                    Text(symbol_name),
                    index.0,
                    nr
                );
            }
            pr_err!("module '{}': section {}: {}\n", module, Text(name), error);
            EINVAL
        }
        Fault::Errno(error) => {
            pr_err!(
                "module '{}': section {}: relocations not applied ({})\n",
                module,
                Text(name),
                error.to_errno()
            );
            error
        }
    }
}

fn apply(elf: &mut Retained, index: SectionIndex, object: ObjectName<'_>) -> Result {
    let found = wanted(elf, index, object).and_then(|wanted| Ok(wanted.resolve()?));
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
            Err(Fault::Format(_)) | Ok(()) => Ok(()),
        }
    })?;
    sort(&mut places);
    check::overlap(&places).map_err(|(section, error)| report(elf, section, Fault::Format(error)))
}

/// At the load of a livepatch: applies the sections for the kernel itself, and checks all others.
///
/// # Errors
///
/// `EINVAL`, `ENOEXEC` for what is wrong with the file, `ENOMEM`; all are logged.
pub(crate) fn load(elf: &mut Retained) -> Result {
    check_overlaps(elf)?;
    for_each_section(elf, |elf, index, object| match object {
        Some(object) if object.is_vmlinux() => apply(elf, index, object),
        Some(object) => match wanted(elf, index, object) {
            Ok(_) => Ok(()),
            Err(fault) => Err(report(elf, index, fault)),
        },
        None => Err(EINVAL),
    })
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
