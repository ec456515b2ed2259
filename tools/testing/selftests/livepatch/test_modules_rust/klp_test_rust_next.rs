// SPDX-License-Identifier: GPL-2.0

//! Replaces `klp_test_rust`, and sees its states.

use livepatch::prelude::*;

livepatch::bindings!();

livepatch! {
    name: "klp_test_rust_next",
    description: "Livepatch tests: a cumulative patch in Rust",
    license: "GPL",
    replace: true,
    states: [{ id: 77, version: 4 }, { id: 78, version: 1 }],
    objects: [
        vmlinux {
            functions: [cmdline_proc_show(_, _) => show],
            pre_patch: pre_patch,
        },
    ],
}

fn pre_patch(object: &Object) -> Result {
    let earlier = object.previous_state(77).ok_or(ENOENT)?;
    pr_info!(
        "found version {} with {}\n",
        earlier.version(),
        earlier.data().addr()
    );
    if object.previous_state(79).is_some() {
        return Err(EINVAL);
    }
    Ok(())
}

extern "C" fn show(file: Option<&SeqFile>, _unused: *mut c_void) -> c_int {
    let Some(file) = file else { return 0 };
    seq_print!(file, "klp_test_rust_next\n");
    0
}
