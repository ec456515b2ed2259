// SPDX-License-Identifier: GPL-2.0

//! What objtool knows by the names of symbols.
//!
//! Code behind a call of a function that never returns belongs to something else, and a call of the
//! trampoline of a static call is a place to be patched. objtool has to see either, or what it tells
//! about stacks is wrong.

/// Functions that never return, as far as a function that a livepatch replaces can call them: of the
/// names in `tools/objtool/noreturns.h` of Linux 6.12 and 7.3.
const NORETURN: [&str; 38] = [
    "__fortify_panic",
    "__ia32_sys_exit",
    "__ia32_sys_exit_group",
    "__module_put_and_kthread_exit",
    "__reiserfs_panic",
    "__stack_chk_fail",
    "__tdx_hypercall_failed",
    "__ubsan_handle_builtin_unreachable",
    "__x64_sys_exit",
    "__x64_sys_exit_group",
    "acpi_processor_ffh_play_dead",
    "arch_cpu_idle_dead",
    "cpu_bringup_and_idle",
    "cpu_startup_entry",
    "do_exit",
    "do_group_exit",
    "do_task_dead",
    "efi_rts_park_worker",
    "ex_handler_msr_mce",
    "hlt_play_dead",
    "hv_ghcb_terminate",
    "kthread_complete_and_exit",
    "kthread_exit",
    "machine_real_restart",
    "make_task_dead",
    "mpt_halt_firmware",
    "mwait_play_dead",
    "native_play_dead",
    "nmi_panic_self_stop",
    "panic",
    "panic_smp_self_stop",
    "rewind_stack_and_make_dead",
    "sev_es_terminate",
    "snp_abort",
    "stop_this_cpu",
    "usercopy_abort",
    "vpanic",
    "xen_cpu_bringup_again",
];

/// Whether objtool has to see the name of a function that is referred to.
pub(super) fn is_noreturn(name: &str) -> bool {
    NORETURN.binary_search(&name).is_ok()
}

/// Whether objtool takes a global symbol for the trampoline of a static call.
pub(super) fn is_trampoline(name: &str) -> bool {
    name.starts_with("__SCT__")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found() {
        assert!(NORETURN.is_sorted());
        assert!(NORETURN.iter().all(|name| is_noreturn(name)));
        assert!(!is_noreturn("schedule"));
    }
}
