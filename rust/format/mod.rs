// SPDX-License-Identifier: GPL-2.0

//! The file format of livepatch modules: ELF as far as it is needed, and what livepatch adds to
//! it.
//!
//! Everything here reads bytes that nobody has checked. Every access returns a [`Result`]; there
//! is no indexing, no allocation, no `unsafe` and no kernel type. The same files are compiled
//! into `livepatch.ko` and, as the crate `livepatch-format`, into the host's tools, so that a
//! tool and the kernel cannot disagree about what a file means.
//!
//! The format is described in `Documentation/livepatch/module-elf-format.md`; its kernel side is
//! `Documentation/livepatch/module-elf-format.rst` in the kernel source.

#![cfg_attr(not(MODULE), no_std)]

pub mod check;
pub mod elf;
pub mod error;
pub mod init;
pub mod modinfo;
pub mod name;
pub mod patch;
pub mod refusal;
pub mod reloc;
pub mod search;
pub mod unchecked;

pub use error::Error;
