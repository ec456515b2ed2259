// SPDX-License-Identifier: GPL-2.0

//! Finds where the sections of an object are in the target.
//!
//! Every symbol votes: where a symbol of its name is, less its offset in its section, may be where
//! the section begins. Where there are several such places, that one counts which
//!
//! 1. has most of the section's functions, byte for byte;
//! 2. has most votes; where there is no code to compare, all votes;
//! 3. code or data that was found leads to, as its relocations say;
//! 4. is between those sections that come before and after it in the object, as linkers keep the
//!    order.
//!
//! Where none of this decides, the section has no place, and its symbols none. Sections that
//! nobody has voted for are found by what leads to them.

use super::compare::{shape, Bases, Reach, Reference, Seen, Shape};
use super::object::{Function, Object};
use super::target::{Spot, Target};
use crate::symbols::{Candidate, ObjectSymbols};
use klp_diff::view::read::{Place, SectionId};
use object::elf;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// So many places of a section are looked at: those with most votes.
const TRIES: usize = 64;

/// Where the parts of an object are in the target.
#[derive(Debug, Clone, Default)]
pub struct Placement {
    /// By name: what the object defines.
    symbols: BTreeMap<String, Spot>,
    /// By name: what other objects define, as the code of this one says.
    others: BTreeMap<String, Spot>,
    /// What the sections of a module are called.
    sections: BTreeMap<u32, String>,
    /// Whether all of it was proven.
    pub(super) is_proven: bool,
}

impl Placement {
    pub(super) fn new(object: &Object, target: &Target<'_>, bases: &Bases) -> Self {
        let mut placement = Placement::default();
        for (symbol, section) in object.names() {
            if let Some(base) = bases.get(&section) {
                placement.add_section(target, *base);
                let spot = base.plus(symbol.value);
                placement.symbols.insert(symbol.name.clone(), spot);
            }
        }
        placement
    }

    fn add_section(&mut self, target: &Target<'_>, spot: Spot) {
        if let Some(name) = target.section_name(spot.section) {
            self.sections.entry(spot.section).or_insert(name);
        }
    }

    /// Adds what proven code refers to.
    pub(super) fn add_others(&mut self, object: &Object, target: &Target<'_>, found: &[Reference]) {
        let mut different = BTreeSet::new();
        for reference in found {
            let Some(symbol) = object.file.symbols.get(reference.symbol.0) else {
                continue;
            };
            let (Place::Undefined, Seen::At(spot)) = (symbol.place, &reference.seen) else {
                continue;
            };
            if symbol.name.is_empty() || !target.named(&symbol.name).contains(spot) {
                continue;
            }
            self.add_section(target, *spot);
            let known = self.others.entry(symbol.name.clone()).or_insert(*spot);
            if known != spot {
                different.insert(symbol.name.clone());
            }
        }
        self.others.retain(|name, _| !different.contains(name));
    }

    /// Whether the unpatched functions of the object were proven to be those of the target.
    pub fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Where a symbol is that the object defines.
    pub fn of(&self, name: &str) -> Option<Spot> {
        self.symbols.get(name).copied()
    }

    /// Which one of the target's symbols of that name, which `symbols` lists, the object defines:
    /// its position as livepatch counts, 0 where there is only one. `None` where the list has it
    /// not, or its place is not known.
    pub fn position(&self, name: &str, symbols: &ObjectSymbols) -> Option<u64> {
        self.position_of(self.symbols.get(name)?, name, symbols)
    }

    /// The same for a symbol that another object of the target defines, as far as the object's
    /// code uses it.
    pub fn position_of_other(&self, name: &str, symbols: &ObjectSymbols) -> Option<u64> {
        self.position_of(self.others.get(name)?, name, symbols)
    }

    fn position_of(&self, spot: &Spot, name: &str, symbols: &ObjectSymbols) -> Option<u64> {
        let all = symbols.get(name.as_bytes());
        let section = self.sections.get(&spot.section).map(String::as_str);
        let is_it = |candidate: &Candidate| {
            let is_there = section.is_none() || candidate.section.as_deref() == section;
            candidate.address == spot.address && is_there
        };
        let index = all.iter().position(is_it)?;
        Some(match all {
            [_] => 0,
            _ => index as u64 + 1,
        })
    }
}

/// The places where a section may begin.
#[derive(Debug, Default)]
struct Ballot {
    votes: BTreeMap<Spot, Votes>,
    /// How many of its symbols have a name that the target has, too, but for weak ones.
    voters: usize,
}

/// How many of a section's symbols are for a place.
#[derive(Debug, Default, Clone, Copy)]
struct Votes {
    all: usize,
    not_weak: usize,
}

