// SPDX-License-Identifier: GPL-2.0

//! Paths of source files that a compiler has written into an object.
//!
//! `-fmacro-prefix-map` is for `__FILE__` only. What UBSAN and KASAN say of where something
//! happened names the file as the compiler opened it.

use super::sections::Role;
use super::{PieceId, To, View};
use object::elf;
use std::collections::BTreeSet;

/// Where the source of the patched object was when it was compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The directory.
    pub from: String,
    /// The one in which the source of the original object was.
    pub to: String,
}

impl Moved {
    /// A string with the path of a file, as it would be if the source had not been moved.
    fn back(&self, string: &[u8]) -> Option<Vec<u8>> {
        let inside = string.strip_prefix(self.from.as_bytes())?;
        inside
            .starts_with(b"/")
            .then(|| [self.to.as_bytes(), inside].concat())
    }
}

impl View {
    /// Changes strings with paths of source files to what they would be if the source had not been
    /// moved.
    pub fn move_back(&mut self, moved: &Moved) {
        let entered = self.entered();
        for index in 0..self.file.sections.len() {
            let section = &self.file.sections[index];
            let is_text = section.flags.contains(elf::SHF_STRINGS) && section.entsize == 1;
            if self.roles[index] != Role::Merged || !is_text {
                continue;
            }
            let strings = self.of_section[index].clone();
            let new = strings.iter().map(|&id| {
                let bytes = self.bytes_of(id);
                let back = moved.back(bytes).filter(|_| !entered.contains(&id));
                (id, back.unwrap_or_else(|| bytes.to_vec()))
            });
            let new: Vec<_> = new.collect();
            let mut data = Vec::new();
            for (id, bytes) in new {
                let piece = &mut self.pieces[id.0];
                piece.start = data.len() as u64;
                data.extend(bytes);
                piece.end = data.len() as u64;
            }
            let section = &mut self.file.sections[index];
            section.size = data.len() as u64;
            section.data = data;
        }
    }

    /// What something refers to the inside of: that would be another place in another string.
    fn entered(&self) -> BTreeSet<PieceId> {
        let links = self
            .ids()
            .flat_map(|id| self.piece(id).links.iter().map(move |link| (id, link)));
        links
            .filter(|(id, link)| link.addend.wrapping_add(self.bias(*id, link)) != 0)
            .filter_map(|(_, link)| match link.to {
                To::Piece(to) => Some(to),
                _ => None,
            })
            .collect()
    }
}
