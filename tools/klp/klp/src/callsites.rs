// SPDX-License-Identifier: GPL-2.0

//! Where ftrace can redirect functions: the call sites that a kernel or a module lists.
//!
//! A kernel has the list between `__start_mcount_loc` and `__stop_mcount_loc`, a module in a
//! section. A function can be patched if a call site lies within it (`ftrace_location()` in
//! `kernel/trace/ftrace.c` of the kernel source).

use crate::file::kernel::Kernel;
use crate::file::module::{Module, Place};
use crate::symbols::{Candidate, ObjectSymbols};
use livepatch_format::elf::Machine;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The section of a module that lists its call sites. On x86_64 a section
/// `__patchable_function_entries` may stand beside it, which is for padding.
const SECTIONS: [&[u8]; 2] = [b"__mcount_loc", b"__patchable_function_entries"];

/// Where functions can be redirected.
#[derive(Debug, Default)]
pub struct CallSites {
    /// The name of the section, unless addresses are unique, and the address.
    sites: BTreeSet<(Option<Arc<str>>, u64)>,
}

impl CallSites {
    /// Those of a kernel; `None` where it lists none.
    pub fn of_kernel(kernel: &Kernel) -> Option<Self> {
        let start = kernel.address(b"__start_mcount_loc")?;
        let end = kernel.address(b"__stop_mcount_loc")?;
        let bytes = kernel.bytes(start, end.checked_sub(start)?)?;
        let machine = kernel.machine()?;
        let sites = bytes.chunks_exact(8).filter_map(|chunk| {
            let chunk = *chunk.first_chunk()?;
            let address = match machine {
                Machine::X86_64 => u64::from_le_bytes(chunk),
                Machine::S390 => u64::from_be_bytes(chunk),
            };
            // What the build has crossed out is 0.
            (address != 0).then_some((None, address))
        });
        Some(CallSites {
            sites: sites.collect(),
        })
    }

    /// Those of a module. Where it lists none, ftrace can reach none of its functions.
    pub fn of_module(module: &Module<'_>) -> Self {
        let mut sites = BTreeSet::new();
        let listed = SECTIONS
            .into_iter()
            .find(|name| module.contents(name).is_some());
        for (index, _, table) in module.ordinary_relocations() {
            if listed != Some(module.section_name(index)) {
                continue;
            }
            for (_, rela) in table.iter() {
                if let Some(Place { section, offset }) = module.target(&rela, rela.r_addend) {
                    let name = module.section_name(section).escape_ascii().to_string();
                    sites.insert((Some(name.into()), offset));
                }
            }
        }
        CallSites { sites }
    }

    /// Those that the running kernel lists in `available_filter_functions_addrs`.
    pub fn of_running(text: &[u8]) -> Self {
        let addresses = text.split(|&byte| byte == b'\n').filter_map(|line| {
            let digits = line.split(|&byte| byte == b' ').next()?;
            let digits = std::str::from_utf8(digits).ok()?;
            u64::from_str_radix(digits.trim_start_matches("0x"), 16).ok()
        });
        CallSites {
            sites: addresses.map(|address| (None, address)).collect(),
        }
    }

    /// Whether a function of `symbols` can be redirected.
    pub fn reach(&self, symbols: &ObjectSymbols, function: &Candidate) -> bool {
        let section = match self.sites.first() {
            Some((Some(_), _)) => function.section.clone(),
            _ => None,
        };
        let start = function.address;
        let others = symbols
            .all()
            .filter(|other| section.is_none() || other.section == section);
        let end = others
            .map(|other| other.address)
            .filter(|&address| address > start)
            .min()
            .unwrap_or(u64::MAX);
        let last = (section.clone(), end);
        self.sites.range((section, start)..last).next().is_some()
    }
}
