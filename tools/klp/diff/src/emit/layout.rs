// SPDX-License-Identifier: GPL-2.0

//! The sections, symbols and relocations of the emitted object.

use super::objtool;
use crate::model::{ReferBy, Reference};
use crate::take::{Destination, Taken};
use crate::view::read::{Place, SymbolId};
use crate::view::{sections, Kind, Link, PieceId, View};
use livepatch_format::elf::Machine;
use object::elf;
use std::collections::BTreeMap;

/// A section of the emitted object.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// `SHT_*`
    pub sh_type: elf::SectionType,
    /// `SHF_*`
    pub flags: elf::SectionFlags,
    /// Alignment in bytes.
    pub align: u64,
    /// The size of an entry in bytes, or 0.
    pub entsize: u64,
    /// Another section that it goes with.
    pub link: Option<usize>,
    /// Its bytes.
    pub data: Vec<u8>,
    /// Its size in bytes, also where it has none in the file.
    pub size: u64,
    /// What is to be written into it.
    pub relocations: Vec<Relocation>,
}

/// A relocation.
#[derive(Debug)]
pub struct Relocation {
    /// Where, in bytes from the start of the section.
    pub offset: u64,
    /// Its type.
    pub kind: u32,
    /// An index into [`Layout::symbols`].
    pub symbol: usize,
    /// What is added.
    pub addend: i64,
}

/// A symbol.
#[derive(Debug)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// Binding and type.
    pub info: elf::SymbolInfo,
    /// Where it is defined.
    pub place: SymbolPlace,
    /// Its value.
    pub value: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// Where a symbol is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymbolPlace {
    /// In another object.
    Undefined,
    /// It is a number.
    Absolute,
    /// An index into [`Layout::sections`].
    Section(usize),
}

/// What the emitted object consists of.
#[derive(Debug)]
pub struct Layout {
    /// Which machine, byte order and flags.
    pub machine: Machine,
    /// The byte order.
    pub endian: object::Endianness,
    /// `e_flags`
    pub flags: elf::FileFlags,
    /// The sections, without those that every object has.
    pub sections: Vec<Section>,
    /// The symbols, without the null symbol; local ones first.
    pub symbols: Vec<Symbol>,
    /// How many are local.
    pub local: usize,
}

/// A symbol that relocations refer to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Section(usize),
    Symbol(SymbolId),
    Undefined(String),
}

impl Layout {
    /// Lays out what is taken.
    pub fn new(view: &View, taken: &Taken, new_functions: &BTreeMap<PieceId, String>) -> Self {
        let mut layouter = Layouter {
            view,
            taken,
            sections: Vec::new(),
            placed: BTreeMap::new(),
            tables: BTreeMap::new(),
            local: Vec::new(),
            global: Vec::new(),
            keys: BTreeMap::new(),
        };
        // What others are linked to comes first.
        let is_entry = |id: &&PieceId| view.piece(**id).kind == Kind::Entry;
        for &id in taken.pieces.keys().filter(|id| !is_entry(id)) {
            layouter.place(id, None);
        }
        for &id in taken.pieces.keys().filter(is_entry) {
            layouter.place_entry(id);
        }
        layouter.name(new_functions);
        for (&id, destinations) in &taken.pieces {
            for (link, destination) in std::iter::zip(&view.piece(id).links, destinations) {
                layouter.relocate(id, link, destination);
            }
        }
        layouter.finish()
    }
}

/// The number of a symbol before it is known how many local ones there are.
#[derive(Debug, Clone, Copy)]
enum Number {
    Local(usize),
    Global(usize),
}

struct Layouter<'a> {
    view: &'a View,
    taken: &'a Taken,
    sections: Vec<Section>,
    /// Where pieces are: an index of a section, and an offset in it.
    placed: BTreeMap<PieceId, (usize, u64)>,
    /// The section of a table, by name and by what it is linked to.
    tables: BTreeMap<(String, Option<usize>), usize>,
    local: Vec<Symbol>,
    global: Vec<Symbol>,
    keys: BTreeMap<Key, Number>,
}

