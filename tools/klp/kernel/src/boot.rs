// SPDX-License-Identifier: GPL-2.0

//! Boot images, and where the kernel is in them.
//!
//! x86_64: `Documentation/arch/x86/boot.rst` of the kernel source. The header says where the
//! compressed kernel is; that is an ELF file without symbols, after which relocations follow.
//!
//! s390x: `arch/s390/boot/vmlinux.lds.S` and `boot.h` there. Nothing says where the compressed
//! kernel is, which is the memory of the kernel without its `.bss`. Before it, `vmlinux_info`
//! begins with the address of the kernel's first instruction, and the length of its memory.

use crate::memory::Memory;
use crate::unpack::Method;
use crate::{Error, Result};
use livepatch_format::elf::Machine;
use memchr::memmem;
use object::elf;

/// More than any kernel.
pub const LIMIT: u64 = 1 << 30;

/// "HdrS", and where it is.
const X86_MAGIC: (usize, &[u8]) = (0x202, b"HdrS");

/// Since this version of the protocol the header tells where the compressed kernel is.
const X86_VERSION: u16 = 0x208;

/// What stands where the programs that load kernels look for it.
const S390_MAGIC: (usize, &[u8]) = (0x10008, b"S390EP");

/// To what the length of a kernel's memory is rounded on s390x.
const S390_PAGE: u64 = 0x1000;

/// What begins with less is no kernel.
const SMALLEST: usize = 0x1000;

/// A kernel.
#[derive(Debug)]
pub struct Image {
    /// What is at which address.
    pub memory: Memory,
    /// With what it was compressed; `None` for a `vmlinux`.
    pub packed: Option<Method>,
}

impl Image {
    /// Reads a `vmlinux` or a boot image.
    ///
    /// # Errors
    ///
    /// It is neither, or damaged.
    pub fn read(file: Vec<u8>) -> Result<Self> {
        Image::read_up_to(file, LIMIT)
    }

    /// The same, where a kernel is at most `limit` bytes long.
    ///
    /// # Errors
    ///
    /// As [`Image::read`].
    pub fn read_up_to(file: Vec<u8>, limit: u64) -> Result<Self> {
        if file.starts_with(&elf::ELFMAG) {
            let memory = Memory::of_elf(file)?;
            return Ok(Image {
                memory,
                packed: None,
            });
        }
        let has = |(place, magic): (usize, &[u8])| {
            file.get(place..)
                .is_some_and(|rest| rest.starts_with(magic))
        };
        if has(X86_MAGIC) {
            x86_64(&file, limit)
        } else if has(S390_MAGIC) {
            s390(&file, limit)
        } else {
            Err(Error::NoKernel)
        }
    }

    /// Whether a file begins as a boot image does.
    pub fn is_boot_image(file: &[u8]) -> bool {
        [X86_MAGIC, S390_MAGIC].iter().any(|(place, magic)| {
            file.get(*place..)
                .is_some_and(|rest| rest.starts_with(magic))
        })
    }
}

fn x86_64(file: &[u8], limit: u64) -> Result<Image> {
    let cut_off = || Error::Damaged("its header does not lead to the compressed kernel");
    let number = |place: usize| -> Result<u32> {
        let bytes = file.get(place..).and_then(|rest| rest.first_chunk());
        bytes.copied().map(u32::from_le_bytes).ok_or_else(cut_off)
    };
    // The lower half is the protocol's version.
    if (number(0x206)? as u16) < X86_VERSION {
        return Err(Error::Damaged("it is for an older boot protocol"));
    }
    let sectors = match file.get(0x1f1) {
        // For the sake of loaders of the last century.
        Some(0) => 4,
        Some(&sectors) => usize::from(sectors),
        None => return Err(cut_off()),
    };
    let start = (sectors + 1) * 512 + number(0x248)? as usize;
    let end = start.saturating_add(number(0x24c)? as usize);
    let packed = file.get(start..end).ok_or_else(cut_off)?;
    let method = Method::of(packed).ok_or(Error::NotCompressed)?;
    let memory = Memory::of_elf(method.unpack(packed, limit)?)?;
    if memory.machine != Machine::X86_64 {
        return Err(Error::Damaged(
            "the kernel in it is not for the machine that the image is for",
        ));
    }
    Ok(Image {
        memory,
        packed: Some(method),
    })
}

fn s390(file: &[u8], limit: u64) -> Result<Image> {
    // What the image has of code comes before; the first that unpacks is the kernel.
    let mut starts: Vec<(usize, Method)> = Method::ALL
        .into_iter()
        .flat_map(|method| {
            memmem::find_iter(file, method.magic()).map(move |start| (start, method))
        })
        .collect();
    starts.sort_unstable_by_key(|(start, _)| *start);
    let mut failure = Error::NotCompressed;
    for (start, method) in starts {
        let (before, packed) = file.split_at(start);
        match method.unpack(packed, limit) {
            Ok(data) if data.len() >= SMALLEST => {
                if let Some(base) = s390_base(before, data.len()) {
                    return Ok(Image {
                        memory: Memory::flat(Machine::S390, base, data),
                        packed: Some(method),
                    });
                }
                failure = Error::NoBase;
            }
            Ok(_) => {}
            Err(error @ Error::TooLong(_)) => failure = error,
            // It only looks as if it were something compressed.
            Err(_) => {}
        }
    }
    Err(failure)
}

/// The address of the kernel's first instruction, with which its memory begins. It stands before
/// the length of that memory.
fn s390_base(before: &[u8], length: usize) -> Option<u64> {
    let length = (length as u64).checked_next_multiple_of(S390_PAGE)?;
    let words = before.chunks_exact(8).filter_map(|word| word.first_chunk());
    let words = words.copied().map(u64::from_be_bytes);
    words
        .clone()
        .zip(words.skip(1))
        .find(|&(entry, size)| size == length && entry != 0 && entry % S390_PAGE == 0)
        .map(|(entry, _)| entry)
}
