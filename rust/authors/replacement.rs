// SPDX-License-Identifier: GPL-2.0

//! That a replacement can be called as what it replaces: checked by the compiler, against the C
//! declaration.
//!
//! Nothing of it is ever called.

use kernel::{
    bindings,
    seq_file::SeqFile,
    types::Opaque, //
};

/// A parameter of a replacement, and what it is in C.
///
/// Numbers and raw pointers are what they are in C. A pointer that is null or valid for as long
/// as the function runs can be an [`Option`] of a reference to an [`Opaque`].
///
/// # Safety
///
/// `Self` is passed as `C` is, and what the kernel passes is a valid `Self` until the function
/// returns.
pub unsafe trait Parameter {
    /// The type in the C declaration.
    type C;
}

macro_rules! same_in_c {
    ($($type:ty)*) => { $(
        // SAFETY: It is the same type.
        unsafe impl Parameter for $type {
            type C = $type;
        }
    )* };
}

same_in_c! { bool i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

// SAFETY: It is the same type.
unsafe impl<T> Parameter for *mut T {
    type C = *mut T;
}

// SAFETY: It is the same type.
unsafe impl<T> Parameter for *const T {
    type C = *const T;
}

// SAFETY: A `SeqFile` has the layout of a `seq_file`, and a reference that of a pointer. The
// kernel passes the file that is being read to all functions that take one; the file's lock is
// held until they return.
unsafe impl Parameter for &SeqFile {
    type C = *mut bindings::seq_file;
}

// SAFETY: `None` is the null pointer; an `Opaque` has the layout of what is in it, and can be
// changed by others at any time. What a function of the kernel gets a pointer to stays until it
// returns.
unsafe impl<T> Parameter for Option<&Opaque<T>> {
    type C = *mut T;
}

/// A function that replaces another.
pub trait Replacement {
    /// The type of what it can replace.
    type Old;
}

macro_rules! parameters {
    ($($parameter:ident)*) => {
        impl<$($parameter: Parameter,)* R> Replacement for extern "C" fn($($parameter),*) -> R {
            type Old = unsafe extern "C" fn($($parameter::C),*) -> R;
        }
    };
}

parameters! {}
parameters! { A }
parameters! { A B }
parameters! { A B C }
parameters! { A B C D }
parameters! { A B C D E }
parameters! { A B C D E F }
parameters! { A B C D E F G }
parameters! { A B C D E F G H }

/// Compiles only if one can replace the other.
pub fn check<F: Replacement>(_new: F, _old: F::Old) {}
