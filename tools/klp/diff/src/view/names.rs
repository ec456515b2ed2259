// SPDX-License-Identifier: GPL-2.0

//! The names that compilers make.

use super::read::{Section, Symbol};
use object::elf;

/// What gcc appends to the name of a function that it has made of another one, before a number.
const CLONES: [&str; 5] = ["isra", "constprop", "part", "cold", "llvm"];

/// Static variables that belong to one use of a macro, and of which every copy is as good as any
/// other. From where these macros are defined: `WARN_ONCE()`, `printk()` with its
/// index, `printk_ratelimited()`, `mutex_init()` and others with a lock class, and what the
/// compiler makes of a `switch`.
const COPIED: [&str; 8] = [
    "__already_done",
    "__func__",
    "__key",
    "__warned",
    "_entry",
    "_entry_ptr",
    "_rs",
    "CSWTCH",
];

/// Sections that hold nothing else than such variables.
const COPIED_SECTIONS: [&str; 5] = [
    ".data..once",
    "__dyndbg",
    ".printk_index",
    "__tracepoint_strings",
    "__trace_printk_fmt",
];

/// Whether `DO_ONCE()` has done it. The static key beside it is the kernel's, so that this has to be
/// the kernel's, too.
const DONE: &str = "___done";

/// The name as the source has it, without what the compiler has appended.
pub fn base(name: &str) -> &str {
    let mut base = name;
    while let Some((rest, last)) = base.rsplit_once('.') {
        let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
        if rest.is_empty() || !(is_number || CLONES.contains(&last)) {
            break;
        }
        base = rest;
    }
    base
}

/// The name without numbers that the compiler counts: `foo.isra`, `count`.
pub fn unnumbered(name: &str) -> String {
    let is_number =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = name.split('.');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts.filter(|part| !is_number(part)) {
        out.push('.');
        out.push_str(part);
    }
    out
}

/// Whether the compiler numbers the variable, so that the number says nothing.
pub fn is_numbered(name: &str) -> bool {
    unnumbered(name) != name
}

/// Whether the function is the rarely used part of another one, which is not called but jumped to.
pub fn is_cold_part(name: &str) -> bool {
    name.split('.').skip(1).any(|part| part == "cold")
}

/// Whether this is the second name that `MODULE_DEVICE_TABLE()` gives to a table, for the tools that
/// write module aliases. In older kernels, the kind of the table stands before `device_table`.
pub fn is_device_table(name: &str) -> bool {
    name.starts_with("__mod_") && name.contains("device_table")
}

/// Whether this is no thing of its own, but of those that refer to it, which have a copy each.
pub fn is_copied(symbol: &Symbol, section: &Section) -> bool {
    if symbol.kind == elf::STT_FUNC {
        return is_cold_part(&symbol.name) || symbol.name.starts_with("__s390_indirect_jump_");
    }
    if !symbol.is_local() || base(&symbol.name) == DONE {
        return false;
    }
    // `__UNIQUE_ID()` is for what nobody has to name.
    let is_anonymous = symbol.name.starts_with("__UNIQUE_ID_");
    if is_anonymous || COPIED_SECTIONS.contains(&section.name.as_str()) {
        return true;
    }
    // gcc: name.number, clang: function.name or function.name.number
    let name = unnumbered(&symbol.name);
    let own = name.rsplit_once('.').map_or(name.as_str(), |(_, own)| own);
    COPIED.contains(&own) && symbol.name.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_what_the_source_has() {
        for (name, expected) in [
            ("foo", "foo"),
            ("foo.isra.0", "foo"),
            ("foo.constprop.0.isra.1.cold", "foo"),
            ("foo.part.3", "foo"),
            ("count.12", "count"),
            ("foo.llvm.1234567", "foo"),
            (".hidden", ".hidden"),
            ("a.b", "a.b"),
        ] {
            assert_eq!(base(name), expected, "{name}");
        }
    }

    #[test]
    fn numbers_are_left_out() {
        assert_eq!(unnumbered("foo.isra.0"), "foo.isra");
        assert_eq!(unnumbered("count.12"), "count");
        assert!(is_numbered("count.12"));
        assert!(!is_numbered("count"));
    }

    #[test]
    fn a_cold_part_is_known_by_its_name() {
        assert!(is_cold_part("foo.cold"));
        assert!(is_cold_part("foo.isra.0.cold"));
        assert!(!is_cold_part("cold"));
        assert!(!is_cold_part("foo.part.0"));
    }
}
