// SPDX-License-Identifier: GPL-2.0

//! An object as a livepatch sees it: pieces that are compared and taken one by one, and what they
//! refer to.
//!
//! A piece is a function, a variable, a string, a constant without a name, or one entry of a table
//! such as `__bug_table`. Sections are cut where symbols say so; `-ffunction-sections
//! -fdata-sections` has most of them hold one piece only.

pub mod code;
mod cut;
mod link;
mod moved;
pub mod names;
pub mod read;
pub mod sections;

pub use moved::Moved;

use crate::error::{Result, Side};
use code::Instruction;
use read::{File, Section, SectionId, Symbol, SymbolId};
use sections::Role;
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// A piece of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceId(pub usize);

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A function.
    Function,
    /// Code without a name, such as the replacement of an alternative.
    Code,
    /// A variable, a constant, a string.
    Data,
    /// An entry of a table about code.
    Entry,
}

/// What belongs together in an object.
#[derive(Debug)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub section: SectionId,
    /// Its first byte in the section.
    pub start: u64,
    /// The byte behind its last one. What lies between two pieces is padding.
    pub end: u64,
    /// What it is called.
    pub symbol: Option<SymbolId>,
    /// Where a call enters it, in bytes from `start`: before that may be room for patching.
    pub entry: u64,
    /// Whether there is one of it, which everybody means who calls it by its name. Of other pieces
    /// each user may have a copy.
    pub is_unique: bool,
    /// What it refers to, by offset.
    pub links: Vec<Link>,
    /// The entries of tables about this piece of code, in the order of the object.
    pub entries: Vec<PieceId>,
    /// The entry of a table that goes with this one.
    pub companion: Option<PieceId>,
}

impl Piece {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.end - self.start
    }

    /// Whether it is executed.
    pub fn is_code(&self) -> bool {
        matches!(self.kind, Kind::Function | Kind::Code)
    }
}

/// A place in a piece that refers to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Where, in bytes from the start of the piece.
    pub offset: u64,
    /// The type of the relocation.
    pub kind: u32,
    /// How many bytes it writes.
    pub width: u8,
    /// What it leads to.
    pub to: To,
    /// What is added: to the start of the piece that it leads to, or else to the symbol.
    pub addend: i64,
    /// The symbol of the relocation; `None` where the assembler needed no relocation.
    pub symbol: Option<SymbolId>,
}

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// A piece of this object.
    Piece(PieceId),
    /// A symbol of another object, or a number.
    Outside(SymbolId),
    /// Something in a section that is not looked into.
    Ignored(SymbolId),
}

/// An object.
#[derive(Debug)]
pub struct View {
    /// Which one.
    pub side: Side,
    /// What was read.
    pub file: File,
    /// All pieces.
    pub pieces: Vec<Piece>,
    /// The pieces of every section by where they start.
    of_section: Vec<Vec<PieceId>>,
    roles: Vec<Role>,
    instructions: Vec<OnceCell<Vec<Instruction>>>,
    /// Where functions and other code with a name start, by section.
    starts_of_code: BTreeMap<SectionId, Vec<u64>>,
}

impl View {
    /// Reads an object and cuts it into pieces.
    pub fn new(data: &[u8], side: Side) -> Result<Self> {
        let file = read::read(data, side)?;
        let roles = file.sections.iter().map(sections::role).collect();
        let mut view = View {
            side,
            pieces: Vec::new(),
            of_section: vec![Vec::new(); file.sections.len()],
            roles,
            instructions: file.sections.iter().map(|_| OnceCell::new()).collect(),
            starts_of_code: BTreeMap::new(),
            file,
        };
        view.cut()?;
        view.link()?;
        Ok(view)
    }

    /// A piece.
    pub fn piece(&self, id: PieceId) -> &Piece {
        &self.pieces[id.0]
    }

    /// All pieces.
    pub fn ids(&self) -> impl Iterator<Item = PieceId> {
        (0..self.pieces.len()).map(PieceId)
    }

    /// The section that a piece is in.
    pub fn section_of(&self, id: PieceId) -> &Section {
        &self.file.sections[self.piece(id).section.0]
    }

