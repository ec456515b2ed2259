// SPDX-License-Identifier: GPL-2.0

//! Which relocation types the kernel's module loader applies, and how many bytes each writes.
//!
//! Types: the processor supplements of the System V ABI. What the loader knows:
//! `arch/x86/kernel/module.c` and `arch/s390/kernel/module.c`.

use super::elf::Machine;

/// `R_X86_64_*`
pub mod x86_64 {
    #![allow(missing_docs)]
    pub const NONE: u32 = 0;
    pub const ABS64: u32 = 1;
    pub const PC32: u32 = 2;
    pub const PLT32: u32 = 4;
    pub const ABS32: u32 = 10;
    pub const ABS32S: u32 = 11;
    pub const PC64: u32 = 24;
}

/// `R_390_*`
pub mod s390 {
    #![allow(missing_docs)]
    pub const NONE: u32 = 0;
    pub const ABS8: u32 = 1;
    pub const ABS12: u32 = 2;
    pub const ABS16: u32 = 3;
    pub const ABS32: u32 = 4;
    pub const PC32: u32 = 5;
    pub const GOT12: u32 = 6;
    pub const GOT32: u32 = 7;
    pub const PLT32: u32 = 8;
    pub const GOTOFF32: u32 = 13;
    pub const GOTPC: u32 = 14;
    pub const GOT16: u32 = 15;
    pub const PC16: u32 = 16;
    pub const PC16DBL: u32 = 17;
    pub const PLT16DBL: u32 = 18;
    pub const PC32DBL: u32 = 19;
    pub const PLT32DBL: u32 = 20;
    pub const GOTPCDBL: u32 = 21;
    pub const ABS64: u32 = 22;
    pub const PC64: u32 = 23;
    pub const GOT64: u32 = 24;
    pub const PLT64: u32 = 25;
    pub const GOTENT: u32 = 26;
    pub const GOTOFF16: u32 = 27;
    pub const GOTOFF64: u32 = 28;
    pub const GOTPLT12: u32 = 29;
    pub const GOTPLT16: u32 = 30;
    pub const GOTPLT32: u32 = 31;
    pub const GOTPLT64: u32 = 32;
    pub const GOTPLTENT: u32 = 33;
    pub const PLTOFF16: u32 = 34;
    pub const PLTOFF32: u32 = 35;
    pub const PLTOFF64: u32 = 36;
    pub const ABS20: u32 = 57;
    pub const GOT20: u32 = 58;
    pub const GOTPLT20: u32 = 59;
}

/// Whether a relocation of this type writes a whole address, as it is, and nothing else anywhere:
/// not an entry of a table that other relocations use as well.
pub fn is_address(machine: Machine, r_type: u32) -> bool {
    match machine {
        Machine::X86_64 => r_type == x86_64::ABS64,
        Machine::S390 => r_type == s390::ABS64,
    }
}

/// How many bytes a relocation of this type writes on `machine`; `None` where the loader does
/// not apply such a relocation.
pub fn width(machine: Machine, r_type: u32) -> Option<u8> {
    match machine {
        Machine::X86_64 => match r_type {
            x86_64::NONE => Some(0),
            x86_64::ABS64 | x86_64::PC64 => Some(8),
            x86_64::PC32 | x86_64::PLT32 | x86_64::ABS32 | x86_64::ABS32S => Some(4),
            _ => None,
        },
        Machine::S390 => {
            use s390::*;
            match r_type {
                NONE => Some(0),
                ABS8 => Some(1),
                ABS12 | ABS16 | PC16 | PC16DBL | PLT16DBL | GOT12 | GOT16 | GOTPLT12 | GOTPLT16
                | GOTOFF16 | PLTOFF16 => Some(2),
                ABS20 | ABS32 | PC32 | PC32DBL | PLT32 | PLT32DBL | GOT20 | GOT32 | GOTENT
                | GOTPLT20 | GOTPLT32 | GOTPLTENT | GOTOFF32 | GOTPC | GOTPCDBL | PLTOFF32 => {
                    Some(4)
                }
                ABS64 | PC64 | GOT64 | PLT64 | GOTPLT64 | GOTOFF64 | PLTOFF64 => Some(8),
                _ => None,
            }
        }
    }
}
