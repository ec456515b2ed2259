// SPDX-License-Identifier: GPL-2.0

//! As much of the two instruction sets as it takes to tell where an instruction ends, and what it
//! reaches without a relocation: functions that share a section call each other like that.
//!
//! s390x: z/Architecture Principles of Operation, instruction formats and chapter "relative
//! branches". x86_64 is decoded by `iced-x86`.

use iced_x86::{Decoder, DecoderOptions, OpKind};
use livepatch_format::elf::Machine;
use livepatch_format::reloc::{s390, x86_64};

/// An instruction, by its offsets in the section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Where it starts.
    pub start: u64,
    /// Where the next one starts.
    pub end: u64,
    /// What it reaches relative to where it is.
    pub reach: Option<Reach>,
}

/// A field of an instruction that holds a distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Where the field is in the section.
    pub field: u64,
    /// Its width in bytes.
    pub width: u8,
    /// What it leads to, in bytes from the start of the section.
    pub target: u64,
}

/// Decodes `bytes`, which start at `offset` in their section. What is no instruction is skipped.
pub fn decode(machine: Machine, bytes: &[u8], offset: u64) -> Vec<Instruction> {
    match machine {
        Machine::X86_64 => decode_x86_64(bytes, offset),
        Machine::S390 => decode_s390(bytes, offset),
    }
}

fn decode_x86_64(bytes: &[u8], offset: u64) -> Vec<Instruction> {
    let mut decoder = Decoder::with_ip(64, bytes, offset, DecoderOptions::NONE);
    let mut found = Vec::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        let (start, end) = (instruction.ip(), instruction.next_ip());
        if instruction.is_invalid() {
            continue;
        }
        let constants = decoder.get_constant_offsets(&instruction);
        let is_branch = matches!(instruction.op0_kind(), OpKind::NearBranch64);
        let reach = if is_branch && constants.has_immediate() {
            Some(Reach {
                field: start.wrapping_add(constants.immediate_offset() as u64),
                width: constants.immediate_size() as u8,
                target: instruction.near_branch_target(),
            })
        } else if instruction.is_ip_rel_memory_operand() && constants.has_displacement() {
            Some(Reach {
                field: start.wrapping_add(constants.displacement_offset() as u64),
                width: constants.displacement_size() as u8,
                target: instruction.ip_rel_memory_address(),
            })
        } else {
            None
        };
        found.push(Instruction { start, end, reach });
    }
    found
}

fn decode_s390(bytes: &[u8], offset: u64) -> Vec<Instruction> {
    let mut found = Vec::new();
    let mut rest = bytes;
    let mut start = offset;
    while let Some(&first) = rest.first() {
        let length = match first >> 6 {
            0 => 2,
            1 | 2 => 4,
            _ => 6,
        };
        let Some((instruction, next)) = rest.split_at_checked(length) else {
            break;
        };
        let width = s390_distance(instruction);
        let field = instruction.get(2..2 + usize::from(width)).unwrap_or(&[]);
        let distance = match *field {
            [a, b] => Some(i64::from(i16::from_be_bytes([a, b]))),
            [a, b, c, d] => Some(i64::from(i32::from_be_bytes([a, b, c, d]))),
            _ => None,
        };
        found.push(Instruction {
            start,
            end: start.wrapping_add(length as u64),
            reach: distance.map(|halfwords| Reach {
                field: start.wrapping_add(2),
                width,
                target: start.wrapping_add_signed(halfwords * 2),
            }),
        });
        start = start.wrapping_add(length as u64);
        rest = next;
    }
    found
}

