// SPDX-License-Identifier: GPL-2.0

//! The kernel's own `sort()`: in place, without allocation or recursion.

use super::bindings;
use core::cmp::Ordering;
use kernel::prelude::*;

/// Sorts `items` by `T::compare`. Equal items end in any order.
pub(crate) fn sort<T: Compare>(items: &mut [T]) {
    // SAFETY: As many items as are said, each of that size. `sort()` moves items as bytes, which
    // is what moving is in Rust; afterwards each one is there once.
    unsafe {
        bindings::sort(
            items.as_mut_ptr().cast(),
            items.len(),
            size_of::<T>(),
            Some(compare::<T>),
            None,
        )
    };
}

/// What can be sorted.
pub(crate) trait Compare {
    /// Which of two comes first.
    fn compare(&self, other: &Self) -> Ordering;
}

/// # Safety
///
/// Both must point to a `T`.
unsafe extern "C" fn compare<T: Compare>(a: *const c_void, b: *const c_void) -> c_int {
    // SAFETY: By contract.
    let (a, b) = unsafe { (&*a.cast::<T>(), &*b.cast::<T>()) };
    a.compare(b) as c_int
}
