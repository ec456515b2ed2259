// SPDX-License-Identifier: GPL-2.0

//! What objtool changes in code that was compiled already, on x86_64 only.
//!
//! | | | |
//! | --- | --- | --- |
//! | `--hacks=jump_label` | the jump of a static branch whose key has bit 1 set in `__jump_table` | a nop |
//! | `--mnop` | a call of `__fentry__` | a nop |
//! | `--hacks=noinstr` | a call of instrumentation in code that must have none | a nop, or a return for a jump |
//!
//! The rest of what it does adds sections. See `handle_jump_alt()`, `annotate_call_site()` and
//! `is_profiling_func()` in `tools/objtool/check.c`, and `arch_nop_insn()` and `arch_ret_insn()`
//! in `tools/objtool/arch/x86/decode.c` of the kernel source. All that is changed while a kernel
//! boots, such as alternatives, is in the file as it was compiled.

use klp_diff::view::read::{File, Place, SectionId};
use livepatch_format::elf::Machine;
use livepatch_format::reloc::x86_64;
use std::collections::BTreeMap;

const NOP2: &[u8] = &[0x66, 0x90];
const NOP5: &[u8] = &[0x0f, 0x1f, 0x44, 0x00, 0x00];
const RETURN5: &[u8] = &[0xc3, 0xcc, 0x0f, 0x1f, 0x00];

const CALL: u8 = 0xe8;
const JUMP: u8 = 0xe9;
const SHORT_JUMP: u8 = 0xeb;

/// Where static branches are listed, and how: where the code is, where it leads to, and the key
/// with two bits of flags.
const JUMP_TABLE: &str = "__jump_table";
const JUMP_ENTRY: u64 = 16;
const JUMP_KEY: u64 = 8;
const JUMP_HACK: i64 = 2;

/// What calls are of that only tracing needs.
const FENTRY: &str = "__fentry__";
/// What the names of instrumentation begin with; that of threads is for kernels up to 6.12 or so.
const PROFILING: [&str; 3] = [
    "__sanitizer_cov_",
    "__tsan_func_",
    "__tsan_atomic_signal_fence",
];
/// Sections that must have no instrumentation.
const NOINSTR: [&str; 3] = [".noinstr.text", ".entry.text", ".cpuidle.text"];

/// A place in code, and what may be there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// In bytes from the start of the section.
    pub offset: u64,
    /// What objtool writes.
    pub instead: &'static [u8],
}

/// The places of an object, by section and offset.
pub fn sites(file: &File) -> BTreeMap<SectionId, Vec<Site>> {
    let mut sites: BTreeMap<SectionId, Vec<Site>> = BTreeMap::new();
    if file.machine != Machine::X86_64 {
        return sites;
    }
    let mut add = |section, offset, instead| {
        sites
            .entry(section)
            .or_default()
            .push(Site { offset, instead });
    };
    for (index, section) in file.sections.iter().enumerate() {
        if section.name == JUMP_TABLE {
            for (section, offset) in static_branches(file, SectionId(index)) {
                let code = file.sections.get(section.0);
                let first =
                    code.and_then(|code| code.bytes(offset, offset.saturating_add(1)).first());
                match first {
                    Some(&SHORT_JUMP) => add(section, offset, NOP2),
                    Some(&JUMP) => add(section, offset, NOP5),
                    _ => {}
                }
            }
        }
        if !section.is_code() {
            continue;
        }
        let must_be_bare = NOINSTR
            .iter()
            .any(|prefix| section.name.starts_with(prefix));
        for relocation in &section.relocations {
            let Some(start) = relocation.offset.checked_sub(1) else {
                continue;
            };
            let is_call = matches!(relocation.kind, x86_64::PC32 | x86_64::PLT32);
            let Some(symbol) = file.symbols.get(relocation.symbol.0).filter(|_| is_call) else {
                continue;
            };
            let is_profiling = must_be_bare
                && PROFILING
                    .iter()
                    .any(|prefix| symbol.name.starts_with(prefix));
            match section.bytes(start, relocation.offset).first() {
                Some(&CALL) if is_profiling || symbol.name == FENTRY => {
                    add(SectionId(index), start, NOP5);
                }
                Some(&JUMP) if is_profiling => add(SectionId(index), start, RETURN5),
                _ => {}
            }
        }
    }
    for all in sites.values_mut() {
        all.sort_by_key(|site| site.offset);
    }
    sites
}

/// Where the static branches are whose jumps objtool takes out.
fn static_branches(file: &File, table: SectionId) -> Vec<(SectionId, u64)> {
    let Some(table) = file.sections.get(table.0) else {
        return Vec::new();
    };
    let at = |offset: u64| {
        let all = &table.relocations;
        let found = all.binary_search_by_key(&offset, |relocation| relocation.offset);
        found.ok().and_then(|index| all.get(index))
    };
    let entries = (0..table.size / JUMP_ENTRY).map(|index| index * JUMP_ENTRY);
    let hacked =
        entries.filter(|entry| at(entry + JUMP_KEY).is_some_and(|key| key.addend & JUMP_HACK != 0));
    hacked
        .filter_map(|entry| {
            let code = at(entry)?;
            let symbol = file.symbols.get(code.symbol.0)?;
            let Place::Section(section) = symbol.place else {
                return None;
            };
            Some((section, symbol.value.checked_add_signed(code.addend)?))
        })
        .collect()
}
