// SPDX-License-Identifier: GPL-2.0

//! Functions and variables of the kernel, exported or not.

use core::ffi::CStr;
use kernel::{
    bindings,
    ffi::c_char,
    prelude::*,
    seq_file::SeqFile,
    sync::atomic::Atomic,
    types::Opaque, //
};

/// What a function of the kernel can be called with, and what it is in C.
pub trait Argument {
    /// The type in the C declaration.
    type C;

    /// The value that is passed.
    fn into_c(self) -> Self::C;
}

macro_rules! same_in_c {
    ($($type:ty)*) => { $(
        impl Argument for $type {
            type C = $type;

            #[inline]
            fn into_c(self) -> $type {
                self
            }
        }
    )* };
}

same_in_c! { bool i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

impl<T> Argument for *mut T {
    type C = *mut T;

    #[inline]
    fn into_c(self) -> *mut T {
        self
    }
}

impl<T> Argument for *const T {
    type C = *const T;

    #[inline]
    fn into_c(self) -> *const T {
        self
    }
}

impl<T> Argument for &mut T {
    type C = *mut T;

    #[inline]
    fn into_c(self) -> *mut T {
        self
    }
}

impl<T> Argument for &Opaque<T> {
    type C = *mut T;

    #[inline]
    fn into_c(self) -> *mut T {
        self.get()
    }
}

impl Argument for &SeqFile {
    type C = *mut bindings::seq_file;

    #[inline]
    fn into_c(self) -> *mut bindings::seq_file {
        // The layout is the same.
        core::ptr::from_ref(self).cast_mut().cast()
    }
}

/// How a variable that is a `C` in the kernel's headers can be looked at.
///
/// # Safety
///
/// The layout is the same, and a shared `Self` may be changed by C code at any time, or the type
/// says that it is not.
pub unsafe trait Variable<C> {}

macro_rules! atomic {
    ($($type:ty)*) => { $(
        // SAFETY: The layout is the same, and all access is atomic.
        unsafe impl Variable<$type> for Atomic<$type> {}
    )* };
}

atomic! { i8 i16 i32 i64 isize u32 u64 usize }

// SAFETY: C's type has a number of that size in it and nothing else; all access is atomic.
unsafe impl Variable<bindings::atomic_t> for Atomic<i32> {}

// SAFETY: C's type has a number of that size in it and nothing else; all access is atomic.
unsafe impl Variable<bindings::atomic64_t> for Atomic<i64> {}

// SAFETY: The layout is the same. An `Opaque` can be changed by others at any time.
unsafe impl<T> Variable<T> for Opaque<T> {}

// SAFETY: It holds for each element.
unsafe impl<T: Variable<C>, C, const N: usize> Variable<[C; N]> for [T; N] {}

/// A variable that points to a string, both of which stay as they are.
///
/// # Invariants
///
/// It points to a string that ends with a NUL. Nobody writes to the pointer or the string.
#[repr(transparent)]
pub struct KernelStr(*mut c_char);

// SAFETY: It has the layout of a pointer, and nobody writes to it: who declares a variable to be
// of this type says with `unsafe` that the invariant holds.
unsafe impl Variable<*mut c_char> for KernelStr {}

impl KernelStr {
    /// The string.
    #[inline]
    pub fn as_cstr(&self) -> &CStr {
        // SAFETY: By the type's invariant it points to a string that stays as it is.
        unsafe { CStr::from_char_ptr(self.0) }
    }
}

/// A variable of the kernel.
///
/// # Safety
///
/// It must be there for as long as the patch is loaded, and be what `T` says.
#[inline]
pub unsafe fn variable<T: Variable<C>, C>(variable: *const C) -> &'static T {
    // SAFETY: The caller says that it is there for as long as the patch, and is a `T`. A `Variable`
    // has the layout of C's type, and can be looked at while others change it.
    unsafe { &*variable.cast() }
}

