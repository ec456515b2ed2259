// SPDX-License-Identifier: GPL-2.0

//! Patches that come back at boot.
//!
//! Each patch belongs to the kernel that it was made for, and is kept in a directory of that
//! kernel's release. Another kernel never sees it.

pub mod install;
pub mod installed;
pub mod load;
pub mod patch_file;
pub mod store;
pub mod uninstall;

use clap::Args;
use std::path::PathBuf;
use store::Store;

/// Which system.
#[derive(Debug, Args)]
pub struct RootArgs {
    /// Where the system's root directory is
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl RootArgs {
    fn store(&self) -> Store {
        Store::new(&self.root)
    }
}
