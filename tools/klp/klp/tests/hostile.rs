// SPDX-License-Identifier: GPL-2.0

//! Whatever the module is: no panic, and either an error or a livepatch that verifies.

mod common;

use common::{Case, Elf};
use klp::convert::Conversion;
use klp::knowledge::Knowledge;
use livepatch_fixtures::ARCHES;
use livepatch_format::elf::{Endian, Header, Image, SHDR_SIZE, SHT_NULL, SHT_STRTAB};
use livepatch_format::name::Dialect;
use proptest::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;

const PATCH: &str = "
#include <klp_sym.h>
extern int lonely(int), exported(int), counter;
extern int second(int) KLP_SYM(vmlinux, twin, 2), there(int) KLP_SYM(some_module, helper, 4);
int *pointer = &counter;
int changed(int x) { return lonely(x) + exported(x) + second(x) + there(x) + counter; }
";

/// A module for each architecture, and what is known of the kernel.
fn modules() -> &'static [(Vec<u8>, Knowledge)] {
    static MODULES: OnceLock<Vec<(Vec<u8>, Knowledge)>> = OnceLock::new();
    MODULES.get_or_init(|| {
        ARCHES
            .iter()
            .map(|&arch| {
                let case = Case::new(arch);
                let module = case.patch(PATCH);
                let machine = Header::parse(&module).unwrap().machine().unwrap();
                let mut knowledge = Knowledge::default();
                let kernel = case.path("System.map");
                knowledge.add_kernel(&kernel, machine).unwrap();
                (module, knowledge)
            })
            .collect()
    })
}

/// Converts, and verifies what comes out.
fn convert(module: &[u8], knowledge: &Knowledge, dialect: Dialect) -> bool {
    match Conversion::new(module, knowledge, dialect) {
        Ok(Some(conversion)) => {
            conversion.verify(module, &conversion.bytes).unwrap();
            true
        }
        Ok(None) => true,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

#[test]
fn unharmed_modules_are_converted_in_both_dialects() {
    for (module, knowledge) in modules() {
        for dialect in [Dialect::Mainline, Dialect::Draft] {
            let conversion = Conversion::new(module, knowledge, dialect)
                .unwrap()
                .unwrap();
            conversion.verify(module, &conversion.bytes).unwrap();
            assert_eq!(Elf::read(&conversion.bytes).livepatch_symbols().len(), 4);
        }
    }
}

#[test]
fn verification_notices_every_byte_that_matters() {
    for (module, knowledge) in modules() {
        for dialect in [Dialect::Mainline, Dialect::Draft] {
            let conversion = Conversion::new(module, knowledge, dialect)
                .unwrap()
                .unwrap();
            for (what, range) in bytes_that_matter(&conversion.bytes) {
                for at in range {
                    let mut bad = conversion.bytes.clone();
                    bad[at] ^= 0x11;
                    assert!(
                        conversion.verify(module, &bad).is_err(),
                        "{what}, byte {at:#x}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_target_section_that_means_nothing_is_refused() {
    for (module, knowledge) in modules() {
        let image = Image::parse(module).unwrap();
        let (index, _) = image.find(b".text").unwrap();
        let header = image.header.e_shoff as usize + index.0 as usize * SHDR_SIZE;
        let last = match image.header.endian {
            Endian::Little => 4,
            Endian::Big => 7,
        };
        for sh_type in [SHT_NULL, SHT_STRTAB] {
            let mut module = module.clone();
            module[header + 4..header + 8].fill(0);
            module[header + last] = sh_type as u8;
            for dialect in [Dialect::Mainline, Dialect::Draft] {
                assert!(!convert(&module, knowledge, dialect));
            }
        }
    }
}

/// The contents of all sections but string tables and such as are edited, the symbol names, and
/// of section headers what the kernel looks at.
fn bytes_that_matter(file: &[u8]) -> Vec<(String, Range<usize>)> {
    let image = Image::parse(file).unwrap();
    let mut ranges = Vec::new();
    for (index, section) in image.sections.iter() {
        let name = String::from_utf8(image.name(&section).unwrap().to_vec()).unwrap();
        let header = image.header.e_shoff as usize + index.0 as usize * SHDR_SIZE;
        ranges.push((format!("type and flags of {name}"), header + 4..header + 16));
        if name != ".modinfo" && name != ".shstrtab" {
            let start = section.sh_offset as usize;
            let size = image.data(&section).unwrap().len();
            ranges.push((name.clone(), start..start + size));
            if size > 0 && name != ".strtab" {
                let what = format!("offset and size of {name}");
                ranges.push((what, header + 24..header + 40));
            }
        }
        ranges.push((format!("link and info of {name}"), header + 40..header + 48));
    }
    ranges
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn mutated_modules_are_converted_or_refused(
        which in 0usize..2,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (module, knowledge) = &modules()[which];
        let mut module = module.clone();
        for (at, byte) in changes {
            let at = at.index(module.len());
            module[at] = byte;
        }
        if let Some(length) = cut {
            module.truncate(length.index(module.len()));
        }
        convert(&module, knowledge, Dialect::Mainline);
    }

    #[test]
    fn modules_with_mutated_section_headers_are_converted_or_refused(
        which in 0usize..2,
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0usize..SHDR_SIZE, prop_oneof![
                0u8..40, Just(0xff), any::<u8>(),
            ]),
            1..6,
        ),
    ) {
        let (module, knowledge) = &modules()[which];
        let header = Header::parse(module).unwrap();
        let mut module = module.clone();
        for (section, offset, byte) in changes {
            let section = section.index(header.e_shnum.into());
            module[header.e_shoff as usize + section * SHDR_SIZE + offset] = byte;
        }
        convert(&module, knowledge, Dialect::Draft);
    }
}
