// SPDX-License-Identifier: GPL-2.0

//! Livepatches in Rust.
//!
//! A patch is a kernel module in Rust: [`bindings!`] gives it the kernel's C declarations,
//! [`symbols!`] those functions and variables of the kernel that it uses, and [`livepatch!`] says
//! what it replaces. `scripts/Makefile.livepatch` builds it, and this crate with it.
//!
//! ```ignore
//! use livepatch::prelude::*;
//!
//! livepatch::bindings!();
//!
//! livepatch! {
//!     name: "my-patch",
//!     license: "GPL",
//!     objects: [
//!         vmlinux { functions: [cmdline_proc_show(_, _) => show] },
//!     ],
//! }
//!
//! extern "C" fn show(file: Option<&SeqFile>, _unused: *mut c_void) -> c_int {
//!     if let Some(file) = file {
//!         seq_print!(file, "patched\n");
//!     }
//!     0
//! }
//! ```
//!
//! # What is trusted
//!
//! The C declarations are: bindgen reads the kernel's headers, and the patch's own `bindings.h`
//! for what no header declares. That a replacement has the type of what it replaces, and that a
//! symbol is used as it is declared, is checked by the compiler; a patch needs `unsafe` only to
//! say which of the kernel's functions can be called, which variables can be read, at any time,
//! and which pointers that the kernel passes are what a reference is.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[doc(hidden)]
pub mod bindings;
mod object;
mod patch;
mod replacement;
mod symbols;

/// What a patch usually uses: `use livepatch::prelude::*;`.
pub mod prelude {
    pub use crate::{
        livepatch,
        Object,
        State, //
    };
    pub use kernel::{
        prelude::*,
        seq_file::SeqFile,
        seq_print,
        types::Opaque, //
    };
}

pub use object::{
    Object,
    State, //
};
pub use patch::Patch;
pub use replacement::Parameter;
pub use symbols::{
    Argument,
    KernelStr,
    Variable, //
};

/// For the macros of this crate.
#[doc(hidden)]
pub mod private {
    pub use crate::{
        object::{
            post_patch,
            pre_patch, //
        },
        patch::{
            function,
            object,
            state,
            Table, //
        },
        replacement::{
            check,
            Nothing,
            Promised, //
        },
        symbols::variable, //
    };
    pub use kernel;
}

/// Makes the module `bindings` of the patch: the kernel's C declarations.
///
/// It has what the kernel crate's own bindings have, what the file `bindings.h` beside the
/// patch declares, and what the Makefile names in `KLP_BINDINGS` of the headers that this file
/// includes. Functions that are inline in the headers can be called, too, if `klp_inlines.o` is
/// among the objects of the module.
#[macro_export]
macro_rules! bindings {
    () => {
        #[allow(
            clippy::all,
            clippy::undocumented_unsafe_blocks,
            improper_ctypes,
            missing_docs,
            non_camel_case_types,
            non_snake_case,
            non_upper_case_globals,
            unreachable_pub,
            unsafe_op_in_unsafe_fn,
            unused
        )]
        mod bindings {
            pub use $crate::private::kernel::bindings::*;
            include!(env!("KLP_BINDINGS_FILE"));
        }
    };
}
