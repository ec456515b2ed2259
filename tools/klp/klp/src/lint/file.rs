// SPDX-License-Identifier: GPL-2.0

//! What the file alone tells: its livepatch sections, relocations and symbols.
//!
//! Every check is that of `rust/format`, in the order in which livepatch.ko makes them. It stops
//! at the first one that fails; here all are made.

use super::finding::{Finding, Place};
use super::Lint;
use crate::clones;
use crate::convert::special::{deadline, Deadline};
use crate::description::ENABLE;
use crate::file::module::Module;
use crate::knowledge::{Knowledge, Known};
use crate::object_name::ObjectNameBuf;
use crate::resolve::candidates;
use crate::symbols::Candidate;
use livepatch_format::check::{self, Fault, Kind};
use livepatch_format::elf::{
    Machine, Section, SectionIndex, SymbolIndex, SHF_ALLOC, SHT_NOBITS, SHT_RELA,
};
use livepatch_format::error::{Error, LoaderFault};
use livepatch_format::name::{ObjectName, SectionName, SymbolName, Text};
use livepatch_format::refusal::{Refusal, Unresolved};
use livepatch_format::unchecked;
use std::collections::BTreeSet;

/// What the name of an init section starts with (`module_init_section()`).
const INIT: &[u8] = b".init";

/// Checks a module.
pub(super) fn check(lint: &mut Lint<'_>) {
    let module = lint.module;
    let name = module.name();
    if module.is_marked() {
        let image = module.image();
        let checked = check::symbol_uses(image).and_then(|()| unchecked::check(image, None));
        if let Err((index, error)) = checked {
            let section = module.section_name(index);
            let refusal = Refusal::Unsafe {
                module: name,
                section,
                error,
            };
            lint.push(Finding::refusal(&refusal, place_of(section, error)));
        }
    } else if module
        .sections()
        .any(|(_, section, _)| check::needs_mark(&section))
    {
        let refusal = Refusal::UnmarkedRelocations { module: name };
        lint.push(Finding::refusal(&refusal, Place::section(b".modinfo")));
    } else if module.imports(ENABLE) {
        let refusal = Refusal::Unmarked { module: name };
        let finding = Finding::refusal(&refusal, Place::section(b".modinfo"));
        lint.push(
            finding.help("MODULE_INFO(livepatch, \"Y\") marks it; klp convert does it as well"),
        );
    }
    let mut places = Vec::new();
    for (index, section, section_name) in module.sections() {
        match check::kind(&section, section_name) {
            Kind::Other => {}
            Kind::Unflagged => {
                let refusal = Refusal::Unflagged {
                    module: name,
                    section: section_name,
                };
                lint.push(Finding::refusal(&refusal, Place::section(section_name)));
            }
            Kind::Misnamed(error) => lint.refuse(section_name, Fault::SectionName(error), None),
            Kind::Relocations(parsed) => {
                let found = relocations(lint, index, &section, section_name, &parsed);
                places.extend(found);
            }
        }
    }
    places.sort_unstable();
    if let Err((index, error)) = check::overlap(&places) {
        lint.refuse(module.section_name(index), Fault::Format(error), None);
    }
}

impl<'a> Lint<'a> {
    /// Something of a livepatch relocation section is refused.
    fn refuse(&mut self, section: &'a [u8], fault: Fault<'a>, relocation: Option<(u32, &[u8])>) {
        let refusal = Refusal::Section {
            module: self.module.name(),
            section,
            fault,
        };
        let mut place = match fault {
            Fault::Format(error) => place_of(section, error),
            _ => Place::section(section),
        };
        if let Some((nr, symbol)) = relocation {
            place = place.relocation(nr);
            if !symbol.is_empty() {
                place = place.symbol(symbol);
            }
        }
        let mut finding = Finding::refusal(&refusal, place);
        if let Fault::Unresolved(unresolved) = fault {
            finding.help = advice(self.knowledge, unresolved);
        }
        self.push(finding);
    }
}

/// What may help where a symbol is not found as it is named.
pub(super) fn advice(knowledge: &Knowledge, unresolved: Unresolved<'_>) -> Option<String> {
    let there_are = |object: ObjectName<'_>, symbol: &[u8]| {
        let known = knowledge.get(object.as_bytes())?;
        let all = candidates(std::iter::once(known), symbol);
        Some(format!("there are{all}"))
    };
    match unresolved {
        Unresolved::NotFound { symbol } => {
            let all = || knowledge.objects.values();
            all().find_map(|known| known.similar(symbol)).or_else(|| {
                all()
                    .any(|known| known.symbols.functions_only)
                    .then(no_variables)
            })
        }
        Unresolved::Ambiguous { symbol, object } | Unresolved::Position { symbol, object, .. } => {
            there_are(object, symbol)
        }
        Unresolved::Freed { .. } => None,
    }
}

