// SPDX-License-Identifier: GPL-2.0

//! What a module says of itself, and how a livepatch gets past the kernel's refusal.

mod common;

use common::patch;
use livepatch_fixtures::{Module, ARCHES};
use livepatch_format::elf::{Image, SHDR_SIZE, SHT_NOBITS};
use livepatch_format::modinfo::{admit, entries, is_admitted, locate, value, ADMITTED, LIVEPATCH};

fn admitted(text: &[u8]) -> (bool, Vec<u8>) {
    let mut bytes = text.to_vec();
    let found = admit(&mut bytes);
    assert_eq!(bytes.len(), text.len());
    (found, bytes)
}

#[test]
fn entries_are_separated_by_any_number_of_nuls() {
    let found: Vec<_> = entries(b"\0\0a=1\0\0\0b=\0noequals\0=x\0c=1=2").collect();
    let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b""), (b"", b"x"), (b"c", b"1=2")];
    assert_eq!(found, expected);
}

#[test]
fn the_first_value_of_a_key_counts() {
    assert_eq!(value(b"a=1\0a=2\0", b"a"), Some(&b"1"[..]));
    assert_eq!(value(b"aa=1\0", b"a"), None);
    assert_eq!(value(b"a=1\0", b"aa"), None);
    assert_eq!(value(b"", b"a"), None);
}

#[test]
fn admit_renames_the_livepatch_key_only() {
    let before = b"license=GPL\0livepatch=Y\0depends=livepatch\0name=livepatch\0";
    let after = b"license=GPL\0\x01ivepatch=Y\0depends=livepatch\0name=livepatch\0";
    assert_eq!(admitted(before), (true, after.to_vec()));
    assert_eq!(ADMITTED.len(), LIVEPATCH.len());
    assert!(is_admitted(after) && !is_admitted(before));
    assert!(!is_admitted(b"note=\x01ivepatch=Y\0"));
}

#[test]
fn admit_renames_every_livepatch_key_whatever_its_value() {
    let (found, after) = admitted(b"livepatch=\0x=1\0livepatch=N\0livepatch=Y");
    assert!(found);
    assert_eq!(value(&after, LIVEPATCH), None);
    assert_eq!(after, b"\x01ivepatch=\0x=1\0\x01ivepatch=N\0\x01ivepatch=Y");
}

#[test]
fn admit_leaves_other_modules_as_they_are() {
    for text in [
        &b""[..],
        b"\0",
        b"livepatch",
        b"livepatch\0=Y",
        b"livepatchx=Y\0",
        b"xlivepatch=Y\0",
        b"LIVEPATCH=Y\0",
        b"description=livepatch=Y\0",
        b"livepatc=Y\0",
    ] {
        assert_eq!(
            admitted(text),
            (false, text.to_vec()),
            "{}",
            text.escape_ascii()
        );
    }
}

#[test]
fn finds_modinfo_in_a_module() {
    for arch in ARCHES {
        let text = "MODULE_INFO(livepatch, \"Y\");";
        let mut file = Module::new(arch, "patch").source("patch.c", text).build();
        let range = locate(&file).unwrap().expect("a .modinfo");
        assert_eq!(value(&file[range.clone()], b"name"), Some(&b"patch"[..]));
        assert!(admit(&mut file[range.clone()]));
        assert_eq!(value(&file[range.clone()], LIVEPATCH), None);
        assert_eq!(value(&file[range.clone()], b"license"), Some(&b"GPL"[..]));
        assert!(admit(&mut file[range.clone()]), "it is renamed already");
        assert!(is_admitted(&file[range]));
        assert!(Image::parse(&file).is_ok());
    }
}

#[test]
fn a_module_without_modinfo_has_none() {
    for arch in ARCHES {
        let mut file = Module::new(arch, "m").build();
        let name = file
            .windows(9)
            .position(|bytes| bytes == b".modinfo\0")
            .unwrap();
        file[name + 1] = b'M';
        assert_eq!(locate(&file), Ok(None));
    }
}

#[test]
fn a_modinfo_without_contents_is_none() {
    for arch in ARCHES {
        let mut file = Module::new(arch, "m").build();
        let image = Image::parse(&file).unwrap();
        let (index, _) = image.find(b".modinfo").unwrap();
        let endian = image.header.endian;
        let header = image.header.e_shoff as usize + index.0 as usize * SHDR_SIZE;
        patch(&mut file, endian, header + 4, SHT_NOBITS.into(), 4);
        patch(&mut file, endian, header + 24, u64::MAX / 2, 8);
        assert_eq!(locate(&file), Ok(None));
    }
}
