// SPDX-License-Identifier: GPL-2.0

//! A whole file: header, sections, names and symbols, compared with what the crate `object`
//! reads in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use livepatch_format::elf::{Endian, Image, SHT_NOBITS, SHT_NULL};
use livepatch_format::{check, unchecked};
use livepatch_fuzz::is_within;
use object::read::elf::{FileHeader as _, SectionHeader as _};
use object::{elf, Endianness};

fuzz_target!(|file: &[u8]| {
    let Ok(image) = Image::parse(file) else {
        return;
    };
    let _ = image.header.machine();
    let _ = check::symbol_uses(&image);
    let _ = unchecked::check(&image);

    let endian = match image.header.endian {
        Endian::Little => Endianness::Little,
        Endian::Big => Endianness::Big,
    };
    // It wants more of the header. Where there are more sections than the header can say, a kernel
    // does not look for them.
    let theirs = elf::FileHeader64::<Endianness>::parse(file).ok();
    let sections = theirs
        .and_then(|header| header.sections(endian, file).ok())
        .filter(|sections| {
            sections.len() == usize::from(image.header.e_shnum) && image.header.e_shstrndx < 0xff00
        });
    for (index, section) in image.sections.iter() {
        let data = image.data(&section);
        let name = image.name(&section);
        for part in [data, name].into_iter().flatten() {
            assert!(is_within(part, file));
        }
        if let Ok(name) = name {
            assert!(!name.contains(&0));
        }
        let Some(sections) = &sections else {
            continue;
        };
        let their = sections
            .section(object::SectionIndex(index.0 as usize))
            .expect("as many sections");
        assert_eq!(section.sh_flags, their.sh_flags(endian).0);
        assert_eq!(section.sh_link, their.sh_link(endian));
        assert_eq!(section.sh_info, their.sh_info(endian));
        // Where an empty section lies, `object` does not ask.
        if !matches!(section.sh_type, SHT_NULL | SHT_NOBITS) && section.sh_size != 0 {
            assert_eq!(data.ok(), their.data(endian, file).ok());
        }
        if let (Ok(name), Ok(their)) = (name, sections.section_name(endian, their)) {
            assert_eq!(name, their);
        }
    }
    if let Ok((symbols, strings)) = image.symbols() {
        for (_, symbol) in symbols.iter() {
            if let Ok(name) = strings.get(symbol.st_name) {
                assert!(is_within(name, file) && !name.contains(&0));
            }
        }
    }
});
