// SPDX-License-Identifier: GPL-2.0

//! Whatever the bytes are: `klp inspect` and `klp lint` come to an end without a panic.

mod common;

use common::livepatch::{BUILDERS, ENABLE, GOOD};
use common::Case;
use klp::commands::inspect;
use klp::file::kernel::Kernel;
use klp::file::module::Module;
use klp::knowledge::Knowledge;
use klp::lint;
use livepatch_fixtures::ARCHES;
use livepatch_format::elf::{Header, SHDR_SIZE};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

/// A livepatch, its target and its kernel, both with debug information.
type Fixture = (Vec<u8>, Vec<u8>, Vec<u8>);

/// One for each architecture.
fn fixtures() -> &'static [Fixture] {
    static FIXTURES: OnceLock<Vec<Fixture>> = OnceLock::new();
    FIXTURES.get_or_init(|| {
        let build = |&arch| {
            let case = Case::new(arch);
            let module = case.livepatch(&format!("{GOOD}{ENABLE}"));
            (module, case.read("target.ko"), case.read("vmlinux"))
        };
        ARCHES.iter().map(build).collect()
    })
}

/// Livepatches of other builders, with the number of their architecture.
fn described() -> &'static [(usize, Vec<u8>)] {
    static MODULES: OnceLock<Vec<(usize, Vec<u8>)>> = OnceLock::new();
    MODULES.get_or_init(|| {
        let mut modules = Vec::new();
        for (which, arch) in ARCHES.into_iter().enumerate() {
            for builder in BUILDERS {
                let case = Case::new(arch);
                modules.push((which, case.livepatch(&builder.source(true))));
            }
        }
        modules
    })
}

fn knowledge(which: usize) -> &'static Knowledge {
    static KNOWLEDGE: OnceLock<Vec<Knowledge>> = OnceLock::new();
    let all = KNOWLEDGE.get_or_init(|| {
        let known = |(module, target, kernel): &Fixture| {
            let directory = tempfile::tempdir().unwrap();
            let path = |name| directory.path().join(name);
            std::fs::write(path("target.ko"), target).unwrap();
            std::fs::write(path("vmlinux"), kernel).unwrap();
            let machine = Header::parse(module).unwrap().machine().unwrap();
            let mut knowledge = Knowledge::default();
            knowledge.add_kernel(&path("vmlinux"), machine).unwrap();
            knowledge
                .add_module(&path("target.ko"), machine, &mut BTreeSet::new())
                .unwrap();
            knowledge
        };
        fixtures().iter().map(known).collect()
    });
    &all[which]
}

/// Looks at a file in both ways.
fn look(which: usize, file: &[u8]) {
    let report = lint::check(Path::new("x.ko"), file, knowledge(which));
    serde_json::to_string(&report).unwrap();
    match Module::parse(file) {
        Ok(module) => {
            let report = inspect::Report::new(Path::new("x.ko"), &module);
            serde_json::to_string(&report).unwrap();
        }
        Err(error) => {
            assert_eq!(report.errors, 1);
            assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn the_unharmed_fixtures_are_clean() {
    for (which, (module, ..)) in fixtures().iter().enumerate() {
        let report = lint::check(Path::new("x.ko"), module, knowledge(which));
        assert!(
            report.findings.is_empty() && report.unchecked.is_empty(),
            "{report:#?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes(which in 0usize..2, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        look(which, &bytes);
    }

    #[test]
    fn mutated_modules(
        which in 0usize..2,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut module = fixtures()[which].0.clone();
        for (at, byte) in changes {
            let at = at.index(module.len());
            module[at] = byte;
        }
        if let Some(length) = cut {
            module.truncate(length.index(module.len()));
        }
        look(which, &module);
    }

    #[test]
    fn mutated_modules_of_other_builders(
        number in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let (which, module) = &described()[number];
        let mut module = module.clone();
        for (at, byte) in changes {
            let at = at.index(module.len());
            module[at] = byte;
        }
        look(*which, &module);
    }

    #[test]
    fn mutated_section_headers(
        which in 0usize..2,
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0usize..SHDR_SIZE, prop_oneof![
                0u8..40, Just(0xff), any::<u8>(),
            ]),
            1..6,
        ),
    ) {
        let mut module = fixtures()[which].0.clone();
        let header = Header::parse(&module).unwrap();
        for (section, offset, byte) in changes {
            let section = section.index(header.e_shnum.into());
            module[header.e_shoff as usize + section * SHDR_SIZE + offset] = byte;
        }
        look(which, &module);
    }

    /// What is patched is as untrusted as the patch.
    #[test]
    fn mutated_targets(
        which in 0usize..2,
        is_kernel in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let (module, target, kernel) = &fixtures()[which];
        let mut bytes = if is_kernel { kernel.clone() } else { target.clone() };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let machine = Header::parse(module).unwrap().machine().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it.ko");
        std::fs::write(&path, &bytes).unwrap();
        let mut knowledge = Knowledge::default();
        let read = if is_kernel {
            knowledge.add_kernel(&path, machine)
        } else {
            knowledge.add_module(&path, machine, &mut BTreeSet::new())
        };
        match read {
            Ok(()) => {
                lint::check(Path::new("x.ko"), module, &knowledge);
                for known in knowledge.known() {
                    let symbols: Vec<_> = known.symbols.all().cloned().collect();
                    let _ = known.copies_of("everywhere");
                    for symbol in symbols.iter().filter(|one| one.may_be_code()).take(4) {
                        let _ = known.parameters(symbol);
                    }
                    let count = symbols.len();
                    prop_assert_eq!(known.files_of(symbols).len(), count);
                }
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
        let _ = Kernel::read(&path, machine);
    }
}
