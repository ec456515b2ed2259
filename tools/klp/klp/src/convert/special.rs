// SPDX-License-Identifier: GPL-2.0

//! Sections whose contents are used up when the module is loaded, so that a relocation that is
//! applied later has no effect, or a wrong one.
//!
//! From `find_module_sections()` and `post_relocation()` in `kernel/module/main.c`,
//! `module_finalize()` in `arch/*/kernel/module.c`, and the module notifiers of the kernel source.

/// When the last moment to relocate a section is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// The kernel reads it before livepatch gets to see the module.
    Never(&'static str),
    /// Until the module is loaded; this is enough for the kernel's symbols.
    Load(&'static str),
    /// At any time.
    None,
}

/// When a section has to be relocated.
pub(crate) fn deadline(section: &[u8]) -> Deadline {
    match section {
        b"__ex_table" => Deadline::Never("is sorted"),
        b".data..percpu" => Deadline::Never("is copied for every CPU"),
        b".gnu.linkonce.this_module" => Deadline::Never("is the module itself"),
        b".altinstructions" | b".altinstr_replacement" => Deadline::Load("is applied to the code"),
        b"__jump_table" => Deadline::Load("is sorted and registered"),
        b".static_call_sites" => Deadline::Load("is sorted and registered"),
        b".retpoline_sites"
        | b".return_sites"
        | b".call_sites"
        | b".cfi_sites"
        | b".ibt_endbr_seal"
        | b"__stack_protector_loc" => Deadline::Load("is applied to the code"),
        b".orc_unwind" | b".orc_unwind_ip" => Deadline::Load("is sorted"),
        b"__mcount_loc" | b"__patchable_function_entries" => Deadline::Load("is sorted"),
        b"__param"
        | b"__tracepoints_ptrs"
        | b"___srcu_struct_ptrs"
        | b"__bpf_raw_tp_map"
        | b"_ftrace_events"
        | b"_ftrace_eval_map"
        | b"__trace_printk_fmt"
        | b"_error_injection_whitelist"
        | b"_kprobe_blacklist"
        | b"__dyndbg"
        | b"__dyndbg_classes"
        | b".printk_index"
        | b"__ksymtab"
        | b".kunit_test_suites"
        | b".kunit_init_test_suites" => Deadline::Load("is read"),
        b".ctors" | b".init_array" => Deadline::Load("is called"),
        name if name.starts_with(b".init") => Deadline::Load("is used and freed"),
        name if name.starts_with(b".s390_indirect") || name.starts_with(b".s390_return") => {
            Deadline::Load("is applied to the code")
        }
        _ => Deadline::None,
    }
}
