// SPDX-License-Identifier: GPL-2.0

//! Making a livepatch module of an ordinary one.

mod conversion;
pub(crate) mod files;
mod modinfo;
pub(crate) mod output;
mod rewrite;
pub(crate) mod special;
mod verify;
mod versions;

pub use conversion::{Conversion, Resolved};