    /// The bytes of a piece; none, or fewer, where the rest is zero.
    pub fn bytes_of(&self, id: PieceId) -> &[u8] {
        let piece = self.piece(id);
        self.section_of(id).bytes(piece.start, piece.end)
    }

    /// A symbol.
    pub fn symbol(&self, id: SymbolId) -> &Symbol {
        &self.file.symbols[id.0]
    }

    /// The symbol that a piece is called by.
    pub fn symbol_of(&self, id: PieceId) -> Option<&Symbol> {
        self.piece(id).symbol.map(|symbol| self.symbol(symbol))
    }

    /// What a piece is called, for people.
    pub fn display(&self, id: PieceId) -> String {
        let piece = self.piece(id);
        match self.symbol_of(id) {
            Some(symbol) => symbol.name.clone(),
            None => format!("{}+{:#x}", self.section_of(id).name, piece.start),
        }
    }

    /// The name of the source file, as far as the object has it.
    pub fn source(&self) -> Option<&str> {
        let mut symbols = self.file.symbols.iter();
        let file = symbols.find(|symbol| symbol.kind == object::elf::STT_FILE)?;
        Some(&file.name)
    }

    /// Whether the object has a section of that name.
    pub fn has_section(&self, name: &str) -> bool {
        self.file
            .sections
            .iter()
            .any(|section| section.name == name)
    }

    /// Whether the link is of an instruction that calls or jumps.
    pub fn is_branch(&self, id: PieceId, link: &Link) -> bool {
        let offset = usize::try_from(link.offset).unwrap_or(usize::MAX);
        self.piece(id).is_code() && code::is_branch(self.file.machine, self.bytes_of(id), offset)
    }

    /// Whether functions, or what another object has, are in a piece of data.
    pub fn leads_to_functions(&self, id: PieceId) -> bool {
        self.piece(id).links.iter().any(|link| match link.to {
            To::Piece(to) => self.piece(to).is_code(),
            _ => true,
        })
    }

    /// What is written at a link counts from: the part of its addend that is due to where the
    /// instruction ends, so that `addend + bias` is what the link leads to.
    pub fn bias(&self, id: PieceId, link: &Link) -> i64 {
        let piece = self.piece(id);
        self.bias_at(
            piece.section,
            piece.start.wrapping_add(link.offset),
            link.kind,
        )
        .unwrap_or_default()
    }

    /// The same for a relocation; `None` where the instruction cannot be decoded.
    fn bias_at(&self, section: SectionId, field: u64, kind: u32) -> Option<i64> {
        let machine = self.file.machine;
        if !self.file.sections[section.0].is_code() || !code::is_relative(machine, kind) {
            return Some(0);
        }
        let instructions = self.instructions(section);
        let next = instructions.partition_point(|instruction| instruction.start <= field);
        let instruction = instructions.get(next.checked_sub(1)?)?;
        (field < instruction.end).then(|| code::bias(machine, field, instruction))
    }

    /// The instructions of a section of code.
    fn instructions(&self, section: SectionId) -> &[Instruction] {
        self.instructions[section.0].get_or_init(|| {
            let file = &self.file.sections[section.0];
            let mut starts = self
                .starts_of_code
                .get(&section)
                .cloned()
                .unwrap_or_default();
            starts.push(0);
            starts.push(file.data.len() as u64);
            starts.sort_unstable();
            starts.dedup();
            // From one name to the next: data in between does not confuse what follows.
            let ranges = starts.iter().zip(starts.iter().skip(1));
            ranges
                .flat_map(|(&start, &end)| {
                    code::decode(self.file.machine, file.bytes(start, end), start)
                })
                .collect()
        })
    }

    /// The piece of `section` at `offset`; the one before, where there is only padding.
    fn piece_at(&self, section: SectionId, offset: u64) -> Option<PieceId> {
        let pieces = &self.of_section[section.0];
        let next = pieces.partition_point(|&id| self.piece(id).start <= offset);
        pieces.get(next.saturating_sub(1)).copied()
    }
}