/// What is known of a section while places are looked for.
#[derive(Debug)]
struct Open {
    /// The places that were voted for and are equally good.
    candidates: Vec<Spot>,
    /// Whether its functions are all there, whichever it is.
    is_found: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Places {
    /// Where the sections are.
    pub bases: Bases,
    /// Sections of code that are in the target, but it cannot be told where, as there are several
    /// that are the same.
    pub anywhere: BTreeSet<SectionId>,
    /// Sections that code leads to, but they are not there.
    pub nowhere: BTreeSet<SectionId>,
}

/// Looks for all sections.
pub fn find(object: &Object, target: &Target<'_>) -> Places {
    let mut finder = Finder {
        object,
        target,
        functions: BTreeMap::new(),
        open: BTreeMap::new(),
        places: Places::default(),
        agreed: BTreeMap::new(),
    };
    for function in &object.functions {
        finder
            .functions
            .entry(function.section)
            .or_default()
            .push(function);
    }
    finder.vote();
    finder.follow();
    finder.order();
    finder.places
}

struct Finder<'a> {
    object: &'a Object,
    target: &'a Target<'a>,
    functions: BTreeMap<SectionId, Vec<&'a Function>>,
    open: BTreeMap<SectionId, Open>,
    places: Places,
    /// The places of sections of data of which no symbol says otherwise.
    agreed: BTreeMap<SectionId, Vec<Spot>>,
}

impl<'a> Finder<'a> {
    fn vote(&mut self) {
        let mut ballots: BTreeMap<SectionId, Ballot> = BTreeMap::new();
        for (symbol, section) in self.object.names() {
            let Some(holder) = self.object.section(section) else {
                continue;
            };
            // Of that name, it has a function.
            if !holder.is_code() && !self.target.lists_variables() {
                continue;
            }
            let align = holder.align.max(1);
            let spots: BTreeSet<_> = self.target.named(&symbol.name).into_iter().collect();
            let ballot = ballots.entry(section).or_default();
            // In place of a weak one, the list may have another file's.
            let is_weak = symbol.binding == elf::STB_WEAK;
            ballot.voters += usize::from(!is_weak && !spots.is_empty());
            for spot in spots {
                let base = spot.minus(symbol.value);
                if base.address % align == 0 {
                    let votes = ballot.votes.entry(base).or_default();
                    votes.all += 1;
                    votes.not_weak += usize::from(!is_weak);
                }
            }
        }
        for (id, ballot) in ballots {
            let functions = self.functions.get(&id).map_or(0, Vec::len);
            if functions != 0 && self.target.has_bytes() {
                self.elect_by_code(id, &ballot, functions);
            } else {
                self.elect_by_names(id, &ballot);
            }
        }
    }

    /// Of a section of code, the bytes count more than the names.
    fn elect_by_code(&mut self, id: SectionId, ballot: &Ballot, functions: usize) {
        let mut found: Vec<_> = ballot.votes.iter().collect();
        // Of the same number of votes, in the order of addresses.
        found.sort_by_key(|&(spot, votes)| (Reverse(votes.all), spot));
        found.truncate(TRIES);
        let scored: Vec<_> = found
            .into_iter()
            .map(|(&spot, votes)| ((self.matching(id, spot), votes.all), spot))
            .collect();
        let best = scored.iter().map(|(score, _)| *score).max();
        let best = best.unwrap_or((0, 0));
        let candidates = scored.iter().filter(|(score, _)| *score == best);
        let candidates = candidates.map(|(_, spot)| *spot).collect();
        self.decide(id, candidates, best.0 == functions);
    }

    /// Where nothing but names tells, they must all agree: what nearly fits is another file's, or
    /// another version.
    fn elect_by_names(&mut self, id: SectionId, ballot: &Ballot) {
        let agreed = ballot
            .votes
            .iter()
            .filter(|(_, votes)| votes.not_weak == ballot.voters);
        let candidates: Vec<_> = agreed.map(|(spot, _)| *spot).collect();
        self.agreed.insert(id, candidates.clone());
        self.decide(id, candidates, false);
    }

    fn decide(&mut self, id: SectionId, candidates: Vec<Spot>, is_found: bool) {
        match candidates[..] {
            [only] => {
                self.places.bases.insert(id, only);
            }
            _ => {
                if is_found {
                    self.places.anywhere.insert(id);
                }
                self.open.insert(
                    id,
                    Open {
                        candidates,
                        is_found,
                    },
                );
            }
        }
    }

    /// How many functions of a section are there if it begins at `base`.
    fn matching(&self, id: SectionId, base: Spot) -> usize {
        let functions = self.functions.get(&id).map_or(&[][..], Vec::as_slice);
        let shapes = functions.iter().map(|function| self.shape(function, base));
        shapes.filter(|shape| shape.difference.is_none()).count()
    }

    fn shape(&self, function: &Function, base: Spot) -> Shape {
        shape(
            self.object,
            self.target,
            function,
            base.plus(function.start),
            Reach::Kept,
        )
    }

