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

/// What is known of the pointers that a function of the kernel is called with: [`Nothing`], or
/// what the patch says with `unsafe`, [`Promised`].
pub trait Knowledge {}

/// A pointer may be null, an error number, or of something that is gone.
pub enum Nothing {}

/// What a parameter that is a reference points to is there until the function returns, and one
/// that is no [`Option`] is not null.
pub enum Promised {}

impl Knowledge for Nothing {}
impl Knowledge for Promised {}

/// A parameter of a replacement, and what it is in C. `'call` is the time of one call.
///
/// | parameter | in C | |
/// | --- | --- | --- |
/// | a number, a raw pointer | the same | |
/// | `Option<&SeqFile>` | `struct seq_file *` | `None` is null, which some functions are called with, such as those that also print to the log |
/// | `&SeqFile` | `struct seq_file *` | with `unsafe` only |
/// | `&Opaque<T>`, `Option<&Opaque<T>>` | `T *` | with `unsafe` only |
///
/// A reference is there for one call, so that the replacement cannot keep it.
///
/// # Safety
///
/// `Self` is passed as `C` is. With what is known, whatever the kernel passes is a valid `Self`
/// for `'call`.
#[diagnostic::on_unimplemented(
    note = "of a reference, `livepatch!` wants `unsafe` before the function, which says that it is \
            there; or `Option<&SeqFile>`, or a raw pointer"
)]
pub unsafe trait Parameter<'call, K: Knowledge> {
    /// The type in the C declaration.
    type C;
}

macro_rules! same_in_c {
    ($($type:ty)*) => { $(
        // SAFETY: It is the same type.
        unsafe impl<K: Knowledge> Parameter<'_, K> for $type {
            type C = $type;
        }
    )* };
}

same_in_c! { bool i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

// SAFETY: It is the same type.
unsafe impl<T, K: Knowledge> Parameter<'_, K> for *mut T {
    type C = *mut T;
}

// SAFETY: It is the same type.
unsafe impl<T, K: Knowledge> Parameter<'_, K> for *const T {
    type C = *const T;
}

// SAFETY: A `SeqFile` has the layout of a `seq_file`, a reference that of a pointer, and `None` is
// the null pointer. What the kernel passes as a file to be written to is null, or the file that
// is being read by the caller, whose lock is held until the function returns.
unsafe impl<'call, K: Knowledge> Parameter<'call, K> for Option<&'call SeqFile> {
    type C = *mut bindings::seq_file;
}

// SAFETY: A `SeqFile` has the layout of a `seq_file`, and a reference that of a pointer. The patch
// has promised that it is not null.
unsafe impl<'call> Parameter<'call, Promised> for &'call SeqFile {
    type C = *mut bindings::seq_file;
}

// SAFETY: An `Opaque` has the layout of what is in it, and can be changed by others at any time; a
// reference has the layout of a pointer. The patch has promised that it is there.
unsafe impl<'call, T> Parameter<'call, Promised> for &'call Opaque<T> {
    type C = *mut T;
}

// SAFETY: An `Opaque` has the layout of what is in it, and can be changed by others at any time; a
// reference has the layout of a pointer, and `None` is the null pointer. The patch has promised
// that what it points to is there.
unsafe impl<'call, T> Parameter<'call, Promised> for Option<&'call Opaque<T>> {
    type C = *mut T;
}

/// A function that replaces another, for calls that last `'call`.
pub trait Replacement<'call, K: Knowledge> {
    /// The type of what it can replace.
    type Old;
}

macro_rules! parameters {
    ($($parameter:ident)*) => {
        impl<'call, K: Knowledge, $($parameter: Parameter<'call, K>,)* R> Replacement<'call, K>
            for extern "C" fn($($parameter),*) -> R
        {
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

/// Compiles only if one can replace the other. Where the caller leaves `'call` open, references
/// that are parameters of the new one must be good for any time, be it as short as a call.
pub fn check<'call, K, F>(_new: F, _old: F::Old)
where
    K: Knowledge,
    F: Replacement<'call, K>,
{
}