/// The width in bytes of the distance in halfwords at offset 2; 0 where there is none.
fn s390_distance(instruction: &[u8]) -> u8 {
    match *instruction {
        // LARL, BRCL, BRASL; all of C4 and C6; BRCTH
        [0xc0, second, ..] if matches!(second & 0xf, 0x0 | 0x4 | 0x5) => 4,
        [0xc4 | 0xc6, ..] => 4,
        [0xcc, second, ..] if second & 0xf == 0x6 => 4,
        // BRC, BRAS, BRCT, BRCTG; BRXH, BRXLE
        [0xa7, second, ..] if matches!(second & 0xf, 0x4..=0x7) => 2,
        [0x84 | 0x85, ..] => 2,
        // BRXHG, BRXLG, and the comparisons that branch
        [0xec, .., 0x44 | 0x45 | 0x64 | 0x65 | 0x76 | 0x77 | 0x7c..=0x7f] => 2,
        _ => 0,
    }
}

/// Whether the instruction whose field is at `offset` of `code` calls or jumps, so that the
/// address is used at once and kept nowhere.
pub fn is_branch(machine: Machine, code: &[u8], offset: usize) -> bool {
    let before = code.get(..offset).unwrap_or(&[]);
    match (machine, before) {
        (Machine::X86_64, [.., 0xe8 | 0xe9] | [.., 0x0f, 0x80..=0x8f]) => true,
        (Machine::S390, [.., 0xc0, second]) => matches!(second & 0xf, 0x4 | 0x5),
        _ => false,
    }
}

/// What makes the branch of a static key at the start of `code` one that is never taken: bytes that
/// take its place, none where it is like that already. `None` where it is no such branch.
///
/// Before objtool was there, x86_64 has jumps where there are to be NOPs: `becomes_nop` says so. The
/// NOPs are those of its `<asm/nops.h>`. s390x has a jump on no condition, with its distance.
pub fn jump_never_taken(machine: Machine, code: &[u8], becomes_nop: bool) -> Option<&'static [u8]> {
    const SHORT_NOP: [u8; 2] = [0x66, 0x90];
    const LONG_NOP: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
    match (machine, code) {
        (Machine::X86_64, [0xeb, _, ..]) if becomes_nop => Some(&SHORT_NOP),
        (Machine::X86_64, [0xe9, _, _, _, _, ..]) if becomes_nop => Some(&LONG_NOP),
        (Machine::X86_64, code) if code.starts_with(&SHORT_NOP) || code.starts_with(&LONG_NOP) => {
            Some(&[])
        }
        (Machine::S390, [0xc0, 0x04, _, _, _, _, ..]) if !becomes_nop => Some(&[]),
        _ => None,
    }
}

/// Whether a relocation of this type is relative to where it is.
pub fn is_relative(machine: Machine, kind: u32) -> bool {
    match machine {
        Machine::X86_64 => matches!(kind, x86_64::PC32 | x86_64::PLT32 | x86_64::PC64),
        Machine::S390 => matches!(
            kind,
            s390::PC16
                | s390::PC16DBL
                | s390::PLT16DBL
                | s390::PC32
                | s390::PC32DBL
                | s390::PLT32
                | s390::PLT32DBL
                | s390::PC64
                | s390::PLT64
                | s390::GOTENT
                | s390::GOTPLTENT
        ),
    }
}

/// The relocation type for a distance in an instruction; `None` where there is none that modules
/// may have.
pub fn kind_of_distance(machine: Machine, width: u8) -> Option<u32> {
    match (machine, width) {
        (Machine::X86_64, 4) => Some(x86_64::PC32),
        (Machine::S390, 4) => Some(s390::PC32DBL),
        _ => None,
    }
}

