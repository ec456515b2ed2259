// SPDX-License-Identifier: GPL-2.0

//! How the types of [`format`](crate::format) appear in the kernel's log: as they do elsewhere.
//! The kernel's printing macros have a `Display` trait of their own.

use crate::format::name::{ObjectName, Text};
use crate::format::refusal::{Errno, Refusal};
use crate::format::Error;
use kernel::prelude::*;

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

impl From<Errno> for kernel::error::Error {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::Invalid => EINVAL,
            Errno::NoExec => ENOEXEC,
        }
    }
}

/// Logs why something is refused; returns the errno to refuse it with.
pub(crate) fn refuse(refusal: &Refusal<'_>) -> kernel::error::Error {
    refusal.log(|line| pr_err!("{}\n", line));
    refusal.errno().into()
}
