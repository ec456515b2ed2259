// SPDX-License-Identifier: GPL-2.0

//! What pieces refer to, and which entries of tables are about which code.

use super::code;
use super::read::{Place, Relocation, SectionId};
use super::sections;
use super::{Kind, Link, PieceId, To, View};
use crate::error::{Error, Result};
use object::elf;

impl View {
    /// Finds all links, and gives entries to the code that they are about.
    pub(super) fn link(&mut self) -> Result<()> {
        for index in 0..self.pieces.len() {
            let id = PieceId(index);
            let mut links = self.relocated(id)?;
            self.add_unrelocated(id, &mut links);
            self.pieces[index].links = links;
        }
        self.pair_tables()?;
        self.give_entries();
        Ok(())
    }

    fn relocated(&self, id: PieceId) -> Result<Vec<Link>> {
        let piece = self.piece(id);
        let relocations = &self.section_of(id).relocations;
        let first = relocations.partition_point(|one| one.offset < piece.start);
        let within = relocations[first..]
            .iter()
            .take_while(|relocation| relocation.offset < piece.end);
        within
            .filter(|relocation| !self.is_of_nothing(id, relocation.offset))
            .map(|relocation| {
                if relocation.offset + u64::from(relocation.width) > piece.end {
                    return Err(self.malformed(format!(
                        "{}: the relocation at {:#x} goes past the end of {}",
                        self.section_of(id).name,
                        relocation.offset,
                        self.display(id)
                    )));
                }
                self.resolve(piece.section, piece.start, relocation)
            })
            .collect()
    }

    /// Whether an entry names instructions here of which there are none, as what is to be replaced is
    /// only removed. It names the place where they would be, where those of another entry may be.
    fn is_of_nothing(&self, id: PieceId, offset: u64) -> bool {
        let (piece, section) = (self.piece(id), self.section_of(id));
        if section.name != sections::ALTERNATIVES || offset != piece.start + sections::REPLACEMENT {
            return false;
        }
        let length = sections::replacement_length(self.file.machine, piece.size());
        length.is_some_and(|at| section.bytes(piece.start + at, piece.start + at + 1) == [0])
    }

    fn malformed(&self, what: String) -> Error {
        Error::Malformed {
            side: self.side,
            what,
        }
    }

    fn resolve(&self, from: SectionId, start: u64, relocation: &Relocation) -> Result<Link> {
        let symbol = self.symbol(relocation.symbol);
        let link = |to, addend| Link {
            offset: relocation.offset - start,
            kind: relocation.kind,
            width: relocation.width,
            to,
            addend,
            symbol: Some(relocation.symbol),
        };
        let Place::Section(section) = symbol.place else {
            return Ok(link(To::Outside(relocation.symbol), relocation.addend));
        };
        let addend = relocation.addend.wrapping_add(symbol.value as i64);
        let to = match &self.of_section[section.0][..] {
            [] => None,
            [only] => Some(*only),
            _ if symbol.is_name() => self.piece_at(section, symbol.value),
            // Of the symbol of a section, only the sum tells what is meant.
            _ => {
                let bias = self.bias_at(from, relocation.offset, relocation.kind);
                let bias = bias.ok_or_else(|| {
                    self.malformed(format!(
                        "{}: cannot decode the instruction at {:#x}",
                        self.file.sections[from.0].name, relocation.offset
                    ))
                })?;
                self.piece_at(section, addend.wrapping_add(bias) as u64)
            }
        };
        Ok(match to {
            Some(to) => link(
                To::Piece(to),
                addend.wrapping_sub(self.piece(to).start as i64),
            ),
            None => link(To::Ignored(relocation.symbol), relocation.addend),
        })
    }

    /// Adds what instructions reach in other pieces of the same section, which the assembler knew.
    fn add_unrelocated(&self, id: PieceId, links: &mut Vec<Link>) {
        let piece = self.piece(id);
        if !piece.is_code() || self.of_section[piece.section.0].len() < 2 {
            return;
        }
        let instructions = self.instructions(piece.section);
        let first = instructions.partition_point(|one| one.start < piece.start);
        let within = instructions[first..]
            .iter()
            .take_while(|instruction| instruction.start < piece.end);
        let relocated = links.len();
        for instruction in within {
            let Some(reach) = instruction.reach else {
                continue;
            };
            let offset = reach.field.wrapping_sub(piece.start);
            let is_relocated = links[..relocated]
                .binary_search_by_key(&offset, |link| link.offset)
                .is_ok();
            let is_here = (piece.start..piece.end).contains(&reach.target);
            let is_cut = offset.saturating_add(reach.width.into()) > piece.size();
            if is_relocated || is_here || is_cut {
                continue;
            }
            let Some(to) = self.piece_at(piece.section, reach.target) else {
                continue;
            };
            let machine = self.file.machine;
            let bias = code::bias(machine, reach.field, instruction);
            let target = reach.target.wrapping_sub(self.piece(to).start) as i64;
            links.push(Link {
                offset,
                // No relocation type is 0: what is too short for one is refused when it is taken.
                kind: code::kind_of_distance(machine, reach.width).unwrap_or(0),
                width: reach.width,
                to: To::Piece(to),
                addend: target.wrapping_sub(bias),
                symbol: None,
            });
        }
        links.sort_by_key(|link| link.offset);
    }

    /// Pairs tables whose entries go together.
    fn pair_tables(&mut self) -> Result<()> {
        for index in 0..self.file.sections.len() {
            let Some(companion) = sections::companion(&self.file.sections[index].name) else {
                continue;
            };
            let is_companion = |section: &super::Section| section.name == companion;
            let found = self.file.sections.iter().position(is_companion);
            let theirs = found.map_or(&[][..], |other| &self.of_section[other]);
            let pairs: Vec<_> = std::iter::zip(&self.of_section[index], theirs)
                .map(|(&one, &other)| (one, other))
                .collect();
            if pairs.len() != self.of_section[index].len() || pairs.len() != theirs.len() {
                let name = &self.file.sections[index].name;
                return Err(self.malformed(format!("{name} and {companion} do not match")));
            }
            for (one, other) in pairs {
                self.pieces[one.0].companion = Some(other);
            }
        }
        Ok(())
    }

    fn give_entries(&mut self) {
        for id in self.ids() {
            if self.piece(id).kind != Kind::Entry {
                continue;
            }
            let code = self.piece(id).links.iter().find_map(|link| match link.to {
                To::Piece(to) if self.piece(to).is_code() => Some(to),
                _ => None,
            });
            // The section that an entry is kept with says the same.
            let order = self.section_of(id).flags.contains(elf::SHF_LINK_ORDER);
            if let Some(code) = code {
                self.pieces[code.0].entries.push(id);
                if let Some(companion) = self.piece(id).companion {
                    self.pieces[code.0].entries.push(companion);
                }
            } else if order {
                let linked = self.section_of(id).link;
                if let [only] = self.of_section[linked.0][..] {
                    self.pieces[only.0].entries.push(id);
                }
            }
        }
    }
}
