// SPDX-License-Identifier: GPL-2.0

//! Patches that come back at boot: `klp install`, `klp uninstall`, `klp installed`, `klp boot`.
//!
//! Each patch belongs to the kernel that it was made for, and is kept in a directory of that
//! kernel's release. Another kernel never sees it.

mod install;
mod load;
mod patch_file;
mod store;

pub use install::{install, installed, uninstall, InstallArgs, InstalledArgs, UninstallArgs};
pub use load::{boot, in_order, BootArgs, Outcome, System};
pub use patch_file::PatchFile;
pub use store::{Entry, Release, Store};
