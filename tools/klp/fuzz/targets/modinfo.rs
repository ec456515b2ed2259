// SPDX-License-Identifier: GPL-2.0

//! The module information: of a whole file, and alone.

#![no_main]

use libfuzzer_sys::fuzz_target;
use livepatch_format::modinfo;

/// Whether a kernel would find the key, by its own way of reading: strings, with NULs between.
fn has_key(info: &[u8], key: &[u8]) -> bool {
    let key = [key, b"="].concat();
    (0..info.len()).any(|at| (at == 0 || info[at - 1] == 0) && info[at..].starts_with(&key))
}

fn check(info: &[u8]) {
    let mut admitted = info.to_vec();
    let found = modinfo::admit(&mut admitted);
    assert_eq!(found, has_key(info, modinfo::LIVEPATCH));
    assert_eq!(found, modinfo::value(info, modinfo::LIVEPATCH).is_some());
    assert!(!has_key(&admitted, modinfo::LIVEPATCH));
    assert!(!found || modinfo::value(&admitted, modinfo::ADMITTED).is_some());
    for (before, after) in info.iter().zip(&admitted) {
        assert!(before == after || (*before, *after) == (b'l', b'L'));
    }
    assert!(!modinfo::admit(&mut admitted));
    for (key, value) in modinfo::entries(info) {
        assert!(!key.contains(&b'=') && !key.contains(&0) && !value.contains(&0));
    }
}

fuzz_target!(|data: &[u8]| {
    check(data);
    if let Ok(Some(range)) = modinfo::locate(data) {
        check(data.get(range).expect("the range lies in the file"));
    }
});