/// Declares the functions and variables of the kernel that a patch uses.
///
/// ```ignore
/// livepatch::symbols! {
///     // SAFETY: Anybody may ask for these figures. The variables are the kernel's; the
///     // string is set before there are modules.
///     unsafe {
///         fn si_mem_available() -> c_long;
///         fn arch_report_meminfo(file: &SeqFile);
///         static saved_command_line: KernelStr;
///         static reads: Atomic<usize> = klp_target.reads[2];
///     }
/// }
/// ```
///
/// Each becomes a safe function, a variable one that returns a reference to it. Types are
/// checked against the declaration of that name in the patch's module `bindings`; see
/// [`Argument`] and [`Variable`](crate::Variable) for what can stand for what.
///
/// Whether the kernel exports a symbol makes no difference: `klp convert` looks up those that it
/// does not. Where a name stands several times it has to be told which one is meant: the object
/// (`vmlinux` or a module), the name there, in quotes where it is no identifier, and the
/// position: 0 where the object has one symbol of that name, else n for the n-th in the order of
/// `/proc/kallsyms`. It is what `KLP_SYM()` is in C. In place of the position, the path of the
/// source file that defines the symbol can stand, in quotes, as in `KLP_SYM_FILE()`.
///
/// # Safety
///
/// With `unsafe`, the patch promises that the functions can be called with any arguments of the
/// types that it gives, from wherever it calls them, that the variables are there for as long as
/// it is, and that what is read of an object that comes and goes is used only while it is there.
#[macro_export]
#[allow(clippy::crate_in_macro_def)] // `bindings` is the patch's.
macro_rules! symbols {
    // SAFETY: Nothing happens here. The patch gives its reason where it writes this.
    (unsafe { $($items:tt)* }) => {
        $crate::symbols!(@items $($items)*);
    };
    (@items) => {};
    (@items
        $(#[$attribute:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $returned:ty)?;
        $($rest:tt)*
    ) => {
        $(#[$attribute])*
        #[allow(dead_code)]
        #[inline]
        fn $name($($argument: $type),*) $(-> $returned)? {
            // SAFETY: The patch says that it can be called.
            unsafe { crate::bindings::$name($($crate::Argument::into_c($argument)),*) }
        }
        $crate::symbols!(@items $($rest)*);
    };
    (@items
        $(#[$attribute:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $returned:ty)?
            = $object:ident.$symbol:tt[$position:literal];
        $($rest:tt)*
    ) => {
        $(#[$attribute])*
        #[allow(dead_code)]
        #[inline]
        fn $name($($argument: $type),*) $(-> $returned)? {
            extern "C" {
                #[link_name = $crate::symbols!(@link $object $symbol $position)]
                fn stated($($argument: <$type as $crate::Argument>::C),*) $(-> $returned)?;
            }
            // That the declaration is the header's.
            let _: [unsafe extern "C" fn($(<$type as $crate::Argument>::C),*) $(-> $returned)?; 2] =
                [stated, crate::bindings::$name];
            // SAFETY: The patch says that it can be called.
            unsafe { stated($($crate::Argument::into_c($argument)),*) }
        }
        $crate::symbols!(@items $($rest)*);
    };
    (@items
        $(#[$attribute:meta])*
        static $name:ident: $type:ty;
        $($rest:tt)*
    ) => {
        $(#[$attribute])*
        #[allow(dead_code)]
        #[inline]
        fn $name() -> &'static $type {
            // SAFETY: The patch says that it is there, and what it is.
            unsafe { $crate::private::variable(&raw const crate::bindings::$name) }
        }
        $crate::symbols!(@items $($rest)*);
    };
    (@items
        $(#[$attribute:meta])*
        static $name:ident: $type:ty = $object:ident.$symbol:tt[$position:literal];
        $($rest:tt)*
    ) => {
        $(#[$attribute])*
        #[allow(dead_code)]
        #[inline]
        fn $name() -> &'static $type {
            extern "C" {
                #[link_name = $crate::symbols!(@link $object $symbol $position)]
                static stated: $type;
            }
            // SAFETY: The patch says that it is there, and what it is; that this is how the header's
            // type can be looked at is checked by the part that is not run.
            unsafe {
                if false {
                    $crate::private::variable(&raw const crate::bindings::$name)
                } else {
                    &*(&raw const stated)
                }
            }
        }
        $crate::symbols!(@items $($rest)*);
    };
    (@link $object:ident $symbol:literal $position:literal) => {
        concat!(".klp.extern.", stringify!($object), ".", $symbol, "..", $position)
    };
    (@link $object:ident $symbol:ident $position:literal) => {
        concat!(".klp.extern.", stringify!($object), ".", stringify!($symbol), "..", $position)
    };
}