/// What to know where a variable is not found.
fn no_variables() -> String {
    "variables are not found in this kernel, which is built without CONFIG_KALLSYMS_ALL".to_owned()
}

fn place_of(section: &[u8], error: Error) -> Place {
    let place = Place::section(section);
    match error {
        Error::RelocationSymbol { nr, .. }
        | Error::LivepatchSymbol { nr, .. }
        | Error::ObjtoolSection { nr, .. }
        | Error::RelocationType { nr, .. }
        | Error::RelocationOffset { nr, .. }
        | Error::RelocationOverlap { nr, .. }
        | Error::RelocationPlace { nr }
        | Error::NotALivepatchSymbol { nr, .. }
        | Error::Unchecked(LoaderFault::NotInMemory { nr, .. }) => place.relocation(nr),
        _ => place,
    }
}

/// A section header as it is in a module that is loaded.
fn loaded(module: &Module<'_>, index: SectionIndex, mut section: Section) -> Section {
    let name = module.section_name(index);
    // With CONFIG_KALLSYMS the symbols and their names are (`layout_symtab()`).
    let symtab = module.symtab();
    let strings = module
        .image()
        .sections
        .get(symtab)
        .map(|table| table.sh_link);
    if index == symtab || strings == Ok(index.0) {
        section.sh_flags |= SHF_ALLOC;
    }
    // `rewrite_section_headers()` and `layout_and_allocate()` of the kernel source.
    if unchecked::NOT_KEPT.contains(&name) || name == unchecked::PER_CPU {
        section.sh_flags &= !SHF_ALLOC;
    }
    section
}

/// Checks a livepatch relocation section; returns where its relocations write.
fn relocations<'a>(
    lint: &mut Lint<'a>,
    index: SectionIndex,
    section: &Section,
    name: &'a [u8],
    parsed: &SectionName<'a>,
) -> Vec<check::Place> {
    let module = lint.module;
    lint.section_objects
        .extend(ObjectNameBuf::new(parsed.object.as_bytes()));
    let target_index = SectionIndex(section.sh_info);
    let target_name = module.section_name(target_index);
    let target = module
        .image()
        .sections
        .get(target_index)
        .map(|target| loaded(module, target_index, target))
        .and_then(|target| {
            check::section(section, &target, module.symtab())?;
            Ok((target, module.relocations(section)?))
        });
    let (target, table) = match target {
        Ok(found) => found,
        Err(error) => {
            lint.refuse(name, Fault::Format(error), None);
            return Vec::new();
        }
    };
    let mut places = Vec::new();
    let mut seen = BTreeSet::new();
    let mut wanted = Vec::new();
    for (nr, rela) in table.iter() {
        let size = target.sh_size;
        match check::relocation(module.machine, nr, &rela, module.symbols(), size) {
            Ok(symbol) => {
                places.extend(check::Place::new(
                    module.machine,
                    index,
                    target_index,
                    nr,
                    &rela,
                ));
                too_late(lint, name, parsed, target_name);
                // The kernel looks at each symbol of a section once.
                if !seen.insert(rela.symbol) {
                    continue;
                }
                match check::symbol(parsed.dialect, parsed.object, nr, &symbol, module.strings()) {
                    Ok(found) => wanted.push((nr, rela.symbol, found)),
                    Err(fault) => lint.refuse(name, fault, Some((nr, module.symbol_name(&symbol)))),
                }
            }
            Err(error) => {
                let fault = Fault::new(error, index, module.symbols(), module.strings());
                lint.refuse(name, fault, None);
            }
        }
    }
    if let Some(nr) = occupied(module, &target, &places) {
        let error = Error::RelocationPlace { nr };
        lint.refuse(name, Fault::Format(error), None);
    }
    if let Err(error) = check::target_name(target_name) {
        lint.refuse(name, Fault::Format(error), None);
    }
    if !parsed.object.is_vmlinux() && target_name.starts_with(INIT) {
        lint.refuse(name, Fault::Format(check::FREED_AFTER_INIT), None);
    }
    for (nr, symbol, wanted) in wanted {
        resolve(lint, name, nr, symbol, &wanted);
    }
    places
}

