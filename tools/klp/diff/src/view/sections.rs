// SPDX-License-Identifier: GPL-2.0

//! What the sections of a kernel object are for.
//!
//! From `include/asm-generic/vmlinux.lds.h`, `kernel/module/main.c` and the headers that fill these
//! sections, in the kernel source.

use super::read::Section;
use livepatch_format::elf::Machine;
use object::elf;

/// What is done with a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It says nothing about what the kernel does.
    Ignored,
    /// Entries of one size, each about one place in the code.
    Table(Shape),
    /// What symbols name, and what lies between.
    Named,
    /// Strings or constants that the linker may merge.
    Merged,
}

/// How large an entry of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// That many bytes.
    Bytes(u64),
    /// As the table itself says: every entry begins with a place in the code.
    ByContents,
}

/// Tables whose entries name a place in the code first.
const TABLES: [(&str, Shape); 23] = [
    ("__bug_table", Shape::ByContents),
    ("__ex_table", Shape::Bytes(12)),
    ("__jump_table", Shape::ByContents),
    (ALTERNATIVES, Shape::ByContents),
    (".static_call_sites", Shape::Bytes(8)),
    (".smp_locks", Shape::Bytes(4)),
    ("__mcount_loc", Shape::Bytes(8)),
    ("__patchable_function_entries", Shape::Bytes(8)),
    (".kcfi_traps", Shape::Bytes(4)),
    ("_kprobe_blacklist", Shape::Bytes(8)),
    (".orc_unwind_ip", Shape::Bytes(4)),
    (".orc_unwind", Shape::Bytes(6)),
    (".retpoline_sites", Shape::Bytes(4)),
    (".return_sites", Shape::Bytes(4)),
    (".call_sites", Shape::Bytes(4)),
    (".cfi_sites", Shape::Bytes(4)),
    (".ibt_endbr_seal", Shape::Bytes(4)),
    (".s390_indirect_branches", Shape::Bytes(4)),
    (".s390_indirect_jump", Shape::Bytes(4)),
    (".s390_indirect_call", Shape::Bytes(4)),
    (".s390_return_mem", Shape::Bytes(4)),
    (".s390_return_reg", Shape::Bytes(4)),
    (".discard.annotate_insn", Shape::Bytes(8)),
];

/// The table of instructions that others may take the place of, by what the processor can do.
pub const ALTERNATIVES: &str = ".altinstructions";

/// Where an entry of [`ALTERNATIVES`] names what takes the place: `repl_offset` of `struct alt_instr`.
pub const REPLACEMENT: u64 = 4;

/// Where an entry of [`ALTERNATIVES`], of that many bytes, has the length of what takes the place,
/// in one byte: `replacementlen` of `struct alt_instr`, of which x86 has had three forms. On s390x
/// it is as long as what it replaces.
pub fn replacement_length(machine: Machine, entry: u64) -> Option<u64> {
    match (machine, entry) {
        (Machine::X86_64, 12 | 13) => Some(11),
        (Machine::X86_64, 14) => Some(13),
        _ => None,
    }
}

/// Sections that nothing is taken of, each with why a patch can do without.
const IGNORED: [(&str, &str); 11] = [
    (".discard.addressable", "it only keeps symbols"),
    (".discard.sym_checksum", "it is made for another tool"),
    (".discard.annotate_data", "it marks data for another tool"),
    (
        "__tracepoint_check",
        "it is looked at when the kernel is linked",
    ),
    (".modinfo", "it describes the module"),
    (".orc_header", "it is made anew for the patch"),
    (".eh_frame", "the kernel drops it"),
    (
        "_error_injection_whitelist",
        "errors are injected into the original",
    ),
    (
        ".static_call_tramp_key",
        "it is for keys that the object defines",
    ),
    (".llvm_addrsig", "it is for the linker"),
    (".note", "notes are the patch's own"),
];

