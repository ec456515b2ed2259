// SPDX-License-Identifier: GPL-2.0

//! A livepatch relocation section of either architecture: what passes the checks writes within
//! its target, and names a livepatch symbol that is there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use livepatch_format::elf::{
    Endian, Machine, RelocationTable, Section, SectionIndex, SymbolTable, RELA_SIZE, SHF_ALLOC,
    SHT_NOBITS, SHT_RELA,
};
use livepatch_format::{check, reloc, Error};
use livepatch_fuzz::{is_livepatch_symbol, number, Input};

/// How many bytes the widest relocation of a type writes, from the processor supplements: an
/// upper bound that owes nothing to the table that is tested.
fn width(machine: Machine, r_type: u64) -> u64 {
    match (machine, r_type) {
        (_, 0) => 0,
        (Machine::X86_64, 1 | 24) => 8,
        (Machine::X86_64, _) => 4,
        (Machine::S390, 1) => 1,
        (Machine::S390, 2 | 3 | 6 | 15 | 16 | 17 | 18 | 27 | 29 | 30 | 34) => 2,
        (Machine::S390, 22 | 23 | 24 | 25 | 28 | 32 | 36) => 8,
        (Machine::S390, _) => 4,
    }
}

fn header(input: &mut Input<'_>) -> Section {
    Section {
        sh_name: 0,
        sh_type: input.number::<1>() as u32,
        sh_flags: input.number::<3>(),
        sh_addr: 0,
        sh_offset: 0,
        sh_size: input.number::<8>(),
        sh_link: input.number::<1>() as u32,
        sh_info: input.number::<1>() as u32,
        sh_addralign: 8,
        sh_entsize: 0,
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (machine, endian) = match input.number::<1>() & 1 {
        0 => (Machine::X86_64, Endian::Little),
        _ => (Machine::S390, Endian::Big),
    };
    let (section, target) = (header(&mut input), header(&mut input));
    let symtab = SectionIndex(input.number::<1>() as u32);
    if check::section(&section, &target, symtab).is_ok() {
        assert_eq!(section.sh_type, SHT_RELA);
        assert_eq!(section.sh_link, symtab.0);
        assert!(section.sh_flags & target.sh_flags & SHF_ALLOC != 0);
        assert!(target.sh_type != SHT_NOBITS && target.sh_type != SHT_RELA);
    }

    let length = input.number::<2>();
    let symbols = input.bytes(length);
    let relocations = input.rest();
    let table = SymbolTable::new(symbols, endian);
    let Ok(relas) = RelocationTable::new(relocations, endian) else {
        assert!(!relocations.len().is_multiple_of(RELA_SIZE));
        return;
    };
    assert_eq!(relas.len() as usize * RELA_SIZE, relocations.len());
    let mut seen = 0;
    let mut places = Vec::new();
    let result = check::relocations(machine, &relas, &table, target.sh_size, |nr, rela, _| {
        let at = nr as usize * RELA_SIZE;
        let offset = number::<8>(relocations, at, endian).expect("it is there");
        let info = number::<8>(relocations, at + 8, endian).expect("it is there");
        assert_eq!((offset, info >> 32), (rela.r_offset, rela.symbol.0.into()));
        let end = offset.checked_add(width(machine, info & 0xffff_ffff));
        assert!(end.is_some_and(|end| end <= target.sh_size));
        assert!(is_livepatch_symbol(symbols, info >> 32, endian));
        assert!(reloc::width(machine, rela.r_type).is_some());
        seen += 1;
        places.extend(check::Place::new(machine, symtab, symtab, nr, rela));
        Ok::<(), Error>(())
    });
    assert_eq!(result.is_ok(), seen == relas.len());
    places.sort();
    let overlap = places.iter().enumerate().any(|(at, one)| {
        let later = places.iter().skip(at + 1);
        later
            .take(64)
            .any(|two| one.start < two.end && two.start < one.end)
    });
    assert!(!overlap || check::overlap(&places).is_err());
    if let Err(error) = result {
        assert!(!error.to_string().is_empty());
    }
});
