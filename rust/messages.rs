// SPDX-License-Identifier: GPL-2.0

//! How the types of [`format`](crate::format) appear in the kernel's log: as they do elsewhere.
//! The kernel's printing macros have a `Display` trait of their own.

use crate::format::name::{ObjectName, Text};
use crate::format::Error;

macro_rules! display_as_core_does {
    ($($type:ty),*) => {
        $(
            impl kernel::fmt::Display for $type {
                fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                    core::fmt::Display::fmt(self, f)
                }
            }
        )*
    };
}

display_as_core_does!(Error, ObjectName<'_>, Text<'_>);
