// SPDX-License-Identifier: GPL-2.0

//! The conversion itself: symbols get their livepatch names, relocations their own sections.

use super::conversion::Resolved;
use super::special::{deadline, Deadline};
use crate::file::elf::{Contents, ElfFile, Place, Relocation, Section};
use crate::object_name::ObjectNameBuf;
use crate::reference::Reference;
use livepatch_format::elf::{
    Machine, SectionIndex, RELA_SIZE, SHF_ALLOC, SHF_INFO_LINK, SHF_RELA_LIVEPATCH, SHN_LIVEPATCH,
    SHT_RELA,
};
use livepatch_format::name::{
    Dialect, Text, DRAFT_SECTION_PREFIX, SECTION_PREFIX, SYMBOL_NAME_MAX, SYMBOL_PREFIX,
};
use livepatch_format::reloc;
use object::elf;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use thiserror::Error;

/// The draft dialect keeps a position in the upper six bits of `st_other`.
const DRAFT_POSITION_MAX: u64 = 63;
const VISIBILITY_BITS: u32 = 2;

/// A symbol or relocation that livepatch cannot express or not apply.
#[derive(Debug, Error)]
pub(super) enum Problem {
    #[error("{0}: the draft dialect has no position beyond {DRAFT_POSITION_MAX}")]
    Position(Reference),
    #[error("{0}: the name is longer than {SYMBOL_NAME_MAX} characters")]
    NameTooLong(Reference),
    #[error(
        "{0}: a comma in the name of a symbol cannot be told from the one before its position"
    )]
    Comma(Reference),
    #[error(
        "{place}: no livepatch applies relocations of type {r_type}\n    compile with the flags \
         that kbuild uses for modules (no GOT, code model kernel)"
    )]
    Type { place: Location, r_type: u32 },
    #[error("{place}: outside of the section, which has {size:#x} bytes")]
    Offset { place: Location, size: u64 },
    #[error("{place}: the section has no contents")]
    NoContents { place: Location },
    #[error("{place}: the section has no name")]
    NoName { place: Location },
    #[error("{place}: the section is of a type that cannot be relocated")]
    Opaque { place: Location },
    #[error("{place}: relocations without addends are not supported")]
    WithoutAddend { place: Location },
    #[error(
        "{place}: this section {why} while the patch is loaded, before livepatch can relocate it"
    )]
    TooLate { place: Location, why: &'static str },
    #[error(
        "{place}: this section {why} while the patch is loaded, when {object} may not be there \
         yet\n    static keys, static calls and alternatives of a target module cannot be used \
         in its patch",
        object = place.reference.object
    )]
    BeforeTarget { place: Location, why: &'static str },
}

/// Where a relocation is, for messages.
#[derive(Debug, Error)]
#[error("{}: relocation at offset {offset:#x} of section {section}", Text(&reference.symbol))]
pub(super) struct Location {
    section: String,
    offset: u64,
    reference: Reference,
}

/// Converts the file. Returns how many relocations moved.
pub(super) fn rewrite(
    file: &mut ElfFile,
    resolved: &Resolved,
    dialect: Dialect,
) -> Result<usize, Vec<Problem>> {
    let mut problems = check_names(resolved, dialect);
    let split = split(file, resolved, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }

    let moved = split.moved.values().map(Vec::len).sum();
    apply(file, split, dialect);
    rename(file, resolved, dialect);
    Ok(moved)
}

fn check_names(resolved: &Resolved, dialect: Dialect) -> Vec<Problem> {
    let mut problems = Vec::new();
    for reference in resolved.values() {
        if reference.symbol.len() > SYMBOL_NAME_MAX {
            problems.push(Problem::NameTooLong(reference.clone()));
        }
        if reference.symbol.contains(&b',') {
            problems.push(Problem::Comma(reference.clone()));
        }
        if dialect == Dialect::Draft && reference.position.0 > DRAFT_POSITION_MAX {
            problems.push(Problem::Position(reference.clone()));
        }
    }
    problems
}

/// What becomes of the relocations of a file.
#[derive(Default)]
struct Split {
    /// What stays in each relocation section that loses something.
    kept: BTreeMap<SectionIndex, Vec<Relocation>>,
    /// What moves, by target section and object.
    moved: BTreeMap<(SectionIndex, ObjectNameBuf), Vec<Relocation>>,
    /// Bytes that have to be zero.
    zeroed: Vec<(SectionIndex, Range<usize>)>,
}

