// SPDX-License-Identifier: GPL-2.0

//! The names that the kernel has for what the compiler numbers: static variables of functions
//! (`count.12`), and functions that it has made of others (`send.constprop.0`).
//!
//! The kernel has the names of the object that was compiled as the kernel was. What is compared was
//! compiled with other flags, and may have other numbers: one variable would be taken for another
//! one of the same size. As the source is the same, so is the order in which each function refers to
//! them, and that tells which is which; initial values do as well. What is left has the number that
//! it has, unless something else has another one.

use crate::error::{Result, Side};
use crate::view::{names, PieceId, To, View};
use livepatch_format::elf::Machine;
use std::collections::{BTreeMap, BTreeSet};

/// What numbered symbols of an object are called in the kernel.
#[derive(Debug, Default)]
pub struct Numbered {
    /// By the name in the object.
    names: BTreeMap<String, String>,
    /// What nothing tells of.
    unclear: BTreeSet<String>,
}

impl Numbered {
    /// Compares the object that was compiled as the kernel was with the one that is compared with the
    /// patched one.
    ///
    /// # Errors
    ///
    /// One of them is not what a compiler makes for a kernel.
    pub fn of(as_built: &[u8], original: &[u8]) -> Result<Self> {
        let as_built = View::new(as_built, Side::Original)?;
        let original = View::new(original, Side::Original)?;
        let mut matcher = Matcher::new(&as_built, &original);
        matcher.follow();
        matcher.pair_alike();
        Ok(matcher.found())
    }

    /// What a symbol of the object is called in the kernel; `None` where that is not clear.
    pub fn name<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        match self.unclear.contains(name) {
            true => None,
            false => Some(self.names.get(name).map_or(name, String::as_str)),
        }
    }
}

/// What has to be told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// What has no name, or one that says nothing of which it is.
    Unnamed,
    /// Variables or functions that differ by their numbers only.
    Numbered {
        /// Whether they are functions.
        is_code: bool,
        /// Their name, without numbers.
        name: String,
    },
}

struct Matcher<'a> {
    as_built: &'a View,
    original: &'a View,
    /// What is the same, from the original's side and from the other one.
    to_built: BTreeMap<PieceId, PieceId>,
    to_original: BTreeMap<PieceId, PieceId>,
    /// Pairs whose links were not looked at.
    waiting: Vec<(PieceId, PieceId)>,
    /// What is said to be one thing by one user, and another thing by another one.
    contradictory: BTreeSet<PieceId>,
}

impl<'a> Matcher<'a> {
    /// Begins with what has a name that only one thing has.
    fn new(as_built: &'a View, original: &'a View) -> Self {
        let mut matcher = Matcher {
            as_built,
            original,
            to_built: BTreeMap::new(),
            to_original: BTreeMap::new(),
            waiting: Vec::new(),
            contradictory: BTreeSet::new(),
        };
        let mut built = named(as_built);
        for (name, id) in named(original) {
            if let (Some(one), Some(Some(other))) = (id, built.remove(name)) {
                matcher.pair(one, other);
            }
        }
        matcher
    }

    fn pair(&mut self, original: PieceId, built: PieceId) {
        let known = self.to_built.get(&original).copied();
        let back = self.to_original.get(&built).copied();
        match (known, back) {
            (None, None) => {
                self.to_built.insert(original, built);
                self.to_original.insert(built, original);
                self.waiting.push((original, built));
            }
            (Some(known), _) if known == built => {}
            (_, back) => {
                self.contradictory.insert(original);
                self.contradictory.extend(back);
            }
        }
    }

    /// Whether two pieces can be the same. Code can be longer where it jumps to another section.
    fn is_possible(&self, original: PieceId, built: PieceId) -> bool {
        contents(self.original, original) == contents(self.as_built, built)
    }

    /// Goes from what is the same to what it refers to.
    fn follow(&mut self) {
        while let Some((original, built)) = self.waiting.pop() {
            let is_code = self.original.piece(original).is_code();
            let mut theirs = targets(self.as_built, built);
            for (group, ours) in targets(self.original, original) {
                let theirs = theirs.remove(&group).unwrap_or_default();
                // One of the two has it twice: which one is left over is not known.
                if ours.len() != theirs.len() {
                    continue;
                }
                for (one, other) in std::iter::zip(ours, theirs) {
                    let is_data = !self.original.piece(one).is_code();
                    let is_told = !(is_code && is_data && has_anchors(self.as_built));
                    // Without names, there are more ways to cut a section.
                    if is_told && (group != Group::Unnamed || self.is_possible(one, other)) {
                        self.pair(one, other);
                    }
                }
            }
        }
    }

