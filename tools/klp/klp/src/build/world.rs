// SPDX-License-Identifier: GPL-2.0

//! What the comparison of two objects asks about the kernel, for one source file.
//!
//! A name says little: the kernel has many functions that are called `init_once`. Where the file
//! was found in the kernel ([`Placement`]) says exactly which one is meant, both of what the file
//! defines and of what its code uses. Names decide where that is not known; then what is visible
//! outside of its own file comes first, as only that can be meant from another file.

use super::proof::Placement;
use super::shared::Names;
use crate::knowledge::{Knowledge, Known};
use crate::reference::{is_same_file, Reference};
use crate::resolve::candidates;
use crate::symbols::{Candidate, Kind};
use klp_diff::{Kernel, Location, NotLocated, Numbered, Wanted};

/// The kernel and its modules, as one source file sees them.
pub struct World<'a> {
    knowledge: &'a Knowledge,
    /// `vmlinux` or the module that the file is a part of.
    object: &'a str,
    placement: &'a Placement,
    numbered: &'a Numbered,
    shared: &'a Names,
}

impl<'a> World<'a> {
    /// For a file of `object`, which is where `placement` says, and has there the names that
    /// `numbered` has. What is in `shared` one file of the patch has for others, which it had not
    /// before.
    pub fn new(
        knowledge: &'a Knowledge,
        object: &'a str,
        placement: &'a Placement,
        numbered: &'a Numbered,
        shared: &'a Names,
    ) -> Self {
        World {
            knowledge,
            object,
            placement,
            numbered,
            shared,
        }
    }

    fn target(&self) -> Option<&'a Known> {
        self.knowledge.get(self.object.as_bytes())
    }

    /// What the file itself defines.
    fn own(&self, wanted: &Wanted<'_>) -> Result<Location, NotLocated> {
        let target = self.target().ok_or(NotLocated::Missing)?;
        let name = wanted.name;
        if let Some(position) = self.placement.position(name, &target.symbols) {
            return Ok(location(target, position));
        }
        if self.placement.is_proven() && self.placement.of(name).is_some() {
            return match wanted.is_local {
                // The kernel does not list it.
                true => Err(NotLocated::Missing),
                // It was weak, and the kernel has another file's.
                false => self.other(wanted),
            };
        }
        let all = target.symbols.get(name.as_bytes());
        let fits = |candidate: &&Candidate| {
            candidate.global != wanted.is_local && is_of_kind(wanted, candidate)
        };
        match all {
            [] => return Err(NotLocated::Missing),
            [only] if fits(&only) => return Ok(location(target, 0)),
            _ => {}
        }
        let files = target.with_files(all.to_vec());
        let is_of_file = |candidate: &Candidate| {
            let known = candidate.file.as_deref().zip(wanted.source);
            known.is_some_and(|(known, source)| is_same_file(source, known))
        };
        let mut found = (1..)
            .zip(&files)
            .filter(|(_, one)| is_of_file(one) && fits(one));
        match (found.next(), found.next()) {
            (Some((position, _)), None) => Ok(location(target, position)),
            _ => Err(ambiguous(&[target], name)),
        }
    }

    /// What another file defines.
    fn other(&self, wanted: &Wanted<'_>) -> Result<Location, NotLocated> {
        if self.shared.opened.contains(wanted.name) {
            // In the kernel, it is static: what others have for all is not meant.
            let own: Vec<_> = self.target().into_iter().collect();
            return choose(wanted, &own, false).unwrap_or(Err(NotLocated::Missing));
        }
        if let Some(reference) = self.knowledge.exported_by_target(wanted.name.as_bytes()) {
            return Ok(of_reference(&reference));
        }
        let target = self.target();
        if let Some(target) = target {
            let known = self
                .placement
                .position_of_other(wanted.name, &target.symbols);
            if let Some(position) = known {
                return Ok(location(target, position));
            }
        }
        let is_target = |known: &&Known| known.symbols.object.as_str() == self.object;
        let (kernel, modules): (Vec<_>, Vec<_>) = self
            .knowledge
            .known()
            .filter(|known| !is_target(known))
            .partition(|known| known.symbols.object.is_vmlinux());
        let own: Vec<_> = target.into_iter().collect();
        for is_global in [true, false] {
            for objects in [&own, &kernel, &modules] {
                if let Some(result) = choose(wanted, objects, is_global) {
                    return result;
                }
            }
        }
        Err(NotLocated::Missing)
    }
}

