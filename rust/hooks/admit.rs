// SPDX-License-Identifier: GPL-2.0

//! Letting livepatch modules past the kernel's refusal.
//!
//! The kernel looks for the key `livepatch` in a module's information and refuses the module
//! where it finds it. That happens after the signature check, and on the loader's private copy
//! of the file: renaming the key in this copy hides it from the kernel, and tells
//! [`finalize`](super::finalize) that it was there.

use crate::format::modinfo;

/// Renames the key, if there is one. A file that is not even an ELF file is left to the kernel,
/// which refuses it with a message of its own.
pub(crate) fn admit(file: &mut [u8]) {
    if let Ok(Some(range)) = modinfo::locate(file) {
        if let Some(info) = file.get_mut(range) {
            modinfo::admit(info);
        }
    }
}
