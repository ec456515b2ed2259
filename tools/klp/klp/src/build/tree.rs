// SPDX-License-Identifier: GPL-2.0

//! Where a source is that a fix is for.

use livepatch_format::elf::Machine;
use std::path::PathBuf;

/// A source, and a directory in which it was built or can be.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The source, as a canonical path.
    pub source: PathBuf,
    /// The directory that commands are recorded from, as a canonical path; it may be the source.
    /// Objects are named from there.
    pub build: PathBuf,
    /// The kernel's build directory, as a canonical path.
    pub kernel: PathBuf,
    /// What it is the source of.
    pub of: Of,
    /// What the kernel runs on.
    pub machine: Machine,
}

/// What a source is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The kernel.
    Kernel,
    /// A module, or several of them, that are not in the kernel's source. Records are beside the
    /// sources.
    Module {
        /// Whether this is a copy of the user's, so that modules that were built here are not those
        /// that are loaded.
        is_copy: bool,
    },
}
