// SPDX-License-Identifier: GPL-2.0

//! An object, and a kernel or a module that it is to be a part of: whatever they are, it is said
//! whether it is, and where, or there is an error.

#![no_main]

use klp::build::proof::{prove, Outcome, Target};
use klp::file::kernel::Kernel;
use klp::symbols::ObjectSymbols;
use libfuzzer_sys::fuzz_target;
use livepatch_format::elf::Machine;
use livepatch_fuzz::Input;
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let kind = input.number::<1>();
    let length = input.number::<4>();
    let object = input.bytes(length);
    let file = input.rest();
    let machine = match kind {
        0 => {
            if let Ok(target) = Target::of_module(file) {
                check(object, &target, None);
            }
            return;
        }
        1 => Machine::X86_64,
        _ => Machine::S390,
    };
    let Ok(kernel) = Kernel::parse(file.to_vec(), Path::new("vmlinux"), machine) else {
        return;
    };
    let (symbols, image) = kernel.into_parts();
    let memory = image.as_ref().map(|image| &image.memory);
    check(object, &Target::of_kernel(&symbols, memory), Some(&symbols));
});

/// Proves the object, and looks at what is said.
fn check(object: &[u8], target: &Target<'_>, symbols: Option<&ObjectSymbols>) {
    let placement = match prove(object, target) {
        Err(_) | Ok(Outcome::NotThere) => return,
        Ok(Outcome::Proven { placement, .. }) => {
            assert!(target.has_bytes() && placement.is_proven());
            placement
        }
        Ok(Outcome::Unproven { placement }) => {
            assert!(!placement.is_proven());
            placement
        }
        Ok(Outcome::Different {
            mismatch,
            placement,
        }) => {
            assert!(!mismatch.to_string().is_empty());
            assert!(0 < mismatch.differing && mismatch.differing <= mismatch.functions);
            placement
        }
    };
    for name in symbols.into_iter().flat_map(ObjectSymbols::names) {
        let (Some(symbols), Ok(name)) = (symbols, std::str::from_utf8(name)) else {
            continue;
        };
        let count = symbols.get(name.as_bytes()).len() as u64;
        let own = placement.position(name, symbols);
        for position in own
            .into_iter()
            .chain(placement.position_of_other(name, symbols))
        {
            assert!(position <= count && (position == 0) == (count == 1));
        }
    }
}