    /// Goes from code that was found to what it refers to, as long as that finds more.
    fn follow(&mut self) {
        if !self.target.has_bytes() {
            return;
        }
        let mut seen = BTreeSet::new();
        let mut votes: BTreeMap<SectionId, BTreeMap<Spot, usize>> = BTreeMap::new();
        loop {
            let new: Vec<_> = self
                .places
                .bases
                .iter()
                .map(|(&id, &base)| (id, base))
                .collect();
            let new: Vec<_> = new.into_iter().filter(|(id, _)| seen.insert(*id)).collect();
            if new.is_empty() {
                break;
            }
            for (id, base) in new {
                for shape in self.shapes(id, base) {
                    for reference in shape
                        .references
                        .iter()
                        .filter(|_| shape.difference.is_none())
                    {
                        if let Some((section, spot)) = self.leads_to(reference) {
                            *votes.entry(section).or_default().entry(spot).or_default() += 1;
                        }
                    }
                }
            }
            for (&id, found) in &votes {
                self.settle(id, found);
            }
        }
    }

    /// What is in a section: its functions, or all of it where it is data.
    fn shapes(&self, id: SectionId, base: Spot) -> Vec<Shape> {
        match (self.functions.get(&id), self.object.section(id)) {
            (Some(functions), _) => {
                let functions = functions.iter();
                functions
                    .map(|function| self.shape(function, base))
                    .collect()
            }
            (None, Some(section)) if !section.data.is_empty() => {
                let whole = Function {
                    name: String::new(),
                    section: id,
                    start: 0,
                    size: section.size,
                    is_weak: false,
                };
                vec![self.shape(&whole, base)]
            }
            _ => Vec::new(),
        }
    }

    /// The section that a reference leads to, and where that begins then.
    fn leads_to(&self, reference: &Reference) -> Option<(SectionId, Spot)> {
        let symbol = self.object.file.symbols.get(reference.symbol.0)?;
        let (Place::Section(section), Seen::At(spot)) = (symbol.place, &reference.seen) else {
            return None;
        };
        // What is visible may be another file's; what is merged is in many places.
        let is_own = symbol.is_local() && !self.object.is_merged(section);
        is_own.then(|| (section, spot.minus(symbol.value)))
    }

    /// Places a section where code leads to, by how often it does.
    fn settle(&mut self, id: SectionId, found: &BTreeMap<Spot, usize>) {
        let Some(functions) = self.functions.get(&id) else {
            let base = self.led_to(id, found);
            self.places.bases.extend(base.map(|base| (id, base)));
            self.open.remove(&id);
            return;
        };
        let Some(open) = self.open.get(&id) else {
            return;
        };
        let is_possible = |base: &Spot| match open.is_found {
            true => open.candidates.contains(base),
            false => self.matching(id, *base) == functions.len(),
        };
        let possible = found.iter().filter(|(base, _)| is_possible(base));
        let best = possible.max_by_key(|&(base, count)| (count, Reverse(base)));
        if let Some((&base, _)) = best {
            self.places.bases.insert(id, base);
            self.places.anywhere.remove(&id);
            self.open.remove(&id);
        }
    }

    /// Where a section of data is that code leads to: where its symbols are, or, if it has none, where
    /// its bytes are. If that is nowhere, or in several places, then what leads elsewhere is wrong.
    fn led_to(&mut self, id: SectionId, found: &BTreeMap<Spot, usize>) -> Option<Spot> {
        let agreed = self.agreed.get(&id).map_or(&[][..], Vec::as_slice);
        let is_possible = |base: &Spot| match agreed.is_empty() {
            true => self.has_bytes_of(id, *base),
            false => agreed.contains(base),
        };
        let possible = found.iter().filter(|(base, _)| is_possible(base));
        let best = possible.max_by_key(|&(base, count)| (count, Reverse(base)));
        let base = best.map(|(base, _)| *base).or(agreed.first().copied());
        match base {
            Some(_) => self.places.nowhere.remove(&id),
            None => self.places.nowhere.insert(id),
        };
        base
    }

    /// Whether a section is at `base`, as far as it has bytes.
    fn has_bytes_of(&self, id: SectionId, base: Spot) -> bool {
        let shapes = self.shapes(id, base);
        shapes.iter().all(|shape| shape.difference.is_none())
    }

    /// Decides by the order of sections.
    fn order(&mut self) {
        let open: Vec<_> = self.open.keys().copied().collect();
        for id in open {
            let before = self.places.bases.range(..id).next_back();
            let after = self
                .places
                .bases
                .range(id..)
                .find(|(other, _)| **other != id);
            let (Some((_, &before)), Some((_, &after))) = (before, after) else {
                continue;
            };
            let Some(open) = self.open.get(&id) else {
                continue;
            };
            let is_between = |spot: &&Spot| before < **spot && **spot < after;
            let mut between = open.candidates.iter().filter(is_between);
            if let (Some(&only), None) = (between.next(), between.next()) {
                self.places.bases.insert(id, only);
                self.places.anywhere.remove(&id);
                self.open.remove(&id);
            }
        }
    }
}
