// SPDX-License-Identifier: GPL-2.0

//! Cuts sections into pieces.

use super::read::{Place, SectionId, SymbolId};
use super::sections::{Role, Shape};
use super::{names, Kind, Piece, PieceId, View};
use crate::error::{Error, Result};
use object::elf;
use std::collections::{BTreeMap, BTreeSet};

/// Which offsets of which section something else refers to.
type Offsets = BTreeMap<SectionId, BTreeSet<u64>>;

impl View {
    /// Cuts all sections.
    pub(super) fn cut(&mut self) -> Result<()> {
        let names = self.names();
        for (section, symbols) in &names {
            if self.file.sections[section.0].is_code() {
                let starts = symbols.iter().map(|symbol| self.symbol(*symbol).value);
                self.starts_of_code.insert(*section, starts.collect());
            }
        }
        let rooms = self.rooms();
        let unnamed_code = self.targets_in_unnamed_code(&names);
        for index in 0..self.file.sections.len() {
            let section = SectionId(index);
            let mut pieces = match self.roles[index] {
                Role::Ignored => Vec::new(),
                Role::Table(shape) => self.cut_table(section, shape)?,
                Role::Merged => self.cut_merged(section),
                Role::Named => match names.get(&section) {
                    Some(symbols) => self.cut_named(section, symbols, rooms.get(&section)),
                    None => self.cut_unnamed(section, unnamed_code.get(&section)),
                },
            };
            pieces.sort_by_key(|piece| piece.start);
            for piece in pieces {
                self.of_section[index].push(PieceId(self.pieces.len()));
                self.pieces.push(piece);
            }
        }
        Ok(())
    }

    /// The symbols that name something in a section, by where; at the same place the largest one
    /// first, and global ones first, but what a macro adds to a name last.
    fn names(&self) -> BTreeMap<SectionId, Vec<SymbolId>> {
        let mut names: BTreeMap<SectionId, Vec<SymbolId>> = BTreeMap::new();
        for (index, symbol) in self.file.symbols.iter().enumerate() {
            let Place::Section(section) = symbol.place else {
                continue;
            };
            let is_within = symbol.value <= self.file.sections[section.0].size;
            if self.roles[section.0] == Role::Named && symbol.is_name() && is_within {
                names.entry(section).or_default().push(SymbolId(index));
            }
        }
        for symbols in names.values_mut() {
            symbols.sort_by_key(|&id| {
                let symbol = self.symbol(id);
                let has_type = matches!(symbol.kind, elf::STT_FUNC | elf::STT_OBJECT);
                (
                    symbol.value,
                    !has_type,
                    u64::MAX - symbol.size,
                    names::is_device_table(&symbol.name),
                    symbol.is_local(),
                )
            });
        }
        names
    }

    /// Where the compiler has made room before functions, which belongs to them.
    fn rooms(&self) -> Offsets {
        let mut rooms = Offsets::new();
        let tables = self.file.sections.iter();
        for table in tables.filter(|section| section.name == "__patchable_function_entries") {
            for relocation in &table.relocations {
                let symbol = self.symbol(relocation.symbol);
                if let Place::Section(section) = symbol.place {
                    let offset = symbol.value.wrapping_add_signed(relocation.addend);
                    rooms.entry(section).or_default().insert(offset);
                }
            }
        }
        // Where clang and objtool have, they name it.
        for symbol in &self.file.symbols {
            if let (true, Place::Section(section)) = (symbol.is_room(), symbol.place) {
                rooms.entry(section).or_default().insert(symbol.value);
            }
        }
        rooms
    }

    /// What of code without names is referred to.
    fn targets_in_unnamed_code(&self, names: &BTreeMap<SectionId, Vec<SymbolId>>) -> Offsets {
        let mut targets = Offsets::new();
        for (from, section) in self.file.sections.iter().enumerate() {
            // Debug information tells where lines start.
            if self.roles[from] == Role::Ignored {
                continue;
            }
            for relocation in &section.relocations {
                let symbol = self.symbol(relocation.symbol);
                let Place::Section(to) = symbol.place else {
                    continue;
                };
                let is_code = self.file.sections[to.0].is_code();
                if !is_code || names.contains_key(&to) {
                    continue;
                }
                let bias = self.bias_at(SectionId(from), relocation.offset, relocation.kind);
                let addend = relocation.addend.wrapping_add(bias.unwrap_or_default());
                targets
                    .entry(to)
                    .or_default()
                    .insert(symbol.value.wrapping_add_signed(addend));
            }
        }
        targets
    }

    fn cut_named(
        &self,
        section: SectionId,
        symbols: &[SymbolId],
        rooms: Option<&BTreeSet<u64>>,
    ) -> Vec<Piece> {
        let size = self.file.sections[section.0].size;
        let is_code = self.file.sections[section.0].is_code();
        let mut pieces: Vec<Piece> = Vec::new();
        // What the symbols seen so far cover.
        let mut covered = 0;
        for &id in symbols {
            let symbol = self.symbol(id);
            let end = symbol.value.saturating_add(symbol.size).min(size);
            let is_inside = symbol.value < covered
                || pieces
                    .last()
                    .is_some_and(|last| symbol.value == last.start + last.entry);
            if is_inside {
                if let Some(last) = pieces.last_mut() {
                    last.end = last.end.max(end);
                }
                covered = covered.max(end);
                continue;
            }
            let room = rooms.and_then(|rooms| rooms.range(covered..=symbol.value).next());
            let start = match (is_code, room) {
                (true, Some(&room)) => room,
                (true, None) if pieces.is_empty() => 0,
                _ => symbol.value,
            };
            self.fill_gap(&mut pieces, section, covered, start);
            pieces.push(Piece {
                kind: match symbol.kind {
                    elf::STT_FUNC => Kind::Function,
                    _ if is_code => Kind::Code,
                    _ => Kind::Data,
                },
                section,
                start,
                end: end.max(symbol.value),
                symbol: Some(id),
                entry: symbol.value - start,
                is_unique: !names::is_copied(symbol, &self.file.sections[section.0]),
                links: Vec::new(),
                entries: Vec::new(),
                companion: None,
            });
            covered = covered.max(end).max(symbol.value);
        }
        self.fill_gap(&mut pieces, section, covered, size);
        pieces
    }

