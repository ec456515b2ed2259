// SPDX-License-Identifier: GPL-2.0

//! Why two objects cannot be compared at all.
//!
//! A change that a livepatch cannot make is no error: see [`crate::model::Refusal`].

use std::fmt;
use thiserror::Error;

/// Which one of the two objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Compiled from the source as the kernel has it.
    Original,
    /// Compiled from the source with the fix.
    Patched,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Original => "the original object",
            Side::Patched => "the patched object",
        })
    }
}

/// An object that is not what a compiler makes.
#[derive(Debug, Error)]
pub enum Error {
    /// It is no readable ELF file.
    #[error("{side}: {source}")]
    Elf {
        /// Which object.
        side: Side,
        /// What is wrong with it.
        source: object::Error,
    },
    /// Something in it contradicts itself, or is not known here.
    #[error("{side}: {what}")]
    Malformed {
        /// Which object.
        side: Side,
        /// The section or symbol, and what is wrong with it.
        what: String,
    },
    /// They are not for the same machine.
    #[error("the two objects are for different machines")]
    Machines,
    /// The new object would be larger than the format allows.
    #[error("the emitted object: {0}")]
    Emit(String),
}

/// The result of what can fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
