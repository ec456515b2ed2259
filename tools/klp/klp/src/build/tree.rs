// SPDX-License-Identifier: GPL-2.0

//! Where a kernel's source is.

use livepatch_format::elf::Machine;
use std::path::PathBuf;

/// A kernel's source, and a directory in which it was built or can be.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The source, as a canonical path.
    pub source: PathBuf,
    /// The build directory, as a canonical path; it may be the source.
    pub build: PathBuf,
    /// What the kernel runs on.
    pub machine: Machine,
}