/// Whether a section begins like this: itself, or with a dot and more.
fn is_or_below(name: &str, of: &str) -> bool {
    name.strip_prefix(of)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What is done with a section.
pub fn role(section: &Section) -> Role {
    let name = section.name.as_str();
    if let Some((_, shape)) = TABLES.iter().find(|(table, _)| *table == name) {
        return Role::Table(*shape);
    }
    if IGNORED
        .iter()
        .any(|(ignored, _)| is_or_below(name, ignored))
    {
        return Role::Ignored;
    }
    if is_callbacks(name) {
        return Role::Named;
    }
    // What objtool reads, and the linker drops.
    if name.starts_with(".discard.") {
        return Role::Table(Shape::ByContents);
    }
    if !section.is_alloc() {
        return Role::Ignored;
    }
    if section.flags.contains(elf::SHF_MERGE) && section.entsize != 0 {
        return Role::Merged;
    }
    Role::Named
}

/// Whether the section has the pointers to callbacks of a patch: `KLP_CALLBACK_PTRS` of
/// `<linux/livepatch_helpers.h>`.
pub fn is_callbacks(name: &str) -> bool {
    name == ".discard.klp_callback_ptrs"
}

/// Sections whose contents the kernel acts on when it starts, or when the module is loaded: what
/// stands in one has an effect without being referred to.
const REGISTERED: [&str; 20] = [
    ".initcall",
    ".con_initcall",
    ".init.setup",
    ".export_symbol",
    "__ksymtab",
    "___ksymtab",
    "__param",
    "_ftrace_events",
    "_ftrace_eval_map",
    "__tracepoints",
    "__syscalls_metadata",
    "__bpf_raw_tp_map",
    ".kunit_test_suites",
    ".kunit_init_test_suites",
    "__earlycon_table",
    "___srcu_struct_ptrs",
    ".pci_fixup",
    ".lsm_info",
    ".ctors",
    ".init_array",
];

/// Whether what stands in the section has an effect although nothing refers to it.
pub fn is_registered(name: &str) -> bool {
    REGISTERED.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the kernel uses the section when it starts or stops, and never again.
pub fn is_init_or_exit(name: &str) -> bool {
    let mut exit = [".exit", ".memexit", ".devexit"].iter();
    is_init(name) || exit.any(|prefix| name.starts_with(prefix))
}

/// Whether the kernel uses the section when it starts, and never again.
pub fn is_init(name: &str) -> bool {
    [
        ".init",
        ".meminit",
        ".devinit",
        ".initcall",
        ".con_initcall",
        ".head.text",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// Whether code is in this section because nothing may interrupt or watch it.
pub fn is_guarded(name: &str) -> bool {
    [
        ".noinstr.text",
        ".entry.text",
        ".kprobes.text",
        ".cpuidle.text",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// What of the kernel's source is not a part of the running kernel, by the path of the source file.
pub fn other_program(path: &str) -> Option<&'static str> {
    let mut above = "";
    let mut directories: Vec<_> = path.split('/').collect();
    directories.pop();
    directories
        .iter()
        .enumerate()
        .find_map(|(depth, directory)| {
            let found = match *directory {
                "boot" if depth == 2 && directories[0] == "arch" => {
                    "what unpacks and starts the kernel"
                }
                "purgatory" => "the purgatory, which runs between two kernels",
                "libstub" => "the EFI stub, which starts the kernel",
                "rm" if above == "realmode" => "what starts a processor",
                name if name.starts_with("vdso") => "the vDSO, which runs in user space",
                name => {
                    above = name;
                    return None;
                }
            };
            Some(found)
        })
}

/// Whether the section is for one copy a processor.
pub fn is_per_cpu(name: &str) -> bool {
    name.starts_with(".data..percpu")
}

/// What the section is called in a module. In the kernel, variables for one processor have several
/// sections; the module loader knows one, and takes all others for ordinary data.
pub fn name_in_module(name: &str) -> &str {
    if is_per_cpu(name) {
        ".data..percpu"
    } else {
        name
    }
}

/// Whether the numbers in the section are filled in after linking, from what the whole kernel has.
pub fn is_filled_in_later(name: &str) -> bool {
    name == ".BTF_ids"
}

/// Whether the section is for a variable that the compiler has made itself, with a label in place of
/// a name: such as what UBSAN reports.
pub fn is_compilers(name: &str) -> bool {
    name.starts_with(".data..L") || name.starts_with(".data.rel.local..L")
}

/// Whether it cannot be changed any more once the kernel has started. What holds addresses is in a
/// section of its own where code is independent of its position, as on s390x.
pub fn is_constant(section: &Section) -> bool {
    !section.is_code() && (!section.is_writable() || is_or_below(&section.name, ".data.rel.ro"))
}

/// The section whose entries go with those of this one, one by one.
pub fn companion(name: &str) -> Option<&'static str> {
    (name == ".orc_unwind_ip").then_some(".orc_unwind")
}

/// Whether the entries of this table are the same wherever the code is the same.
pub fn follows_from_code(name: &str) -> bool {
    name.starts_with(".orc_unwind")
}
