// SPDX-License-Identifier: GPL-2.0

//! Structures written out as they stand in a file.

#![allow(dead_code)] // no test uses all of it

use livepatch_format::elf::{Endian, Relocation, Section, Symbol};

/// Writes numbers in one byte order.
struct Writer(Vec<u8>, Endian);

impl Writer {
    fn put(mut self, value: u64, size: usize) -> Self {
        match self.1 {
            Endian::Little => self.0.extend_from_slice(&value.to_le_bytes()[..size]),
            Endian::Big => self.0.extend_from_slice(&value.to_be_bytes()[8 - size..]),
        }
        self
    }
}

pub fn section_bytes(section: &Section, endian: Endian) -> Vec<u8> {
    Writer(Vec::new(), endian)
        .put(section.sh_name.into(), 4)
        .put(section.sh_type.into(), 4)
        .put(section.sh_flags, 8)
        .put(section.sh_addr, 8)
        .put(section.sh_offset, 8)
        .put(section.sh_size, 8)
        .put(section.sh_link.into(), 4)
        .put(section.sh_info.into(), 4)
        .put(section.sh_addralign, 8)
        .put(section.sh_entsize, 8)
        .0
}

pub fn symbol_bytes(symbol: &Symbol, endian: Endian) -> Vec<u8> {
    Writer(Vec::new(), endian)
        .put(symbol.st_name.into(), 4)
        .put(symbol.st_info.into(), 1)
        .put(symbol.st_other.into(), 1)
        .put(symbol.st_shndx.into(), 2)
        .put(symbol.st_value, 8)
        .put(symbol.st_size, 8)
        .0
}

pub fn relocation_bytes(rela: &Relocation, endian: Endian) -> Vec<u8> {
    Writer(Vec::new(), endian)
        .put(rela.r_offset, 8)
        .put(u64::from(rela.symbol.0) << 32 | u64::from(rela.r_type), 8)
        .put(rela.r_addend as u64, 8)
        .0
}

/// Overwrites the number of `size` bytes at `offset`.
pub fn patch(file: &mut [u8], endian: Endian, offset: usize, value: u64, size: usize) {
    let bytes = Writer(Vec::new(), endian).put(value, size).0;
    file[offset..offset + size].copy_from_slice(&bytes);
}
