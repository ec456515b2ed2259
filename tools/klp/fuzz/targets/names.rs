// SPDX-License-Identifier: GPL-2.0

//! Names of livepatch symbols and sections: what is accepted is what its parts make.

#![no_main]

use libfuzzer_sys::fuzz_target;
use livepatch_format::elf::{Symbol, SHN_LIVEPATCH};
use livepatch_format::name::{
    Dialect, ObjectName, SectionName, SymbolName, Text, OBJECT_NAME_MAX, SYMBOL_NAME_MAX,
};

fn check_object(object: ObjectName<'_>) {
    assert!(!object.as_bytes().is_empty() && object.as_bytes().len() <= OBJECT_NAME_MAX);
    assert_eq!(object.as_str().as_bytes(), object.as_bytes());
    assert_eq!(object.is_vmlinux(), object.as_str() == "vmlinux");
}

fuzz_target!(|data: &[u8]| {
    let Some((&st_other, name)) = data.split_first() else {
        return;
    };
    let shown = Text(name).to_string();
    assert!(shown.len() <= 4 * SYMBOL_NAME_MAX);
    assert!(shown
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' '));

    if let Ok(section) = SectionName::parse(name) {
        check_object(section.object);
        let prefix: &[u8] = match section.dialect {
            Dialect::Mainline => b".klp.rela.",
            Dialect::Draft => b".klp.rel.",
        };
        let object = section.object.as_bytes();
        assert_eq!([prefix, object, b".", section.target].concat(), name);
    }
    let symbol = Symbol {
        st_name: 0,
        st_info: 0,
        st_other,
        st_shndx: SHN_LIVEPATCH,
        st_value: 0,
        st_size: 0,
    };
    if let Ok(parsed) = SymbolName::parse(name, &symbol) {
        check_object(parsed.object);
        assert!(!parsed.symbol.is_empty() && parsed.symbol.len() <= SYMBOL_NAME_MAX);
        let start = [b".klp.sym.", parsed.object.as_bytes(), b".", parsed.symbol].concat();
        let rest = name.strip_prefix(start.as_slice()).expect("its own parts");
        match parsed.dialect {
            Dialect::Draft => {
                assert!(rest.is_empty());
                assert_eq!(parsed.position.0, u64::from(st_other >> 2));
            }
            Dialect::Mainline => {
                let digits = rest.strip_prefix(b",").expect("a comma");
                let digits = std::str::from_utf8(digits).expect("digits");
                assert_eq!(digits.parse(), Ok(parsed.position.0));
            }
        }
    }
});
