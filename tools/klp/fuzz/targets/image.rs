// SPDX-License-Identifier: GPL-2.0

//! A whole file: header, sections, names and symbols, compared with what the crate `object`
//! reads in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use livepatch_format::elf::{
    Endian, Image, SectionIndex, SHF_ALLOC, SHF_RELA_LIVEPATCH, SHT_NOBITS, SHT_NULL, SHT_RELA,
    SHT_SYMTAB,
};
use livepatch_format::{check, unchecked};
use livepatch_fuzz::{is_livepatch_symbol, is_within, number};
use object::read::elf::{FileHeader as _, SectionHeader as _};
use object::{elf, Endianness};

/// The kernel itself writes the address of a livepatch symbol nowhere, but where objtool leaves it.
fn uses_do_no_harm(image: &Image<'_>) {
    let endian = image.header.endian;
    let mut sections = image.sections.iter();
    let Some((_, symbols)) = sections.find(|(_, section)| section.sh_type == SHT_SYMTAB) else {
        return;
    };
    let symbols = image.data(&symbols).unwrap_or_default();
    for (_, section) in image.sections.iter() {
        let Ok(target) = image.sections.get(SectionIndex(section.sh_info)) else {
            continue;
        };
        let name = image.name(&section).unwrap_or_default();
        if section.sh_type != SHT_RELA
            || section.sh_flags & SHF_RELA_LIVEPATCH != 0
            || target.sh_flags & SHF_ALLOC == 0
            // Refused when it is in memory.
            || name.starts_with(b".klp.rel")
        {
            continue;
        }
        let objtools = image
            .name(&target)
            .is_ok_and(|name| name.starts_with(b"__klp_relocs."));
        // R_X86_64_64 and R_390_64.
        let address = match endian {
            Endian::Little => 1,
            Endian::Big => 22,
        };
        for rela in image.data(&section).unwrap_or_default().chunks_exact(24) {
            let info = number::<8>(rela, 8, endian).unwrap_or_default();
            if is_livepatch_symbol(symbols, info >> 32, endian) {
                let r_type = info & 0xffff_ffff;
                assert!(r_type == 0 || objtools && r_type == address);
            }
        }
    }
}

fuzz_target!(|file: &[u8]| {
    let Ok(image) = Image::parse(file) else {
        return;
    };
    let _ = image.header.machine();
    if check::symbol_uses(&image).is_ok() && image.symbols().is_ok() {
        uses_do_no_harm(&image);
    }
    let _ = unchecked::check(&image, None);

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
