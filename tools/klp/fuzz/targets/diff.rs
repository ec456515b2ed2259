// SPDX-License-Identifier: GPL-2.0

//! Two objects, one behind the other: whatever they are, a patch or an error comes of them, and
//! the emitted object is one that a linker can read.

#![no_main]

use klp_diff::{
    describe, diff_moved, Kernel, Location, Moved, NotLocated, Options, Target, Wanted,
};
use libfuzzer_sys::fuzz_target;
use livepatch_format::elf::{Image, RelocationTable, SHF_ALLOC, SHT_RELA};
use livepatch_format::reloc;
use livepatch_fuzz::Input;

/// A kernel that answers by the names: all that may happen does.
struct Names;

impl Kernel for Names {
    fn is_exported(&self, name: &str) -> bool {
        name.len().is_multiple_of(3)
    }

    fn locate(&self, wanted: &Wanted<'_>) -> Result<Location, NotLocated> {
        match wanted.name.bytes().last().unwrap_or(0) % 8 {
            0 => Err(NotLocated::Missing),
            1 => Err(NotLocated::Ambiguous {
                candidates: String::new(),
            }),
            last => Ok(Location {
                object: if last == 2 { "ext4" } else { "vmlinux" }.to_owned(),
                position: last.into(),
            }),
        }
    }

    fn is_shared(&self, name: &str) -> bool {
        name.len().is_multiple_of(7)
    }

    fn has_call_site(&self, name: &str, _: &Location) -> Option<bool> {
        match name.len() % 5 {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let length = input.number::<4>();
    let original = input.bytes(length);
    let patched = input.rest();
    for object in ["vmlinux", "ext4"] {
        let target = Target {
            object: object.to_owned(),
            unit: "fuzz".to_owned(),
        };
        // Every absolute path is one of the source.
        let moved = Moved {
            from: String::new(),
            to: "/moved".to_owned(),
        };
        let Ok(found) = diff_moved(original, patched, &moved, &target, &Names) else {
            return;
        };
        let _ = describe([&found.patch], &Options::default());
        let is_clean = found.patch.refusals.is_empty() && !found.patch.is_empty();
        assert_eq!(is_clean, found.object.is_some());
        if let Some(object) = found.object {
            check(&object);
        }
    }
});

/// Whether every section is there, and every relocation within its section and for a symbol.
fn check(object: &[u8]) {
    let image = Image::parse(object).expect("an ELF file");
    let machine = image.header.machine().expect("a machine that is known");
    let (symbols, _) = image.symbols().expect("a symbol table");
    for (_, section) in image.sections.iter() {
        image.name(&section).expect("a name");
        let data = image.data(&section).expect("the section is in the file");
        if section.sh_type != SHT_RELA {
            continue;
        }
        let target = livepatch_format::elf::SectionIndex(section.sh_info);
        let target = image.sections.get(target).expect("a target");
        let table = RelocationTable::new(data, image.header.endian).expect("relocations");
        for (_, rela) in table.iter() {
            assert!(rela.symbol.0 < symbols.len());
            let width = reloc::width(machine, rela.r_type);
            assert!(width.is_some() || target.sh_flags & SHF_ALLOC == 0);
            let end = rela.r_offset.checked_add(width.unwrap_or(0).into());
            assert!(end.is_some_and(|end| end <= target.sh_size));
        }
    }
}
