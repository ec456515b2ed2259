// SPDX-License-Identifier: GPL-2.0

//! Whether two pieces are the same: the same bytes, and links to what is the same.
//!
//! Links to unique pieces are the same where these are correlated. Links to all others, such as
//! strings, are the same where what they lead to is the same in turn; circles among these are the
//! same unless a difference is found in them.

use crate::correlate::Correlation;
use crate::model::Difference;
use crate::view::read::{Place, SymbolId};
use crate::view::{sections, Link, PieceId, To, View};
use livepatch_format::elf::Machine;
use livepatch_format::reloc::{s390, x86_64};
use std::collections::{BTreeMap, BTreeSet};

/// Compares pieces of two objects.
#[derive(Debug)]
pub struct Comparison<'a> {
    original: &'a View,
    patched: &'a View,
    correlation: &'a Correlation,
    /// What of the patched object is not what it was, and is not replaced where it is.
    replaced: BTreeSet<PieceId>,
    /// Pairs that were found to be the same.
    same: BTreeSet<(PieceId, PieceId)>,
}

impl<'a> Comparison<'a> {
    /// Compares pieces of these objects.
    pub fn new(original: &'a View, patched: &'a View, correlation: &'a Correlation) -> Self {
        Comparison {
            original,
            patched,
            correlation,
            replaced: BTreeSet::new(),
            same: BTreeSet::new(),
        }
    }

    /// From now on, a link to this constant or function of the patched object is not the same as one
    /// to the original's: whoever has one is different.
    pub fn replace(&mut self, patched: PieceId) {
        self.replaced.insert(patched);
        self.same.clear();
    }

    /// Whether [`replace`](Self::replace) was called for it.
    pub fn is_replaced(&self, patched: PieceId) -> bool {
        self.replaced.contains(&patched)
    }

    /// The first difference between a piece of the original and one of the patched object; `None`
    /// if they are the same.
    pub fn difference(&mut self, original: PieceId, patched: PieceId) -> Option<Difference> {
        let mut seen = BTreeSet::from([(original, patched)]);
        let mut waiting = vec![(original, patched)];
        while let Some((one, other)) = waiting.pop() {
            let mut found = Vec::new();
            if let Some(difference) = self.of_itself(one, other, &mut found) {
                return Some(difference);
            }
            for pair in found {
                if !self.same.contains(&pair) && seen.insert(pair) {
                    waiting.push(pair);
                }
            }
        }
        self.same.extend(seen);
        None
    }

    /// A difference between two pieces alone; what else has to be the same is added to `pairs`.
    fn of_itself(
        &self,
        one: PieceId,
        other: PieceId,
        pairs: &mut Vec<(PieceId, PieceId)>,
    ) -> Option<Difference> {
        let (before, after) = (self.original.piece(one), self.patched.piece(other));
        let of = || self.patched.display(other);
        let was = self.original.section_of(one);
        let is = self.patched.section_of(other);
        let init = sections::is_init_or_exit;
        let purpose = |section: &crate::view::read::Section| {
            (
                section.is_code(),
                section.is_writable(),
                init(&section.name),
            )
        };
        if purpose(was) != purpose(is) {
            return Some(Difference::Section {
                of: of(),
                before: was.name.clone(),
                after: is.name.clone(),
            });
        }
        if (before.size(), before.entry) != (after.size(), after.entry) {
            return Some(Difference::Size {
                of: of(),
                before: before.size(),
                after: after.size(),
            });
        }
        if let Some(difference) = self.of_links(one, other, pairs) {
            return Some(difference);
        }
        if let Some(offset) = self.of_bytes(one, other) {
            return Some(Difference::Bytes { of: of(), offset });
        }
        let (mut was, mut is) = (by_table(self.original, one), by_table(self.patched, other));
        let tables: BTreeSet<_> = was
            .keys()
            .chain(is.keys())
            .copied()
            .map(str::to_owned)
            .collect();
        for table in tables {
            let was = was.remove(table.as_str()).unwrap_or_default();
            let is = is.remove(table.as_str()).unwrap_or_default();
            if was.len() != is.len() {
                return Some(Difference::Entries {
                    of: of(),
                    table,
                    before: was.len(),
                    after: is.len(),
                });
            }
            pairs.extend(std::iter::zip(was, is));
        }
        None
    }

