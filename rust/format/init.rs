// SPDX-License-Identifier: GPL-2.0

//! The kernel's init code and data: `kernel_init()` of `init/main.c` in the kernel source frees
//! them once the kernel is up, but their symbols stay.

use core::ffi::CStr;
use core::ops::Range;

/// Symbols that only mark where something in that memory begins or ends: they stay good as
/// addresses.
const MARKS: [&[u8]; 6] = [
    b"__init_begin",
    b"__inittext_end",
    b"__per_cpu_end",
    // On s390 the data that stays ends where that begins.
    b"_edata",
    b"_einittext",
    b"_sinittext",
];

/// Where the kernel's init code and data are, or were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitMemory {
    freed: Range<u64>,
    /// What the linker puts among them, but whose symbols are offsets into the areas of the
    /// processors: per-CPU variables.
    per_cpu: Range<u64>,
}

impl InitMemory {
    /// Going by the symbols at its edges, whose addresses `address` knows. Where a kernel's symbols
    /// are those of functions only, just the code is found; `None` where nothing is.
    pub fn find(address: impl Fn(&'static CStr) -> Option<u64>) -> Option<Self> {
        let range = |start, end| Some(address(start)?..address(end)?);
        let all = range(c"__init_begin", c"__init_end");
        Some(InitMemory {
            freed: all.or_else(|| range(c"_sinittext", c"_einittext"))?,
            per_cpu: range(c"__per_cpu_start", c"__per_cpu_end").unwrap_or(0..0),
        })
    }

    /// Whether what the symbol `name` at `address` stands for is freed.
    pub fn frees(&self, name: &[u8], address: u64) -> bool {
        self.freed.contains(&address) && !self.per_cpu.contains(&address) && !MARKS.contains(&name)
    }
}
