// SPDX-License-Identifier: GPL-2.0

//! What the fuzz targets share.

use livepatch_format::elf::{Endian, SHN_LIVEPATCH};

/// Numbers in the input of a target, little-endian; zeroes where it ends.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Reads `data` from its start.
    pub fn new(data: &'a [u8]) -> Self {
        Input(data)
    }

    /// The next number of `N` bytes, at most eight.
    pub fn number<const N: usize>(&mut self) -> u64 {
        let (bytes, rest) = self.0.split_at(N.min(self.0.len()));
        self.0 = rest;
        bytes
            .iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
    }

    /// The next `length` bytes, or as many as there are.
    pub fn bytes(&mut self, length: u64) -> &'a [u8] {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Everything that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// The number of `N` bytes at `offset`, read with nothing of what is tested.
pub fn number<const N: usize>(data: &[u8], offset: usize, endian: Endian) -> Option<u64> {
    let bytes = data.get(offset..offset.checked_add(N)?)?;
    let add = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
    Some(match endian {
        Endian::Little => bytes.iter().rev().fold(0, add),
        Endian::Big => bytes.iter().fold(0, add),
    })
}

/// Whether symbol `index` of a table is there and a livepatch symbol.
pub fn is_livepatch_symbol(table: &[u8], index: u64, endian: Endian) -> bool {
    let offset = usize::try_from(index)
        .ok()
        .and_then(|index| index.checked_mul(24));
    let whole = offset.and_then(|offset| table.get(offset..offset.checked_add(24)?));
    whole.and_then(|symbol| number::<2>(symbol, 6, endian)) == Some(SHN_LIVEPATCH.into())
}

/// Whether `part` lies within `whole`.
pub fn is_within(part: &[u8], whole: &[u8]) -> bool {
    part.is_empty() || {
        let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
        part.start >= whole.start && part.end <= whole.end
    }
}
