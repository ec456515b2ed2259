// SPDX-License-Identifier: GPL-2.0

//! The object of one source file, as the compiler has made it for the kernel.

use super::changes::{self, Site};
use klp_diff::view::read::{self, File, Place, Section, SectionId, Symbol};
use klp_diff::{Result, Side};
use object::elf;
use std::collections::{BTreeMap, BTreeSet};

/// Sections that a linker may leave out, or that are gone when the list of symbols is made: what
/// is for the removal of what cannot be removed.
const DROPPED: [&str; 2] = [".exit.", ".discard"];

/// What a section of one function only is called by: the linker may drop it where nothing uses
/// the function (`CONFIG_LD_DEAD_CODE_DATA_ELIMINATION`).
const OF_FUNCTION: [&str; 3] = [".text.", ".text.unlikely.", ".text.hot."];

/// A function of the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub section: SectionId,
    /// In bytes from the start of the section.
    pub start: u64,
    /// In bytes.
    pub size: u64,
    /// Whether another file may have one that is used in its place.
    pub is_weak: bool,
}

/// An object.
#[derive(Debug)]
pub struct Object {
    /// What was read.
    pub file: File,
    /// Its functions, in its order. One that has several names is there once.
    pub functions: Vec<Function>,
    /// What a build may change in its code later, by section and offset.
    pub sites: BTreeMap<SectionId, Vec<Site>>,
}

impl Object {
    /// Reads an object.
    ///
    /// # Errors
    ///
    /// It is no relocatable file for x86_64 or s390x, or damaged.
    pub fn read(data: &[u8]) -> Result<Self> {
        let file = read::read(data, Side::Original)?;
        Ok(Object {
            functions: functions(&file),
            sites: changes::sites(&file),
            file,
        })
    }

    /// A section.
    pub fn section(&self, id: SectionId) -> Option<&Section> {
        self.file.sections.get(id.0)
    }

    /// What is defined in a section and has a name.
    pub fn names(&self) -> impl Iterator<Item = (&Symbol, SectionId)> {
        self.file
            .symbols
            .iter()
            .filter_map(|symbol| match symbol.place {
                Place::Section(section) if symbol.is_name() => Some((symbol, section)),
                _ => None,
            })
    }

    /// Whether the linker merges what the section holds with the same of other files.
    pub fn is_merged(&self, id: SectionId) -> bool {
        let section = self.section(id);
        section.is_some_and(|section| section.flags.contains(elf::SHF_MERGE))
    }

    /// Whether a kernel may be without the function, or have another one in place of it: a better
    /// one than a weak one, or the one that was kept of many files'. Whether the
    /// target `discards` what is for its removal, as a kernel does, counts.
    pub fn may_be_absent(&self, function: &Function, discards: bool) -> bool {
        let Some(section) = self.section(function.section) else {
            return true;
        };
        let is_dropped = DROPPED
            .iter()
            .any(|prefix| section.name.starts_with(prefix));
        // Weak ones that share a section with others are there, and only not used.
        let all = self.functions.iter();
        let mut beside = all.filter(|other| other.section == function.section);
        let is_weak = beside.all(|other| other.is_weak);
        is_weak || section.flags.contains(elf::SHF_GROUP) || is_dropped && discards
    }

    /// Whether the function has a section of its own, which is dropped where nothing uses it.
    pub fn has_own_section(&self, function: &Function) -> bool {
        let name = self.section(function.section).map(|section| &section.name);
        name.is_some_and(|name| {
            OF_FUNCTION
                .iter()
                .any(|prefix| name.strip_prefix(prefix) == Some(&function.name))
        })
    }
}

fn functions(file: &File) -> Vec<Function> {
    let mut seen = BTreeSet::new();
    let mut functions: Vec<_> = file
        .symbols
        .iter()
        .filter_map(|symbol| {
            let Place::Section(section) = symbol.place else {
                return None;
            };
            let holder = file.sections.get(section.0)?;
            let is_function = symbol.kind == elf::STT_FUNC && symbol.size != 0;
            let is_there = symbol.value.checked_add(symbol.size)? <= holder.data.len() as u64;
            let is_counted = is_function && is_there && symbol.is_name() && holder.is_code();
            (is_counted && holder.is_alloc()).then(|| Function {
                name: symbol.name.clone(),
                section,
                start: symbol.value,
                size: symbol.size,
                is_weak: symbol.binding == elf::STB_WEAK,
            })
        })
        .collect();
    // What is not weak counts first where a function has two names.
    functions.sort_by_key(|function| (function.section, function.start, function.is_weak));
    functions.retain(|function| seen.insert((function.section, function.start)));
    functions
}
