// SPDX-License-Identifier: GPL-2.0

//! The livepatch API in C, as bindgen finds it in `include/linux/livepatch.h`.

#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    unsafe_op_in_unsafe_fn,
    unused
)]

include!(env!("KLP_LIBRARY_BINDINGS"));
