// SPDX-License-Identifier: GPL-2.0

//! What is checked of livepatch relocation sections, and how a fault is told.

use super::resolve::WantedSymbols;
use super::sections::RelocationSection;
use crate::format::check::{self, Place};
use crate::format::elf::{Relocation, SectionIndex, Symbol};
use crate::format::name::Text;
use crate::format::refusal::{Refusal, Unresolved};
use crate::format::{self};
use crate::messages::refuse;
use crate::sys::arch::MACHINE;
use crate::sys::elf::{Checked, Retained};
use crate::sys::sort::{sort, Compare};
use crate::sys::Address;
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

impl Compare for Place {
    fn compare(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
}

/// Checks the relocations of every section, and that no two of them write to one place. Where a
/// section has a fault otherwise there is `None`: [`wanted`] finds it again, and it is told when
/// all sections before that one are done with.
///
/// # Errors
///
/// `EINVAL` for two relocations of one place, which is logged; `ENOMEM`.
pub(super) fn all(
    elf: &Retained,
    sections: &[RelocationSection],
) -> Result<KVVec<Option<Checked>>> {
    let mut all = KVVec::with_capacity(sections.len(), GFP_KERNEL)?;
    let mut places = KVVec::new();
    for section in sections {
        let checked = match relocations(elf, section.index, &mut places) {
            Ok(checked) => Some(checked),
            Err(Fault::File(_)) => None,
            Err(Fault::Errno(error)) => return Err(error),
        };
        all.push(checked, GFP_KERNEL)?;
    }
    // Mostly they are in order: one section for each target, written from its start to its end.
    if !places.is_sorted() {
        sort(&mut places);
    }
    check::overlap(&places).map_err(|(section, error)| report(elf, section, error.into()))?;
    Ok(all)
}

/// Checks the relocations of a section. All that hold before the first that does not are among the
/// `places` then.
fn relocations<'a>(
    elf: &Retained,
    index: SectionIndex,
    places: &mut KVVec<Place>,
) -> Result<Checked, Fault<'a>> {
    let target = SectionIndex(elf.sections().get(index)?.sh_info);
    elf.check(index, |nr, rela, _| {
        if let Some(place) = Place::new(MACHINE, index, target, nr, rela) {
            places.push(place, GFP_KERNEL)?;
        }
        Ok(())
    })
}

/// Checks everything of a section; of one whose relocations are `checked`, what is left of that.
/// Returns the symbols that it names as well.
pub(super) fn wanted<'a>(
    elf: &'a Retained,
    section: &RelocationSection,
    checked: Option<Checked>,
) -> Result<(Checked, WantedSymbols<'a>), Fault<'a>> {
    let (dialect, object) = (section.dialect, section.object());
    let header = elf.sections().get(section.index)?;
    let (symbols, strings) = (elf.symbols(), elf.strings());
    let mut wanted = WantedSymbols::new(symbols.len())?;
    let mut name = |nr, rela: &Relocation, symbol: &Symbol| {
        if wanted.saw(rela.symbol) {
            return Ok(());
        }
        let parsed = check::symbol(dialect, object, nr, symbol, &strings)?;
        wanted.push(rela.symbol, parsed)?;
        Ok::<(), Fault<'a>>(())
    };
    let checked = match checked {
        Some(checked) => {
            for (nr, rela) in elf.relocations(&header)?.iter() {
                name(nr, &rela, &symbols.get(rela.symbol)?)?;
            }
            checked
        }
        None => elf.check(section.index, name)?,
    };
    if let Some(nr) = checked.occupied() {
        return Err(format::Error::RelocationPlace { nr }.into());
    }
    let target = elf.sections().get(SectionIndex(header.sh_info))?;
    check::target_name(elf.names().get(target.sh_name)?)?;
    let start = Address(target.sh_addr as usize);
    if !object.is_vmlinux() && !elf.module().keeps(start, target.sh_size as usize) {
        return Err(check::FREED_AFTER_INIT.into());
    }
    Ok((checked, wanted))
}