    fn of_links(
        &self,
        one: PieceId,
        other: PieceId,
        pairs: &mut Vec<(PieceId, PieceId)>,
    ) -> Option<Difference> {
        let before = &self.original.piece(one).links;
        let after = &self.patched.piece(other).links;
        let name = |view: &View, link: Option<&Link>| link.map(|link| display(view, link));
        for index in 0..before.len().max(after.len()) {
            let (was, is) = (before.get(index), after.get(index));
            let is_same = match (was, is) {
                (Some(was), Some(is)) => {
                    was.offset == is.offset
                        && self.is_same_kind(was.kind, is.kind)
                        && self.is_same_target(was, is, pairs)
                }
                _ => false,
            };
            if !is_same {
                return Some(Difference::Link {
                    of: self.patched.display(other),
                    offset: is.or(was).map_or(0, |link| link.offset),
                    before: name(self.original, was),
                    after: name(self.patched, is),
                });
            }
        }
        None
    }

    /// Whether it makes no difference which of the two types a relocation has: a call is a call
    /// whether or not a linker might have to make a stub for it.
    fn is_same_kind(&self, one: u32, other: u32) -> bool {
        let general = |kind| match (self.patched.file.machine, kind) {
            (Machine::X86_64, x86_64::PLT32) => x86_64::PC32,
            (Machine::S390, s390::PLT32DBL) => s390::PC32DBL,
            (Machine::S390, s390::PLT16DBL) => s390::PC16DBL,
            _ => kind,
        };
        general(one) == general(other)
    }

    fn is_same_target(&self, was: &Link, is: &Link, pairs: &mut Vec<(PieceId, PieceId)>) -> bool {
        if was.addend != is.addend {
            return false;
        }
        match (was.to, is.to) {
            (To::Piece(one), To::Piece(other)) => {
                let is_unique = (
                    self.original.piece(one).is_unique,
                    self.patched.piece(other).is_unique,
                );
                match is_unique {
                    (true, true) => {
                        self.correlation.patched(one) == Some(other) && !self.is_replaced(other)
                    }
                    (false, false) => {
                        pairs.push((one, other));
                        true
                    }
                    _ => false,
                }
            }
            (To::Outside(one), To::Outside(other)) | (To::Ignored(one), To::Ignored(other)) => {
                self.is_same_symbol(one, other)
            }
            _ => false,
        }
    }

    fn is_same_symbol(&self, one: SymbolId, other: SymbolId) -> bool {
        let (one, other) = (self.original.symbol(one), self.patched.symbol(other));
        let is_absolute = one.place == Place::Absolute;
        one.name == other.name
            && is_absolute == (other.place == Place::Absolute)
            && (!is_absolute || one.value == other.value)
    }

    /// Where the first byte is that differs, leaving out what relocations write.
    fn of_bytes(&self, one: PieceId, other: PieceId) -> Option<u64> {
        let before = self.original.bytes_of(one);
        let after = self.patched.bytes_of(other);
        if before == after {
            return None;
        }
        let mut links = self.patched.piece(other).links.iter().peekable();
        // Where neither has bytes, they are zero.
        for index in 0..before.len().max(after.len()) {
            let offset = index as u64;
            while links
                .next_if(|link| link.offset + u64::from(link.width) <= offset)
                .is_some()
            {}
            let is_written = links.peek().is_some_and(|link| link.offset <= offset);
            let byte = |bytes: &[u8]| bytes.get(index).copied().unwrap_or(0);
            if !is_written && byte(before) != byte(after) {
                return Some(offset);
            }
        }
        None
    }
}

/// The entries about a piece, by table, but for those that say nothing new.
fn by_table(view: &View, id: PieceId) -> BTreeMap<&str, Vec<PieceId>> {
    let mut tables: BTreeMap<&str, Vec<PieceId>> = BTreeMap::new();
    for &entry in &view.piece(id).entries {
        let name = view.section_of(entry).name.as_str();
        if !sections::follows_from_code(name) {
            tables.entry(name).or_default().push(entry);
        }
    }
    tables
}

/// What a link leads to, for people.
pub fn display(view: &View, link: &Link) -> String {
    let name = match link.to {
        To::Piece(to) => view.display(to),
        To::Outside(symbol) | To::Ignored(symbol) => view.symbol(symbol).name.clone(),
    };
    match link.addend {
        0 => name,
        addend if addend < 0 => format!("{name}-{:#x}", addend.unsigned_abs()),
        addend => format!("{name}+{addend:#x}"),
    }
}
