// SPDX-License-Identifier: GPL-2.0

//! Errors that the kernel crate of Linux 7.2 has no names for: 7.3 was the first to name all.

use kernel::bindings;
use kernel::error::Error;

/// Operation not supported on transport endpoint.
pub(crate) fn eopnotsupp() -> Error {
    Error::from_errno(-(bindings::EOPNOTSUPP as i32))
}

/// File name too long.
pub(crate) fn enametoolong() -> Error {
    Error::from_errno(-(bindings::ENAMETOOLONG as i32))
}
