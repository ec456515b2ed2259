// SPDX-License-Identifier: GPL-2.0

//! A symbol table and its strings, with nothing known of either.

#![no_main]

use libfuzzer_sys::fuzz_target;
use livepatch_format::elf::{Endian, StringTable, SymbolIndex, SymbolTable, SYM_SIZE};
use livepatch_format::name::SymbolName;
use livepatch_fuzz::{is_livepatch_symbol, is_within, number, Input};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let endian = if input.number::<1>() & 1 == 0 {
        Endian::Little
    } else {
        Endian::Big
    };
    let length = input.number::<2>();
    let table = input.bytes(length);
    let strings = input.rest();

    let symbols = SymbolTable::new(table, endian);
    assert_eq!(symbols.len() as usize, table.len() / SYM_SIZE);
    assert_eq!(symbols.is_empty(), table.len() < SYM_SIZE);
    assert_eq!(symbols.iter().count(), symbols.len() as usize);
    for past in [symbols.len(), symbols.len().saturating_add(1), u32::MAX] {
        assert!(symbols.get(SymbolIndex(past)).is_err());
    }
    for (index, symbol) in symbols.iter() {
        assert_eq!(symbols.get(index), Ok(symbol));
        let at = index.0 as usize * SYM_SIZE;
        assert_eq!(number::<4>(table, at, endian), Some(symbol.st_name.into()));
        assert_eq!(number::<8>(table, at + 8, endian), Some(symbol.st_value));
        assert_eq!(number::<8>(table, at + 16, endian), Some(symbol.st_size));
        assert_eq!(
            symbol.is_livepatch(),
            is_livepatch_symbol(table, index.0.into(), endian)
        );
        let start = strings.get(symbol.st_name as usize..);
        let expected = start.and_then(|tail| tail.split_inclusive(|&byte| byte == 0).next());
        match StringTable::new(strings).get(symbol.st_name) {
            Ok(name) => {
                assert!(is_within(name, strings));
                assert_eq!(Some([name, b"\0"].concat().as_slice()), expected);
                let _ = SymbolName::parse(name, &symbol);
            }
            Err(_) => assert!(expected.is_none_or(|name| name.last() != Some(&0))),
        }
    }
});
