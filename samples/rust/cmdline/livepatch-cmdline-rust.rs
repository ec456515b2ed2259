// SPDX-License-Identifier: GPL-2.0

//! Replaces what `/proc/cmdline` shows: the command line that the kernel was started with, and a
//! mark.

use livepatch::{
    prelude::*,
    KernelStr, //
};

livepatch::bindings!();

livepatch::symbols! {
    // SAFETY: It is set before there are modules, and stays.
    unsafe {
        static saved_command_line: KernelStr;
    }
}

livepatch! {
    name: "livepatch-cmdline-rust",
    description: "Livepatch sample in Rust: mark /proc/cmdline",
    license: "GPL",
    objects: [
        vmlinux { functions: [cmdline_proc_show(_, _) => show] },
    ],
}

extern "C" fn show(file: Option<&SeqFile>, _unused: *mut c_void) -> c_int {
    let Some(file) = file else { return 0 };
    let command_line = saved_command_line().as_cstr();
    seq_print!(file, "{command_line} livepatched=1\n");
    0
}