impl Layouter<'_> {
    fn place(&mut self, id: PieceId, link: Option<usize>) {
        let section = self.view.section_of(id);
        let mut flags = section.flags;
        let dropped = match self.view.piece(id).kind {
            Kind::Entry => elf::SHF_GROUP,
            // A piece for itself is not merged: whatever refers to its inside can stay as it is.
            _ => elf::SHF_GROUP | elf::SHF_MERGE | elf::SHF_STRINGS | elf::SHF_LINK_ORDER,
        };
        flags.0 &= !dropped.0;
        let is_merged = flags.contains(elf::SHF_MERGE);
        self.placed.insert(id, (self.sections.len(), 0));
        self.sections.push(Section {
            name: sections::name_in_module(&section.name).to_owned(),
            sh_type: section.sh_type,
            flags,
            align: section.align,
            entsize: if is_merged { section.entsize } else { 0 },
            link,
            data: self.bytes(id),
            size: self.view.piece(id).size(),
            relocations: Vec::new(),
        });
    }

    fn place_entry(&mut self, id: PieceId) {
        let section = self.view.section_of(id);
        let is_linked = section.flags.contains(elf::SHF_LINK_ORDER);
        let code = self
            .view
            .piece(id)
            .links
            .iter()
            .find_map(|link| match link.to {
                crate::view::To::Piece(to) => self.placed.get(&to),
                _ => None,
            });
        let link = code.filter(|_| is_linked).map(|&(section, _)| section);
        let key = (section.name.clone(), link);
        match self.tables.get(&key) {
            None => {
                self.tables.insert(key, self.sections.len());
                self.place(id, link);
            }
            Some(&index) => {
                let bytes = self.bytes(id);
                let table = &mut self.sections[index];
                self.placed.insert(id, (index, table.size));
                table.data.extend_from_slice(&bytes);
                table.size += self.view.piece(id).size();
            }
        }
    }

    /// The bytes of a piece; zero where relocations write, as the module loader wants it.
    fn bytes(&self, id: PieceId) -> Vec<u8> {
        let mut bytes = self.view.bytes_of(id).to_vec();
        for link in &self.view.piece(id).links {
            let start = usize::try_from(link.offset).unwrap_or(usize::MAX);
            let end = start.saturating_add(link.width.into());
            if let Some(field) = bytes.get_mut(start..end) {
                field.fill(0);
            }
        }
        for (&offset, new) in self.taken.overwritten.get(&id).into_iter().flatten() {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = start.saturating_add(new.len());
            if let Some(instruction) = bytes.get_mut(start..end) {
                instruction.copy_from_slice(new);
            }
        }
        bytes
    }

    fn local(&mut self, key: Key, symbol: Symbol) {
        self.keys.insert(key, Number::Local(self.local.len()));
        self.local.push(symbol);
    }

    /// Makes symbols for the file, the sections, and all that had one.
    fn name(&mut self, new_functions: &BTreeMap<PieceId, String>) {
        let taken = self.taken;
        if let Some(source) = self.view.source() {
            self.local.push(Symbol {
                name: source.to_owned(),
                info: elf::SymbolInfo::new(elf::STB_LOCAL, elf::STT_FILE),
                place: SymbolPlace::Absolute,
                value: 0,
                size: 0,
            });
        }
        for index in 0..self.sections.len() {
            let symbol = Symbol {
                name: String::new(),
                info: elf::SymbolInfo::new(elf::STB_LOCAL, elf::STT_SECTION),
                place: SymbolPlace::Section(index),
                value: 0,
                size: 0,
            };
            self.local(Key::Section(index), symbol);
        }
        let pieces: BTreeMap<_, _> = taken
            .pieces
            .keys()
            .map(|&id| {
                let piece = self.view.piece(id);
                ((piece.section, piece.start), id)
            })
            .collect();
        for (index, symbol) in self.view.file.symbols.iter().enumerate() {
            let Place::Section(section) = symbol.place else {
                continue;
            };
            let before = pieces.range(..=(section, symbol.value)).next_back();
            let Some((_, &id)) = before else {
                continue;
            };
            let piece = self.view.piece(id);
            let is_within = piece.section == section && symbol.value <= piece.end;
            if !is_within || symbol.kind == elf::STT_SECTION || symbol.name.is_empty() {
                continue;
            }
            let Some(&(place, offset)) = self.placed.get(&id) else {
                continue;
            };
            let key = Key::Symbol(SymbolId(index));
            let is_trampoline = !symbol.is_local() && objtool::is_trampoline(&symbol.name);
            let is_shared = piece.symbol == Some(SymbolId(index))
                && (taken.shared.contains(&id) || is_trampoline);
            let binding = match is_shared {
                true => elf::STB_GLOBAL,
                false => elf::STB_LOCAL,
            };
            let symbol = Symbol {
                name: symbol.name.clone(),
                info: elf::SymbolInfo::new(binding, symbol.kind),
                place: SymbolPlace::Section(place),
                value: offset + (symbol.value - piece.start),
                size: symbol.size,
            };
            if is_shared {
                self.keys.insert(key, Number::Global(self.global.len()));
                self.global.push(symbol);
            } else {
                self.local(key, symbol);
            }
        }
        for (&id, name) in new_functions {
            let Some(&(place, offset)) = self.placed.get(&id) else {
                continue;
            };
            let symbol = self.view.symbol_of(id);
            self.global.push(Symbol {
                name: name.clone(),
                info: elf::SymbolInfo::new(elf::STB_GLOBAL, elf::STT_FUNC),
                place: SymbolPlace::Section(place),
                value: offset + self.view.piece(id).entry,
                size: symbol.map_or(0, |symbol| symbol.size),
            });
        }
    }

    fn relocate(&mut self, from: PieceId, link: &Link, destination: &Destination) {
        let (key, addend) = match destination {
            Destination::Gone => return,
            Destination::Taken(to) => {
                let Some(&(section, offset)) = self.placed.get(to) else {
                    return;
                };
                let start = self.view.piece(*to).start;
                let within = |symbol: &SymbolId| {
                    let distance = self.view.symbol(*symbol).value.wrapping_sub(start);
                    let is_named = self.keys.contains_key(&Key::Symbol(*symbol));
                    is_named && distance <= self.view.piece(*to).size()
                };
                match link.symbol.filter(within) {
                    // What is to be in a GOT has to be a symbol.
                    Some(symbol) => {
                        let distance = self.view.symbol(symbol).value.wrapping_sub(start);
                        (
                            Key::Symbol(symbol),
                            link.addend.wrapping_sub(distance as i64),
                        )
                    }
                    None => (
                        Key::Section(section),
                        link.addend.wrapping_add(offset as i64),
                    ),
                }
            }
            Destination::Elsewhere(reference, addend) => {
                let key = Key::Undefined(symbol_name(self.view.file.machine, reference));
                self.undefined(&key);
                (key, *addend)
            }
            Destination::Number(symbol) => {
                let key = Key::Symbol(*symbol);
                if !self.keys.contains_key(&key) {
                    let number = self.view.symbol(*symbol);
                    let symbol = Symbol {
                        name: number.name.clone(),
                        info: elf::SymbolInfo::new(elf::STB_LOCAL, number.kind),
                        place: SymbolPlace::Absolute,
                        value: number.value,
                        size: 0,
                    };
                    self.local(key.clone(), symbol);
                }
                (key, link.addend)
            }
        };
        let (Some(&(section, offset)), Some(&number)) =
            (self.placed.get(&from), self.keys.get(&key))
        else {
            return;
        };
        self.sections[section].relocations.push(Relocation {
            offset: offset + link.offset,
            kind: link.kind,
            symbol: match number {
                Number::Local(index) => index,
                // Counted from the end of all numbers, until it is known where they start.
                Number::Global(index) => usize::MAX - index,
            },
            addend,
        });
    }

    fn undefined(&mut self, key: &Key) {
        let Key::Undefined(name) = key else {
            return;
        };
        if self.keys.contains_key(key) {
            return;
        }
        self.keys
            .insert(key.clone(), Number::Global(self.global.len()));
        self.global.push(Symbol {
            name: name.clone(),
            info: elf::SymbolInfo::new(elf::STB_GLOBAL, elf::STT_NOTYPE),
            place: SymbolPlace::Undefined,
            value: 0,
            size: 0,
        });
    }

    fn finish(mut self) -> Layout {
        let local = self.local.len();
        for section in &mut self.sections {
            for relocation in &mut section.relocations {
                if relocation.symbol >= local {
                    relocation.symbol = local + (usize::MAX - relocation.symbol);
                }
            }
            section
                .relocations
                .sort_by_key(|relocation| relocation.offset);
        }
        // Else linkers would take it that the stack has to be executable.
        self.sections.push(Section {
            name: ".note.GNU-stack".to_owned(),
            sh_type: elf::SHT_PROGBITS,
            flags: elf::SectionFlags(0),
            align: 1,
            entsize: 0,
            link: None,
            data: Vec::new(),
            size: 0,
            relocations: Vec::new(),
        });
        let file = &self.view.file;
        self.local.append(&mut self.global);
        Layout {
            machine: file.machine,
            endian: file.endian,
            flags: file.flags,
            sections: self.sections,
            symbols: self.local,
            local,
        }
    }
}

/// What a symbol that is defined elsewhere is called in the object.
fn symbol_name(machine: Machine, reference: &Reference) -> String {
    match &reference.by {
        ReferBy::Export | ReferBy::Patch => reference.name.clone(),
        // klp convert finds a name that the kernel has once.
        ReferBy::Position {
            object,
            position: 0,
        } if machine == Machine::X86_64
            && object == "vmlinux"
            && objtool::is_noreturn(&reference.name) =>
        {
            reference.name.clone()
        }
        ReferBy::Position { object, position } => {
            format!(".klp.extern.{object}.{}..{position}", reference.name)
        }
    }
}
