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
    let keys = [modinfo::LIVEPATCH, modinfo::ADMITTED];
    assert_eq!(found, keys.iter().any(|key| has_key(info, *key)));
    assert_eq!(
        found,
        keys.iter().any(|key| modinfo::value(info, *key).is_some())
    );
    assert!(!has_key(&admitted, modinfo::LIVEPATCH));
    assert_eq!(found, modinfo::is_admitted(&admitted));
    for (before, after) in info.iter().zip(&admitted) {
        assert!(before == after || (*before, *after) == (b'l', modinfo::ADMITTED[0]));
    }
    let once = admitted.clone();
    assert_eq!(modinfo::admit(&mut admitted), found);
    assert_eq!(admitted, once);
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
