// SPDX-License-Identifier: GPL-2.0

//! Reads kernels as they are installed: what a boot image unpacks to, what is at which address
//! of it, and the list of symbols that the kernel itself has.
//!
//! | | |
//! | --- | --- |
//! | [`boot`] | the boot images of the architectures, and where the kernel is in them |
//! | [`unpack`](mod@unpack) | how kernels are compressed |
//! | [`memory`] | address to bytes |
//! | [`kallsyms`] | the kernel's list of its symbols |
//!
//! Nothing here opens a file or starts a process, and no input makes it panic.

pub mod boot;
pub mod kallsyms;
pub mod memory;
pub mod unpack;

pub use boot::Image;
pub use kallsyms::{Kallsyms, Symbol};
pub use memory::Memory;

use thiserror::Error;

/// The result of reading a kernel.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a kernel cannot be read.
#[derive(Debug, Error)]
pub enum Error {
    /// No kind of file that is known.
    #[error("it is no kernel: neither an ELF file nor a boot image for x86_64 or s390x")]
    NoKernel,
    /// An ELF file, but none for which there are livepatches.
    #[error("no usable ELF file: {0}")]
    Elf(String),
    /// A boot image whose header leads out of it.
    #[error("the boot image is cut off, or damaged: {0}")]
    Damaged(&'static str),
    /// A boot image that holds nothing that is compressed in a way that kernels are.
    #[error("the boot image holds no kernel that is compressed as kernels are, or a damaged one")]
    NotCompressed,
    /// What is compressed cannot be unpacked.
    #[error("the kernel in the boot image cannot be unpacked with {method}: {why}")]
    Unpack {
        /// What it is compressed with.
        method: unpack::Method,
        /// What is wrong.
        why: String,
    },
    /// It would take more memory than a kernel does.
    #[error("what the boot image unpacks to is more than {0} bytes long")]
    TooLong(u64),
    /// What is unpacked does not say where it belongs.
    #[error("the boot image does not tell at which address the kernel is linked")]
    NoBase,
    /// There is no list of symbols, or one of a layout that is not known.
    #[error(
        "it holds no list of its symbols: it is built without CONFIG_KALLSYMS, or is older than \
         6.1, or newer than this klp knows"
    )]
    NoKallsyms,
}
