// SPDX-License-Identifier: GPL-2.0

//! Everything that a patch in Rust can say: positions, callbacks, states, several objects.

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use livepatch::prelude::*;

livepatch::bindings!();

livepatch::symbols! {
    // SAFETY: They are the target's, and used by its functions and those that replace them.
    unsafe {
        fn value_3() -> c_int = klp_test_target.shared_value["klp_test_target_3.c"];
        static unique: Atomic<i32> = klp_test_target.klp_test_unique[0];
        static counter_1: Atomic<i32>;
        static counter_2: Atomic<i32> = klp_test_target.shared_counter[2];
        static counter_3: Atomic<i32> = klp_test_target."shared_counter"[3];
    }
}

livepatch! {
    name: "klp_test_rust",
    authors: ["The livepatch-rs authors"],
    description: "Livepatch tests: a patch in Rust",
    license: "GPL",
    params: {
        // Linux 7.2 has no parameters that are `bool`.
        refuse: u8 {
            default: 0,
            description: "Let pre_patch fail, if it is 1",
        },
    },
    states: [{ id: 77, version: 3 }, { id: 78, version: 1 }],
    objects: [
        klp_test_target {
            functions: [
                "unique_value" as unique_value() => new_unique_value,
                shared_value[2]() => new_shared_value,
            ],
            pre_patch: pre_patch,
            post_patch: |object| report("post_patch", object),
            pre_unpatch: |object| report("pre_unpatch", object),
            post_unpatch: |object| report("post_unpatch", object),
        },
        vmlinux {
            functions: [
                // SAFETY: seq_read_iter() passes the file that is being read.
                unsafe cmdline_proc_show(file, unused) => show,
            ],
            post_patch: |object| report("post_patch", object),
        },
    ],
}

fn report(what: &str, object: &Object) {
    match object.name() {
        Some(name) => pr_info!("{what}: {name}\n"),
        None => pr_info!("{what}: the kernel\n"),
    }
}

fn pre_patch(object: &Object) -> Result {
    report("pre_patch", object);
    let state = LIVEPATCH.state(77).ok_or(ENOENT)?;
    if LIVEPATCH.state(79).is_some() || state.version() != 3 || !state.data().is_null() {
        return Err(EINVAL);
    }
    // Anything that the next patch can recognise.
    state.set_data(core::ptr::without_provenance_mut(7703));
    // Linux 7.2 gives a reference, 7.3 the value.
    if module_parameters::refuse.value().eq(&1) {
        Err(ENODEV)
    } else {
        Ok(())
    }
}

/// 42, 3, and counters that have counted alike, from 100, 200 and 300 on.
extern "C" fn new_unique_value() -> c_int {
    let counters = [counter_1(), counter_2(), counter_3()].map(|counter| counter.load(Relaxed));
    let [one, two, three] = counters;
    unique().load(Relaxed) * 1000 + value_3() * 100 + (three - two) / 10 + (two - one) / 100
}

extern "C" fn new_shared_value() -> c_int {
    22
}

/// What pre_patch has put into the state can be seen here, on any processor.
extern "C" fn show(file: &SeqFile, _unused: *mut c_void) -> c_int {
    let data = LIVEPATCH.state(77).map_or(0, |state| state.data().addr());
    seq_print!(file, "klp_test_rust {data}\n");
    0
}