    /// What is between two names. Zeroes and the like are padding; of a name without a size nobody
    /// knows where it ends.
    fn fill_gap(&self, pieces: &mut Vec<Piece>, section: SectionId, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let file = &self.file.sections[section.0];
        let relocations = &file.relocations;
        let first = relocations.partition_point(|relocation| relocation.offset < start);
        let is_linked = relocations.get(first).is_some_and(|one| one.offset < end);
        if let Some(last) = pieces.last_mut() {
            let symbol = last.symbol.map(|symbol| self.symbol(symbol));
            let is_open = symbol.is_some_and(|symbol| symbol.size == 0);
            if is_open || file.is_code() && is_linked {
                last.end = end;
                return;
            }
        }
        let is_zero = file.bytes(start, end).iter().all(|&byte| byte == 0);
        if !file.is_code() && (is_linked || !is_zero) {
            pieces.push(self.unnamed(Kind::Data, section, start, end));
        }
    }

    fn unnamed(&self, kind: Kind, section: SectionId, start: u64, end: u64) -> Piece {
        Piece {
            kind,
            section,
            start,
            end,
            symbol: None,
            entry: 0,
            is_unique: false,
            links: Vec::new(),
            entries: Vec::new(),
            companion: None,
        }
    }

    fn cut_unnamed(&self, section: SectionId, targets: Option<&BTreeSet<u64>>) -> Vec<Piece> {
        let file = &self.file.sections[section.0];
        if file.size == 0 || file.sh_type == elf::SHT_NULL {
            return Vec::new();
        }
        if !file.is_code() {
            return vec![self.unnamed(Kind::Data, section, 0, file.size)];
        }
        let mut starts = BTreeSet::from([0]);
        starts.extend(targets.into_iter().flatten().filter(|&&at| at < file.size));
        let ends = starts.iter().skip(1).copied().chain([file.size]);
        let ranges = starts.iter().zip(ends);
        ranges
            .map(|(&start, end)| self.unnamed(Kind::Code, section, start, end))
            .collect()
    }

    fn cut_merged(&self, section: SectionId) -> Vec<Piece> {
        let file = &self.file.sections[section.0];
        let unit = file.entsize;
        let is_strings = file.flags.contains(elf::SHF_STRINGS);
        let size = file.data.len() as u64;
        let mut pieces = Vec::new();
        let (mut start, mut at) = (0, 0);
        while at < size {
            let end = at.saturating_add(unit).min(size);
            let is_end = !is_strings || file.bytes(at, end).iter().all(|&byte| byte == 0);
            at = end;
            if is_end || at == size {
                pieces.push(self.unnamed(Kind::Data, section, start, at));
                start = at;
            }
        }
        pieces
    }

    fn cut_table(&self, section: SectionId, shape: Shape) -> Result<Vec<Piece>> {
        let file = &self.file.sections[section.0];
        let malformed = || Error::Malformed {
            side: self.side,
            what: format!("{}: its entries are not all of the same size", file.name),
        };
        let size = match (file.size, file.entsize, shape) {
            (0, ..) => return Ok(Vec::new()),
            // gcc gives some tables of pointers an entry size, too.
            (_, 0, Shape::Bytes(size)) | (_, size @ 1.., _) => size,
            (_, 0, Shape::ByContents) => self.entry_size(section).ok_or_else(malformed)?,
        };
        // The entries are in the file, so that there are not more of them than it has bytes.
        if !file.size.is_multiple_of(size) || file.size != file.data.len() as u64 {
            return Err(malformed());
        }
        let starts = (0..file.size / size).map(|index| index * size);
        Ok(starts
            .map(|start| self.unnamed(Kind::Entry, section, start, start + size))
            .collect())
    }

    /// The size of an entry of a table, each of which begins with a place in the code; `None` where
    /// the table is not like that. What else an entry refers to differs.
    fn entry_size(&self, section: SectionId) -> Option<u64> {
        const SMALLEST: u64 = 4;
        const LARGEST: u64 = 64;
        let file = &self.file.sections[section.0];
        let is_for_code = |symbol: SymbolId| match self.symbol(symbol).place {
            Place::Section(to) => self.file.sections[to.0].is_code(),
            _ => false,
        };
        let relocations = file.relocations.iter();
        let places: BTreeSet<u64> = relocations
            .filter(|relocation| is_for_code(relocation.symbol))
            .map(|relocation| relocation.offset)
            .collect();
        let is_size = |size: &u64| {
            let mut starts = (0..file.size / size).map(|index| index * size);
            file.size.is_multiple_of(*size) && starts.all(|start| places.contains(&start))
        };
        (SMALLEST..=LARGEST.min(file.size)).find(is_size)
    }
}
