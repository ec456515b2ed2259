// SPDX-License-Identifier: GPL-2.0

//! What a linker has written where a relocation was: which value the symbol must have had.
//!
//! The formulas are those of the processor supplements of the System V ABI.

use livepatch_format::elf::Machine;
use livepatch_format::reloc::{s390, x86_64};
use std::ops::Range;

/// `lgrl`, which loads from an entry of the global offset table, and `larl`, which computes the
/// address itself: the linker makes the second of the first where the symbol is near enough.
const LGRL: [u8; 2] = [0xc4, 0x08];
const LARL: [u8; 2] = [0xc0, 0x00];

/// A relocation in an object that was linked.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Whose code it is.
    pub machine: Machine,
    /// The type of the relocation.
    pub kind: u32,
    /// What is in the linked file.
    pub bytes: &'a [u8],
    /// At which address that is.
    pub address: u64,
    /// What the relocation adds.
    pub addend: i64,
}

/// What a field tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The symbol's value.
    Value(u64),
    /// The address of the entry of the global offset table that holds the symbol's value.
    Entry(u64),
    /// Nothing that is understood.
    Nothing,
}

impl Field<'_> {
    /// The value that the symbol has.
    pub fn told(&self) -> Told {
        let written = self.number();
        let Some(written) = written else {
            return Told::Nothing;
        };
        let absolute = (written as u64).wrapping_sub(self.addend as u64);
        let relative = absolute.wrapping_add(self.address);
        let halved = (written.wrapping_mul(2) as u64)
            .wrapping_sub(self.addend as u64)
            .wrapping_add(self.address);
        match self.machine {
            Machine::X86_64 => match self.kind {
                x86_64::PC32 | x86_64::PLT32 | x86_64::PC64 => Told::Value(relative),
                x86_64::ABS32S | x86_64::ABS64 => Told::Value(absolute),
                x86_64::ABS32 => {
                    let written = u64::from(written as u32);
                    Told::Value(written.wrapping_sub(self.addend as u64))
                }
                _ => Told::Nothing,
            },
            Machine::S390 => match self.kind {
                s390::PC32DBL | s390::PLT32DBL | s390::PC16DBL | s390::PLT16DBL => {
                    Told::Value(halved)
                }
                s390::GOTENT => Told::Entry(halved),
                s390::PC32 | s390::PC64 | s390::PLT32 | s390::PLT64 => Told::Value(relative),
                s390::ABS64 => Told::Value(absolute),
                s390::ABS32 => {
                    let written = u64::from(written as u32);
                    Told::Value(written.wrapping_sub(self.addend as u64))
                }
                _ => Told::Nothing,
            },
        }
    }

    /// The field as a number with sign.
    fn number(&self) -> Option<i64> {
        let is_big = self.machine == Machine::S390;
        match *self.bytes {
            [a, b] if is_big => Some(i16::from_be_bytes([a, b]).into()),
            [a, b] => Some(i16::from_le_bytes([a, b]).into()),
            [a, b, c, d] if is_big => Some(i32::from_be_bytes([a, b, c, d]).into()),
            [a, b, c, d] => Some(i32::from_le_bytes([a, b, c, d]).into()),
            _ => {
                let bytes: [u8; 8] = self.bytes.try_into().ok()?;
                Some(match is_big {
                    true => i64::from_be_bytes(bytes),
                    false => i64::from_le_bytes(bytes),
                })
            }
        }
    }
}

/// Whether the linker has made `now` of the instruction `then`, whose field at `offset` was an
/// entry of the global offset table. If so, the bytes that differ.
pub fn is_relaxed(
    machine: Machine,
    kind: u32,
    then: &[u8],
    now: &[u8],
    offset: usize,
) -> Option<Range<usize>> {
    if (machine, kind) != (Machine::S390, s390::GOTENT) {
        return None;
    }
    let range = offset.checked_sub(2)?..offset;
    let (then, now) = (then.get(range.clone())?, now.get(range.clone())?);
    let (&[t0, t1], &[n0, n1]) = (then, now) else {
        return None;
    };
    let is_same_register = t1 & 0xf0 == n1 & 0xf0;
    let is_load = [t0, t1 & 0x0f] == LGRL;
    let is_address = [n0, n1 & 0x0f] == LARL;
    (is_same_register && is_load && is_address).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(machine: Machine, kind: u32, bytes: &[u8], addend: i64) -> Told {
        let field = Field {
            machine,
            kind,
            bytes,
            address: 0xffff_ffff_8100_0010,
            addend,
        };
        field.told()
    }

    #[test]
    fn a_distance_counts_from_its_field() {
        let pc32 = told(Machine::X86_64, x86_64::PC32, &0x100_i32.to_le_bytes(), -4);
        assert_eq!(pc32, Told::Value(0xffff_ffff_8100_0114));
        let back = told(
            Machine::X86_64,
            x86_64::PLT32,
            &(-0x14_i32).to_le_bytes(),
            -4,
        );
        assert_eq!(back, Told::Value(0xffff_ffff_8100_0000));
        // Halfwords, from the start of the instruction.
        let halves = told(Machine::S390, s390::PC32DBL, &0x80_i32.to_be_bytes(), 2);
        assert_eq!(halves, Told::Value(0xffff_ffff_8100_010e));
    }

    #[test]
    fn an_address_has_a_sign_where_the_type_says_so() {
        let bytes = 0x8200_0008_u32.to_le_bytes();
        let signed = told(Machine::X86_64, x86_64::ABS32S, &bytes, 8);
        assert_eq!(signed, Told::Value(0xffff_ffff_8200_0000));
        let unsigned = told(Machine::X86_64, x86_64::ABS32, &bytes, 8);
        assert_eq!(unsigned, Told::Value(0x8200_0000));
        let long = told(Machine::S390, s390::ABS64, &0x10_0000_u64.to_be_bytes(), 0);
        assert_eq!(long, Told::Value(0x10_0000));
    }

    #[test]
    fn only_a_load_of_the_same_register_is_relaxed() {
        let load = [0xc4, 0x18, 0, 0, 0, 0];
        let relaxed = |now| is_relaxed(Machine::S390, s390::GOTENT, &load, now, 2);
        assert_eq!(relaxed(&[0xc0, 0x10, 0, 0, 0, 9]), Some(0..2));
        assert_eq!(relaxed(&[0xc0, 0x20, 0, 0, 0, 9]), None);
        assert_eq!(relaxed(&load), None);
        assert_eq!(is_relaxed(Machine::X86_64, 9, &load, &load, 2), None);
    }
}