fn split(file: &ElfFile, resolved: &Resolved, problems: &mut Vec<Problem>) -> Split {
    let mut split = Split::default();
    for (index, section) in file.iter() {
        let target_index = SectionIndex(section.info);
        let Ok(target) = file.section(target_index) else {
            continue;
        };
        if section.sh_type == elf::SHT_REL {
            problems.extend(without_addend(file, section, target, resolved));
        }
        let Contents::Relocations(relocations) = &section.contents else {
            continue;
        };
        let mut kept = Vec::with_capacity(relocations.len());
        for rela in relocations {
            let Some(reference) = resolved.get(&rela.symbol) else {
                kept.push(*rela);
                continue;
            };
            // Nobody applies what debug information refers to.
            if !target.is_alloc() {
                continue;
            }
            match check(file.machine, rela, target, reference) {
                Ok(range) => {
                    let key = (target_index, reference.object.clone());
                    split.moved.entry(key).or_default().push(*rela);
                    // x86_64 insists on zeroes where it is to write; s390 has opcode bits there.
                    if file.machine == Machine::X86_64 {
                        split.zeroed.push((target_index, range));
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        if kept.len() < relocations.len() {
            split.kept.insert(index, kept);
        }
    }
    split
}

/// Checks that livepatch can apply the relocation; returns which bytes it writes.
fn check(
    machine: Machine,
    rela: &Relocation,
    target: &Section,
    reference: &Reference,
) -> Result<Range<usize>, Problem> {
    let place = || Location {
        section: target.display_name(),
        offset: rela.offset,
        reference: reference.clone(),
    };
    if matches!(&target.name[..], b"" | b".") {
        return Err(Problem::NoName { place: place() });
    }
    match deadline(&target.name) {
        Deadline::Never(why) => {
            return Err(Problem::TooLate {
                place: place(),
                why,
            })
        }
        Deadline::Load(why) if !reference.object.is_vmlinux() => {
            return Err(Problem::BeforeTarget {
                place: place(),
                why,
            })
        }
        _ => {}
    }
    let size = match &target.contents {
        _ if target.sh_type == elf::SHT_NULL => return Err(Problem::NoContents { place: place() }),
        _ if target.sh_type == elf::SHT_STRTAB => return Err(Problem::Opaque { place: place() }),
        Contents::Bytes(bytes) => bytes.len(),
        Contents::NoBits(_) => return Err(Problem::NoContents { place: place() }),
        _ => return Err(Problem::Opaque { place: place() }),
    };
    let width = reloc::width(machine, rela.r_type).ok_or_else(|| Problem::Type {
        place: place(),
        r_type: rela.r_type,
    })?;
    usize::try_from(rela.offset)
        .ok()
        .and_then(|start| Some(start..start.checked_add(width.into())?))
        .filter(|range| range.end <= size)
        .ok_or_else(|| Problem::Offset {
            place: place(),
            size: size as u64,
        })
}

/// The use of livepatch symbols in a section whose relocations have no addends.
fn without_addend(
    file: &ElfFile,
    section: &Section,
    target: &Section,
    resolved: &Resolved,
) -> Vec<Problem> {
    let Contents::Bytes(bytes) = &section.contents else {
        return Vec::new();
    };
    if !target.is_alloc() {
        return Vec::new();
    }
    let entries = bytes.chunks_exact(2 * size_of::<u64>());
    entries
        .filter_map(|entry| {
            let offset = file.u64(entry.first_chunk()?);
            let symbol = (file.u64(entry.last_chunk()?) >> 32) as u32;
            let reference = resolved
                .get(&livepatch_format::elf::SymbolIndex(symbol))?
                .clone();
            let place = Location {
                section: target.display_name(),
                offset,
                reference,
            };
            Some(Problem::WithoutAddend { place })
        })
        .collect()
}

fn apply(file: &mut ElfFile, split: Split, dialect: Dialect) {
    let mut empty = BTreeSet::new();
    for (index, kept) in split.kept {
        if kept.is_empty() && !file.is_referred_to(index) {
            empty.insert(index);
        }
        file.sections[index.0 as usize].contents = Contents::Relocations(kept);
    }
    for (index, range) in split.zeroed {
        if let Contents::Bytes(bytes) = &mut file.sections[index.0 as usize].contents {
            bytes[range].fill(0);
        }
    }
    for ((target, object), relocations) in split.moved {
        let section = Section {
            name: section_name(&object, &file.sections[target.0 as usize].name, dialect),
            sh_type: elf::SectionType(SHT_RELA),
            flags: elf::SectionFlags(SHF_ALLOC | SHF_INFO_LINK | SHF_RELA_LIVEPATCH),
            link: file.symtab().0,
            info: target.0,
            align: 8,
            entsize: RELA_SIZE as u64,
            contents: Contents::Relocations(relocations),
        };
        file.sections.push(section);
    }
    file.remove(&empty);
}

fn rename(file: &mut ElfFile, resolved: &Resolved, dialect: Dialect) {
    for (index, reference) in resolved {
        let symbol = &mut file.symbols[index.0 as usize];
        symbol.name = SYMBOL_PREFIX.to_vec();
        symbol
            .name
            .extend_from_slice(reference.object.as_str().as_bytes());
        symbol.name.push(b'.');
        symbol.name.extend_from_slice(&reference.symbol);
        match dialect {
            Dialect::Mainline => {
                symbol
                    .name
                    .extend_from_slice(format!(",{}", reference.position.0).as_bytes());
            }
            Dialect::Draft => {
                let visibility = symbol.other & ((1 << VISIBILITY_BITS) - 1);
                symbol.other = (reference.position.0 << VISIBILITY_BITS) as u8 | visibility;
            }
        }
        symbol.place = Place::Reserved(SHN_LIVEPATCH);
    }
}

/// The name of the livepatch relocation section of `object` for the section `target`, whose own
/// leading dot ends the name of the object.
fn section_name(object: &ObjectNameBuf, target: &[u8], dialect: Dialect) -> Vec<u8> {
    let prefix = match dialect {
        Dialect::Mainline => SECTION_PREFIX,
        Dialect::Draft => DRAFT_SECTION_PREFIX,
    };
    let dot: &[u8] = if target.starts_with(b".") { b"" } else { b"." };
    [prefix, object.as_str().as_bytes(), dot, target].concat()
}