    /// Pairs what is left and the only one of its group with its contents, whoever uses it.
    fn pair_alike(&mut self) {
        let mut built = groups(self.as_built);
        for (group, mut ours) in groups(self.original) {
            let mut theirs = built.remove(&group).unwrap_or_default();
            ours.retain(|id| !self.to_built.contains_key(id));
            theirs.retain(|id| !self.to_original.contains_key(id));
            for &one in &ours {
                let mut alike = theirs.iter().filter(|&&other| self.is_possible(one, other));
                let (Some(&other), None) = (alike.next(), alike.next()) else {
                    continue;
                };
                let back = ours.iter().filter(|&&one| self.is_possible(one, other));
                if back.count() == 1 {
                    self.pair(one, other);
                }
            }
        }
    }

    fn found(self) -> Numbered {
        let mut built: BTreeMap<_, _> = groups(self.as_built)
            .into_values()
            .flatten()
            .filter(|id| !self.to_original.contains_key(id))
            .map(|id| (self.as_built.display(id), id))
            .collect();
        // Numbers are counted through: where one of them is another one, all may be.
        let mut theirs = numbers(self.as_built);
        let has_same_numbers: BTreeMap<_, _> = numbers(self.original)
            .into_iter()
            .map(|(group, ours)| {
                let is_same = theirs.remove(&group) == Some(ours);
                (group, is_same)
            })
            .collect();
        let of_group = |id: PieceId| group(self.original, id);
        let ours: Vec<_> = groups(self.original).into_values().flatten().collect();
        let name_there = |id: &PieceId| Some(self.as_built.display(*self.to_built.get(id)?));
        let is_renumbered = ours
            .iter()
            .any(|id| name_there(id).is_some_and(|name| name != self.original.display(*id)));
        let mut found = Numbered::default();
        for id in ours {
            let name = self.original.display(id);
            let other = match self.to_built.get(&id) {
                Some(other) => Some(*other),
                None => built.remove(&name).filter(|_| {
                    let group = of_group(id);
                    let is_same = group.and_then(|group| has_same_numbers.get(&group));
                    !is_renumbered && is_same == Some(&true)
                }),
            };
            let is_clear = !self.contradictory.contains(&id);
            match other.filter(|other| is_clear && self.is_possible(id, *other)) {
                Some(other) => {
                    found.names.insert(name, self.as_built.display(other));
                }
                None => {
                    found.unclear.insert(name);
                }
            }
        }
        found
    }
}

/// Whether the compiler may reach several variables of a section from the address of one of them,
/// so that a link to a variable does not say which one is meant: gcc does so on s390x, unless each
/// has a section of its own (`-fsection-anchors`).
fn has_anchors(view: &View) -> bool {
    view.file.machine == Machine::S390
}

/// The size and bytes of a variable, as it is at first; `None` of code.
fn contents(view: &View, id: PieceId) -> Option<(u64, &[u8])> {
    let piece = view.piece(id);
    (!piece.is_code()).then(|| (piece.size(), view.bytes_of(id)))
}

/// The group of a piece; `None` where its name tells which one it is.
fn group(view: &View, id: PieceId) -> Option<Group> {
    let piece = view.piece(id);
    match view.symbol_of(id).filter(|_| piece.is_unique) {
        None => Some(Group::Unnamed),
        Some(symbol) if symbol.is_local() && names::is_numbered(&symbol.name) => {
            Some(Group::Numbered {
                is_code: piece.is_code(),
                name: names::unnumbered(&symbol.name),
            })
        }
        Some(_) => None,
    }
}

/// What has a name that tells what it is; `None` where several have it.
fn named(view: &View) -> BTreeMap<&str, Option<PieceId>> {
    let mut found = BTreeMap::new();
    for id in view.ids().filter(|&id| group(view, id).is_none()) {
        if let Some(symbol) = view.symbol_of(id) {
            found
                .entry(symbol.name.as_str())
                .and_modify(|several| *several = None)
                .or_insert(Some(id));
        }
    }
    found
}

/// All numbered pieces.
fn groups(view: &View) -> BTreeMap<Group, Vec<PieceId>> {
    let mut found: BTreeMap<Group, Vec<PieceId>> = BTreeMap::new();
    for id in view.ids() {
        if let Some(group @ Group::Numbered { .. }) = group(view, id) {
            found.entry(group).or_default().push(id);
        }
    }
    found
}

/// The names of all numbered pieces.
fn numbers(view: &View) -> BTreeMap<Group, BTreeSet<String>> {
    let groups = groups(view).into_iter();
    groups
        .map(|(group, ids)| (group, ids.into_iter().map(|id| view.display(id)).collect()))
        .collect()
}

/// What a piece and the entries of tables about it refer to, each once, in the order in which it comes
/// first.
fn targets(view: &View, of: PieceId) -> BTreeMap<Group, Vec<PieceId>> {
    let mut found: BTreeMap<Group, Vec<PieceId>> = BTreeMap::new();
    let entries = view.piece(of).entries.iter().copied();
    for id in std::iter::once(of).chain(entries) {
        for link in &view.piece(id).links {
            let To::Piece(to) = link.to else {
                continue;
            };
            if let Some(group) = group(view, to) {
                let known = found.entry(group).or_default();
                if to != of && !known.contains(&to) {
                    known.push(to);
                }
            }
        }
    }
    found
}
