// SPDX-License-Identifier: GPL-2.0

//! The kernel's C interface, as bindgen finds it in the headers of the kernel that is built for.

#![allow(
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    // The oldest compiler that the kernel takes does not know all of these.
    unknown_lints,
    unnecessary_transmutes,
    unused,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

include!(env!("LIVEPATCH_BINDINGS"));