/// What has to be added to the addend of a relative relocation in code to get what it leads to:
/// `field` is where the relocation is, and `instruction` where its instruction starts and ends.
pub fn bias(machine: Machine, field: u64, instruction: &Instruction) -> i64 {
    let from = match machine {
        // Distances count from the end of the instruction,
        Machine::X86_64 => instruction.end,
        // and there from its start.
        Machine::S390 => instruction.start,
    };
    from.wrapping_sub(field) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x86_64_instructions_end_where_they_end() {
        // call +0; movl $1, 0(%rip); je +2; nop
        let code = [
            0xe8, 0, 0, 0, 0, 0xc7, 0x05, 0, 0, 0, 0, 1, 0, 0, 0, 0x74, 0x02, 0x90,
        ];
        let found = decode(Machine::X86_64, &code, 0x10);
        let reaches: Vec<_> = found.iter().map(|i| (i.start, i.end, i.reach)).collect();
        let reach = |field, width, target| {
            Some(Reach {
                field,
                width,
                target,
            })
        };
        assert_eq!(
            reaches,
            [
                (0x10, 0x15, reach(0x11, 4, 0x15)),
                (0x15, 0x1f, reach(0x17, 4, 0x1f)),
                (0x1f, 0x21, reach(0x20, 1, 0x23)),
                (0x21, 0x22, None),
            ]
        );
        assert_eq!(bias(Machine::X86_64, 0x17, &found[1]), 8);
    }

    #[test]
    fn s390_distances_count_halfwords() {
        // brasl %r14,.-16; br %r14; cgrj with a distance of 4 halfwords
        let code = [
            0xc0, 0xe5, 0xff, 0xff, 0xff, 0xf8, 0x07, 0xfe, 0xec, 0x12, 0, 4, 0x80, 0x64,
        ];
        let found = decode(Machine::S390, &code, 0x20);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].reach.unwrap().target, 0x10);
        assert_eq!(found[1].reach, None);
        let reach = found[2].reach.unwrap();
        assert_eq!((reach.field, reach.width, reach.target), (0x2a, 2, 0x30));
        assert_eq!(bias(Machine::S390, 0x22, &found[0]), -2);
    }

    #[test]
    fn branches_of_keys_are_made_nops() {
        let x86_64 = |code: &[u8], becomes_nop| {
            jump_never_taken(Machine::X86_64, code, becomes_nop).map(<[u8]>::len)
        };
        assert_eq!(x86_64(&[0xeb, 5], true), Some(2));
        assert_eq!(x86_64(&[0xe9, 5, 0, 0, 0], true), Some(5));
        assert_eq!(x86_64(&[0xe9, 5, 0, 0], true), None);
        assert_eq!(x86_64(&[0xeb, 5], false), None, "it is to be a jump");
        assert_eq!(x86_64(&[0xe9, 5, 0, 0, 0], false), None);
        for becomes_nop in [false, true] {
            assert_eq!(x86_64(&[0x66, 0x90], becomes_nop), Some(0));
            assert_eq!(
                x86_64(&[0x0f, 0x1f, 0x44, 0, 0, 0xc3], becomes_nop),
                Some(0)
            );
            assert_eq!(x86_64(&[0xe8, 5, 0, 0, 0], becomes_nop), None);
            assert_eq!(x86_64(&[0x74, 5], becomes_nop), None);
            assert_eq!(x86_64(&[], becomes_nop), None);
        }
        let s390 = |code: &[u8]| jump_never_taken(Machine::S390, code, false);
        assert_eq!(s390(&[0xc0, 0x04, 0, 0, 0, 9]), Some(&[][..]));
        assert_eq!(s390(&[0xc0, 0xf4, 0, 0, 0, 9]), None);
        assert_eq!(s390(&[0xc0, 0x04, 0, 0]), None);
    }

    #[test]
    fn calls_and_addresses_are_told_apart() {
        assert!(is_branch(Machine::X86_64, &[0xe8, 0, 0, 0, 0], 1));
        assert!(is_branch(Machine::X86_64, &[0x0f, 0x84, 0, 0, 0, 0], 2));
        // lea 0(%rip),%rdi
        assert!(!is_branch(
            Machine::X86_64,
            &[0x48, 0x8d, 0x3d, 0, 0, 0, 0],
            3
        ));
        assert!(is_branch(Machine::S390, &[0xc0, 0xe5, 0, 0, 0, 0], 2));
        // larl %r1
        assert!(!is_branch(Machine::S390, &[0xc0, 0x10, 0, 0, 0, 0], 2));
        assert!(!is_branch(Machine::X86_64, &[], 7));
    }
}
