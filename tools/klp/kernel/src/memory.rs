// SPDX-License-Identifier: GPL-2.0

//! A kernel's memory, as far as its file fills it.

use crate::{Error, Result};
use livepatch_format::elf::{Endian, Machine};
use object::elf;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::Endianness;
use std::ops::Range;

/// What is at which address, in the file that a kernel is linked to.
#[derive(Debug)]
pub struct Memory {
    /// Whose code it is.
    pub machine: Machine,
    data: Vec<u8>,
    /// Where parts of it belong.
    segments: Vec<(u64, Range<usize>)>,
    is_elf: bool,
}

/// The order of bytes of a machine.
pub(crate) fn endian(machine: Machine) -> Endian {
    match machine {
        Machine::X86_64 => Endian::Little,
        Machine::S390 => Endian::Big,
    }
}

impl Memory {
    /// That of an executable ELF file.
    ///
    /// # Errors
    ///
    /// It is no ELF file, or none of a kernel's.
    pub fn of_elf(data: Vec<u8>) -> Result<Self> {
        let (machine, segments) =
            segments(&data[..]).map_err(|error| Error::Elf(error.to_string()))?;
        let machine = machine.ok_or_else(|| Error::Elf("it is for another machine".to_owned()))?;
        Ok(Memory {
            machine,
            data,
            segments,
            is_elf: true,
        })
    }

    /// Bytes that belong to one address.
    pub fn flat(machine: Machine, base: u64, data: Vec<u8>) -> Self {
        let whole = 0..data.len();
        Memory {
            machine,
            data,
            segments: vec![(base, whole)],
            is_elf: false,
        }
    }

    /// The ELF file, where it is one.
    pub fn elf(&self) -> Option<&[u8]> {
        self.is_elf.then_some(&self.data)
    }

    /// The parts, each with its address.
    pub fn segments(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let bytes = |range: &Range<usize>| self.data.get(range.clone()).unwrap_or_default();
        self.segments
            .iter()
            .map(move |(address, range)| (*address, bytes(range)))
    }

    /// `size` bytes at an address; `None` where the file does not have all of them.
    pub fn bytes(&self, address: u64, size: u64) -> Option<&[u8]> {
        let size = usize::try_from(size).ok()?;
        self.from(address)?.get(..size)
    }

    /// What is at an address, up to the end of the part that it is in.
    pub fn from(&self, address: u64) -> Option<&[u8]> {
        self.segments().find_map(|(start, bytes)| {
            let offset = usize::try_from(address.checked_sub(start)?).ok()?;
            bytes.get(offset..).filter(|rest| !rest.is_empty())
        })
    }
}

type Segments = Vec<(u64, Range<usize>)>;

fn segments(data: &[u8]) -> object::read::Result<(Option<Machine>, Segments)> {
    let header = elf::FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let machine = Machine::try_from(header.e_machine(endian).0).ok();
    let mut segments = Vec::new();
    for segment in header.program_headers(endian, data)? {
        if segment.p_type(endian) != elf::PT_LOAD {
            continue;
        }
        let start = usize::try_from(segment.p_offset(endian)).unwrap_or(usize::MAX);
        let size = usize::try_from(segment.p_filesz(endian)).unwrap_or(usize::MAX);
        let end = start.saturating_add(size);
        // What a file that is cut off still has is no less true.
        if start < data.len() {
            segments.push((segment.p_vaddr(endian), start..end.min(data.len())));
        }
    }
    Ok((machine, segments))
}
