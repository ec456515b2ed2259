// SPDX-License-Identifier: GPL-2.0

//! A kernel: its file, or its memory with the list of its symbols.

#![no_main]

use libfuzzer_sys::fuzz_target;
use livepatch_format::elf::Machine;
use livepatch_fuzz::is_within;
use livepatch_kernel::{Image, Kallsyms, Memory};

/// The most that a file may unpack to.
const LIMIT: u64 = 1 << 20;

/// Where a kernel is linked to.
const BASE: u64 = 0xffff_ffff_8100_0000;

fuzz_target!(|input: &[u8]| {
    let Some((kind, data)) = input.split_first() else {
        return;
    };
    let memory = match kind {
        0 => match Image::read_up_to(data.to_vec(), LIMIT) {
            Ok(image) => image.memory,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        },
        1 => Memory::flat(Machine::X86_64, BASE, data.to_vec()),
        _ => Memory::flat(Machine::S390, BASE, data.to_vec()),
    };
    let segments: Vec<(u64, &[u8])> = memory.segments().collect();
    for &(address, bytes) in &segments {
        let size = bytes.len() as u64;
        if let Some(found) = memory.bytes(address, size) {
            assert_eq!(found.len(), bytes.len());
            assert!(segments.iter().any(|(_, bytes)| is_within(found, bytes)));
        }
        assert_eq!(memory.bytes(address, u64::MAX), None);
    }
    if let Ok(list) = Kallsyms::find(&memory) {
        assert!(list.symbols.len() > 256);
        // A symbol takes its length, its letter and its address, and the kernel cuts its name.
        let total: usize = segments.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(list.symbols.len() * 6 < total);
        assert!(list.symbols.iter().all(|symbol| symbol.name.len() < 512));
    }
});