/// Looks a symbol up, where its object is known.
fn resolve<'a>(
    lint: &mut Lint<'a>,
    section: &'a [u8],
    nr: u32,
    index: SymbolIndex,
    wanted: &SymbolName<'a>,
) {
    let Some(known) = lint.knowledge.get(wanted.object.as_bytes()) else {
        return lint.unknown_object(wanted.object.as_bytes());
    };
    let module = lint.module;
    let raw = module
        .symbols()
        .get(index)
        .map(|symbol| module.symbol_name(&symbol));
    let raw = raw.unwrap_or_default();
    match known.find(wanted.object, wanted.symbol, wanted.position) {
        Ok(_) if known.symbols.also_while_loading(wanted.symbol) => {
            lint.push(unsteady(
                wanted.object,
                wanted.symbol,
                Place::section(section).symbol(raw),
            ));
        }
        Ok(found) => {
            let place = Place::section(section).symbol(raw);
            clone(
                lint,
                known,
                "it refers to",
                wanted.symbol,
                found,
                None,
                place,
            );
        }
        Err(unresolved) => lint.refuse(section, Fault::Unresolved(unresolved), Some((nr, raw))),
    }
}

/// Warns of a function that the compiler made, with parameters of its own; `new` is what replaces
/// it, if anything does.
pub(super) fn clone(
    lint: &mut Lint<'_>,
    known: &Known,
    what: &str,
    name: &[u8],
    found: &Candidate,
    new: Option<&[u8]>,
    place: Place,
) {
    let name = Text(name).to_string();
    if let Some(original) = clones::original(&name).filter(|_| found.may_be_code()) {
        let message = format!(
            "{what} '{name}', which the compiler made of '{original}': {}",
            clones::CAUTION
        );
        let finding = Finding::warning("clone", message, place);
        lint.push(finding.help(clones::parameters(known, found, lint.module, new)));
    }
}

/// A position that is another one while the target is being loaded.
pub(super) fn unsteady(object: ObjectName<'_>, symbol: &[u8], place: Place) -> Finding {
    let message = format!(
        "{object} has another symbol '{}' in a section that is there only while it is being \
         loaded, where the kernel counts it as well",
        Text(symbol)
    );
    Finding::warning("position-unsteady", message, place)
}

/// The first of `places` in `target` at which there is something already. x86_64 writes
/// relocations only over zeroes, and ordinary ones are applied before.
fn occupied(module: &Module<'_>, target: &Section, places: &[check::Place]) -> Option<u32> {
    if module.machine != Machine::X86_64 {
        return None;
    }
    let target_index = places.first()?.target;
    let mut ordinary: Vec<check::Place> = module
        .sections()
        .filter(|(_, section, _)| {
            section.sh_type == SHT_RELA
                && section.sh_info == target_index.0
                && !section.is_livepatch_relocation()
        })
        .filter_map(|(index, section, _)| Some((index, module.relocations(&section).ok()?)))
        .flat_map(|(index, table)| {
            let place =
                |(nr, rela)| check::Place::new(module.machine, index, target_index, nr, &rela);
            table.iter().filter_map(place).collect::<Vec<_>>()
        })
        .collect();
    ordinary.sort_unstable();
    let data = match target.sh_type {
        SHT_NOBITS => &[],
        _ => module.data(target),
    };
    let is_occupied = |place: &&check::Place| {
        let range = usize::try_from(place.start)
            .ok()
            .zip(usize::try_from(place.end).ok());
        let bytes = range.and_then(|(start, end)| data.get(start..end));
        let before = ordinary.partition_point(|other| other.start < place.end);
        let last = before.checked_sub(1).and_then(|last| ordinary.get(last));
        bytes.is_some_and(|bytes| bytes.iter().any(|&byte| byte != 0))
            || last.is_some_and(|last| last.end > place.start)
    };
    places.iter().find(is_occupied).map(|place| place.nr)
}

/// Sections that are used up before the relocation is applied.
fn too_late(lint: &mut Lint<'_>, name: &[u8], parsed: &SectionName<'_>, target: &[u8]) {
    let why = match deadline(target) {
        Deadline::Never(why) => why,
        // Freed with all other init sections: that is refused.
        Deadline::Load(why) if !parsed.object.is_vmlinux() && !target.starts_with(INIT) => why,
        _ => return,
    };
    let message = format!(
        "section {} {why} while the patch is loaded, before its relocations are applied, which \
         have no effect or a wrong one",
        Text(target)
    );
    lint.push(Finding::warning(
        "relocation-too-late",
        message,
        Place::section(name),
    ));
}