/// Looks in objects that count the same; `None` where none of them has it.
fn choose(
    wanted: &Wanted<'_>,
    objects: &[&Known],
    is_global: bool,
) -> Option<Result<Location, NotLocated>> {
    let name = wanted.name.as_bytes();
    let all = objects.iter().flat_map(|&known| {
        let all = known.symbols.get(name);
        (1..).zip(all).map(move |(position, one)| {
            let position = if all.len() == 1 { 0 } else { position };
            (known, position, one)
        })
    });
    let found: Vec<_> = all
        .filter(|(_, _, one)| one.global == is_global && is_of_kind(wanted, one))
        .collect();
    let (&(known, position, first), rest) = found.split_first()?;
    // One that is listed twice is one.
    let is_one = rest.iter().all(|(other, _, one)| {
        known.symbols.object == other.symbols.object && known.is_same(first, one)
    });
    Some(match is_one {
        true => Ok(location(known, position)),
        false => Err(ambiguous(objects, wanted.name)),
    })
}

fn is_of_kind(wanted: &Wanted<'_>, candidate: &Candidate) -> bool {
    !wanted.is_function || candidate.may_be_code()
}

fn location(known: &Known, position: u64) -> Location {
    Location {
        object: known.symbols.object.as_str().to_owned(),
        position,
    }
}

fn of_reference(reference: &Reference) -> Location {
    Location {
        object: reference.object.as_str().to_owned(),
        position: reference.position.0,
    }
}

fn ambiguous(objects: &[&Known], name: &str) -> NotLocated {
    let having = objects
        .iter()
        .copied()
        .filter(|known| !known.symbols.get(name.as_bytes()).is_empty());
    NotLocated::Ambiguous {
        candidates: candidates(having, name.as_bytes()).to_string(),
    }
}

impl Kernel for World<'_> {
    fn is_exported(&self, name: &str) -> bool {
        self.knowledge.is_exported(name.as_bytes())
    }

    fn locate(&self, wanted: &Wanted<'_>) -> Result<Location, NotLocated> {
        match wanted.is_of_file {
            true => self.own(wanted),
            false => self.other(wanted),
        }
    }

    fn name_there<'n>(&'n self, name: &'n str) -> Option<&'n str> {
        self.numbered.name(name)
    }

    fn is_shared(&self, name: &str) -> bool {
        self.shared.new.contains(name)
    }

    fn is_weak(&self, name: &str, location: &Location) -> Option<bool> {
        let known = self.knowledge.get(location.object.as_bytes())?;
        if self.placement.is_proven() {
            let own = self.placement.position(name, &known.symbols);
            return Some(own == Some(location.position));
        }
        let index = usize::try_from(location.position.saturating_sub(1)).ok()?;
        let symbol = known.symbols.get(name.as_bytes()).get(index)?;
        // Only a list of symbols has letters.
        match symbol.kind {
            Kind::Letter(letter) => Some(letter.eq_ignore_ascii_case(&b'w')),
            _ => None,
        }
    }

    fn has_call_site(&self, name: &str, location: &Location) -> Option<bool> {
        let known = self.knowledge.get(location.object.as_bytes())?;
        let index = usize::try_from(location.position.saturating_sub(1)).ok()?;
        let function = known.symbols.get(name.as_bytes()).get(index)?;
        Some(known.sites.as_ref()?.reach(&known.symbols, function))
    }
}

#[cfg(test)]
mod tests;
